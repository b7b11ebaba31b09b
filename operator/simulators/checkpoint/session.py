"""One administrator's session: its identity, its unpublished changes and its locks.

Kept by `sessions.Sessions`; a session outlives its sid, as the locks and changes of a crashed client do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from simulators.checkpoint import errors
from simulators.checkpoint.overlay import Overlay, View
from simulators.checkpoint.published import Published
from simulators.checkpoint.things import Thing

Application = Literal["WEB_API", "SmartConsole"]


@dataclass(frozen=True, slots=True)
class Admin:
    """An administrator. `password` or `api_key` "" means that this way in is closed."""

    name: str
    api_key: str = ""
    password: str = ""
    read_only: bool = False
    manages_sessions: bool = False


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
        """The name, or what the server calls a session that was given none."""
        return self.name or f"{self.admin.name}@{self.uid[:8]}"


class Locks:
    """Which session holds which object: an object is locked by the first session that alters it."""

    def __init__(self) -> None:
        self._holders: dict[str, Session] = {}

    def holder(self, uid: str) -> Session | None:
        """The session that holds the object."""
        return self._holders.get(uid)

    def claim(self, session: Session, things: list[Thing]) -> None:
        """Take all the locks or none; ApiError (locked) names the first object that another session holds."""
        for thing in things:
            holder = self._holders.get(thing.uid)
            if holder is not None and holder is not session:
                raise errors.locked(thing.name)
        for thing in things:
            self._holders[thing.uid] = session
            session.locks.add(thing.uid)

    def release(self, session: Session, uid: str | None = None) -> None:
        """Give back one lock, or all of a session."""
        for held in [uid] if uid else list(session.locks):
            self._holders.pop(held, None)
            session.locks.discard(held)


def reset(session: Session, published: Published, locks: Locks) -> int:
    """Empty a session after a publish or a discard; returns how many changes it had."""
    changes = session.overlay.changes
    locks.release(session)
    session.view = View(published, Overlay())
    return changes
