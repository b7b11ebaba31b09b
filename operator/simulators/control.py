"""The control port: plain JSON over HTTP on loopback, by which tests, the demo and the bench change the worlds.

Shared routes are here; each world adds its own under /azure, /illumio and /checkpoint with its `add_control`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from simulators.faults import fault_from_json
from simulators.server import Stage


class BadOrderError(ValueError):
    """A control request that makes no sense; its text goes back to the caller with status 400."""


def build_control(stage: Stage) -> web.Application:
    """The control port's application: ledger, secrets, faults and clock."""
    app = web.Application(middlewares=[_explain], client_max_size=64 * 1024 * 1024)

    async def ledger(request: web.Request) -> web.Response:
        query = request.query
        found = stage.ledger.entries(query.get("system"), query.get("operation"), int(query.get("since", "0")))
        return web.json_response({"entries": [entry.as_json() for entry in found]})

    async def ledger_lines(request: web.Request) -> web.Response:
        found = stage.ledger.entries(since=int(request.query.get("since", "0")))
        lines = "".join(json.dumps(entry.as_json()) + "\n" for entry in found)
        return web.Response(text=lines, content_type="application/jsonl")

    async def counts(_: web.Request) -> web.Response:
        return web.json_response(stage.ledger.counts())

    async def secrets(_: web.Request) -> web.Response:
        return web.json_response({"secrets": sorted(stage.ledger.secrets)})

    async def add_faults(request: web.Request) -> web.Response:
        body = await read_json(request)
        orders = [fault_from_json(item) for item in (body if isinstance(body, list) else [body])]
        return web.json_response({"ids": [stage.faults.add(order) for order in orders]}, status=201)

    async def clear_faults(_: web.Request) -> web.Response:
        stage.faults.clear()
        return web.json_response({})

    async def set_clock(request: web.Request) -> web.Response:
        stage.clock.scale = float(str((await read_object(request)).get("scale", stage.clock.scale)))
        return web.json_response({"scale": stage.clock.scale, "now": stage.clock.now()})

    app.add_routes(
        [
            web.get("/ledger", ledger),
            web.get("/ledger.jsonl", ledger_lines),
            web.get("/ledger/counts", counts),
            web.get("/secrets", secrets),
            web.post("/faults", add_faults),
            web.delete("/faults", clear_faults),
            web.post("/clock", set_clock),
        ]
    )
    return app


async def read_json(request: web.Request) -> object:
    """The request's JSON body, {} if it has none; BadOrderError if it is not JSON."""
    text = await request.text()
    if not text.strip():
        return {}
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error}"
        raise BadOrderError(message) from error


async def read_object(request: web.Request) -> dict[str, object]:
    """The request's JSON object, {} if it has none; BadOrderError if it is something else."""
    body = await read_json(request)
    if not isinstance(body, dict):
        message = "the body must be a JSON object"
        raise BadOrderError(message)
    return body


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer bad orders and unknown things with a sentence instead of a trace."""
    try:
        return await handler(request)
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)
    except LookupError as error:
        return web.json_response({"error": f"unknown: {error.args[0] if error.args else error}"}, status=404)
