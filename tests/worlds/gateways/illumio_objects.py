"""Workloads, labels and pairing profiles of the PCE world."""

from __future__ import annotations

from typing import Any

from simulators.illumio import World
from simulators.illumio.bodies import InterfaceBody, LabelCreate, ProfileBody
from simulators.illumio.context import Caller, caller

from .conftest import Running

PceWorld = Running[World]
OWNER = "microseg.dev/plant/estate"


def preload(running: PceWorld, count: int, first: int = 0) -> list[str]:
    """Paired machines; returns their workloads' hrefs."""
    made: list[str] = []

    def make() -> None:
        for number in range(first, first + count):
            address = f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"
            interface = InterfaceBody(name="eth0", address=address, cidr_block=8)
            made.append(running.world.pairing.preload(f"host{number}", [interface], "linux", None).href)

    running.act(make)
    return made


def labels(running: PceWorld, *pairs: tuple[str, str]) -> list[str]:
    made: list[str] = []

    def make() -> None:
        token = caller.set(Caller("/users/7"))
        made.extend(running.world.labels.create(LabelCreate(key=key, value=value)).href for key, value in pairs)
        caller.reset(token)

    running.act(make)
    return made


def profile(running: PceWorld, **fields: Any) -> None:
    wanted: dict[str, Any] = {
        "enabled": True,
        "name": "linux",
        "allowed_uses_per_key": 1,
        "key_lifespan": 1800,
    } | fields
    running.act(lambda: running.world.profiles.create(ProfileBody(**wanted)))


def traits(running: PceWorld, **values: object) -> None:
    def change() -> None:
        running.world.traits.change(values)
        for workload in running.world.workloads.all():
            running.world.workloads.touch(workload)

    running.act(change)
