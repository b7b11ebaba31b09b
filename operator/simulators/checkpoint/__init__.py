"""The Check Point management server as an outside world: sessions, locks, publishing, tasks and gateways.

`create` is called by `simulators.__main__` and by tests; `control.add_control` lets them play the people around it.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from simulators.checkpoint.deeds import CheckPointDeeds
from simulators.checkpoint.gateways import Firewalls
from simulators.checkpoint.routes import build
from simulators.checkpoint.session import Admin
from simulators.checkpoint.traits import Durations, Traits
from simulators.checkpoint.world import World
from simulators.server import Stage

__all__ = ["Admin", "Durations", "Traits", "World", "create"]


def create(
    stage: Stage,
    *,
    api_key: str,
    user: str = "microseg",
    password: str = "",
    groups: Sequence[str] = ("SO", "az-web", "az-db", "az-pci"),
    gateways: Sequence[str] = ("gw-east", "gw-west"),
    package: str = "Standard",
) -> tuple[World, web.Application]:
    """A server whose administrator `user` comes in by API key (and by password, if one is given).

    The groups are published and installed on every gateway already: that is revision 1.
    """
    world = World(stage, [], Firewalls(package, tuple(gateways)))
    world.add_admin(Admin(user, api_key, password))
    world.make_groups(groups)
    world.install_everywhere()
    deeds = CheckPointDeeds(world)
    stage.enact("checkpoint", deeds)
    app = build(world)
    app.middlewares.append(deeds.memory)
    return world, app
