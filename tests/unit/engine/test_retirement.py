"""S5, S6 and the end of a host's life, in memory: on Azure's word only, in an order that is safe at every stop."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.engine.test_reconciler import COMMISSIONED, commissioned, effects, rounds

from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.gateways.ports import Refused, Rejected, Unreachable
from microseg.kube.errors import Unavailable
from microseg.model.condition import ConditionStatus, ConditionType, Reason
from microseg.model.estate_spec import RateLimit, Retirement

LONG_ENOUGH = timedelta(minutes=16)


def held(world: World) -> str:
    """What the Estate says must be approved; empty: nothing is held."""
    made = world.condition(ConditionType.PLAN_HELD)
    is_held = made is not None and made.status == ConditionStatus.TRUE
    return made.message.rsplit("`", 2)[1].split()[-1] if made is not None and is_held else ""


def reason(world: World, number: int) -> str:
    return world.host(vm(number)).status.reason


async def vanish_and_be_heard(world: World) -> None:
    """VM 1 leaves Azure's lists, and its VEN is heard after that: a living witness, so nobody retires it."""
    world.delete(vm(1))
    await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
    world.beat(vm(1), online=True, at=world.now() + LONG_ENOUGH)
    world.ahead = LONG_ENOUGH
    await until(lambda: reason(world, 1) == Reason.GONE_UNPROVEN)


def vouched(world: World, number: int, vm_id: str) -> str:
    """What a person writes who knows that the VM with this id is gone since this host's is missing."""
    since = world.host(vm(number)).status.missing_since
    return f"{vm_id}@{since:%Y-%m-%dT%H:%M:%SZ}"


async def test_a_vm_that_is_gone_loses_its_traces_in_the_safe_order_and_its_neighbour_none(workers: Workers) -> None:
    world = await commissioned(2, workers)
    before = effects(world)
    async with Process(world, workers, term=4).running():
        world.delete(vm(1))
        await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
        await rounds(world, 2)
        assert effects(world) == before, "absence alone changes nothing"
        begun = len(world.journal.lines)
        world.ahead = LONG_ENOUGH
        await until(lambda: len(world.hosts.stored) == 1)
        await rounds(world, 2)
    steps = (
        "azure.vm",
        "tombstones.write",
        "checkpoint.delete_host",
        "checkpoint.publish",
        "checkpoint.install",
        "illumio.unpair",
        "hosts.delete",
    )
    done = [name for name, _ in world.journal.lines[begun:] if name in steps]
    assert done == [*steps[:-1], "tombstones.write", "hosts.delete"], "the tombstone is first, and says so at the end"
    stone = world.tombstones.kept[vm(1).vm_id]
    assert (stone.proof, stone.ended_at is not None, stone.groups) == ("ResourceNotFound", True, ("SO",))
    assert world.groups() == {"0": {"SO"}}
    assert [found.external_reference for found in world.illumio.stored.values()] == [vm(0).vm_id]
    assert world.all_are(COMMISSIONED)


async def test_an_object_that_check_point_keeps_is_a_blocked_host_and_the_rest_waits(workers: Workers) -> None:
    world = await commissioned(2, workers)
    async with Process(world, workers, term=4).running():
        world.check_point.fail("delete_host", Rejected("generic_err_object_deletion", "used in rule 7."))
        world.delete(vm(1))
        await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
        world.ahead = LONG_ENOUGH
        await until(lambda: reason(world, 1) == Reason.OBJECT_REJECTED)
        await until(lambda: world.standings() == {"commissioned": 1, "blocked": 1})
        assert world.count("illumio.unpair") == 0
        assert len(world.hosts.stored) == 2


async def test_the_estate_counts_a_retired_host_no_more_though_nothing_else_happens(workers: Workers) -> None:
    world = await commissioned(2, workers)
    async with Process(world, workers, term=4).running():
        world.delete(vm(1))
        await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
        world.ahead = LONG_ENOUGH
        await until(lambda: len(world.hosts.stored) == 1)
        await until(lambda: world.standings() == {"commissioned": 1})


async def test_a_vm_that_its_own_id_still_shows_is_not_gone_whatever_the_lists_say(workers: Workers) -> None:
    world = await commissioned(2, workers)
    before, asked = effects(world), world.count("azure.vm")
    world.azure.vms = [vm(0)]
    world.ahead = LONG_ENOUGH
    async with Process(world, workers, term=4).running():
        await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
        world.ahead = 2 * LONG_ENOUGH
        await until(lambda: world.count("azure.vm") > asked + 1)
    assert effects(world) == before
    assert world.tombstones.kept == {}


