"""Whoever deletes ManagedHosts lets no held change through: hosts count by what the systems show of them (S6)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.engine.test_hourly_changes import MANY, change
from tests.unit.engine.test_mapping_changes import SO, WEB, approve, env_of, holding, told
from tests.unit.engine.test_reconciler import COMMISSIONED, commissioned, effects, rounds
from tests.unit.engine.test_retirement import held

from lab.memory.world import RULES, Process, World, forgotten, until, vm
from microseg.engine.ground.workers import Workers
from microseg.gateways.ports import Unreachable
from microseg.kube.errors import Unavailable
from microseg.model.estate_spec import Guard
from microseg.model.host import ManagedHost


def delete(world: World, numbers: Iterable[int]) -> None:
    """What somebody with the right to do it does in the cluster."""
    for number in numbers:
        del world.hosts.stored[world.host(vm(number)).name]


def recorded(host: ManagedHost) -> tuple[object, ...]:
    """What the guard goes by."""
    illumio, check_point = host.status.illumio, host.status.check_point
    assert illumio is not None
    assert check_point is not None
    return illumio.labels, illumio.owned_keys, check_point.groups, host.status.stage


def overrides(world: World, *numbers: int) -> str:
    """The rules with an override for each of these hosts: a change that touches nobody else."""
    until_then = (world.now() + timedelta(hours=9)).isoformat(timespec="seconds")
    lines = (
        f"  - {{vmId: {vm(number).vm_id}, labels: {{env: New}}, reason: CHG-1, until: {until_then}}}\n"
        for number in numbers
    )
    return f"{RULES}overrides:\n{''.join(lines)}"


@pytest.mark.parametrize("deleted", [1, 5, MANY])
async def test_deleted_records_let_nothing_of_a_held_mapping_through_and_the_approval_stays_the_same(
    workers: Workers, deleted: int
) -> None:
    world = await commissioned(MANY, workers)
    before = effects(world)
    async with holding(world, workers) as process:
        approval = held(world)
        delete(world, range(deleted))
        await until(lambda: world.all_are(COMMISSIONED))
        await rounds(world, 2)
        assert effects(world) == before
        assert held(world) == approval
        approve(process, approval)
        await until(lambda: all(groups == WEB for groups in world.groups().values()) and held(world) == "")
        await until(lambda: world.all_are(COMMISSIONED))


async def test_a_hold_does_not_shrink_while_deleted_records_are_not_made_again(workers: Workers) -> None:
    world = await commissioned(10, workers)
    world.spec(guard=Guard(max_changed_percent=15))
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        process.map(overrides(world, 0, 1))
        await until(lambda: held(world).endswith(":2"))
        world.hosts.fail("create", *[Unavailable("away")] * 100_000)
        delete(world, [0])
        await until(lambda: len(process.table.hosts) == 9)
        process.later(seconds=30)
        await rounds(world, 3)
        assert (env_of(world, 1), held(world)[-2:]) == ("Dev", ":2")


async def test_records_that_are_deleted_while_no_operator_runs_let_nothing_of_a_held_mapping_through(
    workers: Workers,
) -> None:
    world = await commissioned(MANY, workers)
    before = effects(world)
    async with holding(world, workers):
        approval = held(world)
    delete(world, range(MANY))
    world.check_point.fail("open", *[Unreachable("away")] * 100_000)
    process = Process(world, workers, term=5)
    async with process.running():
        await until(lambda: len(world.hosts.stored) == MANY)
        await until(lambda: world.count("illumio.workloads") > 3)
        assert effects(world) == before, "nobody knows yet which groups these hosts are in"
    world.check_point._fails.clear()
    process = Process(world, workers, term=6)
    async with process.running():
        await until(lambda: world.all_are(COMMISSIONED) and held(world) == approval)
        await rounds(world, 2)
        assert effects(world) == before
        approve(process, approval)
        await until(lambda: all(groups == WEB for groups in world.groups().values()))


async def test_a_pce_that_is_away_at_the_start_lets_nothing_of_a_held_mapping_through(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    before = effects(world)
    async with holding(world, workers):
        approval = held(world)
    delete(world, range(MANY))
    world.illumio.fail("workloads", *[Unreachable("away")] * 100_000)
    async with Process(world, workers, term=5).running():
        await until(lambda: len(world.hosts.stored) == MANY and world.count("checkpoint.hosts") > 3)
        assert effects(world) == before, "nobody knows yet whether these hosts are new"
    world.illumio._fails.clear()
    async with Process(world, workers, term=6).running():
        await until(lambda: world.all_are(COMMISSIONED) and held(world) == approval)
        await rounds(world, 2)
        assert effects(world) == before


async def test_changed_tags_that_are_held_stay_held_and_their_groups_stay_ours(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    before = effects(world)
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        change(world, range(MANY), "Shop")
        await until(lambda: held(world).endswith(f":{MANY}"))
        approval = held(world)
        delete(world, range(MANY))
        await until(lambda: world.all_are(COMMISSIONED))
        await rounds(world, 2)
        assert (effects(world), held(world)) == (before, approval)
        approve(process, approval)
        await until(lambda: all(groups == WEB for groups in world.groups().values()))
    assert told(world, "PlanApproved") == 1


async def test_a_new_record_grants_no_second_hour(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    async with Process(world, workers, term=4).running():
        await rounds(world, 1)
        change(world, range(5), "Shop")
        await until(lambda: list(world.groups().values()).count(WEB) == 5 and world.all_are(COMMISSIONED))
        delete(world, range(MANY))
        await until(lambda: world.all_are(COMMISSIONED))
        change(world, range(5, MANY), "Shop")
        delete(world, range(MANY))
        await until(lambda: held(world).endswith(":3"))
        await rounds(world, 1)
        assert [world.groups()[str(number)] for number in range(5, MANY)] == [SO] * 3


@pytest.mark.parametrize("how", ["deleted", "emptied"])
async def test_records_that_are_lost_without_a_change_come_back_as_they_were_without_an_effect_or_a_hold(
    workers: Workers, how: str
) -> None:
    world = await commissioned(MANY, workers)
    before, known = effects(world), {name: recorded(host) for name, host in world.hosts.stored.items()}
    if how == "deleted":
        delete(world, range(MANY))
    else:
        forgotten(world)
    async with Process(world, workers, term=4).running():
        await until(lambda: world.all_are(COMMISSIONED))
        await rounds(world, 2)
        assert (effects(world), held(world), told(world, "PlanHeld")) == (before, "", 0)
        assert {name: recorded(host) for name, host in world.hosts.stored.items()} == known
        mappings = [host.status.mapping for host in world.hosts.stored.values()]
        assert all(mapping is not None and mapping.revision for mapping in mappings), "the rules decided about each"


async def test_a_membership_that_a_person_gave_stays_a_persons_when_the_record_is_lost(workers: Workers) -> None:
    world = await commissioned(1, workers)
    ((uid, item),) = world.check_point.published.items()
    world.check_point.published[uid] = replace(item, groups=item.groups | {"Theirs"})
    delete(world, [0])
    process = Process(world, workers, term=4)
    async with process.running():
        await until(lambda: world.all_are(COMMISSIONED))
        check_point = world.host(vm(0)).status.check_point
        assert check_point is not None
        assert set(check_point.groups) == SO
        change(world, range(1), "Shop")
        await until(lambda: world.groups()["0"] == WEB | {"Theirs"})
