"""The Illumio PCE as an outside world: its REST API, its pairing scripts and the agents' side of pairing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from simulators.illumio import routes_agent, routes_global, routes_labels, routes_profiles, routes_workloads
from simulators.illumio.context import Traits
from simulators.illumio.control import add_control
from simulators.illumio.deeds import IllumioDeeds
from simulators.illumio.frame import WORLD, frame
from simulators.illumio.world import World
from simulators.server import Stage, build_app

__all__ = ["Traits", "World", "add_control", "create"]

_TICK_SECONDS = 0.5


def create(
    stage: Stage, org_id: int = 50, host: str = "127.0.0.1:8443", traits: Traits | None = None
) -> tuple[World, web.Application]:
    """Make a PCE organisation and its application.

    `host`: `name:port` as clients reach it (only shown, never called).
    """
    world = World.build(stage, org_id, host, traits)
    stage.enact("illumio", IllumioDeeds(world))
    app = build_app("illumio", stage)
    app[WORLD] = world
    app.middlewares.append(frame)
    app.cleanup_ctx.append(_ticker)
    for module in (routes_global, routes_labels, routes_profiles, routes_workloads, routes_agent):
        app.add_routes(module.routes())
    return world, app


async def _ticker(app: web.Application) -> AsyncIterator[None]:
    """Let what is due happen though nobody asks, so that the ledger and the machines learn of it."""

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
