"""Every effect has an end (L6): what is accepted and never seen is tried a few times an hour, and named."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.test_reconciler import effects, holds, rounds

from lab.memory import samples as m
from lab.memory.scripted import FakeClock
from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.engine.state.accepted_effects import ENOUGH, MOST, PAUSE, AcceptedEffects, Series
from microseg.engine.state.latest import Latest
from microseg.engine.state.snapshots import CheckPointSnapshot, IllumioSnapshot
from microseg.gateways.ports import Rejected
from microseg.model.azure_facts import Vm
from microseg.model.checkpoint_facts import EnforcementPoint
from microseg.model.condition import ConditionType, Reason, find
from microseg.model.host import ManagedHost
from microseg.model.illumio_facts import Label
from microseg.model.names import Annotation
from microseg.model.plan import (
    Action,
    BeginRetirement,
    CreateLabel,
    DeleteRecord,
    DeleteRunCommands,
    DropObject,
    InstallPolicy,
    ProveGone,
    PutObject,
    RaiseEnforcement,
    ReadRunCommand,
    ReleaseAddress,
    SetLabels,
    StampWorkload,
    StartScript,
    UnpairWorkload,
)

ASKED: tuple[Action, ...] = (
    StampWorkload(m.VM_ID, m.HREF),
    RaiseEnforcement(m.VM_ID, m.HREF, "full"),
    CreateLabel(m.VM_ID, "env", "New"),
    SetLabels(m.VM_ID, m.HREF, (("env", "/orgs/50/labels/2"),)),
    UnpairWorkload(m.VM_ID, "/orgs/50/vens/1", "saved"),
    PutObject(m.VM_ID, m.OBJECT, "", m.IP, ("SO",)),
    DropObject(m.VM_ID, m.OBJECT, f"uid-{m.OBJECT}"),
    ReleaseAddress(m.VM_ID, m.OBJECT, f"uid-{m.OBJECT}", ("SO",)),
)


def not_taking(host: ManagedHost, kind: ConditionType) -> str:
    """The message, once the condition says so."""
    found = find(host.status.conditions, kind)
    return found.message if found is not None and found.reason == Reason.NOT_TAKING else ""


def said(world: World, made: Vm, kind: ConditionType) -> bool:
    """Whether the host's record says so."""
    return bool(world.hosts.stored) and bool(not_taking(world.host(made), kind))


@pytest.mark.parametrize(
    ("unseen", "counted", "kind", "told"),
    [
        (
            "create_label",
            "illumio.create_label",
            ConditionType.LABELLED,
            "create label env=Dev and lists no such label",
        ),
        ("set_labels", "illumio.set_labels", ConditionType.LABELLED, "to set app=Orchestrate"),
        ("stamp", "illumio.update_workloads", ConditionType.AGENT_PAIRED, "and shows no stamp"),
        ("enforce", "illumio.update_workloads", ConditionType.AGENT_PAIRED, "full of /orgs/50"),
        ("publish", "checkpoint.publish", ConditionType.GROUPED, "in SO and shows no such object"),
        (
            "install",
            "checkpoint.install",
            ConditionType.POLICY_INSTALLED,
            "on gw1 with success, and gw1 shows Standard",
        ),
    ],
)
async def test_against_an_observer_that_never_agrees_the_number_of_effects_is_small(
    workers: Workers, unseen: str, counted: str, kind: ConditionType, told: str
) -> None:
    made = vm(1)
    world = World(made)
    if unseen == "enforce":
        spec = world.estates.stored.spec.illumio
        world.spec(illumio=msgspec.structs.replace(spec, enforcement="full"))
    if unseen == "create_label":
        world.illumio.known = [label for label in world.illumio.known if label.key != "env"]
    system = counted.split(".", maxsplit=1)[0]
    (world.illumio if system == "illumio" else world.check_point).unseen.add(unseen)
    async with Process(world, workers).running() as _:
        await until(lambda: said(world, made, kind))
        message = not_taking(world.host(made), kind)
        assert told in message
        await rounds(world, 2)  # what else the host waited for is written
        writes, outside = world.count("hosts.patch_status"), effects(world)
        await rounds(world, 12)
        assert (world.count("hosts.patch_status"), effects(world)) == (writes, outside), "it waits in silence"
    assert 1 <= world.count(counted) <= ENOUGH + 1
    assert not_taking(world.host(made), kind) == message
    assert world.host(made).status.stage == "Blocked"


@pytest.mark.parametrize(
    ("unseen", "counted"),
    [("publish", "checkpoint.publish"), ("install", "checkpoint.install"), ("unpair", "illumio.unpair")],
)
async def test_the_removal_of_a_gone_vms_traces_has_an_end_too(workers: Workers, unseen: str, counted: str) -> None:
    made = vm(1)
    world = World(made)
    async with Process(world, workers).running():
        await until(lambda: world.all_are("Commissioned"))
        (world.illumio if unseen == "unpair" else world.check_point).unseen.add(unseen)
        before = world.count(counted)
        world.delete(made)
        await until(lambda: world.host(made).status.reason == Reason.NOT_SEEN)
        world.ahead = timedelta(minutes=16)
        await until(lambda: world.count(counted) > before)
        if unseen != "unpair":  # an unpairing waits for a dead VEN's acknowledgement, a day at most
            await until(lambda: said(world, made, ConditionType.DISCOVERED))
        await rounds(world, 12)
    assert 1 <= world.count(counted) - before <= ENOUGH