async def test_a_vm_that_moved_out_of_sight_keeps_its_protection_while_the_pce_hears_its_ven(workers: Workers) -> None:
    world = await commissioned(2, workers)
    before = effects(world)
    async with Process(world, workers, term=4).running():
        await vanish_and_be_heard(world)
        await rounds(world, 2)
        writes = world.count("hosts.patch_status")
        for _ in range(3):
            world.ahead += timedelta(minutes=5)
            world.beat(vm(1), online=True, at=world.now())
            await rounds(world, 1)
        assert (effects(world), world.count("hosts.patch_status")) == (before, writes), "heartbeats cost no write"
        world.beat(vm(1), online=False, at=world.now())
        await rounds(world, 2)
        assert reason(world, 1) == Reason.GONE_UNPROVEN, "it was heard after it vanished, so it did not end then"
        world.hosts.annotate(world.host(vm(1)).name, **{"microseg.dev/confirm-gone": vouched(world, 1, vm(1).vm_id)})
        await until(lambda: len(world.hosts.stored) == 1)
    assert world.tombstones.kept[vm(1).vm_id].proof == "Confirmed"


async def test_a_pce_that_cannot_be_read_leaves_it_undecided_and_removes_nothing(workers: Workers) -> None:
    world = await commissioned(2, workers)
    before = effects(world)
    async with Process(world, workers, term=4).running():
        world.delete(vm(1))
        await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
        world.illumio.fail("workloads", *[Unreachable("away")] * 100_000)
        await rounds(world, 1)
        world.ahead = LONG_ENOUGH
        await until(lambda: reason(world, 1) == Reason.PROVING_GONE)
        asked = world.count("illumio.workloads")
        await until(lambda: world.count("illumio.workloads") > asked + 2)
        assert (effects(world), world.tombstones.kept) == (before, {})
        world.illumio._fails.clear()
        await until(lambda: len(world.hosts.stored) == 1)


async def test_an_answer_that_is_no_answer_retires_nobody_until_azure_can_say(workers: Workers) -> None:
    world = await commissioned(2, workers)
    before = effects(world)
    world.delete(vm(1))
    world.azure.fail("vm", *[Refused("403")] * 100_000)
    async with Process(world, workers, term=4).running():
        await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
        world.ahead = LONG_ENOUGH
        await until(lambda: reason(world, 1) == Reason.GONE_UNPROVEN)
        writes = world.count("hosts.patch_status")
        await rounds(world, 2)
        assert (effects(world), world.count("hosts.patch_status")) == (before, writes)
        world.azure._fails.clear()
        await until(lambda: len(world.hosts.stored) == 1)
    assert world.tombstones.kept[vm(1).vm_id].proof == "ResourceNotFound"


async def test_a_person_vouches_for_one_vm_by_its_id_where_azure_cannot(workers: Workers) -> None:
    world = await commissioned(2, workers)
    world.delete(vm(1))
    world.azure.fail("vm", *[Refused("403")] * 100_000)
    async with Process(world, workers, term=4).running():
        await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
        world.ahead = LONG_ENOUGH
        await until(lambda: reason(world, 1) == Reason.GONE_UNPROVEN)
        world.hosts.annotate(world.host(vm(1)).name, **{"microseg.dev/confirm-gone": vouched(world, 1, vm(0).vm_id)})
        await rounds(world, 1)
        assert world.tombstones.kept == {}, "another VM's id vouches for nothing"
        world.hosts.annotate(world.host(vm(1)).name, **{"microseg.dev/confirm-gone": vouched(world, 1, vm(1).vm_id)})
        await until(lambda: len(world.hosts.stored) == 1)
    assert world.tombstones.kept[vm(1).vm_id].proof == "Confirmed"


@pytest.mark.parametrize("spec", [{"mode": "Observe"}, {"suspend": True}, {"retirement": Retirement(enabled=False)}])
async def test_nothing_of_a_vanished_vm_is_removed_where_the_estate_does_not_want_it(
    workers: Workers, spec: dict[str, object]
) -> None:
    world = await commissioned(2, workers)
    before = effects(world)
    world.delete(vm(1))
    world.spec(**spec)
    async with Process(world, workers, term=4).running():
        await rounds(world, 4)
        world.ahead = LONG_ENOUGH
        await rounds(world, 2)
    assert (effects(world), world.tombstones.kept) == (before, {})
    assert len(world.hosts.stored) == 2


