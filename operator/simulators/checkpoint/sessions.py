"""All sessions of the server: login, logout, idle time-out, and access to disconnected sessions.

Owned by `world.World`; the session commands are thin wrappers. Rules as in the vendor's reference
(chkp-antonr/checkpoint-api-ref `jmd/login.j.md`, `switch-session.j.md`, `take-over-session.j.md`, `disconnect.j.md`,
`tips-best-practices.md` for three logins per minute and a hundred sessions).
"""

from __future__ import annotations

import secrets
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

from simulators.checkpoint import errors
from simulators.checkpoint.errors import ApiError
from simulators.checkpoint.objects import new_uid
from simulators.checkpoint.overlay import Overlay, View
from simulators.checkpoint.published import Published
from simulators.checkpoint.session import Admin, Application, Locks, Session, reset

MOST_LOGINS = 3
"""Logins per minute, per administrator and domain (since R81)."""

MOST_SESSIONS = 100
"""Read-write sessions per server: open ones, and disconnected ones with changes."""

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Login:
    """The parameters of a login besides credentials. `timeout`: idle seconds."""

    name: str = ""
    description: str = ""
    comments: str = ""
    domain: str = ""
    timeout: int = 600
    read_only: bool = False
    continues: bool = False
    address: str = "127.0.0.1"


class Sessions:
    """Sessions by uid and by sid. `remember` is called with every new sid, which is a secret."""

    def __init__(self, published: Published, locks: Locks, remember: Callable[[str], object]) -> None:
        self._published = published
        self._locks = locks
        self._remember = remember
        self._by_uid: dict[str, Session] = {}
        self._by_sid: dict[str, Session] = {}
        self._logins: dict[tuple[str, str], deque[float]] = defaultdict(deque)

    def listed(self) -> list[Session]:
        """Sessions that are not over, oldest first."""
        return list(self._by_uid.values())

    def get(self, uid: str) -> Session:
        """The session of that uid; ApiError (not found)."""
        found = self._by_uid.get(uid)
        if found is None:
            raise errors.not_found(uid)
        return found

    def enter(self, sid: str, now: float) -> Session:
        """Return the session of a request and renew its idle time; raises ApiError if the sid is unknown or expired."""
        session = self._by_sid.get(sid)
        if session is None:
            raise errors.wrong_session(sid)
        session.used = now
        return session

    def login(self, admin: Admin, spec: Login, now: float, *, limits: bool) -> Session:
        """Open a session, or continue the last one; raises ApiError if there are too many."""
        if limits:
            self._throttle((admin.name, spec.domain), now)
        session = self._last(admin) if spec.continues else None
        if session is None:
            if limits and not spec.read_only and sum(map(_counts, self._by_uid.values())) >= MOST_SESSIONS:
                raise ApiError(400, "generic_error", _TOO_MANY)
            session = self.open(admin, now, "WEB_API", spec)
        self._connect(session, now)
        return session

    def open(self, admin: Admin, now: float, application: Application, spec: Login) -> Session:
        """A new session, not yet connected."""
        session = Session(
            uid=new_uid(),
            admin=admin,
            view=View(self._published, Overlay()),
            application=application,
            name=spec.name,
            description=spec.description,
            comments=spec.comments,
            address=spec.address,
            timeout=spec.timeout,
            read_only=spec.read_only or admin.read_only,
            since=now,
            used=now,
        )
        self._by_uid[session.uid] = session
        return session

    def leave(self, session: Session, now: float) -> None:
        """Disconnect the client. Unpublished changes and locks keep the session."""
        self._cut(session, now)
        if not session.overlay.changes and not session.locks:
            self._by_uid.pop(session.uid, None)

    def discard(self, session: Session) -> int:
        """Drop a session's changes and locks; return how many changes there were."""
        if session.busy:
            raise errors.in_use()
        changes = reset(session, self._published, self._locks)
        if not session.is_connected:
            self._by_uid.pop(session.uid, None)
        return changes

    def take_over(self, current: Session, target: Session, now: float, *, disconnects: bool) -> Session:
        """Take over another session: the caller's sid moves there, and the session becomes the caller's."""
        if target is not current and target.is_connected and not disconnects:
            text = "The session is active. Use disconnect-active-session to take it over"
            raise ApiError(400, "err_take_over_session_failed", text)
        target.admin = current.admin
        return self._move(current, target, now)

    def switch(self, current: Session, target: Session, now: float) -> Session:
        """Continue in an own disconnected session."""
        if target.admin.name != current.admin.name or target.is_connected or target.application != "WEB_API":
            text = "Only a disconnected Management API session of the same administrator can be switched to"
            raise ApiError(400, "err_switch_session_failed", text)
        return self._move(current, target, now)

    def expire(self, now: float, only: Session | None = None) -> list[Session]:
        """Expire idle sessions (or the given one); they stay listed, with their locks."""
        over = (
            [only] if only else [session for session in self._by_sid.values() if now - session.used > session.timeout]
        )
        for session in over:
            self._cut(session, now)
            session.expired = True
        return over

    def _move(self, current: Session, target: Session, now: float) -> Session:
        sid = current.sid
        if target is not current:
            self._cut(target, now)
            self.leave(current, now)
            self._by_sid[sid] = target
        target.sid, target.used, target.expired, target.left = sid, now, False, 0.0
        return target

    def _connect(self, session: Session, now: float) -> None:
        self._cut(session, now)
        session.sid = secrets.token_urlsafe(32)
        session.used, session.expired, session.left = now, False, 0.0
        self._by_sid[session.sid] = session
        self._remember(session.sid)

    def _cut(self, session: Session, now: float) -> None:
        if session.sid:
            self._by_sid.pop(session.sid, None)
            session.sid, session.left = "", now

    def _last(self, admin: Admin) -> Session | None:
        """Return the one session that can be continued, or None."""
        found = [
            session
            for session in self._by_uid.values()
            if session.admin.name == admin.name and not session.is_connected and session.application == "WEB_API"
        ]
        if len(found) > 1:
            text = "There is more than one session that can be continued"
            raise ApiError(400, "err_login_failed_more_than_one_opened_session", text)
        return found[0] if found else None

    def _throttle(self, who: tuple[str, str], now: float) -> None:
        times = self._logins[who]
        while times and now - times[0] >= MINUTE:
            times.popleft()
        if len(times) >= MOST_LOGINS:
            raise ApiError(429, "err_too_many_requests", "Too many requests in a given amount of time")
        times.append(now)


_TOO_MANY = (
    "The server has reached the maximum number of active sessions. "
    "Ask another administrator to discard or publish a session"
)


def _counts(session: Session) -> bool:
    if session.read_only or session.application != "WEB_API":
        return False
    return session.is_connected or session.overlay.changes > 0