async def test_it_is_tried_once_an_hour_and_goes_on_when_it_is_seen(workers: Workers) -> None:
    made = vm(1)
    world = World(made)
    world.illumio.unseen.add("set_labels")
    process = Process(world, workers)
    async with process.running():
        await until(lambda: said(world, made, ConditionType.LABELLED))
        before = world.count("illumio.set_labels")
        process.later(minutes=61)
        await until(lambda: world.count("illumio.set_labels") > before)
        await rounds(world)
        assert world.count("illumio.set_labels") == before + 1
        world.illumio.unseen.clear()
        process.later(minutes=125)
        await until(lambda: world.all_are("Commissioned"))


async def test_a_person_has_it_tried_at_once(workers: Workers) -> None:
    made = vm(1)
    world = World(made)
    world.illumio.unseen.add("set_labels")
    world.check_point.unseen.add("install")
    process = Process(world, workers)
    async with process.running():
        await until(lambda: said(world, made, ConditionType.LABELLED))
        await until(lambda: said(world, made, ConditionType.POLICY_INSTALLED))
        world.illumio.unseen.clear()
        world.check_point.unseen.clear()
        process.annotate(**{Annotation.RECONCILE_AT: "now"})
        await until(lambda: holds(world.host(made), ConditionType.LABELLED))
        assert world.count("checkpoint.install") == 1, "the same revision is not installed again within seconds"


async def test_what_is_shown_changes_and_it_is_tried_again_at_once(workers: Workers) -> None:
    made = vm(1)
    world = World(made)
    world.illumio.unseen.add("set_labels")
    async with Process(world, workers).running():
        await until(lambda: said(world, made, ConditionType.LABELLED))
        world.illumio.unseen.clear()
        (href,) = world.illumio.stored
        other = Label("env", "Prod", "/orgs/50/labels/9")
        world.illumio.stored[href] = replace(world.illumio.stored[href], labels=(other,))
        await until(lambda: world.all_are("Commissioned"))


async def test_one_host_whose_object_does_not_take_stops_only_itself(workers: Workers) -> None:
    bad, good = vm(1), vm(2)
    world = World(bad)
    world.check_point.never_shown.add(bad.vm_id)
    async with Process(world, workers).running():
        await until(lambda: said(world, bad, ConditionType.GROUPED))
        publishes = world.count("checkpoint.publish")
        world.add(good)
        await until(lambda: len(world.hosts.stored) == 2 and world.host(good).status.stage == "Commissioned")
        assert world.count("checkpoint.publish") == publishes + 1
        assert not_taking(world.host(bad), ConditionType.GROUPED)


async def test_a_gateway_that_does_not_take_the_policy_holds_up_no_other_and_no_newcomer(workers: Workers) -> None:
    world = World(vm(1))
    spec = world.estates.stored.spec.check_point
    policies = (msgspec.structs.replace(spec.policies[0], targets=("gw1", "gw2")),)
    world.spec(check_point=msgspec.structs.replace(spec, policies=policies))
    world.check_point.shown.append(EnforcementPoint("gw2", "Standard", None, None))
    async with Process(world, workers).running():
        world.check_point.unseen.add("install")
        await until(lambda: said(world, vm(1), ConditionType.POLICY_INSTALLED))
        shown = world.check_point.shown
        taken = replace(shown[0], revision=world.check_point.revisions[-1], installed_at=m.NOW)
        world.check_point.shown = [taken, shown[1]]
        await until(lambda: "gw2" in not_taking(world.host(vm(1)), ConditionType.POLICY_INSTALLED))
        world.add(vm(2))
        await until(lambda: world.count("checkpoint.publish") == 2)
        await until(lambda: len(world.journal.of("checkpoint.install")) == 2)
        assert world.journal.of("checkpoint.install")[-1] == ("Standard", ("gw1",))


async def test_a_refused_label_is_asked_for_a_few_times_only(workers: Workers) -> None:
    world = World(vm(1))
    world.illumio.known = [label for label in world.illumio.known if label.key != "env"]
    world.illumio.fail("create_label", *[Rejected("the value is reserved.")] * 1000)
    async with Process(world, workers).running():
        await until(lambda: said(world, vm(1), ConditionType.LABELLED))
        await rounds(world, 12)
    assert world.count("illumio.create_label") <= ENOUGH + 1
    assert "the value is reserved." in not_taking(world.host(vm(1)), ConditionType.LABELLED)


def latest(version: int) -> Latest:
    """The outside, in one of many states that are all wrong."""
    known = Latest(lambda _: None, lambda: m.NOW)
    workload = m.workload(
        external_set="other", external_reference=f"v{version}", enforcement_mode=f"mode-{version}",
        labels=(Label("env", "x", f"/orgs/50/labels/x{version}"),),
    )  # fmt: skip
    item = m.host_object(m.OBJECT, f"10.9.0.{version}")
    known.illumio = IllumioSnapshot.of(m.MARK, (workload,), (), ())
    known.check_point = CheckPointSnapshot.of(m.OWNER, (item,), (), (), None)
    return known


