"""The Check Point simulator: sessions, locks, publishing, tasks and gateways of a management server.

`simulators.__main__` and tests call `create`; by `control.add_control` they act as its administrators.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from simulators.checkpoint.actions import CheckPointActions
from simulators.checkpoint.gateways import Firewalls
from simulators.checkpoint.routes import build
from simulators.checkpoint.session import Admin
from simulators.checkpoint.traits import Durations, Traits
from simulators.checkpoint.world import World
from simulators.environment import Environment

__all__ = ["Admin", "Durations", "Traits", "World", "create"]


def create(
    environment: Environment,
    *,
    api_key: str,
    user: str = "microseg",
    password: str = "",
    groups: Sequence[str] = ("SO", "az-web", "az-db", "az-pci"),
    gateways: Sequence[str] = ("gw-east", "gw-west"),
    package: str = "Standard",
) -> tuple[World, web.Application]:
    """Return a server with an administrator `user` who logs in by API key (or by password, if one is given).

    Revision 1 has the groups and is installed on every gateway.
    """
    world = World(environment, [], Firewalls(package, tuple(gateways)))
    world.add_admin(Admin(user, api_key, password))
    world.make_groups(groups)
    world.install_everywhere()
    actions = CheckPointActions(world)
    environment.register_actions("checkpoint", actions)
    app = build(world)
    app.middlewares.append(actions.memory)
    return world, app
