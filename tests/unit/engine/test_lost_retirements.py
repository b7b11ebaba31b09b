"""A retirement whose record is lost in the midst goes on: what was withdrawn is installed too, and it ends (L1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.engine.test_reconciler import commissioned, rounds
from tests.unit.engine.test_retirement import LONG_ENOUGH, reason, vouched

from lab.memory.world import Process, World, forgotten, until, vm
from microseg.engine.ground.workers import Workers
from microseg.gateways.ports import Unreachable
from microseg.model.condition import Reason

DAY = timedelta(hours=25)
"""After which a VEN that nobody is known to have paired is left behind."""


def deleted_by_hand(world: World) -> None:
    del world.hosts.stored[world.host(vm(1)).name]


def no_trace_outside(world: World) -> None:
    """Its record is deleted, and somebody deleted its workload."""
    deleted_by_hand(world)
    for href in [href for href, item in world.illumio.stored.items() if item.external_reference == vm(1).vm_id]:
        del world.illumio.stored[href]


def restored(world: World) -> None:
    """etcd is restored to before the retirement: neither the tombstone nor the host's record is there."""
    deleted_by_hand(world)
    world.tombstones.kept.clear()


def vouch(world: World) -> None:
    """A person confirms that the VM is gone."""
    world.hosts.annotate(world.host(vm(1)).name, **{"microseg.dev/confirm-gone": vouched(world, 1, vm(1).vm_id)})


def withdrawn(world: World) -> bool:
    """Whether the VM's object is gone, as published."""
    return all(item.vm_id != vm(1).vm_id for item in world.check_point.published.values())


def enforced(world: World) -> bool:
    """Whether the gateway has the newest revision."""
    return world.check_point.shown[0].revision == world.check_point.revisions[-1]


@pytest.mark.parametrize("lose", [deleted_by_hand, forgotten, no_trace_outside, restored])
async def test_what_was_withdrawn_before_the_record_was_lost_is_installed_and_the_retirement_ends(
    workers: Workers, lose: Callable[[World], None]
) -> None:
    world = await commissioned(2, workers)
    world.check_point.fail("install", *[Unreachable("away")] * 100_000)
    async with Process(world, workers, term=4).running():
        world.delete(vm(1))
        await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
        world.ahead = LONG_ENOUGH
        await until(lambda: withdrawn(world))
    assert not enforced(world)
    world.check_point._fails.clear()
    lose(world)
    async with Process(world, workers, term=5).running():
        await until(lambda: len(world.hosts.stored) == 2 and reason(world, 1) == Reason.NOT_SEEN)
        world.ahead += LONG_ENOUGH
        if lose is restored:  # nobody knows its ARM id any more, so Azure cannot be asked
            await until(lambda: reason(world, 1) == Reason.GONE_UNPROVEN)
            vouch(world)
        await until(lambda: enforced(world) and (lose is no_trace_outside or reason(world, 1) == Reason.RETIRING))
        world.ahead += DAY
        await until(lambda: len(world.hosts.stored) == 1)
        installs = world.count("checkpoint.install")
        await rounds(world, 6)
        assert (len(world.hosts.stored), world.count("checkpoint.install")) == (1, installs)
    stone = world.tombstones.kept[vm(1).vm_id]
    assert stone.ended_at is not None
    if lose is not restored:
        assert (stone.vm, stone.groups, bool(stone.objects), stone.resource_id) == (
            "vm1", ("SO",), True, vm(1).record.resource_id,
        )  # fmt: skip


async def test_where_the_record_is_lost_before_the_removal_the_tombstone_names_what_the_systems_show(
    workers: Workers,
) -> None:
    world = await commissioned(2, workers)
    deleted_by_hand(world)
    world.delete(vm(1))
    async with Process(world, workers, term=4).running():
        await until(
            lambda: len(world.hosts.stored) == 2 and reason(world, 1) in {Reason.NOT_SEEN, Reason.GONE_UNPROVEN}
        )
        assert not withdrawn(world)
        world.ahead = LONG_ENOUGH
        await until(lambda: reason(world, 1) == Reason.GONE_UNPROVEN)
        vouch(world)
        await until(lambda: withdrawn(world) and enforced(world))
    assert world.tombstones.kept[vm(1).vm_id].groups == ("SO",)


async def test_a_host_that_was_in_no_group_asks_for_no_install(workers: Workers) -> None:
    world = World(vm(0), vm(1, "Unknown"))
    async with Process(world, workers).running():
        await until(lambda: world.groups() == {"0": {"SO"}} and enforced(world) and len(world.hosts.stored) == 2)
        by_hand = world.check_point.revisions[-1]
        world.check_point.revisions.append(replace(by_hand, uid="by-hand", published_at=by_hand.published_at + DAY))
        installs = world.count("checkpoint.install")
        world.delete(vm(1))
        await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
        world.ahead = LONG_ENOUGH
        await until(lambda: len(world.hosts.stored) == 1)
    assert world.count("checkpoint.install") == installs, "what a person published is the person's to install"
