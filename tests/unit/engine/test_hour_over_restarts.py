"""What changed within the hour is known after a restart and a take-over: the records say it (S6)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import pytest
from tests.unit.engine.test_hourly_changes import MANY, change
from tests.unit.engine.test_lost_records import delete
from tests.unit.engine.test_mapping_changes import SO, WEB, approve, told
from tests.unit.engine.test_reconciler import COMMISSIONED, commissioned, effects, rounds
from tests.unit.engine.test_retirement import held

from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.gateways.ports import Unreachable
from microseg.kube.errors import Unavailable
from microseg.model.condition import Reason
from microseg.model.estate_spec import DriftPolicy
from microseg.model.host import HostStatus

AT_ONCE = 5
"""So many may change within an hour in an estate of any size."""


def in_web(world: World) -> int:
    return list(world.groups().values()).count(WEB)


def counted(world: World) -> int:
    """Hosts that the Estate's status counts."""
    return sum(len(each.hosts) // 6 for each in world.estates.stored.status.changed)


def changed_at(world: World, number: int) -> datetime | None:
    timeline = world.host(vm(number)).status.timeline
    return timeline.changed_at if timeline is not None else None


def rewrite(world: World, numbers: range, with_time: Callable[[datetime | None], datetime | None]) -> None:
    """Somebody, or a machine's clock, made the time of the latest change another one in these records."""
    for number in numbers:
        host = world.host(vm(number))
        assert host.status.timeline is not None
        timeline = msgspec.structs.replace(host.status.timeline, changed_at=with_time(host.status.timeline.changed_at))
        status: HostStatus = msgspec.structs.replace(host.status, timeline=timeline)
        world.hosts.put(msgspec.structs.replace(host, status=status))


async def changed(workers: Workers) -> World:
    """Eight commissioned hosts; five of them changed in the life of a process that is over."""
    world = await commissioned(MANY, workers)
    async with Process(world, workers, term=4).running():
        await rounds(world, 1)
        change(world, range(AT_ONCE), "Shop")
        await until(lambda: in_web(world) == AT_ONCE and world.all_are(COMMISSIONED))
    return world


async def the_rest_is_held(world: World, workers: Workers) -> None:
    """The other tags change, too: a later process holds what comes on top of what was let through."""
    change(world, range(AT_ONCE, MANY), "Shop")
    async with Process(world, workers, term=5).running():
        await until(lambda: held(world).endswith(":3"))
        await rounds(world, 1)
    assert in_web(world) == AT_ONCE


async def test_a_restart_between_two_slices_within_an_hour_grants_no_second_hour(workers: Workers) -> None:
    world = await changed(workers)
    before = effects(world)
    change(world, range(AT_ONCE, MANY), "Shop")
    second = Process(world, workers, term=5)
    async with second.running():
        await until(lambda: held(world).endswith(":3"))
        await rounds(world, 1)
        assert (effects(world), in_web(world)) == (before, AT_ONCE)
    third = Process(world, workers, term=6)
    async with third.running():
        await rounds(world, 2)
        assert (effects(world), held(world).endswith(":3")) == (before, True)
        third.later(minutes=61)
        await until(lambda: in_web(world) == MANY and held(world) == "")


async def test_slices_that_a_restart_follows_each_time_are_counted_together(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    for number in range(AT_ONCE):
        async with Process(world, workers, term=4 + number).running():
            change(world, range(number, number + 1), "Shop")
            await until(lambda: in_web(world) == number + 1 and world.all_are(COMMISSIONED))  # noqa: B023
    change(world, range(AT_ONCE, AT_ONCE + 1), "Shop")
    async with Process(world, workers, term=9).running():
        await until(lambda: held(world).endswith(":1"))
        await rounds(world, 1)
    assert world.groups()[str(AT_ONCE)] == SO


async def test_an_edit_of_the_spec_grants_no_second_hour(workers: Workers) -> None:
    world = await changed(workers)
    world.spec(drift=DriftPolicy.REPORT)
    await the_rest_is_held(world, workers)


async def test_hosts_without_an_answer_and_with_moved_addresses_count_after_a_restart_as_well(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    async with Process(world, workers, term=4).running():
        await rounds(world, 1)
        change(world, range(2), "Unknown")
        change(world, range(2, AT_ONCE), "moved")
        missing = {Reason.MAPPING_MISS.value}
        await until(lambda: {world.host(vm(number)).status.reason for number in range(2)} == missing)
        await until(lambda: all(changed_at(world, number) is not None for number in range(AT_ONCE)))
        await until(lambda: world.stages()["vm4"] == COMMISSIONED)
    change(world, range(AT_ONCE, AT_ONCE + 1), "Shop")
    async with Process(world, workers, term=5).running():
        await until(lambda: held(world).endswith(":1"))


async def test_what_a_person_approved_counts_after_a_restart_as_little_as_before(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        change(world, range(7), "Shop")
        await until(lambda: held(world).endswith(":7"))
        approve(process, held(world))
        await until(lambda: in_web(world) == 7 and world.all_are(COMMISSIONED))
    change(world, range(7, MANY), "Shop")
    async with Process(world, workers, term=5).running():
        await until(lambda: in_web(world) == MANY and world.all_are(COMMISSIONED))
    assert told(world, "PlanHeld") == 1


async def test_a_time_from_the_future_counts_for_an_hour_and_not_for_longer(workers: Workers) -> None:
    world = await changed(workers)
    rewrite(world, range(AT_ONCE), lambda at: at + timedelta(days=400) if at is not None else None)
    change(world, range(AT_ONCE, AT_ONCE + 1), "Shop")
    process = Process(world, workers, term=5)
    async with process.running():
        await until(lambda: held(world).endswith(":1"))
        await until(lambda: all((at := changed_at(world, n)) is not None and at <= world.now() for n in range(AT_ONCE)))
        process.later(minutes=61)
        await until(lambda: in_web(world) == AT_ONCE + 1 and held(world) == "")


async def test_a_settled_fleet_writes_nothing_when_the_hour_is_over(workers: Workers) -> None:
    world = await changed(workers)
    process = Process(world, workers, term=5)
    async with process.running():
        await rounds(world, 2)
        writes = world.count("hosts.patch_status")
        process.later(minutes=61)
        await rounds(world, 2)
        assert world.count("hosts.patch_status") == writes


@pytest.mark.parametrize("deleted", [AT_ONCE, MANY])
async def test_records_that_are_deleted_while_no_operator_runs_grant_no_second_hour(
    workers: Workers, deleted: int
) -> None:
    world = await changed(workers)
    before = effects(world)
    delete(world, range(deleted))
    change(world, range(AT_ONCE, MANY), "Shop")
    process = Process(world, workers, term=5)
    async with process.running():
        await until(lambda: held(world).endswith(":3") and world.all_are(COMMISSIONED))
        await rounds(world, 2)
        assert (effects(world), in_web(world)) == (before, AT_ONCE)
        process.later(minutes=66)
        await until(lambda: in_web(world) == MANY and held(world) == "")


async def test_times_in_the_records_that_somebody_took_away_grant_no_second_hour(workers: Workers) -> None:
    world = await changed(workers)
    rewrite(world, range(AT_ONCE), lambda _: None)
    await the_rest_is_held(world, workers)


async def test_an_estate_that_somebody_made_anew_grants_no_second_hour_while_the_records_are_there(
    workers: Workers,
) -> None:
    world = await changed(workers)
    world.estates._put(status=msgspec.structs.replace(world.estates.stored.status, changed=()))
    await the_rest_is_held(world, workers)


async def test_a_kill_between_the_count_and_the_change_holds_nothing_up(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    async with Process(world, workers, term=4).running():
        await rounds(world, 1)
        world.illumio.fail("set_labels", *[Unreachable("away")] * 100_000)
        world.check_point.fail("open", *[Unreachable("away")] * 100_000)
        change(world, range(AT_ONCE), "Shop")
        await until(lambda: counted(world) == AT_ONCE)
    assert in_web(world) == 0
    world.illumio._fails.clear()
    world.check_point._fails.clear()
    async with Process(world, workers, term=5).running():
        await until(lambda: in_web(world) == AT_ONCE and world.all_are(COMMISSIONED))
    assert (told(world, "PlanHeld"), counted(world)) == (0, AT_ONCE)


async def test_no_host_is_changed_before_the_estates_status_counts_it(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    before = effects(world)
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        world.estates.fail("patch_status", *[Unavailable("away")] * 100_000)
        change(world, range(AT_ONCE), "Shop")
        await rounds(world, 3)
        assert (effects(world), in_web(world)) == (before, 0)
        world.estates._fails.clear()
        await until(lambda: in_web(world) == AT_ONCE and world.all_are(COMMISSIONED))
    assert counted(world) == AT_ONCE


async def test_a_host_that_changes_again_counts_from_then_on_while_others_are_held(workers: Workers) -> None:
    world = await changed(workers)
    process = Process(world, workers, term=5)
    async with process.running():
        change(world, range(AT_ONCE, AT_ONCE + 1), "Shop")
        await until(lambda: held(world).endswith(":1"))
        process.later(minutes=50)
        change(world, range(AT_ONCE), "Orchestrate")
        await until(lambda: in_web(world) == 0 and world.all_are(COMMISSIONED))
        process.later(minutes=70)
        await rounds(world, 2)
        assert (in_web(world), held(world)[-2:]) == (0, ":1")
        process.later(minutes=116)
        await until(lambda: in_web(world) == 1 and held(world) == "")


async def test_the_estates_count_is_not_written_because_its_hour_is_over(workers: Workers) -> None:
    world = await changed(workers)
    process = Process(world, workers, term=5)
    async with process.running():
        await rounds(world, 2)
        before = world.estates.stored.status.changed
        process.later(minutes=66)
        await rounds(world, 2)
        assert (counted(world), world.estates.stored.status.changed) == (AT_ONCE, before)
