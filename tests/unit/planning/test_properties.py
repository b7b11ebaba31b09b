"""What must hold of every decision, whatever the world says: the safety invariants as properties of the pure core."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from tests.unit.planning import strategies as s

from lab.memory import samples as m
from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.azure_facts import Vm
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason, find
from microseg.model.desired import Desired
from microseg.model.facts import ABSENT, UNREADABLE, HostFacts, ObjectMatches, Seen, WorkloadMatches
from microseg.model.host import HostStatus, ManagedHost
from microseg.model.plan import (
    Action,
    CreateLabel,
    DropObject,
    InstallPolicy,
    PutObject,
    RaiseEnforcement,
    ReadRunCommand,
    SetLabels,
    StampWorkload,
    StartScript,
)
from microseg.planning.decide import Decision, Standing, decide
from microseg.stages import STAGES
from microseg.stages.agent import retry_wanted
from microseg.stages.attempt import under_way
from microseg.stages.context import EstateContext, HostContext
from microseg.stages.policy import covers

KINDS = list(ConditionType)[:9]
MODES = ("idle", "visibility_only", "selective", "full")
bounded = settings(
    max_examples=30,
    deadline=None,
    # A whole host with its facts shrinks for minutes; the blob that is printed brings the example back to look at.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
whatever = given(
    host=s.hosts, facts=s.facts, estate=s.estates, desired=s.wishes, repair=st.sampled_from([True, True, False])
)


def effects(decision: Decision) -> tuple[Action, ...]:
    return tuple(action for action in decision.actions if not isinstance(action, ReadRunCommand))


def vm_of(facts: HostFacts) -> Vm | None:
    return facts.azure.value if isinstance(facts.azure, Seen) else None


def pce_of(facts: HostFacts) -> WorkloadMatches:
    return facts.illumio.value if isinstance(facts.illumio, Seen) else WorkloadMatches()


def wall_of(facts: HostFacts) -> ObjectMatches:
    return facts.check_point.value if isinstance(facts.check_point, Seen) else ObjectMatches()


# form -------------------------------------------------------------------------------------------------------------


@bounded
@whatever
def test_deciding_is_total_and_the_same_facts_give_the_same_decision(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    first = decide(host, facts, estate, desired, m.NOW, repair=repair)
    assert first == decide(host, facts, estate, desired, m.NOW, repair=repair)


@bounded
@whatever
def test_every_condition_is_there_once_with_a_reason_of_the_table_and_a_sentence(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    status = decide(host, facts, estate, desired, m.NOW, repair=repair).status
    assert [made.type for made in status.conditions] == KINDS
    kept = set(host.status.conditions)
    for made in status.conditions:
        assert made.reason in {reason.value for reason in Reason}
        assert made.observed_generation == host.generation
        assert made.message or any(old.type == made.type for old in kept)
    ready = find(status.conditions, ConditionType.READY)
    assert ready is not None
    assert (status.ready, status.reason) == (ready.status.value, ready.reason)
    assert status.observed_generation == host.generation


@bounded
@whatever
def test_no_outside_text_makes_a_status_that_the_schema_refuses(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    status = decide(host, facts, estate, desired, m.NOW, repair=repair).status
    assert msgspec.json.decode(msgspec.json.encode(status), type=HostStatus) == status


@bounded
@whatever
def test_transition_times_move_only_with_the_status(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    for made in decide(host, facts, estate, desired, m.NOW, repair=repair).status.conditions:
        old = find(host.status.conditions, made.type)
        same = old is not None and old.status == made.status
        assert made.last_transition_time == (old.last_transition_time if old is not None and same else m.NOW)


@bounded
@whatever
def test_ready_is_true_exactly_when_all_stages_are(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    decision = decide(host, facts, estate, desired, m.NOW, repair=repair)
    by_kind = {made.type: made for made in decision.status.conditions}
    stages = [by_kind[stage.condition].status == ConditionStatus.TRUE for stage in STAGES]
    assert (by_kind[ConditionType.READY].status == ConditionStatus.TRUE) is all(stages)
    stalled = by_kind[ConditionType.STALLED].status == ConditionStatus.TRUE
    assert (decision.status.stage == "Blocked") is stalled
    if all(stages):
        assert decision.status.stage == "Commissioned"
        assert decision.standing in {Standing.COMMISSIONED, Standing.DESELECTED} or stalled
    if decision.standing == Standing.WAITING:
        assert by_kind[ConditionType.RECONCILING].status == ConditionStatus.FALSE
    if decision.standing == Standing.IN_PROGRESS:
        assert by_kind[ConditionType.RECONCILING].status == ConditionStatus.TRUE


@bounded
@whatever
def test_nothing_changes_before_the_time_to_look_again(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    first = decide(host, facts, estate, desired, m.NOW, repair=repair)
    written = m.with_status(host, first.status)
    later = m.NOW + timedelta(days=3)
    if first.look_again is not None:
        later = max(m.NOW, min(later, first.look_again - timedelta(seconds=1)))
    second = decide(written, facts, estate, desired, later, repair=repair)
    assert second.status == first.status
    assert second.actions == first.actions


@bounded
@whatever
def test_after_the_time_to_look_again_a_second_decision_is_as_stable(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    moment: datetime = m.NOW
    for _ in range(4):
        decision = decide(host, facts, estate, desired, moment, repair=repair)
        host = m.with_status(host, decision.status)
        again = decide(host, facts, estate, desired, moment, repair=repair)
        assert again.status == decision.status
        if decision.look_again is None:
            return
        moment = max(moment + timedelta(seconds=1), decision.look_again)


# S11: without permission nothing outside changes ------------------------------------------------------------------


@bounded
@whatever
def test_observe_and_suspended_never_yield_an_effect(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    decision = decide(host, facts, estate, desired, m.NOW, repair=repair)
    if not estate.enforcing or host.spec.suspend:
        assert effects(decision) == ()
        before = set(host.status.illumio.owned_keys) if host.status.illumio else set()
        after = set(decision.status.illumio.owned_keys) if decision.status.illumio else set()
        assert after <= before, "what we do not set does not become ours"


@bounded
@whatever
def test_nothing_is_done_for_a_vm_that_is_absent_unread_or_deselected(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    decision = decide(host, facts, estate, desired, m.NOW, repair=repair)
    vm = vm_of(facts)
    if vm is None:
        assert decision.actions == ()
    elif not vm.selected:
        assert effects(decision) == ()


@bounded
@whatever
def test_drift_that_is_only_to_be_reported_is_not_mended(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    del repair
    mended = decide(host, facts, estate, desired, m.NOW, repair=True)
    shown = decide(host, facts, estate, desired, m.NOW, repair=False)
    assert set(effects(shown)) <= set(effects(mended))
    assert find(shown.status.conditions, ConditionType.DRIFTED) == find(mended.status.conditions, ConditionType.DRIFTED)
    drifted = find(shown.status.conditions, ConditionType.DRIFTED)
    assert drifted is not None
    if drifted.status == ConditionStatus.FALSE:
        assert shown.actions == mended.actions


# S1: one installer ------------------------------------------------------------------------------------------------


@bounded
@whatever
def test_a_script_starts_only_where_nothing_runs_nothing_is_stamped_and_the_vm_runs(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    decision = decide(host, facts, estate, desired, m.NOW, repair=repair)
    starts = [action for action in decision.actions if isinstance(action, StartScript)]
    assert len(starts) <= 1
    for start in starts:
        vm = vm_of(facts)
        assert vm is not None
        assert vm.record.power_state == "running"
        assert isinstance(facts.illumio, Seen)
        assert facts.illumio.value.stamped is None or (start.mode == "probe" and retry_wanted(host))
        record = decision.status.agent or AgentRecord()
        assert not under_way(record) or (start.mode == "probe" and record.mode == "install")
        if start.mode == "install":
            assert vm.record.os_type in estate.profiles
            assert record.settles_at is None or record.settles_at <= m.NOW


@bounded
@whatever
def test_a_stamped_workload_never_yields_a_script_but_the_probe_that_a_person_asks_for(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    view = WorkloadMatches(stamped=m.stamped(), claimed=pce_of(facts).claimed, candidates=pce_of(facts).candidates)
    seen = HostFacts(
        azure=facts.azure, illumio=Seen(view), check_point=facts.check_point, run_command=facts.run_command
    )
    decision = decide(host, seen, estate, desired, m.NOW, repair=repair)
    scripts = [action for action in decision.actions if isinstance(action, StartScript | StampWorkload)]
    assert scripts in ([], [StartScript(m.VM_ID, "probe")] if retry_wanted(host) else [])


@bounded
@whatever
def test_the_attempts_number_and_its_name_never_change_in_a_decision(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    before, after = host.status.agent, decide(host, facts, estate, desired, m.NOW, repair=repair).status.agent
    if before is None:
        assert after is None
        return
    assert after is not None
    assert (after.attempt, after.run_command, after.nonce) == (before.attempt, before.run_command, before.nonce)
    assert (after.seals_at, after.intended_at) == (before.seals_at, before.intended_at)
    if before.outcome is not None:
        assert after == before


# S3: the right workload -------------------------------------------------------------------------------------------


@bounded
@whatever
def test_only_a_proven_workload_is_stamped(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    decision = decide(host, facts, estate, desired, m.NOW, repair=repair)
    for action in decision.actions:
        if not isinstance(action, StampWorkload):
            continue
        vm, claimed, record = vm_of(facts), pce_of(facts).claimed, decision.status.agent
        assert vm is not None
        assert claimed is not None
        assert record is not None
        assert action.workload == claimed.href
        assert not claimed.external_set
        assert not claimed.external_reference
        assert claimed.addresses & {address.ip for address in vm.record.addresses()}
        assert record.workload, "the script of this VM named it"
        if record.outcome == AgentOutcome.PAIRED and record.intended_at is not None:
            assert claimed.created_at is not None
            assert claimed.created_at >= record.intended_at - timedelta(minutes=2)


# S4 and S7: never less protected, only what is ours ---------------------------------------------------------------


@bounded
@whatever
def test_an_unreadable_system_never_turns_a_true_condition(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    held = tuple(m.condition(stage.condition, ConditionStatus.TRUE, m.ago(days=1)) for stage in STAGES)
    host = m.with_status(host, msgspec.structs.replace(host.status, conditions=held))
    owners = {
        ConditionType.DISCOVERED: facts.azure,
        ConditionType.AGENT_PAIRED: facts.illumio,
        ConditionType.LABELLED: facts.illumio,
        ConditionType.GROUPED: facts.check_point,
        ConditionType.POLICY_INSTALLED: facts.check_point,
    }
    status = decide(host, facts, estate, desired, m.NOW, repair=repair).status
    for kind, system in owners.items():
        if system is UNREADABLE:
            made, old = find(status.conditions, kind), find(held, kind)
            assert made is not None
            assert old is not None
            assert made == msgspec.structs.replace(old, observed_generation=host.generation)


@bounded
@whatever
def test_when_no_system_can_be_read_nothing_is_done_and_nothing_is_taken_back(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    del facts
    decision = decide(host, HostFacts(), estate, desired, m.NOW, repair=repair)
    assert decision.actions == ()
    assert (decision.status.azure, decision.status.illumio) == (host.status.azure, host.status.illumio)
    assert decision.status.check_point == host.status.check_point
    for made in decision.status.conditions[: len(STAGES)]:
        old = find(host.status.conditions, made.type)
        kept = old is not None and old.status == ConditionStatus.TRUE
        assert made.status == (ConditionStatus.TRUE if kept else made.status)


@bounded
@whatever
def test_enforcement_is_raised_only_on_our_own_and_never_lowered(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    decision = decide(host, facts, estate, desired, m.NOW, repair=repair)
    for action in decision.actions:
        if isinstance(action, RaiseEnforcement):
            workload = pce_of(facts).stamped
            assert workload is not None
            assert action.workload == workload.href
            assert MODES.index(action.mode) > MODES.index(workload.enforcement_mode)
            assert host.status.agent is not None


@bounded
@whatever
def test_labels_are_set_by_wanted_key_on_the_stamped_workload_and_taken_off_only_where_ours(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    decision = decide(host, facts, estate, desired, m.NOW, repair=repair)
    for action in decision.actions:
        if isinstance(action, SetLabels):
            assert desired is not None
            assert pce_of(facts).stamped is not None
            assert {key for key, _ in action.labels} <= {key for key, _ in desired.labels}
            owned = set(host.status.illumio.owned_keys) if host.status.illumio else set()
            assert set(action.clear) <= owned & set(desired.removed)
            after = decision.status.illumio
            assert after is not None
            assert set(after.owned_keys) <= owned | {key for key, _ in action.labels}
            assert set(after.owned_keys) >= {key for key, _ in action.labels}, "ours before the call"
        if isinstance(action, CreateLabel):
            assert estate.create_labels
            assert desired is not None
            assert (action.key, action.value) in desired.labels
            assert (action.key, action.value) not in estate.labels


@bounded
@whatever
def test_only_our_objects_are_changed_and_only_wanted_allowed_existing_unlocked_groups_joined(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    decision = decide(host, facts, estate, desired, m.NOW, repair=repair)
    view = wall_of(facts)
    own = {item.uid: item for item in view.own}
    recorded = set(host.status.check_point.groups) if host.status.check_point else set()
    for action in decision.actions:
        if not isinstance(action, PutObject | DropObject):
            continue
        assert desired is not None
        assert desired.miss or not desired.pending_groups
        if isinstance(action, DropObject):
            assert action.uid in own
            continue
        assert action.uid in own or not action.uid
        assert action.name.lower() not in view.name_clashes
        assert all(item.owner == m.OWNER for item in view.address_clashes.get(action.address, ()))
        assert set(action.join) <= {*desired.groups, *desired.pending_groups} & estate.groups.keys()
        assert not estate.allowed_groups or set(action.join) <= estate.allowed_groups
        assert set(action.leave) <= recorded - {*desired.groups, *desired.pending_groups}
        assert not [
            name for name in (*action.join, *action.leave) if name in estate.groups and estate.groups[name].locked_by
        ]


@bounded
@whatever
def test_an_unanswered_mapping_changes_no_label_and_no_group_that_depends_on_it(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    if desired is None or desired.miss:
        decision = decide(host, facts, estate, desired, m.NOW, repair=repair)
        labels, objects = SetLabels | CreateLabel, PutObject | DropObject
        forbidden = labels | objects if desired is None else labels  # what leaves a group: the test above
        assert not [action for action in decision.actions if isinstance(action, forbidden)]


# S8: published is not installed -----------------------------------------------------------------------------------


@bounded
@whatever
def test_policy_counts_as_installed_only_where_every_target_covers_the_published_objects(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    decision = decide(host, facts, estate, desired, m.NOW, repair=repair)
    installed = find(decision.status.conditions, ConditionType.POLICY_INSTALLED)
    assert installed is not None
    if installed.status != ConditionStatus.TRUE or facts.check_point is UNREADABLE:
        return
    record = decision.status.check_point or CheckPointRecord()
    if record.groups:
        assert record.published_at is not None
        context = HostContext(m.with_status(host, decision.status), facts, estate, desired, m.NOW)
        assert estate.policies
        for policy in estate.policies:
            assert policy.targets
            for target in policy.targets:
                assert covers(estate.gateways.get(target), policy, context)


@bounded
@whatever
def test_nothing_is_installed_outside_the_window_nor_before_a_publish(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    decision = decide(host, facts, estate, desired, m.NOW, repair=repair)
    for action in decision.actions:
        if isinstance(action, InstallPolicy):
            assert estate.window_opens is None
            assert decision.status.check_point is not None
            assert decision.status.check_point.published_at == action.published_at
            assert action.targets


# S12: forgetful start ---------------------------------------------------------------------------------------------


@bounded
@given(estate=s.estates, desired=s.wishes, repair=st.booleans())
@example(estate=m.estate(), desired=m.desired(), repair=True)
def test_an_empty_record_of_a_protected_vm_is_filled_by_looking(
    estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    """Nothing that the world shows as wanted is done again, whatever the estate's spec says."""
    del desired
    if not {"SO"} <= estate.groups.keys() or (estate.allowed_groups and "SO" not in estate.allowed_groups):
        return
    decision = decide(m.host(), m.protected_facts(), estate, m.desired(), m.NOW, repair=repair)
    assert {type(action) for action in decision.actions} <= {InstallPolicy}
    assert decision.status.illumio is not None
    assert decision.status.illumio.workload == m.HREF
    assert decision.status.illumio.owned_keys == (), "what others set does not become ours"
    for kind in (ConditionType.DISCOVERED, ConditionType.AGENT_PAIRED, ConditionType.LABELLED, ConditionType.GROUPED):
        made = find(decision.status.conditions, kind)
        assert made is not None
        assert made.status == ConditionStatus.TRUE


