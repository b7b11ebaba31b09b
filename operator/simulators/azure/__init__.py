"""The Azure simulator: sign-in, virtual machines, network interfaces, managed run-commands.

`create` builds it, `add_control` adds it to the control port. Start reading at `world.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from simulators.azure.actions import AzureActions
from simulators.azure.control import add_control
from simulators.azure.front import ArmFrontend
from simulators.azure.identity import Directory
from simulators.azure.timing import Timing
from simulators.azure.world import ScriptRunner, World
from simulators.environment import Environment
from simulators.server import build_app

__all__ = ["add_control", "create"]


def create(  # noqa: PLR0913 - what a tenant is made of
    environment: Environment,
    *,
    tenant: str,
    client_id: str,
    client_secret: str,
    subscriptions: Sequence[str],
    runner: ScriptRunner,
    timing: Timing | None = None,
    subjects: Sequence[str] = (),
    token_seconds: int = 3600,
) -> tuple[World, web.Application]:
    """Return a world and its application. `subjects`: workload identities that may sign in without the secret."""
    environment.ledger.add_secret(client_secret)
    directory = Directory(environment, tenant, client_id, client_secret, frozenset(subjects), token_seconds)
    world = World(environment, directory, subscriptions, runner, timing or Timing())
    environment.register_actions("azure", AzureActions(world))
    front = ArmFrontend(world)
    app = build_app("azure", environment, name_of=front.name_of)
    app.router.add_route("*", "/{path:.*}", front.handle)

    async def close(_: web.Application) -> None:
        await world.close()

    app.on_cleanup.append(close)
    return world, app
