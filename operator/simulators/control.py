"""The control port: plain JSON over HTTP on loopback, by which tests, the demo and benchmarks change the worlds.

Shared routes are here; each simulator adds its own under /azure, /illumio and /checkpoint with its `add_control`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from simulators.environment import Environment
from simulators.faults import fault_from_json
from simulators.ledger import Entry

_NAP = 0.003
"""Seconds between two checks of a fault that a client waits for."""


class BadControlRequestError(ValueError):
    """An invalid control request; the answer is a 400 with this text."""


def build_control(environment: Environment) -> web.Application:
    """Return the control port's application with ledger, secrets, faults, limits and clock."""
    app = web.Application(middlewares=[_explain], client_max_size=64 * 1024 * 1024)
    _add_ledger(app.router, environment)
    _add_faults(app.router, environment)
    _add_switches(app.router, environment)
    return app


def _add_ledger(router: web.UrlDispatcher, environment: Environment) -> None:
    async def ledger(request: web.Request) -> web.Response:
        return web.json_response({"entries": [entry.as_json() for entry in _matching(environment, request)]})

    async def ledger_lines(request: web.Request) -> web.Response:
        lines = "".join(entry.line() for entry in _matching(environment, request))
        return web.Response(text=lines, content_type="application/jsonl")

    async def counts(_: web.Request) -> web.Response:
        return web.json_response(environment.ledger.counts())

    async def secrets(_: web.Request) -> web.Response:
        return web.json_response({"secrets": sorted(environment.ledger.secrets)})

    router.add_get("/ledger", ledger)
    router.add_get("/ledger.jsonl", ledger_lines)
    router.add_get("/ledger/counts", counts)
    router.add_get("/secrets", secrets)


def _add_faults(router: web.UrlDispatcher, environment: Environment) -> None:
    async def add(request: web.Request) -> web.Response:
        body = await read_json(request)
        orders = [fault_from_json(item) for item in (body if isinstance(body, list) else [body])]
        ids = [environment.faults.add(order) for order in orders]
        for order in orders:
            note = f"{order.action} {order.phase} {order.operation}, from hit {order.nth} on, {order.count} times"
            environment.ledger.append(order.system, "world.fault-ordered", note=note)
        return web.json_response({"ids": ids}, status=201)

    async def listing(_: web.Request) -> web.Response:
        return web.json_response({"faults": environment.faults.listed()})

    async def clear(_: web.Request) -> web.Response:
        environment.faults.clear()
        return web.json_response({})

    async def wait_until_met(request: web.Request) -> web.Response:
        """Long poll: a test that kills the operator at a fault must learn of it at once."""
        number, until = int(request.match_info["id"]), time.monotonic() + float(request.query.get("seconds", "0"))
        # Faults may be met in another thread, so there is no asyncio event to wait for.
        while environment.faults.is_waiting(number) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_NAP)
        return web.json_response({"waiting": environment.faults.is_waiting(number)})

    router.add_post("/faults", add)
    router.add_get("/faults/{id:[0-9]+}", wait_until_met)
    router.add_get("/faults", listing)
    router.add_delete("/faults", clear)


def _add_switches(router: web.UrlDispatcher, environment: Environment) -> None:
    async def clock(request: web.Request) -> web.Response:
        if request.method == "POST":
            environment.clock.scale = float(str((await read_object(request)).get("scale", environment.clock.scale)))
        return web.json_response({"scale": environment.clock.scale, "now": environment.clock.now()})

    async def limits(request: web.Request) -> web.Response:
        if request.method == "POST":
            enforced = (await read_object(request)).get("enforced")
            if not isinstance(enforced, bool):
                message = "'enforced' must be true or false"
                raise BadControlRequestError(message)
            environment.limits = enforced
        return web.json_response({"enforced": environment.limits})

    router.add_get("/clock", clock)
    router.add_post("/clock", clock)
    router.add_get("/limits", limits)
    router.add_post("/limits", limits)


def _matching(environment: Environment, request: web.Request) -> list[Entry]:
    """Return the entries that match the parameters `system`, `operation`, `since` and `changes=true`."""
    query = request.query
    found = environment.ledger.entries(query.get("system"), query.get("operation"), int(query.get("since", "0")))
    return [entry for entry in found if entry.is_change] if query.get("changes") == "true" else found


async def read_json(request: web.Request) -> object:
    """Return the JSON body, {} if there is none; raises BadControlRequestError if it is not JSON."""
    text = await request.text()
    if not text.strip():
        return {}
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error}"
        raise BadControlRequestError(message) from error


async def read_object(request: web.Request) -> dict[str, object]:
    """Return the JSON object, {} if there is none; raises BadControlRequestError if it is something else."""
    body = await read_json(request)
    if not isinstance(body, dict):
        message = "the body must be a JSON object"
        raise BadControlRequestError(message)
    return body


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer invalid requests and unknown names with a sentence instead of a traceback."""
    try:
        return await handler(request)
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)
    except LookupError as error:
        return web.json_response({"error": f"unknown: {error.args[0] if error.args else error}"}, status=404)
