"""A clone of our object at Check Point carries our mark, and is a person's: it is left alone, and told (S7)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.engine.test_reconciler import COMMISSIONED, commissioned, effects, rounds
from tests.unit.engine.test_retirement import LONG_ENOUGH, reason

from lab.memory.world import Process, World, forgotten, until, vm
from microseg.engine.ground.workers import Workers
from microseg.gateways.ports import Rejected
from microseg.model.checkpoint_facts import HostObject
from microseg.model.condition import ConditionType, Reason


def original(world: World, number: int) -> HostObject:
    return next(item for item in world.check_point.published.values() if item.name == world_name(world, number))


def world_name(world: World, number: int) -> str:
    return f"az-{world.host(vm(number)).name}"


def clone(world: World, number: int, form: str = "{}-copy", address: str = "") -> HostObject:
    """A person clones the object of this VM, with all that the clone keeps, and publishes."""
    item = original(world, number)
    made = replace(item, uid="uid-clone", name=form.format(item.name), address=address or item.address)
    by_hand(world, made)
    return made


def by_hand(world: World, *items: HostObject, without: str = "") -> None:
    """A person publishes these objects."""
    published = {name: item for name, item in world.check_point.published.items() if name != without}
    world.check_point.published = published | {item.name: item for item in items}
    world.check_point.pending = dict(world.check_point.published)  # our session has nothing of its own then
    revisions = world.check_point.revisions
    revisions.append(replace(revisions[-1], uid=f"by-hand-{len(revisions)}"))


def told(world: World) -> str:
    """What the Estate says of Check Point."""
    found = world.condition(ConditionType.CHECK_POINT_REACHABLE)
    return found.message if found is not None else ""


@pytest.mark.parametrize(
    ("form", "address", "lost"),
    [
        ("{}-copy", "", False),
        ("az-copy-of-{}", "10.77.0.1", True),
    ],
)
async def test_a_clone_stays_as_it_is_and_the_estate_names_it(
    workers: Workers, form: str, address: str, *, lost: bool
) -> None:
    world = await commissioned(1, workers)
    made = clone(world, 0, form, address)
    if lost:
        forgotten(world)
    before = effects(world)
    async with Process(world, workers, term=4).running():
        await until(lambda: made.name in told(world))
        await rounds(world, 2)
        assert (effects(world), world.check_point.published[made.name]) == (before, made)
        assert world.all_are(COMMISSIONED)
    assert "left alone. Delete it, or take the tag and the comment off it" in told(world)


async def test_a_clone_hinders_no_change_and_no_retirement_and_survives_them(workers: Workers) -> None:
    world = await commissioned(2, workers)
    made = clone(world, 1)
    async with Process(world, workers, term=4).running():
        await until(lambda: world.all_are(COMMISSIONED) and made.name in told(world))
        world.delete(vm(1))
        await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
        world.ahead = LONG_ENOUGH
        await until(lambda: len(world.hosts.stored) == 1)
        await rounds(world, 6)
        assert len(world.hosts.stored) == 1, "a clone brings no record back"
        assert made.name in told(world)
    assert {made.name: made, world_name(world, 0): original(world, 0)} == world.check_point.published
    assert world.count("tombstones.write") == 2


async def test_where_the_original_is_deleted_by_hand_it_is_made_anew_beside_the_clone(workers: Workers) -> None:
    world = await commissioned(1, workers)
    name = world_name(world, 0)
    made = clone(world, 0)
    by_hand(world, without=name)
    async with Process(world, workers, term=4).running():
        await until(lambda: name in world.check_point.published and world.all_are(COMMISSIONED))
        publishes = world.count("checkpoint.publish")
        await rounds(world, 3)
        assert world.count("checkpoint.publish") == publishes
    assert world.check_point.published[made.name] == made


async def test_an_object_that_was_renamed_by_hand_is_ours_by_its_uid_beside_a_clone(workers: Workers) -> None:
    world = await commissioned(1, workers)
    item = original(world, 0)
    made = clone(world, 0)
    by_hand(world, replace(item, name="renamed"), without=item.name)
    async with Process(world, workers, term=4).running():
        await until(lambda: item.name in world.check_point.published and world.all_are(COMMISSIONED))
    assert world.check_point.published == {item.name: item, made.name: made}


async def test_a_clone_with_the_address_of_another_vm_is_not_taken_out_of_its_groups(workers: Workers) -> None:
    world = await commissioned(1, workers)
    made = clone(world, 0, address="10.3.0.3")
    world.add(vm(2))
    async with Process(world, workers, term=4).running():
        await until(lambda: len(world.hosts.stored) == 2 and reason(world, 2) == Reason.ADDRESS_TAKEN)
        await rounds(world, 2)
        assert world.check_point.published[made.name] == made
        by_hand(world, without=made.name)
        await until(lambda: world.all_are(COMMISSIONED))


async def test_a_retirement_waits_for_an_object_of_its_vm_whose_mark_was_taken_off_by_hand(workers: Workers) -> None:
    world = await commissioned(2, workers)
    item = original(world, 1)
    by_hand(world, replace(item, owner="", vm_id=""))
    async with Process(world, workers, term=4).running():
        world.delete(vm(1))
        await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
        world.ahead = LONG_ENOUGH
        await until(lambda: reason(world, 1) == Reason.NAME_TAKEN)
        await rounds(world, 2)
        assert world.count("illumio.unpair") == 0
        by_hand(world, item)
        await until(lambda: len(world.hosts.stored) == 1)
    assert item.name not in world.check_point.published
    assert world.check_point.shown[0].revision == world.check_point.revisions[-1], "the removal is installed"


async def test_an_object_that_lost_its_mark_since_it_was_read_is_not_deleted(workers: Workers) -> None:
    world = await commissioned(2, workers)
    item = original(world, 1)
    theirs = replace(item, owner="", vm_id="")
    async with Process(world, workers, term=4).running():

        def taken_over() -> None:
            world.check_point.published[item.name] = world.check_point.pending[item.name] = theirs

        world.check_point.meanwhile("delete_host", taken_over)
        world.delete(vm(1))
        await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
        world.ahead = LONG_ENOUGH
        await until(lambda: world.count("checkpoint.delete_host") > 0)
        await rounds(world, 2)
        assert world.check_point.published[item.name] == theirs
    assert Rejected.__name__ not in told(world)
