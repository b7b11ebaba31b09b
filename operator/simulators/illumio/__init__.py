"""The Illumio PCE simulator: REST API, pairing scripts and the agents' side of pairing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from simulators.environment import Environment
from simulators.illumio import routes_agent, routes_global, routes_labels, routes_profiles, routes_workloads
from simulators.illumio.actions import IllumioActions
from simulators.illumio.context import Traits
from simulators.illumio.control import add_control
from simulators.illumio.middleware import WORLD, pce_middleware
from simulators.illumio.world import World
from simulators.server import build_app

__all__ = ["Traits", "World", "add_control", "create"]

_TICK_SECONDS = 0.5


def create(
    environment: Environment, org_id: int = 50, host: str = "127.0.0.1:8443", traits: Traits | None = None
) -> tuple[World, web.Application]:
    """Return a PCE organisation and its application.

    `host`: `name:port` as clients reach it (only shown, never called).
    """
    world = World.build(environment, org_id, host, traits)
    environment.register_actions("illumio", IllumioActions(world))
    app = build_app("illumio", environment)
    app[WORLD] = world
    app.middlewares.append(pce_middleware)
    app.cleanup_ctx.append(_ticker)
    for module in (routes_global, routes_labels, routes_profiles, routes_workloads, routes_agent):
        app.add_routes(module.routes())
    return world, app


async def _ticker(app: web.Application) -> AsyncIterator[None]:
    """Do what is due even without requests, so that the ledger and the machines see it in time."""

    async def tick() -> None:
        while True:
            app[WORLD].context.advance()
            app[WORLD].replica.advance()
            await asyncio.sleep(_TICK_SECONDS)

    task = asyncio.create_task(tick())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
