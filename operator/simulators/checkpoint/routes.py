"""The HTTP side: `POST /web_api/<command>` and `/web_api/v<version>/<command>`, JSON in and out, the sid in a header.

Made by `create`. Wire form as in chkp-antonr/checkpoint-api-ref `introduction.md` and
CheckPointSW/cp_mgmt_api_python_sdk `cpapi/mgmt_api.py` (which also puts a Smart-1 Cloud id before `/web_api`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate

import msgspec
from aiohttp import web

from simulators.checkpoint import errors, permissions
from simulators.checkpoint.changes_command import changes_command
from simulators.checkpoint.commands import Call, Command, judge
from simulators.checkpoint.errors import ApiError
from simulators.checkpoint.keep_alive import IDLE_SECONDS, keeping_alive
from simulators.checkpoint.object_commands import object_commands
from simulators.checkpoint.objects import DOMAIN
from simulators.checkpoint.policy_commands import policy_commands
from simulators.checkpoint.rendering import Json, moment
from simulators.checkpoint.session import Session
from simulators.checkpoint.session_commands import LONGEST_IDLE, VERSIONS, session_commands
from simulators.checkpoint.sessions import Login
from simulators.checkpoint.task_commands import task_commands
from simulators.checkpoint.world import SYSTEM, World
from simulators.server import KEEP_ALIVE, build_app

COMMANDS = {
    command.name: command
    for command in (
        *object_commands(),
        *session_commands(),
        *task_commands(),
        *policy_commands(),
        changes_command(),
    )
}

_LOGIN = Command(
    "login",
    lambda _: {},
    frozenset(
        {
            "user",
            "password",
            "api-key",
            "domain",
            "session-name",
            "session-description",
            "session-comments",
            "session-timeout",
            "continue-last-session",
            "read-only",
            "enter-last-published-session",
        }
    ),
)

_HEARTBEAT = 0.1
"""Real seconds between checks of the clock, so that a publish ends even without requests."""


def build(world: World) -> web.Application:
    """The management server's application."""
    app = build_app(SYSTEM, world.environment, name_of=_name_of)

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            body = await _serve(world, request)
        except ApiError as refusal:
            return _json(world, refusal.body(tells_whose=world.traits.tells_whose), refusal.status)
        return _json(world, body, 200)

    for prefix in ("", "/{cloud}"):
        app.router.add_post(prefix + "/web_api/{command}", answer)
        app.router.add_post(prefix + "/web_api/v{version}/{command}", answer)
    app.cleanup_ctx.append(_heartbeat(world))
    app.middlewares.append(keeping_alive(world))
    app[KEEP_ALIVE] = IDLE_SECONDS
    return app


def _name_of(request: web.Request) -> str:
    """Return the command as the ledger's operation, or "unknown"."""
    command = request.match_info.get("command", "")
    return command if command in COMMANDS or command == "login" else "unknown"


async def _serve(world: World, request: web.Request) -> Json:
    world.settle()
    version = request.match_info.get("version")
    if version is not None and version not in VERSIONS[: VERSIONS.index(world.traits.version) + 1]:
        raise ApiError(400, "err_unknown_api_version", f"Unknown API version [{version}]")
    name = request.match_info["command"]
    body = await _body(request)
    if name == "login":
        return _login(world, request, judge(_LOGIN, body))
    command = COMMANDS.get(name)
    if command is None:
        raise errors.unknown_command(name)
    sid = request.headers.get("X-chkp-sid", "")
    if not sid:
        raise errors.missing_session()
    session = world.sessions.enter(sid, world.now())
    request["who"] = session.admin.name
    seconds = world.durations.write if command.writes else world.durations.read
    if seconds:
        await world.environment.clock.sleep(seconds)
        session = world.sessions.enter(sid, world.now())
    _permit(world, command, session)
    call = Call(world, session, judge(command, body))
    try:
        return command.run(call)
    finally:
        request["changed"] = call.changed


def _permit(world: World, command: Command, session: Session) -> None:
    permissions.check(command, session.admin)
    if not command.writes:
        return
    if session.read_only:
        raise errors.read_only()
    if world.traits.standby:
        raise errors.standby()
    if command.edits and session.busy:
        raise errors.in_use()


def _login(world: World, request: web.Request, body: Json) -> Json:
    call = _Reader(body)
    if not body.keys() & {"user", "api-key"}:
        raise errors.missing_parameter(name="user")
    if "user" in body and "password" not in body:
        raise errors.missing_parameter(name="password")
    admin = world.admin_of(call.text("user"), call.text("password"), call.text("api-key"))
    request["who"] = admin.name
    permissions.check_login(admin)
    domain = call.text("domain") or DOMAIN["name"]
    if domain not in (DOMAIN["name"], DOMAIN["uid"]):
        raise errors.login_failed(message=f"Authentication to server failed. Domain [{domain}] does not exist")
    published_only = body.get("enter-last-published-session") is True
    spec = Login(
        name=call.text("session-name"),
        description=call.text("session-description"),
        comments=call.text("session-comments"),
        domain=DOMAIN["uid"],
        timeout=call.whole("session-timeout", 600),
        read_only=body.get("read-only") is True or published_only,
        continues=body.get("continue-last-session") is True,
        address=request.remote or "",
    )
    session = world.sessions.login(admin, spec, world.now(), limits=world.environment.limits)
    version = request.match_info.get("version")
    answer: Json = {
        "sid": session.sid,
        "url": f"https://{request.host}/web_api" + (f"/v{version}" if version else ""),
        "session-timeout": session.timeout,
        "last-login-was-at": moment(session.since),
        "api-server-version": world.traits.version,
        "read-only": session.read_only,
        "standby": world.traits.standby,
    }
    return answer if published_only else answer | {"uid": session.uid}


class _Reader:
    """Typed access to a login's body."""

    def __init__(self, body: Json) -> None:
        self._body = body

    def text(self, name: str) -> str:
        value = self._body.get(name, "")
        if not isinstance(value, str):
            raise errors.invalid_parameter(name, "The value must be a string")
        return value

    def whole(self, name: str, default: int) -> int:
        value = self._body.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 10 <= value <= LONGEST_IDLE:
            raise errors.invalid_parameter(name, f"The value must be a number between 10 and {LONGEST_IDLE}")
        return value


async def _body(request: web.Request) -> Json:
    if request.content_type != "application/json":
        raise ApiError(400, "generic_err_invalid_header", "Header [Content-Type] must be [application/json]")
    try:
        body = msgspec.json.decode(await request.read())
    except msgspec.DecodeError as error:
        raise errors.syntax(message="Payload is not valid JSON") from error
    if not isinstance(body, dict):
        raise errors.syntax(message="Payload must be a JSON object")
    return body


def _json(world: World, body: Json, status: int) -> web.Response:
    headers = {"Date": formatdate(world.now(), usegmt=True)}
    content = msgspec.json.encode(body)
    return web.Response(status=status, body=content, content_type="application/json", headers=headers)


def _heartbeat(world: World) -> Callable[[web.Application], AsyncIterator[None]]:
    async def beat() -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT)
            world.settle()

    async def run(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(beat())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    return run