def test_a_forgotten_vm_with_an_unstamped_workload_is_asked_and_not_installed() -> None:
    decision = decide(m.host(), m.facts(illumio=m.illumio(candidates=(m.workload(),))), m.estate(), m.desired(), m.NOW)
    assert [action.mode for action in decision.actions if isinstance(action, StartScript)] == ["probe"]


# from start to end -----------------------------------------------------------------------------------------------


def test_the_worlds_answers_lead_from_nothing_to_commissioned_and_then_to_silence() -> None:
    """One host, told by what each system shows in turn; the record is written after each decision."""
    record = m.attempt(started_at=None)
    paired = m.run_command(record, "Succeeded", m.result_line(record, "paired", 0, m.UUID))
    shared = ("app", "Orchestrate"), ("env", "Dev")
    older = m.estate(gateways={})
    acts: Counter[str] = Counter()

    def step(host: ManagedHost, facts: HostFacts, estate: EstateContext = older) -> ManagedHost:
        decision = decide(host, facts, estate, m.desired(), m.NOW)
        acts.update(type(action).__name__ for action in decision.actions)
        return m.with_status(host, decision.status)

    host = step(m.host(), m.facts())
    host = m.with_status(host, msgspec.structs.replace(host.status, agent=record))
    host = step(host, m.facts(run_command=Seen(paired), check_point=m.check_point(m.host_object(m.OBJECT, m.IP, "SO"))))
    assert acts == {"StartScript": 1, "PutObject": 1, "InstallPolicy": 1}
    host = step(
        host,
        m.facts(
            illumio=m.illumio(claimed=m.workload()), check_point=m.check_point(m.host_object(m.OBJECT, m.IP, "SO"))
        ),
    )
    host = step(
        host,
        m.facts(illumio=m.illumio(stamped=m.stamped()), check_point=m.check_point(m.host_object(m.OBJECT, m.IP, "SO"))),
    )
    assert (acts["StampWorkload"], acts["SetLabels"]) == (1, 1)
    host = step(
        host,
        m.facts(illumio=m.illumio(stamped=m.stamped(*shared)), check_point=m.protected_facts().check_point),
        m.estate(),
    )
    assert (host.status.stage, host.status.ready) == ("Commissioned", "True")
    assert acts["DeleteRunCommands"] == 2, "while the stamp is seen, until they are gone"
    host = step(host, dataclasses.replace(m.protected_facts(), commands_deleted=True), m.estate())
    assert host.status.agent is not None
    assert host.status.agent.run_command == ""
    timeline = host.status.timeline
    assert timeline is not None
    assert [getattr(timeline, name) for name in timeline.__struct_fields__[1:]] == [m.NOW] * 6 + [None]
    assert len(host.status.history) == 6
    for days in (0, 1, 400):
        later = decide(host, m.protected_facts(), m.estate(), m.desired(), m.NOW + timedelta(days=days))
        assert later.status == host.status
        assert (later.actions, later.look_again, later.standing) == ((), None, Standing.COMMISSIONED)


@pytest.mark.parametrize("azure", [ABSENT, UNREADABLE])
@pytest.mark.parametrize("illumio", [UNREADABLE, m.protected_facts().illumio])
@pytest.mark.parametrize("check_point", [UNREADABLE, m.protected_facts().check_point])
def test_a_commissioned_host_keeps_its_stages_while_systems_are_away(
    azure: object, illumio: object, check_point: object
) -> None:
    host = m.host()
    for _ in range(2):
        host = m.with_status(host, decide(host, m.protected_facts(), m.estate(), m.desired(), m.NOW).status)
    facts = HostFacts(azure=azure, illumio=illumio, check_point=check_point)  # type: ignore[arg-type]
    decision = decide(host, facts, m.estate(), None, m.ahead(days=1))
    kept: list[Condition] = [made for made in decision.status.conditions[:5] if made.status == ConditionStatus.TRUE]
    assert len(kept) >= 4, "only Discovered may be in doubt, and only where Azure's answer lacks the VM"
    assert decision.actions == ()
