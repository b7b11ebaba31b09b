"""Somebody renames a label in the PCE: each of its workloads has another one at once, and no host loses a group."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from tests.unit.engine.test_mapping_changes import SO, WEB, env_of
from tests.unit.engine.test_reconciler import COMMISSIONED, commissioned, rounds

from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.model.condition import Reason
from microseg.model.illumio_facts import Label

MANY = 4


def rename(world: World, key: str, value: str, to: str) -> None:
    """What a user of the PCE does: the label stays the same object."""

    def renamed(label: Label) -> Label:
        return replace(label, value=to) if (label.key, label.value) == (key, value) else label

    world.illumio.known = [renamed(label) for label in world.illumio.known]
    for href, found in world.illumio.stored.items():
        world.illumio.stored[href] = replace(found, labels=tuple(map(renamed, found.labels)))


def grouped(world: World) -> bool:
    return len(world.groups()) == MANY and all(groups == SO for groups in world.groups().values())


async def test_a_renamed_label_is_made_again_and_set_and_costs_no_group(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    async with Process(world, workers, term=4).running():
        await rounds(world, 1)
        rename(world, "env", "Dev", "Elsewhere")
        await until(lambda: all(env_of(world, number) == "Dev" for number in range(MANY)))
        await until(lambda: world.all_are(COMMISSIONED))
    assert (grouped(world), world.count("illumio.create_label")) == (True, 1)


async def test_where_no_label_may_be_made_a_renamed_one_is_told_and_costs_no_group(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    illumio = msgspec.structs.replace(world.estates.stored.spec.illumio, create_labels=False)
    world.spec(illumio=illumio)
    async with Process(world, workers, term=4).running():
        await rounds(world, 1)
        rename(world, "env", "Dev", "Elsewhere")
        await until(lambda: not any(stage == COMMISSIONED for stage in world.stages().values()))
        await rounds(world, 2)
        assert {host.status.reason for host in world.hosts.stored.values()} == {Reason.LABEL_MISSING}
        assert grouped(world)
        rename(world, "env", "Elsewhere", "Dev")
        await until(lambda: world.all_are(COMMISSIONED))
    assert (grouped(world), world.count("illumio.create_label")) == (True, 0)


async def test_a_renamed_label_that_no_workload_carries_is_never_set(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    world.illumio.known.append(Label("app", "Shop", "/orgs/50/labels/shop"))
    async with Process(world, workers, term=4).running():
        await rounds(world, 1)
        rename(world, "app", "Shop", "Quarantine")
        world.add(vm(0, "Shop"))
        await until(lambda: world.groups()["0"] == WEB and world.all_are(COMMISSIONED))
    hrefs = {href for _, labels, _ in world.journal.of("illumio.set_labels") for href in labels}
    assert "/orgs/50/labels/shop" not in hrefs
