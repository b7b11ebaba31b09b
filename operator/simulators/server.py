"""What the three worlds' servers share: naming an operation, ordered failures, the ledger, TLS on loopback.

Each world builds its application with `build_app` and adds its own routes and (inner) middlewares.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from aiohttp import web

from simulators.clock import Clock
from simulators.faults import Fault, FaultPlan
from simulators.ledger import Ledger

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NameOf = Callable[[web.Request], str]

log = logging.getLogger(__name__)

_LARGEST_BODY = 64 * 1024 * 1024
_HTML = "<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>"


@dataclass(slots=True)
class Stage:
    """What the worlds of one run share. `limits`: whether the vendors' rate limits and quotas are enforced."""

    ledger: Ledger = field(default_factory=Ledger)
    clock: Clock = field(default_factory=Clock)
    faults: FaultPlan = field(default_factory=FaultPlan)
    limits: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """A listening application; `url` has no trailing slash."""

    url: str
    port: int
    runner: web.AppRunner

    async def stop(self) -> None:
        """Close the listener and every connection, without waiting for callers to say good-bye."""
        connections = self.runner.server.connections if self.runner.server else []
        transports = [connection.transport for connection in connections]
        await self.runner.cleanup()
        for transport in transports:
            if transport is not None:
                transport.abort()
        await asyncio.sleep(0)


def operation(request: web.Request, name: str) -> None:
    """Name the operation for the ledger and for failures ordered for the time after its effect."""
    request["operation"] = name


def changed(request: web.Request, text: str) -> None:
    """Record that this request changed something."""
    request["changed"].append(text)


def build_app(system: str, stage: Stage, *, name_of: NameOf | None = None) -> web.Application:
    """An application whose every request meets ordered failures and is recorded.

    An operation's name is what `name_of` says, else the route's name, else the handler's `__name__`; a handler may
    replace it with `operation()`. Failures "before" go by the first name, failures "after" by the last. Handlers may
    set `request["who"]` (who called). Middlewares that a world appends run inside this one.
    """

    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        _prepare(request, (name_of or _route_name)(request))
        note: list[str] = []
        status, size = 0, 0
        try:
            response = await _perform(system, stage, request, handler, note)
            if response is not None:
                status, size = response.status, _size(response)
        except Exception as error:
            status = 500
            note.append(f"error: {type(error).__name__}")
            log.exception("%s: %s failed", system, request["operation"])
            raise
        finally:
            stage.ledger.append(
                system,
                str(request["operation"]),
                who=str(request["who"]),
                status=status,
                seconds=time.perf_counter() - started,
                size=size,
                changed=request["changed"],
                note=" ".join(note),
            )
        return _reset(request) if response is None else response

    return web.Application(middlewares=[record], client_max_size=_LARGEST_BODY)


async def serve(app: web.Application, *, ssl_context: ssl.SSLContext | None, port: int = 0) -> Served:
    """Listen on 127.0.0.1 (port 0: a free one). Without a TLS context it is plain HTTP: only the control port is."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=ssl_context, backlog=1024).start()
    bound = int(runner.addresses[0][1])
    scheme = "https" if ssl_context else "http"
    return Served(url=f"{scheme}://127.0.0.1:{bound}", port=bound, runner=runner)


def _prepare(request: web.Request, name: str) -> None:
    """Set the keys that handlers may set; aiohttp warns once of each key that is a plain string, which ours are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", web.NotAppKeyWarning)
        request["operation"], request["who"], request["changed"] = name, "", []


async def _perform(
    system: str, stage: Stage, request: web.Request, handler: Handler, note: list[str]
) -> web.StreamResponse | None:
    """The answer to send, or None where the connection is to be reset."""
    fault = stage.faults.take(system, request["operation"], "before")
    if fault:
        note.append(f"fault before: {fault.action}")
        if fault.action != "delay":
            return await _fail(request, fault, None)
        await asyncio.sleep(fault.seconds)
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        response = web.Response(status=refusal.status, text=refusal.text, headers=_kept(refusal.headers))
    fault = stage.faults.take(system, request["operation"], "after")
    if fault:
        note.append(f"fault after: {fault.action}")
        return await _fail(request, fault, response)
    return response


async def _fail(request: web.Request, fault: Fault, response: web.StreamResponse | None) -> web.StreamResponse | None:
    match fault.action:
        case "status":
            return _ordered(fault)
        case "delay":
            await asyncio.sleep(fault.seconds)
            return response
        case "cut":
            return None
        case "hang":
            await _silence(request, fault.seconds)
            return None
        case "html":
            return web.Response(
                status=fault.status,
                text=_HTML.format(status=fault.status),
                content_type="text/html",
                headers=fault.headers,
            )
        case "truncate":
            body = getattr(response, "body", None)
            text = body if isinstance(body, bytes) and body else b'{"value": [{"id": "'
            return web.Response(status=200, body=text[: max(len(text) // 2, 1)], content_type="application/json")
    assert_never(fault.action)


def _ordered(fault: Fault) -> web.Response:
    if isinstance(fault.body, str):
        return web.Response(status=fault.status, text=fault.body, headers=fault.headers)
    if fault.body is None:
        return web.Response(status=fault.status, headers=fault.headers)
    return web.json_response(fault.body, status=fault.status, headers=fault.headers)


async def _silence(request: web.Request, seconds: float) -> None:
    """Say nothing until the caller gives up or the time is over."""
    until = time.monotonic() + seconds if seconds else float("inf")
    transport = request.transport
    # aiohttp has no event for a caller who hangs up, hence the polling.
    while time.monotonic() < until and transport is not None and not transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


def _reset(request: web.Request) -> web.Response:
    """Reset the connection; the returned answer has nowhere to go."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in ("content-type", "content-length")}


def _route_name(request: web.Request) -> str:
    route = request.match_info.route
    return str(route.name or getattr(route.handler, "__name__", "unknown"))


def _size(response: web.StreamResponse) -> int:
    body = getattr(response, "body", None)
    return len(body) if isinstance(body, bytes | bytearray) else response.content_length or 0
