"""Approvals in memory: what a person lets through by name, over a restart too, and what is kept of it."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.engine.test_mapping_changes import CHANGED, WEB, approve, holding, told
from tests.unit.engine.test_reconciler import COMMISSIONED, commissioned, effects, rounds
from tests.unit.engine.test_retirement import LONG_ENOUGH, held, vanish_and_be_heard, vouched

from lab.memory.world import RULES, Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.model.approval import ApprovalAction, SeenChange
from microseg.model.condition import Condition, ConditionType, Reason
from microseg.model.estate_spec import RateLimit, Retirement


def outcome(world: World, name: str) -> str:
    return world.approvals.kept[name].status.outcome


def causes(world: World) -> list[str]:
    return [line.cause for line in world.estates.stored.status.history]


def moved(world: World, number: int) -> frozenset[str]:
    return frozenset(world.groups()[str(number)])


def valid(world: World) -> Condition:
    found = world.condition(ConditionType.MAPPING_VALID)
    assert found is not None
    return found


async def test_an_approval_lets_a_held_change_through_once_and_says_who_it_was(workers: Workers) -> None:
    world = await commissioned(3, workers)
    async with holding(world, workers) as process:
        name = world.approvals.approve(ApprovalAction.PLAN, held(world), world.now())
        await until(lambda: held(world) == "" and world.all_are(COMMISSIONED))
        await until(lambda: outcome(world, name) == "Used")
        assert f"approved by alice, Approval {name}: CHG-1" in causes(world)
        process.map(RULES)
        await until(lambda: held(world).endswith(":3"))
        process.map(CHANGED)
        await rounds(world, 2)
    assert set(map(frozenset, world.groups().values())) == {frozenset(WEB)}
    assert told(world, "AnnotationDeprecated") == 0


async def test_an_approval_of_another_list_or_of_fewer_hosts_or_of_yesterday_lets_nothing_through(
    workers: Workers,
) -> None:
    world = await commissioned(3, workers)
    before = effects(world)
    async with holding(world, workers):
        digest = held(world).partition(":")[0]
        world.approvals.approve(ApprovalAction.PLAN, f"{digest}:2", world.now())
        world.approvals.approve(ApprovalAction.PLAN, f"{'0' * 64}:3", world.now())
        world.approvals.approve(ApprovalAction.RETIREMENT, held(world), world.now())
        old = world.approvals.approve(ApprovalAction.PLAN, held(world), world.now() - timedelta(hours=25))
        await until(lambda: outcome(world, old) == "Expired")
        await rounds(world, 2)
    assert (effects(world), held(world)) == (before, f"{digest}:3")


async def test_a_list_that_was_shown_before_a_restart_is_let_through_after_it(workers: Workers) -> None:
    world = await commissioned(21, workers)
    async with holding(world, workers) as first:
        hold = first.parts.mapping.rollout.hold
        assert hold is not None
    seen = tuple(SeenChange(kinds=tuple(kinds), hosts=(vm_id,)) for vm_id, kinds in sorted(hold.changes.items()))
    world.delete(vm(20))  # a living fleet: the next process holds another list
    world.ahead = LONG_ENOUGH
    second = Process(world, workers, term=5)
    async with second.running():
        await until(lambda: held(world).endswith(":20"))
        assert held(world) != hold.approval
        name = world.approvals.approve(ApprovalAction.PLAN, hold.approval, world.now(), *seen)
        await until(lambda: outcome(world, name) == "Used")
        await until(lambda: moved(world, 0) == frozenset(WEB))


async def test_an_approved_list_of_retirements_stays_approved_over_a_restart(workers: Workers) -> None:
    world = await commissioned(4, workers)
    world.spec(retirement=Retirement(after="0s", max_per_hour=RateLimit(count=0, percent=0)))
    async with Process(world, workers, term=4).running():
        world.delete(vm(1))
        world.delete(vm(2))
        await until(lambda: held(world).endswith(":2"))
        seen = held(world)
    world.delete(vm(3))
    listed = SeenChange(hosts=(vm(1).vm_id, vm(2).vm_id))
    async with Process(world, workers, term=5).running():
        await until(lambda: held(world).endswith(":3"))
        name = world.approvals.approve(ApprovalAction.RETIREMENT, seen, world.now(), listed)
        await until(lambda: len(world.hosts.stored) == 2)
        await until(lambda: outcome(world, name) == "Used")
        assert held(world).endswith(":1"), "nobody saw the third on that list"
    assert f"approved by alice, Approval {name}: CHG-1" in causes(world)
    world.add(vm(2))
    async with Process(world, workers, term=6).running():
        await until(lambda: world.condition(ConditionType.PLAN_HELD) is not None and held(world).endswith(":1"))
        await rounds(world, 1)
    assert set(world.tombstones.kept) == {vm(1).vm_id, vm(2).vm_id}


async def test_a_vm_that_a_person_vouches_is_gone_is_retired_and_that_is_kept(workers: Workers) -> None:
    world = await commissioned(2, workers)
    async with Process(world, workers, term=4).running():
        await vanish_and_be_heard(world)
        world.beat(vm(1), online=False, at=world.now())
        await rounds(world, 2)
        wrong = world.approvals.approve(ApprovalAction.CONFIRM_GONE, vouched(world, 1, vm(0).vm_id), world.now())
        await rounds(world, 2)
        assert (outcome(world, wrong), len(world.hosts.stored)) == ("", 2), "that is another VM"
        name = world.approvals.approve(ApprovalAction.CONFIRM_GONE, vouched(world, 1, vm(1).vm_id), world.now())
        await until(lambda: len(world.hosts.stored) == 1)
        await until(lambda: outcome(world, name) == "Used")
    assert world.tombstones.kept[vm(1).vm_id].proof == "Confirmed"


async def test_a_revision_is_kept_in_force_by_an_approval_until_another_ends_it(workers: Workers) -> None:
    world = await commissioned(1, workers)
    pinned = world.revisions.kept[-1].digest
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        name = world.approvals.approve(ApprovalAction.PIN, pinned, world.now())
        await until(lambda: outcome(world, name) == "Used")
        process.map(CHANGED)
        await until(lambda: valid(world).reason == Reason.MAPPING_PINNED)
        assert f"alice, Approval {name}" in valid(world).message
        assert len(world.revisions.kept) == 1
        world.approvals.approve(ApprovalAction.PIN, "none", world.now() + timedelta(seconds=1))
        await until(lambda: valid(world).reason == Reason.ACCEPTED)


async def test_whoever_deletes_approvals_ends_a_pin_and_repeats_nothing(workers: Workers) -> None:
    world = await commissioned(3, workers)
    async with holding(world, workers) as process:
        used = world.approvals.approve(ApprovalAction.PLAN, held(world), world.now())
        await until(lambda: outcome(world, used) == "Used" and world.all_are(COMMISSIONED))
        pin = world.approvals.approve(ApprovalAction.PIN, world.revisions.kept[-1].digest, world.now())
        await until(lambda: outcome(world, pin) == "Used")
        process.map(RULES)
        await until(lambda: valid(world).reason == Reason.MAPPING_PINNED)
        before = effects(world)
        world.approvals.kept.clear()
        await until(lambda: held(world).endswith(":3") and valid(world).reason == Reason.ACCEPTED)
        await rounds(world, 2)
        assert effects(world) == before
        assert f"approved by alice, Approval {used}: CHG-1" in causes(world)


async def test_an_annotation_still_counts_and_says_what_replaces_it(workers: Workers) -> None:
    world = await commissioned(3, workers)
    async with holding(world, workers) as process:
        approve(process, held(world))
        await until(lambda: held(world) == "" and world.all_are(COMMISSIONED))
        world.hosts.annotate(world.host(vm(1)).name, **{"microseg.dev/adopt": "x"})
        await until(lambda: told(world, "AnnotationDeprecated") == 2)
    texts = [text for kind, text, warning in world.events.posted if kind == "AnnotationDeprecated" and warning]
    assert "microseg approve plan" in texts[0]
    assert "microseg approve adoption" in texts[1]
