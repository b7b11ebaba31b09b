"""Commands on sessions: keepalive, publish, discard, and take-over of disconnected sessions.

`login` is in `routes`: it is the only command without a session. Parameters as in the vendor's reference
(chkp-antonr/checkpoint-api-ref `jmd/show-sessions.j.md`, `publish.j.md` and siblings).
"""

from __future__ import annotations

from simulators.checkpoint import errors, rendering
from simulators.checkpoint.commands import PAGING, Call, Command, page
from simulators.checkpoint.errors import ApiError
from simulators.checkpoint.rendering import Json
from simulators.checkpoint.session import Session

LONGEST_IDLE = 3600
"""The largest session-timeout in seconds (CheckPointSW/terraform-provider-checkpoint checks 10-3600)."""

_OK: Json = {"message": "OK"}
_UID = frozenset({"uid"})


def session_commands() -> list[Command]:
    """All of them."""
    listing = PAGING | {"filter", "view-published-sessions"}
    return [
        Command("keepalive", lambda _: _OK),
        Command("logout", _logout),
        Command("show-session", _show_session, _UID | {"detailed-admin-info"}),
        Command("show-sessions", _show_sessions, listing),
        Command("show-last-published-session", _show_last),
        Command("set-session", _set_session, frozenset({"description", "new-name", "session-timeout"})),
        Command("publish", _publish, _UID, writes=True),
        Command("discard", _discard, _UID),
        Command("disconnect", _disconnect, _UID | {"discard"}, ("uid",)),
        Command("take-over-session", _take_over, _UID | {"disconnect-active-session"}, ("uid",)),
        Command("switch-session", _switch, _UID, ("uid",)),
        Command("show-api-versions", _show_api_versions),
    ]


def _logout(call: Call) -> Json:
    call.world.sessions.leave(call.session, call.world.now())
    return _OK


def _show_session(call: Call) -> Json:
    return rendering.session(_target_session(call))


def _show_sessions(call: Call) -> Json:
    level = call.level
    text = call.text("filter").casefold()
    if call.flag("view-published-sessions"):
        bodies = [rendering.revision(revision) for revision in call.world.published.revisions]
    else:
        bodies = [rendering.session(session) for session in call.world.sessions.listed()]
    bodies = [body for body in bodies if text in str(body["name"]).casefold()]
    bodies.sort(key=lambda body: str(body["name"]))

    def show(body: Json) -> object:
        match level:
            case "uid":
                return body["uid"]
            case "standard":
                return {name: body[name] for name in ("uid", "name", "type", "domain")}
            case "full":
                return body

    return page(call, bodies, show)


def _show_last(call: Call) -> Json:
    revisions = call.world.published.revisions
    if not revisions:
        raise errors.not_found(identifier="last published session")
    return rendering.revision(revisions[-1])


def _set_session(call: Call) -> Json:
    session = call.session
    session.timeout = call.whole("session-timeout", session.timeout, 10, LONGEST_IDLE)
    session.description = call.text("description", session.description)
    session.name = call.text("new-name", session.name)
    return rendering.session(session)


def _publish(call: Call) -> Json:
    if "uid" in call.body and call.text("uid") != call.session.uid:
        raise ApiError(501, "not_implemented", "Publishing other than current session is not implemented")
    return {"task-id": call.world.publish(call.session).uid}


def _discard(call: Call) -> Json:
    target = _target_session(call)
    _check_permission(call, target)
    return {"message": "OK", "number-of-discarded-changes": call.world.discard(target)}


def _disconnect(call: Call) -> Json:
    target = _target_session(call)
    _check_permission(call, target)
    if call.flag("discard"):
        call.world.discard(target)
    call.world.sessions.leave(target, call.world.now())
    return _OK


def _take_over(call: Call) -> Json:
    target = _target_session(call)
    _check_permission(call, target)
    disconnects = call.flag("disconnect-active-session")
    taken = call.world.sessions.take_over(call.session, target, call.world.now(), disconnects=disconnects)
    return rendering.session(taken)


def _switch(call: Call) -> Json:
    return rendering.session(call.world.sessions.switch(call.session, _target_session(call), call.world.now()))


def _target_session(call: Call) -> Session:
    return call.world.sessions.get(call.text("uid")) if "uid" in call.body else call.session


def _check_permission(call: Call, target: Session) -> None:
    """Another administrator's session needs the permission to manage sessions."""
    admin = call.session.admin
    if target.admin.name != admin.name and not admin.manages_sessions:
        raise errors.no_permission(what=f"manage the session of [{target.admin.name}]")


def _show_api_versions(call: Call) -> Json:
    from_old = [version for version in VERSIONS if VERSIONS.index(version) <= VERSIONS.index(call.world.traits.version)]
    return {"current-version": call.world.traits.version, "supported-versions": from_old}


VERSIONS = ("1", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.6.1", "1.7", "1.7.1", "1.8", "1.8.1", "1.9", "1.9.1", "2")
"""API versions, oldest first (chkp-antonr/checkpoint-api-ref `api-versions.md`)."""
