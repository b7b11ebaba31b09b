"""The control port: plain JSON over HTTP on loopback, by which tests, the demo and the bench change the worlds.

Shared routes are here; each world adds its own under /azure, /illumio and /checkpoint with its `add_control`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from simulators.faults import fault_from_json
from simulators.ledger import Entry
from simulators.server import Stage

_NAP = 0.003
"""Seconds between two looks at a fault that somebody waits for."""


class BadOrderError(ValueError):
    """A control request that makes no sense; its text goes back to the caller with status 400."""


def build_control(stage: Stage) -> web.Application:
    """The control port's application: ledger, secrets, faults, limits and clock."""
    app = web.Application(middlewares=[_explain], client_max_size=64 * 1024 * 1024)
    _add_ledger(app.router, stage)
    _add_faults(app.router, stage)
    _add_switches(app.router, stage)
    return app


def _add_ledger(router: web.UrlDispatcher, stage: Stage) -> None:
    async def ledger(request: web.Request) -> web.Response:
        return web.json_response({"entries": [entry.as_json() for entry in _asked(stage, request)]})

    async def ledger_lines(request: web.Request) -> web.Response:
        lines = "".join(entry.line() for entry in _asked(stage, request))
        return web.Response(text=lines, content_type="application/jsonl")

    async def counts(_: web.Request) -> web.Response:
        return web.json_response(stage.ledger.counts())

    async def secrets(_: web.Request) -> web.Response:
        return web.json_response({"secrets": sorted(stage.ledger.secrets)})

    router.add_get("/ledger", ledger)
    router.add_get("/ledger.jsonl", ledger_lines)
    router.add_get("/ledger/counts", counts)
    router.add_get("/secrets", secrets)


def _add_faults(router: web.UrlDispatcher, stage: Stage) -> None:
    async def add(request: web.Request) -> web.Response:
        body = await read_json(request)
        orders = [fault_from_json(item) for item in (body if isinstance(body, list) else [body])]
        ids = [stage.faults.add(order) for order in orders]
        for order in orders:
            note = f"{order.action} {order.phase} {order.operation}, from hit {order.nth} on, {order.count} times"
            stage.ledger.append(order.system, "world.fault-ordered", note=note)
        return web.json_response({"ids": ids}, status=201)

    async def listing(_: web.Request) -> web.Response:
        return web.json_response({"faults": stage.faults.listed()})

    async def clear(_: web.Request) -> web.Response:
        stage.faults.clear()
        return web.json_response({})

    async def await_one(request: web.Request) -> web.Response:
        """Whoever kills the operator at a fault must know of it at once, without asking all the time."""
        number, until = int(request.match_info["id"]), time.monotonic() + float(request.query.get("seconds", "0"))
        # A thread may take a fault: there is no event to wait for.
        while stage.faults.is_waiting(number) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_NAP)
        return web.json_response({"waiting": stage.faults.is_waiting(number)})

    router.add_post("/faults", add)
    router.add_get("/faults/{id:[0-9]+}", await_one)
    router.add_get("/faults", listing)
    router.add_delete("/faults", clear)


def _add_switches(router: web.UrlDispatcher, stage: Stage) -> None:
    async def clock(request: web.Request) -> web.Response:
        if request.method == "POST":
            stage.clock.scale = float(str((await read_object(request)).get("scale", stage.clock.scale)))
        return web.json_response({"scale": stage.clock.scale, "now": stage.clock.now()})

    async def limits(request: web.Request) -> web.Response:
        if request.method == "POST":
            enforced = (await read_object(request)).get("enforced")
            if not isinstance(enforced, bool):
                message = "'enforced' must be true or false"
                raise BadOrderError(message)
            stage.limits = enforced
        return web.json_response({"enforced": stage.limits})

    router.add_get("/clock", clock)
    router.add_post("/clock", clock)
    router.add_get("/limits", limits)
    router.add_post("/limits", limits)


def _asked(stage: Stage, request: web.Request) -> list[Entry]:
    """The entries that `system`, `operation`, `since` and `changes=true` ask for."""
    query = request.query
    found = stage.ledger.entries(query.get("system"), query.get("operation"), int(query.get("since", "0")))
    return [entry for entry in found if entry.is_change] if query.get("changes") == "true" else found


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
