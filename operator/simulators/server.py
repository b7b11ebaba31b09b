"""What the three simulated systems' servers share: operation names, injected faults, the ledger, TLS on loopback.

Each system builds its application with `build_app` and adds its own routes and (inner) middlewares.
"""

from __future__ import annotations

import asyncio
import io
import logging
import ssl
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.payload import BytesIOPayload

from simulators.environment import Environment
from simulators.fault_injection import FaultInjector

__all__ = ["KEEP_ALIVE", "Served", "build_app", "changed", "in_url", "operation", "serve"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NameOf = Callable[[web.Request], str]

log = logging.getLogger(__name__)

KEEP_ALIVE: web.AppKey[float] = web.AppKey("keep-alive", float)
"""On an application: idle seconds after which its server closes a connection."""

_LARGEST_BODY = 64 * 1024 * 1024
_LONG_BODY = 1024 * 1024
_USUAL_KEEP_ALIVE = 75.0
_ROUNDS_TO_CLOSE = 5
"""Turns of the event loop until the socket of a TLS connection is closed whose peer has gone."""
_silenced: list[bool] = []


@dataclass(frozen=True, slots=True)
class Served:
    """A listening application; `url` has no trailing slash."""

    url: str
    port: int
    runner: web.AppRunner

    def hang_up(self) -> None:
        """Reset every connection."""
        _abort(self._transports())

    async def stop(self) -> None:
        """Close the listener and every connection, without waiting for clients."""
        for site in list(self.runner.sites):
            await site.stop()
        transports = self._transports()
        await self.runner.cleanup()
        _abort(transports)
        for _ in range(_ROUNDS_TO_CLOSE):
            await asyncio.sleep(0)

    def _transports(self) -> list[asyncio.Transport]:
        connections = self.runner.server.connections if self.runner.server else []
        return [connection.transport for connection in connections if connection.transport is not None]


def _abort(transports: list[asyncio.Transport]) -> None:
    for transport in transports:
        transport.abort()


def operation(request: web.Request, name: str) -> None:
    """Set the operation's name for the ledger and for faults in phase "after"."""
    request["operation"] = name


def changed(request: web.Request, text: str) -> None:
    """Record that this request changed `text`."""
    request["changed"].append(text)


def build_app(system: str, environment: Environment, *, name_of: NameOf | None = None) -> web.Application:
    """Return an application that applies faults to every request and records it.

    An operation's name is what `name_of` returns, else the route's name, else the handler's `__name__`; a handler may
    replace it with `operation()`. Faults "before" match the first name, faults "after" the last. Handlers may set
    `request["who"]` (the caller). Middlewares that a system appends run inside this one.
    """
    injector = FaultInjector(system, environment)

    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        _prepare(request, (name_of or _route_name)(request))
        note: list[str] = []
        status, size = 0, 0
        try:
            response = await injector.perform(request, handler, note)
            if response is not None:
                status, size = response.status, _size(response)
        except Exception as error:
            status = 500
            note.append(f"error: {type(error).__name__}")
            log.exception("%s: %s failed", system, request["operation"])
            raise
        finally:
            environment.ledger.append(
                system,
                str(request["operation"]),
                who=str(request["who"]),
                status=status,
                seconds=time.perf_counter() - started,
                size=size,
                changed=request["changed"],
                note=" ".join(note),
            )
        return _reset(request) if response is None else _in_pieces(response)

    return web.Application(middlewares=[record], client_max_size=_LARGEST_BODY)


async def serve(
    app: web.Application, *, ssl_context: ssl.SSLContext | None, port: int = 0, address: str = "127.0.0.1"
) -> Served:
    """Listen on `address` (port 0: a free one). Without a TLS context it is plain HTTP, as for the control port."""
    keep_alive = app.get(KEEP_ALIVE, _USUAL_KEEP_ALIVE)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, keepalive_timeout=keep_alive)
    await runner.setup()
    await web.TCPSite(runner, address, port, ssl_context=ssl_context, backlog=1024).start()
    bound = int(runner.addresses[0][1])
    scheme = "https" if ssl_context else "http"
    return Served(url=f"{scheme}://{in_url(address)}:{bound}", port=bound, runner=runner)


def in_url(address: str) -> str:
    """A name or address as it stands in a URL: one of IPv6 in brackets (RFC 3986, section 3.2.2)."""
    return f"[{address}]" if ":" in address else address


def _prepare(request: web.Request, name: str) -> None:
    """Set the request's keys to their defaults."""
    if not _silenced:
        # aiohttp warns once about each plain string as a key. To silence it costs more than a request, so do it once.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", web.NotAppKeyWarning)
            request["operation"] = request["who"] = request["changed"] = None
        _silenced.append(True)
    request["operation"], request["who"], request["changed"] = name, "", []


def _in_pieces(response: web.StreamResponse) -> web.StreamResponse:
    """Send a long body in pieces: otherwise the connection holds it three times."""
    body = getattr(response, "body", None)
    if isinstance(response, web.Response) and isinstance(body, bytes) and len(body) > _LONG_BODY:
        response.body = BytesIOPayload(io.BytesIO(body), content_type=response.content_type)
    return response


def _reset(request: web.Request) -> web.Response:
    """Reset the connection; the returned answer is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _route_name(request: web.Request) -> str:
    route = request.match_info.route
    return str(route.name or getattr(route.handler, "__name__", "unknown"))


def _size(response: web.StreamResponse) -> int:
    body = getattr(response, "body", None)
    return len(body) if isinstance(body, bytes | bytearray) else response.content_length or 0
