"""A document that changes, in memory: what the guard holds, what an approval lets through, what needs none (S6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import msgspec
from tests.unit.engine.test_reconciler import COMMISSIONED, commissioned, effects, rounds
from tests.unit.engine.test_retirement import held

from lab.memory.world import RULES, Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.gateways.ports import Unreachable
from microseg.kube.errors import Unavailable
from microseg.model.azure_facts import Vm
from microseg.model.azure_record import Tag
from microseg.model.condition import ConditionStatus, ConditionType, Reason
from microseg.model.estate_spec import Guard

CHANGED = RULES.replace(
    "name: SO, when: {tags: {app: [Orchestrate]}}", "name: SO, when: {tags: {app: [Shop]}}"
).replace("name: Web, when: {tags: {app: [Shop]}}", "name: Web, when: {tags: {app: [Orchestrate]}}")
SO, WEB = {"SO"}, {"Web"}
OTHER = "overrides:\n  - {{vmId: {vm_id}, labels: {{env: New}}, reason: CHG-1, until: {until}}}\n"


def approve(process: Process, *approvals: str) -> None:
    process.annotate(**{"microseg.dev/approve": ",".join(approvals)})


def told(world: World, reason: str) -> int:
    return [posted[0] for posted in world.events.posted].count(reason)


@asynccontextmanager
async def holding(world: World, workers: Workers) -> AsyncIterator[Process]:
    """The next process runs, and holds a change of all commissioned hosts."""
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        process.map(CHANGED)
        await until(lambda: held(world).endswith(f":{len(world.hosts.stored)}"))
        yield process


def env_of(world: World, number: int) -> str:
    found = next(item for item in world.illumio.stored.values() if item.external_reference == vm(number).vm_id)
    return next((label.value for label in found.labels if label.key == "env"), "")


def override(world: World, number: int, *, minutes: float) -> str:
    until_then = world.now() + timedelta(minutes=minutes)
    return RULES + OTHER.format(vm_id=vm(number).vm_id, until=until_then.isoformat(timespec="seconds"))


async def test_a_change_beyond_the_bound_moves_nobody_until_its_digest_is_approved_for_so_many(
    workers: Workers,
) -> None:
    world = await commissioned(3, workers)
    before = effects(world)
    async with holding(world, workers) as process:
        approval = held(world)
        digest = approval.split(":")[0]
        for wrong in (f"{digest}:2", "0123456789ab:99", digest, f"{digest}:-3"):
            approve(process, wrong)
            await rounds(world, 1)
            assert (effects(world), held(world)) == (before, approval), wrong
        approve(process, approval)
        begun = len(world.journal.lines)
        await until(lambda: set(map(frozenset, world.groups().values())) == {frozenset(WEB)})
        await until(lambda: held(world) == "" and world.all_are(COMMISSIONED))
    first = next(
        number for number, (name, args) in enumerate(world.journal.lines[begun:])
        if name == "estates.patch_status" and args[0].approvals
    )  # fmt: skip
    outside = [name for name, _ in world.journal.lines[begun : begun + first] if name in effects(world)]
    assert outside == [], "the approval is written down as used before anything changes"
    assert (told(world, "PlanHeld"), told(world, "PlanApproved")) == (1, 1)


async def test_new_hosts_are_onboarded_by_the_new_rules_while_the_others_are_held(workers: Workers) -> None:
    world = await commissioned(3, workers)
    async with holding(world, workers):
        world.add(vm(9))
        await until(lambda: world.groups().get("9") == WEB and world.all_are(COMMISSIONED))
        await rounds(world, 1)
        assert world.groups() == {"0": SO, "1": SO, "2": SO, "9": WEB}
        assert held(world).endswith(":3"), "what was commissioned under the new rules is not changed by them"


async def test_an_approval_admits_once_even_while_the_annotation_stays(workers: Workers) -> None:
    world = await commissioned(2, workers)
    async with holding(world, workers) as process:
        there = held(world)
        approve(process, there)
        await until(lambda: held(world) == "" and world.groups() == {"0": WEB, "1": WEB})
        await until(lambda: world.all_are(COMMISSIONED))
        process.map(RULES)
        await until(lambda: held(world) != "")
        back = held(world)
        approve(process, there, back)
        await until(lambda: held(world) == "" and world.groups() == {"0": SO, "1": SO})
        await until(lambda: world.all_are(COMMISSIONED))
        process.map(CHANGED)
        await until(lambda: (made := world.condition(ConditionType.PLAN_HELD)) is not None and there in made.message)
        await rounds(world, 1)
        assert world.groups() == {"0": SO, "1": SO}
        approve(process, back)
        await until(lambda: world.estates.stored.status.approvals[-1].digest == back.split(":")[0])
        await until(lambda: len(world.estates.stored.status.approvals) == 1)
        approve(process, there)
        await until(lambda: world.groups() == {"0": WEB, "1": WEB})


async def test_a_restart_goes_on_holding_and_tells_it_no_second_time(workers: Workers) -> None:
    world = await commissioned(2, workers)
    before = effects(world)
    async with holding(world, workers):
        await until(lambda: told(world, "PlanHeld") == 1)
    approval, plan = held(world), world.estates.stored.status.held
    after = Process(world, workers, term=5)
    async with after.running():
        await rounds(world, 3)
        assert (effects(world), held(world)) == (before, approval)
        assert (world.estates.stored.status.held, told(world, "PlanHeld")) == (plan, 1)
        approve(after, approval)
        await until(lambda: world.groups() == {"0": WEB, "1": WEB})


async def test_a_change_that_came_while_nobody_watched_is_held_too_and_after_every_restart(workers: Workers) -> None:
    world = await commissioned(2, workers)
    before = effects(world)
    world.map(CHANGED)
    for term in (4, 5):
        async with Process(world, workers, term).running():
            await rounds(world, 2)
            await until(lambda: held(world).endswith(":2"))
    assert effects(world) == before


async def test_until_a_change_can_be_judged_commissioned_hosts_stay_as_they_are(workers: Workers) -> None:
    world = await commissioned(2, workers)
    before = effects(world)
    world.map(CHANGED)
    world.illumio.fail("workloads", *[Unreachable("away")] * 100_000)
    async with Process(world, workers, term=4).running():
        await rounds(world, 4)
        assert (effects(world), held(world)) == (before, ""), "the PCE's part of the change is not known yet"


async def test_an_approval_that_cannot_be_written_down_admits_nothing(workers: Workers) -> None:
    world = await commissioned(2, workers)
    before = effects(world)
    async with holding(world, workers) as process:
        world.estates.fail("patch_status", *[Unavailable("away")] * 100_000)
        approve(process, held(world))
        await rounds(world, 2)
        assert effects(world) == before
        world.estates._fails.clear()
        await until(lambda: world.groups() == {"0": WEB, "1": WEB})


async def test_a_change_within_the_bound_needs_nobody(workers: Workers) -> None:
    world = await commissioned(2, workers)
    world.spec(guard=Guard(max_changed_percent=50))
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        process.map(override(world, 1, minutes=60))
        await until(lambda: env_of(world, 1) == "New" and world.all_are(COMMISSIONED))
    assert (env_of(world, 0), told(world, "PlanHeld")) == ("Dev", 0)


async def test_the_end_of_an_override_counts_by_itself_and_is_never_held(workers: Workers) -> None:
    world = World(vm(1))
    world.map(override(world, 1, minutes=10))
    process = Process(world, workers)
    async with process.running():
        await until(lambda: world.all_are(COMMISSIONED))
        assert env_of(world, 1) == "New"
        process.later(minutes=9)
        await rounds(world, 1)
        assert env_of(world, 1) == "New"
        process.later(minutes=11)
        await until(lambda: env_of(world, 1) == "Dev" and world.all_are(COMMISSIONED))
    assert told(world, "PlanHeld") == 0


async def test_changed_tags_are_never_held_whatever_their_number(workers: Workers) -> None:
    world = await commissioned(2, workers)
    async with Process(world, workers, term=4).running():
        await rounds(world, 1)
        world.add(vm(0, "Shop"), vm(1, "Shop"))
        await until(lambda: world.groups() == {"0": WEB, "1": WEB})
    assert told(world, "PlanHeld") == 0


async def test_a_broken_document_changes_nothing_and_the_last_good_one_decides_also_after_a_restart(
    workers: Workers,
) -> None:
    world = await commissioned(1, workers)
    before = effects(world)
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        process.map("name: platform\nlabels: [\n")
        await until(
            lambda: (
                (made := world.condition(ConditionType.MAPPING_VALID)) is not None
                and (made.status, made.reason) == (ConditionStatus.FALSE, Reason.MAPPING_INVALID)
            )
        )
        await rounds(world, 1)
        assert effects(world) == before
        assert told(world, Reason.MAPPING_INVALID) == 1
    world.add(vm(5, "Shop"))
    async with Process(world, workers, term=5).running():
        await until(lambda: world.groups() == {"0": SO, "5": WEB} and world.all_are(COMMISSIONED))


async def test_a_host_whose_tag_no_rule_knows_joins_the_quarantine_and_leaves_it_and_loses_nothing(
    workers: Workers,
) -> None:
    world = World(vm(0), vm(1))
    world.map(RULES + "  - {name: Quarantine, when: {tags: {quarantine: ['yes']}}}\n")
    world.check_point.known_groups.append("Quarantine")
    async with Process(world, workers).running():
        await until(lambda: world.all_are(COMMISSIONED))
        world.add(tagged(app="Typo", quarantine="yes"))
        await until(lambda: world.groups()["0"] == {"SO", "Quarantine"})
        await until(lambda: world.host(vm(0)).status.reason == Reason.MAPPING_MISS)
        world.add(tagged(app="Typo"))
        await until(lambda: world.groups()["0"] == {"SO"})
        world.add(tagged(app="Orchestrate"))
        await until(lambda: world.all_are(COMMISSIONED))
    assert world.groups() == {"0": {"SO"}, "1": {"SO"}}


def tagged(**tags: str) -> Vm:
    made = vm(0)
    record = msgspec.structs.replace(made.record, tags=tuple(Tag(key=key, value=value) for key, value in tags.items()))
    return replace(made, record=record)
