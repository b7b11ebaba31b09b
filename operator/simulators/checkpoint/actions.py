"""System actions of Check Point for faults: sessions expire, tasks fail, administrators change objects.

`create` in the package's `__init__` registers them; `fault_injection` calls them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Middleware

from simulators.checkpoint.control import edit
from simulators.checkpoint.errors import ApiError
from simulators.checkpoint.tasks import Outcome, TaskKind
from simulators.checkpoint.world import World
from simulators.environment import ActionFailed
from simulators.faults import ON_NEXT, Fault, SystemAction

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_ENDS: dict[str, Outcome] = {
    "operation-lost": "lost",
    "task-fails": "failed",
    "task-half": "half",
    "task-endless": "stuck",
    "bulk-partial": "half",
}


class CheckPointActions:
    """See `simulators.environment.SystemActions`. `memory`: middleware that repeats old answers while stale."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stale: dict[str, float] = {}
        self._answers: dict[tuple[str, bytes], bytes] = {}
        self.memory = self._make_memory()

    def refusal(self, fault: Fault) -> str:
        """Return why Check Point cannot do it, or ""."""
        kind = _kind(fault.operation)
        match fault.action:
            case "link-missing" | "link-to-itself" | "link-elsewhere":
                return "Check Point's lists have no links"
            case "task-half" if kind not in ("install", "batch"):
                return f"only install-policy and batches can be done by half, not {fault.operation!r}"
            case "bulk-partial" if kind != "batch":
                return f"only batches are bulk operations, not {fault.operation!r}"
            case "operation-lost" | "task-fails" | "task-endless" if kind is None:
                return f"{fault.operation!r} begins no task"
            case "human-edit" if not (isinstance(fault.body, dict) and {"do", "host"} <= fault.body.keys()):
                return "'human-edit' needs 'body': {do, host, ...} as POST /checkpoint/edit takes it"
            case "stale" if not fault.operation.startswith("show-"):
                return f"only questions have stale answers, not {fault.operation!r}"
        return ""

    async def perform(self, fault: Fault, request: web.Request) -> None:
        """Do it."""
        try:
            self._perform(fault, request)
        except ApiError as refusal:
            raise ActionFailed(refusal.message) from refusal

    def _perform(self, fault: Fault, request: web.Request) -> None:
        match cast("SystemAction", fault.action):
            case "expire":
                self._world.expire(self._world.sessions.enter(request.headers.get("X-chkp-sid", ""), self._world.now()))
            case "stale":
                self._answers.clear()
                self._stale[fault.operation] = self._world.now() + fault.seconds
            case "operation-lost" | "task-fails" | "task-half" | "task-endless" | "bulk-partial":
                kind = _kind(str(request["operation"]))
                if kind is not None:
                    self._world.tasks.order(kind, _ENDS[fault.action])
            case "foreign-lock":
                self._world.hold("alice", fault.target, fault.seconds)
            case "human-edit":
                edit(self._world, cast("dict[str, object]", fault.body))

    def throttled(self, operation: str) -> object:  # noqa: ARG002 - all alike
        """Return Check Point's 429; only one client documents this status, see docs/worlds-checkpoint.md."""
        return ApiError(429, "err_too_many_requests", "Too many requests in a given amount of time").body()

    def _make_memory(self) -> Middleware:
        @web.middleware
        async def remember(request: web.Request, handler: Handler) -> web.StreamResponse:
            command = str(request["operation"])
            if self._stale.get(command, 0.0) <= self._world.now():
                return await handler(request)
            question = (command, await request.read())
            if question in self._answers:
                return web.Response(body=self._answers[question], content_type="application/json")
            response = await handler(request)
            body = getattr(response, "body", None)
            if response.status == 200 and isinstance(body, bytes):
                self._answers[question] = body
            return response

        return remember


def _kind(command: str) -> TaskKind | None:
    """Return the kind of task that a command starts."""
    if command.endswith("-objects-batch"):
        return "batch"
    kinds: dict[str, TaskKind] = {"publish": "publish", "install-policy": "install", "show-changes": "question"}
    return kinds.get(command)


assert set(ON_NEXT) < set(_ENDS)
