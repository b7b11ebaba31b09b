"""An approved list of changed tags stays approved for its hosts and changes, whoever joins, over a restart too (S6)."""

from __future__ import annotations

import pytest
from tests.unit.engine.test_hourly_changes import change
from tests.unit.engine.test_mapping_changes import SO, WEB, approve
from tests.unit.engine.test_reconciler import COMMISSIONED, commissioned, effects, rounds
from tests.unit.engine.test_retirement import held

from lab.memory.world import Process, World, until
from microseg.engine.ground.workers import Workers
from microseg.model.approval import ApprovalAction, SeenChange

FLEET = 14
LISTED, JOINING = range(7), range(7, 13)
"""Hosts of the list that a person sees, and those that change afterwards: more than an hour lets through."""
TO_SHOP = ("group SO: leave", "group Web: join", "label app: Orchestrate -> Shop")


def listed(world: World, numbers: range = LISTED) -> SeenChange:
    """What `microseg approve` sends along."""
    hosts = {host.spec.vm_id for host in world.hosts.stored.values()}
    return SeenChange(kinds=TO_SHOP, hosts=tuple(sorted(vm for vm in hosts if int(vm[-12:]) in numbers)))


def in_web(world: World) -> set[int]:
    return {int(number) for number, groups in world.groups().items() if groups == WEB}


async def shown(workers: Workers) -> tuple[World, str]:
    """A fleet whose process is over, and the list that it held."""
    world = await commissioned(FLEET, workers)
    async with Process(world, workers, term=4).running():
        await rounds(world, 1)
        change(world, LISTED, "Shop")
        await until(lambda: held(world).endswith(":7"))
        return world, held(world)


@pytest.mark.parametrize("annotated", [False, True])
async def test_an_approved_list_lets_its_hosts_through_when_others_have_joined(
    workers: Workers, *, annotated: bool
) -> None:
    world = await commissioned(FLEET, workers)
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        change(world, LISTED, "Shop")
        await until(lambda: held(world).endswith(":7"))
        seen = held(world)
        change(world, JOINING, "Shop")
        await until(lambda: held(world).endswith(":13"))
        if annotated:
            approve(process, seen)
        else:
            world.approvals.approve(ApprovalAction.PLAN, seen, world.now(), listed(world))
        await only_the_listed_change(world)


async def test_a_list_that_another_process_showed_lets_its_hosts_through_when_others_have_joined(
    workers: Workers,
) -> None:
    world, seen = await shown_and_joined(workers)
    async with Process(world, workers, term=6).running():
        await until(lambda: held(world).endswith(":13"))
        world.approvals.approve(ApprovalAction.PLAN, seen, world.now(), listed(world))
        await only_the_listed_change(world)


async def shown_and_joined(workers: Workers) -> tuple[World, str]:
    """A list that was shown; others have joined since, and the processes that saw it grow are over."""
    world, seen = await shown(workers)
    async with Process(world, workers, term=5).running():
        change(world, JOINING, "Shop")
        await until(lambda: held(world).endswith(":13"))
    return world, seen


async def only_the_listed_change(world: World) -> None:
    await until(lambda: in_web(world) == set(LISTED) and held(world).endswith(":6"))
    await until(lambda: world.all_are(COMMISSIONED))
    await rounds(world, 1)
    assert in_web(world) == set(LISTED), "nobody saw the others on that list"
    assert [used.max_hosts for used in world.estates.stored.status.approvals] == [7]


async def test_what_was_approved_goes_on_after_a_restart_while_others_join(workers: Workers) -> None:
    world, seen = await shown(workers)
    async with Process(world, workers, term=5).running():
        await until(lambda: held(world) == seen)
        world.approvals.approve(ApprovalAction.PLAN, seen, world.now(), listed(world))
        await until(lambda: bool(world.estates.stored.status.approvals))
    change(world, JOINING, "Shop")
    async with Process(world, workers, term=6).running():
        await until(lambda: in_web(world) == set(LISTED) and held(world).endswith(":6"))
        await until(lambda: world.all_are(COMMISSIONED))
        await rounds(world, 1)
    assert in_web(world) == set(LISTED)


async def test_an_approval_of_so_many_hosts_lets_no_others_through_after_a_restart(workers: Workers) -> None:
    world, seen = await shown(workers)
    async with Process(world, workers, term=5).running():
        await until(lambda: held(world) == seen)
        world.approvals.approve(ApprovalAction.PLAN, seen, world.now(), listed(world))
        await until(lambda: in_web(world) == set(LISTED) and world.all_are(COMMISSIONED))
        change(world, JOINING, "Shop")
        await until(lambda: held(world).endswith(":6"))
    before = effects(world)
    async with Process(world, workers, term=6).running():
        await rounds(world, 2)
        assert (effects(world), held(world)[-2:]) == (before, ":6")


async def test_a_host_that_changes_otherwise_than_it_was_listed_waits_for_another_approval(workers: Workers) -> None:
    world, seen = await shown(workers)
    change(world, range(1), "Unknown")
    async with Process(world, workers, term=5).running():
        await until(lambda: held(world).endswith(":7") and held(world) != seen)
        world.approvals.approve(ApprovalAction.PLAN, seen, world.now(), listed(world))
        await until(lambda: in_web(world) == {*LISTED} - {0})
        assert world.groups()["0"] == SO


async def test_a_list_that_is_not_the_digests_lets_nothing_through(workers: Workers) -> None:
    world, seen = await shown_and_joined(workers)
    before = effects(world)
    async with Process(world, workers, term=6).running():
        await until(lambda: held(world).endswith(":13"))
        world.approvals.approve(ApprovalAction.PLAN, seen, world.now(), listed(world, range(13)))
        await rounds(world, 2)
        assert (effects(world), held(world)[-3:]) == (before, ":13")
