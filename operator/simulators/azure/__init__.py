"""The Azure world: sign-in, virtual machines, network interfaces, managed run-commands.

`create` makes it, `add_control` puts it on the control port; `world.py` is the place to begin reading.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from simulators.azure.control import add_control
from simulators.azure.deeds import AzureDeeds
from simulators.azure.front import Front
from simulators.azure.identity import Directory
from simulators.azure.timing import Timing
from simulators.azure.world import Runner, World
from simulators.server import Stage, build_app

__all__ = ["add_control", "create"]


def create(  # noqa: PLR0913 - what a tenant is made of
    stage: Stage,
    *,
    tenant: str,
    client_id: str,
    client_secret: str,
    subscriptions: Sequence[str],
    runner: Runner,
    timing: Timing | None = None,
    subjects: Sequence[str] = (),
    token_seconds: int = 3600,
) -> tuple[World, web.Application]:
    """A world and its application. `subjects` are the workload identities that may sign in without the secret."""
    stage.ledger.add_secret(client_secret)
    directory = Directory(stage, tenant, client_id, client_secret, frozenset(subjects), token_seconds)
    world = World(stage, directory, subscriptions, runner, timing or Timing())
    stage.enact("azure", AzureDeeds(world))
    front = Front(world)
    app = build_app("azure", stage, name_of=front.name_of)
    app.router.add_route("*", "/{path:.*}", front.handle)

    async def close(_: web.Application) -> None:
        await world.close()

    app.on_cleanup.append(close)
    return world, app