@pytest.mark.parametrize("action", ASKED, ids=lambda action: type(action).__name__)
@given(steps=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 240)), max_size=120))
def test_whatever_is_shown_and_whenever_no_effect_is_tried_without_end(
    action: Action, steps: list[tuple[int, int]]
) -> None:
    """Each step is a reading that shows one of six wrong states, some seconds after the last; then the next try."""
    clock = FakeClock()
    effects, tries = AcceptedEffects(clock), []
    for version, seconds in steps:
        clock.forward(seconds)
        known = latest(version)
        effects.looked("illumio", known, ())
        effects.looked("checkpoint", known, ())
        if not any(each.holds(action, clock()) for each in effects.untaken(m.VM_ID)):
            effects.tried(action, known, refused=False)
            tries.append(clock())
    for first in tries:
        assert sum(first <= at < first + PAUSE for at in tries) <= 2 * MOST
    if len({version for version, _ in steps}) == 1 and sum(seconds for _, seconds in steps) < PAUSE.total_seconds():
        assert len(tries) <= ENOUGH


@given(st.integers(1, 60))
def test_the_same_answer_for_ever_gives_three_tries_and_then_one_an_hour(pause: int) -> None:
    now, series, tries = m.NOW, Series("a", "x", m.NOW, tries=0), 0
    for _ in range(24 * 60 // pause):
        now += timedelta(minutes=pause)
        series.looked("x", now)
        if series.until is None or series.until <= now:
            series.tried("a", "x", now)
            tries += 1
    assert tries <= ENOUGH + 24


def test_a_label_is_counted_once_for_all_its_hosts() -> None:
    effects = AcceptedEffects(FakeClock())
    concerned: tuple[str, ...] = ()
    for number in range(ENOUGH):
        effects.tried(CreateLabel(f"vm-{number}", "env", "New"), latest(0), refused=False)
        concerned = tuple(effects.looked("illumio", latest(0), ("everybody",)))
    assert concerned == ("everybody",)
    (held,) = effects.untaken("a-newcomer")
    assert held.holds(CreateLabel("a-newcomer", "env", "New"), m.NOW)
    assert not held.holds(CreateLabel("a-newcomer", "env", "Other"), m.NOW)


# every kind of effect ---------------------------------------------------------------------------------------------

COUNTED_OTHERWISE = {
    StartScript,
    ReadRunCommand,
    DeleteRunCommands,
    ProveGone,
    InstallPolicy,
    BeginRetirement,
    DeleteRecord,
}
"""Looks; scripts and their deletion, which have numbers and pauses; installs, counted per target; the cluster's own."""


def test_every_effect_is_counted_or_has_a_count_of_its_own() -> None:
    kinds = {kind for family in get_args(Action) for kind in (get_args(family) or (family,))}
    assert {type(action) for action in ASKED} | COUNTED_OTHERWISE == kinds


async def test_an_object_that_is_dropped_and_stays_listed_is_dropped_a_few_times(workers: Workers) -> None:
    made = vm(1)
    two = replace(made, record=msgspec.structs.replace(made.record, nics=m.nics("10.3.0.2", "10.3.7.7")))
    world = World(two)
    async with Process(world, workers).running():
        await until(lambda: world.all_are("Commissioned"))
        world.check_point.unseen.add("publish")
        publishes = world.count("checkpoint.publish")
        world.add(made)
        await until(lambda: said(world, made, ConditionType.GROUPED))
        await rounds(world, 6)
        assert 1 <= world.count("checkpoint.publish") - publishes <= ENOUGH
        assert "published the deletion of object" in not_taking(world.host(made), ConditionType.GROUPED)


async def test_an_address_that_is_released_and_stays_grouped_is_released_a_few_times(workers: Workers) -> None:
    world = World(vm(1), vm(2))
    async with Process(world, workers).running():
        await until(lambda: world.all_are("Commissioned"))
        world.check_point.unseen.add("publish")
        publishes = world.count("checkpoint.publish")
        first, second = (each.record.nics for each in (vm(1), vm(2)))
        world.add(
            *(
                replace(vm(n), record=msgspec.structs.replace(vm(n).record, nics=nics))
                for n, nics in ((1, second), (2, first))
            )
        )
        await until(lambda: all(said(world, vm(n), ConditionType.GROUPED) for n in (1, 2)))
        await rounds(world, 6)
        assert 1 <= world.count("checkpoint.publish") - publishes <= 2 * ENOUGH


async def test_run_commands_that_stay_listed_are_deleted_once(workers: Workers) -> None:
    world = World(vm(1))
    world.azure.unseen.add("delete_run_command")
    async with Process(world, workers).running():
        await until(lambda: world.all_are("Commissioned") and world.count("azure.delete_run_command") > 0)
        await rounds(world, 6)
    assert world.count("azure.delete_run_command") == 1
