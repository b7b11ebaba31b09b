"""One administrator's session: its identity, its unpublished changes and its locks.

Owned by `sessions.Sessions`; a session outlives its sid, and so do the locks and changes of a crashed client.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from simulators.checkpoint import errors
from simulators.checkpoint.objects import ManagementObject
from simulators.checkpoint.overlay import Overlay, View
from simulators.checkpoint.published import Published

Application = Literal["WEB_API", "SmartConsole"]


@dataclass(frozen=True, slots=True)
class Admin:
    """An administrator. An empty `password` or `api_key` cannot log in.

    `lacks`: what its permission profile does not allow, see `permissions`.
    """

    name: str
    api_key: str = ""
    password: str = ""
    read_only: bool = False
    manages_sessions: bool = False
    lacks: frozenset[str] = frozenset()


@dataclass(slots=True)
class Session:
    """`sid` is "" while nobody is connected; `busy` is the task (batch, publish) that works on the changes ("": none).

    Times are epoch seconds; `timeout` is idle seconds, real.
    """

    uid: str
    admin: Admin
    view: View
    sid: str = ""
    application: Application = "WEB_API"
    name: str = ""
    description: str = ""
    comments: str = ""
    address: str = "127.0.0.1"
    timeout: int = 600
    read_only: bool = False
    since: float = 0.0
    used: float = 0.0
    left: float = 0.0
    expired: bool = False
    busy: str = ""
    locks: set[str] = field(default_factory=set)

    @property
    def overlay(self) -> Overlay:
        """The unpublished changes."""
        return self.view.overlay

    @property
    def is_connected(self) -> bool:
        """Whether a client (or an administrator's console) works in it."""
        return bool(self.sid)

    @property
    def label(self) -> str:
        """The name, or the server's default for a session without one."""
        return self.name or f"{self.admin.name}@{self.uid[:8]}"


class Locks:
    """The holders of locks: the first session that changes an object locks it."""

    def __init__(self) -> None:
        self._holders: dict[str, Session] = {}

    def holder(self, uid: str) -> Session | None:
        """Return the session that locks the object, or None."""
        return self._holders.get(uid)

    def claim(self, session: Session, objects: list[ManagementObject]) -> None:
        """Take all locks or none; raises ApiError (locked) with the first object that another session locks."""
        for cp_object in objects:
            holder = self._holders.get(cp_object.uid)
            if holder is not None and holder is not session:
                raise errors.locked(cp_object.name)
        for cp_object in objects:
            self._holders[cp_object.uid] = session
            session.locks.add(cp_object.uid)

    def release(self, session: Session, uid: str | None = None) -> None:
        """Release one lock, or all locks of a session."""
        for held in [uid] if uid else list(session.locks):
            self._holders.pop(held, None)
            session.locks.discard(held)


def reset(session: Session, published: Published, locks: Locks) -> int:
    """Empty a session after a publish or a discard; return how many changes it had."""
    changes = session.overlay.changes
    locks.release(session)
    session.view = View(published, Overlay())
    return changes