async def test_too_many_at_once_wait_for_an_approval_of_this_very_list(workers: Workers) -> None:
    world = await commissioned(4, workers)
    world.spec(retirement=Retirement(after="0s", max_per_hour=RateLimit(count=0, percent=0)))
    process, before = Process(world, workers, term=4), effects(world)
    async with process.running():
        await rounds(world, 1)
        world.delete(vm(1))
        world.delete(vm(2))
        await until(lambda: held(world).endswith(":2"))
        seen = held(world)
        await until(lambda: {reason(world, 1), reason(world, 2)} == {Reason.RETIREMENT_HELD})
        assert (effects(world), world.tombstones.kept) == (before, {})
        world.delete(vm(3))
        await until(lambda: held(world).endswith(":3"))
        process.annotate(**{"microseg.dev/approve": seen})
        await until(lambda: len(world.hosts.stored) == 2)
        await until(lambda: held(world).endswith(":1"))
        await rounds(world, 2)
        assert set(world.tombstones.kept) == {vm(1).vm_id, vm(2).vm_id}, "nobody saw the third on that list"
        process.annotate(**{"microseg.dev/approve": held(world)})
        await until(lambda: len(world.hosts.stored) == 1)
        await until(lambda: held(world) == "")
        told = [reason for reason, message, _ in world.events.posted if not message.startswith("Stage")]
        assert (told.count("RetirementHeld"), told.count("RetirementApproved")) == (1, 2)
    assert len(world.tombstones.kept) == 3


async def test_a_persons_word_that_a_vm_is_gone_is_taken_off_once_the_vm_is_seen(workers: Workers) -> None:
    world = await commissioned(2, workers)
    before = effects(world)
    async with Process(world, workers, term=4).running():
        world.delete(vm(1))
        await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
        world.hosts.annotate(world.host(vm(1)).name, **{"microseg.dev/confirm-gone": vouched(world, 1, vm(1).vm_id)})
        world.add(vm(1))
        await until(lambda: world.host(vm(1)).annotations == {} and world.all_are(COMMISSIONED))
    assert (effects(world), world.tombstones.kept) == (before, {})


@pytest.mark.parametrize("kept", ["90d", "0s"])
async def test_a_restart_does_not_forget_how_many_went_in_the_last_hour(workers: Workers, kept: str) -> None:
    world = await commissioned(4, workers)
    world.spec(retirement=Retirement(after="0s", max_per_hour=RateLimit(count=2, percent=0), tombstones=kept))
    async with Process(world, workers, term=4).running():
        world.delete(vm(1))
        await until(lambda: len(world.hosts.stored) == 3)
    world.delete(vm(2))
    world.delete(vm(3))
    async with Process(world, workers, term=5).running():
        await until(lambda: held(world).endswith(":1"))
        assert len(world.tombstones.kept) == 2, "the oldest had the rest of the hour"
        world.ahead = timedelta(minutes=61)
        await until(lambda: len(world.hosts.stored) == 1)


async def test_a_start_that_failed_midway_counts_once_and_goes_on(workers: Workers) -> None:
    world = await commissioned(3, workers)
    world.spec(retirement=Retirement(after="0s", max_per_hour=RateLimit(count=2, percent=0)))
    async with Process(world, workers, term=4).running():
        await rounds(world, 1)
        world.tombstones.meanwhile(
            "write", lambda: world.hosts.fail("patch_status", *[Unavailable("away")] * 2)
        )  # the tombstone is written, the record's retirement is not
        world.delete(vm(1))
        await until(lambda: len(world.hosts.stored) == 2)
        world.delete(vm(2))
        await until(lambda: len(world.hosts.stored) == 1)


async def test_a_vm_that_is_seen_again_midway_keeps_what_it_has_and_gets_back_the_rest(workers: Workers) -> None:
    world = await commissioned(2, workers)
    world.spec(retirement=Retirement(after="0s"))
    world.illumio.fail("unpair", *[Refused("not now")] * 100_000)
    async with Process(world, workers, term=4).running():
        await rounds(world, 1)
        world.delete(vm(1))
        await until(lambda: world.groups() == {"0": {"SO"}})
        world.add(vm(1))
        await until(lambda: world.groups() == {"0": {"SO"}, "1": {"SO"}})
        await until(lambda: world.all_are(COMMISSIONED))
        assert world.host(vm(1)).status.retirement is None
    assert len(world.azure.puts) == 2, "its agent was never touched"
