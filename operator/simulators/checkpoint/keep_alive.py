"""How long the server keeps a connection: 15 idle seconds, 100 requests, as its Apache server announces.

A real server sends `Keep-Alive: timeout=15, max=100`, and a client written against live servers re-uses a
connection for 10 idle seconds and 95 requests at most (PyPI arodonata 2.1.0, `transport.py`). Real time, never scaled.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from simulators.checkpoint.world import World

IDLE_SECONDS = 15.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def keeping_alive(world: World) -> Middleware:
    """Return a middleware that counts requests per connection and closes it after the last allowed one."""
    counts: weakref.WeakKeyDictionary[object, int] = weakref.WeakKeyDictionary()

    @web.middleware
    async def keep(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        connection, most = request.transport, world.traits.keep_alive_requests
        if connection is None:
            return response
        counts[connection] = served = counts.get(connection, 0) + 1
        if served >= most:
            response.force_close()
        else:
            response.headers["Keep-Alive"] = f"timeout={IDLE_SECONDS:.0f}, max={most - served}"
        return response

    return keep
