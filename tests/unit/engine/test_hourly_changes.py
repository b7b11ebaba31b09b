"""Too many commissioned hosts that change within an hour are held, whatever the cause (S6)."""

from __future__ import annotations

import threading
from dataclasses import replace

import msgspec
import pytest
from tests.unit.engine.test_mapping_changes import CHANGED, SO, WEB, approve, told
from tests.unit.engine.test_reconciler import COMMISSIONED, commissioned, effects, rounds
from tests.unit.engine.test_retirement import held

from lab.memory import samples as m
from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.model.azure_facts import Vm
from microseg.model.azure_record import AzureRecord
from microseg.model.condition import ConditionType

MANY = 8


def retagged(made: Vm, app: str) -> Vm:
    return replace(made, record=msgspec.structs.replace(made.record, tags=vm(0, app).record.tags))


def moved(made: Vm, block: int) -> Vm:
    """The same VM with another address."""
    return replace(made, record=msgspec.structs.replace(made.record, nics=vm(block + 100).record.nics))


def change(world: World, numbers: range, to: str) -> None:
    """What a script of somebody's does in Azure."""
    chosen = {vm(number).vm_id: number for number in numbers}
    for at, made in enumerate(world.azure.vms):
        number = chosen.get(made.vm_id)
        if number is not None:
            world.azure.vms[at] = moved(made, number) if to == "moved" else retagged(made, to)


@pytest.mark.parametrize("to", ["Shop", "Unknown", "moved"])
async def test_more_than_five_hosts_that_change_at_once_are_held_until_a_person_approves(
    workers: Workers, to: str
) -> None:
    world = await commissioned(MANY, workers)
    before, groups = effects(world), world.groups()
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        change(world, range(6), to)
        await until(lambda: held(world).endswith(":6"))
        await rounds(world, 2)
        assert (effects(world), world.groups()) == (before, groups)
        assert world.all_are(COMMISSIONED), "a host that is held is as protected as before"
        stated = world.condition(ConditionType.PLAN_HELD)
        assert stated is not None
        assert "within one hour, would change 6 commissioned hosts" in stated.message
        assert [plan.kind for plan in world.estates.stored.status.held] == ["facts"]
        approve(process, held(world))
        await until(lambda: (held(world), told(world, "PlanApproved")) == ("", 1))
        if to == "Shop":
            await until(lambda: list(world.groups().values()).count(WEB) == 6 and world.all_are(COMMISSIONED))
        elif to == "moved":
            await until(lambda: effects(world) != before and world.all_are(COMMISSIONED))
    assert (told(world, "PlanHeld"), told(world, "PlanApproved")) == (1, 1)


async def test_changes_that_come_one_after_another_are_counted_over_the_hour(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        change(world, range(5), "Shop")
        await until(lambda: list(world.groups().values()).count(WEB) == 5 and world.all_are(COMMISSIONED))
        change(world, range(5, 6), "Shop")
        await until(lambda: held(world).endswith(":1"))
        await rounds(world, 1)
        assert world.groups()["5"] == SO
        process.later(minutes=61)
        await until(lambda: world.groups()["5"] == WEB and held(world) == "")


async def test_tags_that_are_put_back_end_the_hold_and_nothing_was_touched(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    before = effects(world)
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        change(world, range(MANY), "Shop")
        await until(lambda: held(world).endswith(f":{MANY}"))
        change(world, range(MANY), "Orchestrate")
        await until(lambda: held(world) == "")
        await rounds(world, 1)
    assert effects(world) == before


async def test_what_was_approved_goes_on_after_a_restart(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        process.map(CHANGED)
        await until(lambda: held(world).endswith(f":{MANY}"))
        approve(process, held(world))
        await until(lambda: bool(world.estates.stored.status.approvals))
    annotations = world.estates.stored.annotations
    again = Process(world, workers, term=5)
    async with again.running():
        again.annotate(**annotations)
        await until(lambda: list(world.groups().values()).count(WEB) == MANY and held(world) == "")


async def test_a_restart_holds_the_same_hosts_with_the_same_digest(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    before = effects(world)
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        change(world, range(7), "Shop")
        await until(lambda: held(world).endswith(":7") and told(world, "PlanHeld") == 1)
        approval = held(world)
    again = Process(world, workers, term=5)
    answers, readings = threading.Event(), world.count("illumio.workloads")
    world.azure.meanwhile("list_vms", lambda: answers.wait(30))
    async with again.running():
        await until(lambda: world.count("illumio.workloads") >= readings + 5)
        assert held(world) == approval, "nothing is known of Azure yet, so nothing is taken back"
        answers.set()
        await rounds(world, 2)
        assert (held(world), effects(world)) == (approval, before)
    assert told(world, "PlanHeld") == 1


async def test_an_edit_of_the_spec_that_withdraws_objects_of_many_hosts_is_held_too(workers: Workers) -> None:
    with_two = (vm(number) for number in range(MANY))
    world = World(*(replace(each, record=two_addresses(each)) for each in with_two))
    async with Process(world, workers).running():
        await until(lambda: world.all_are(COMMISSIONED))
    published = dict(world.check_point.published)
    spec = world.estates.stored.spec
    world.spec(check_point=msgspec.structs.replace(spec.check_point, addresses="primary"))
    process = Process(world, workers, term=4)
    async with process.running():
        await until(lambda: held(world).endswith(f":{MANY}"))
        await rounds(world, 2)
        assert world.check_point.published == published
        approve(process, held(world))
        await until(lambda: len(world.check_point.published) == MANY and world.all_are(COMMISSIONED))


def two_addresses(made: Vm) -> AzureRecord:
    first = made.record.addresses()[0].ip
    return msgspec.structs.replace(
        made.record, nics=m.nics(first, first.replace("10.", "172.", 1).replace(".3.", ".16."))
    )
