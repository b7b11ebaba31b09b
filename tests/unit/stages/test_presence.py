"""`AgentPaired` follows the VEN: paired once is not protected now, and the PCE's own words say why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from lab.memory import samples as m
from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.facts import ABSENT, UNREADABLE, Seen
from microseg.model.host import HostStatus
from microseg.model.illumio_record import IllumioRecord
from microseg.model.names import Annotation
from microseg.model.plan import ReadRunCommand, StartScript
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.planning.decide import Decision, Standing, decide
from microseg.stages import agent

BEAT = m.ago(hours=2)
OFFLINE: dict[str, Any] = {"online": False, "heartbeat_at": BEAT}
RETRY = {Annotation.RETRY.value: "agent"}


def judge(
    record: AgentRecord | None = None, *, power: str = "running", retry: bool = False, estate: Any = None, **ven: Any
) -> Verdict:
    host = m.host(HostStatus(agent=record), annotations=RETRY if retry else {})
    facts = m.facts(azure=Seen(m.vm(power_state=power)), illumio=m.illumio(stamped=m.stamped(**ven)))
    return agent.judge(m.context(host=host, facts=facts, estate=estate or m.estate()))


def probed(outcome: AgentOutcome, **changes: Any) -> AgentRecord:
    return m.ended(outcome, mode="probe", **changes)


# what the PCE says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ven", "word"),
    [
        (OFFLINE, "offline"),
        ({"online": False}, "offline"),
        ({"online": True, "ven_status": "stopped", "heartbeat_at": BEAT}, "stopped"),
        ({"online": True, "silent": True, "heartbeat_at": BEAT}, "silent"),
        ({"online": None, "silent": True}, "silent"),
    ],
)
def test_a_ven_that_the_pce_does_not_hear_is_doubt_while_its_vm_runs(ven: dict[str, Any], word: str) -> None:
    verdict = judge(**ven)
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt, verdict.moving, verdict.actions) == (Reason.VEN_OFFLINE, True, False, ())
    assert f"as {word}" in verdict.message
    assert ("2026-06-01 10:00:00 UTC" in verdict.message) is ("heartbeat_at" in ven)


@pytest.mark.parametrize("status", ["suspended", "uninstalled"])
@pytest.mark.parametrize("power", ["running", "deallocated"])
def test_a_ven_that_enforces_nothing_is_not_paired(status: str, power: str) -> None:
    verdict = judge(power=power, ven_status=status)
    assert isinstance(verdict, Blocked)
    assert (verdict.reason, f"as {status}" in verdict.message) == (Reason.VEN_NOT_ACTIVE, True)


@pytest.mark.parametrize("power", ["stopped", "deallocating", "deallocated"])
def test_a_stopped_vm_stays_paired_and_says_since_when_its_ven_is_silent(power: str) -> None:
    verdict = judge(power=power, **OFFLINE)
    assert isinstance(verdict, Done)
    assert (
        f"The VM is {power}, and the PCE shows its VEN offline (last heartbeat 2026-06-01 10:00:00" in verdict.message
    )


@pytest.mark.parametrize("azure", [ABSENT, UNREADABLE])
@pytest.mark.parametrize(("power", "paired"), [("deallocated", True), ("running", False)])
def test_without_azures_list_the_recorded_power_state_counts(azure: Any, power: str, *, paired: bool) -> None:
    host = m.host(HostStatus(azure=m.vm(power_state=power).record))
    facts = m.facts(azure=azure, illumio=m.illumio(stamped=m.stamped(**OFFLINE)))
    verdict = agent.judge(m.context(host=host, facts=facts))
    assert isinstance(verdict, Done) is paired
    listed = replace(facts, azure=Seen(m.vm(power_state=power)))
    assert verdict.message == agent.judge(m.context(host=host, facts=listed)).message, "a restart changes no word"


def test_offline_counts_after_the_estates_own_patience_and_is_decided_then() -> None:
    view = m.estate(offline_after=3 * 3600.0)
    verdict = judge(estate=view, **OFFLINE)
    assert isinstance(verdict, Done)
    assert verdict.until == m.ahead(hours=1)
    assert isinstance(judge(estate=m.estate(offline_after=2 * 3600.0), **OFFLINE), Wait)
    assert isinstance(
        judge(estate=m.estate(offline_after=3 * 3600.0, illumio_ahead=timedelta(hours=1)), **OFFLINE), Wait
    )
    assert judge(estate=view, online=True, heartbeat_at=BEAT) == judge(), "online is online"


# asking the VM ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ven", [OFFLINE, {"online": True, "heartbeat_at": m.NOW}])
@pytest.mark.parametrize("record", [None, m.ended(AgentOutcome.PAIRED), m.ended(AgentOutcome.TIMED_OUT, failures=3)])
def test_a_retry_always_asks_the_vm_without_a_key(ven: dict[str, Any], record: AgentRecord | None) -> None:
    verdict = judge(record, retry=True, **ven)
    assert isinstance(verdict, Act)
    assert verdict.actions == (StartScript(m.VM_ID, "probe"),)


@pytest.mark.parametrize("view", [m.estate(enforcing=False), m.estate(suspended=True)])
def test_where_nothing_may_be_done_a_retry_changes_no_word(view: Any) -> None:
    assert judge(retry=True, estate=view, online=True) == judge(estate=view, online=True)


def test_a_retry_waits_for_a_vm_that_is_off() -> None:
    assert isinstance(judge(retry=True, power="deallocated", **OFFLINE), Done)


def test_a_probe_of_a_stamped_workload_is_followed_to_its_end() -> None:
    verdict = judge(m.attempt(mode="probe"), **OFFLINE)
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt) == (Reason.PROBING, True)
    assert verdict.actions == (ReadRunCommand(m.VM_ID, m.attempt().run_command),)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (probed(AgentOutcome.NOT_PAIRED), "it has no VEN"),
        (probed(AgentOutcome.ALREADY_PAIRED, workload="aaaa"), "paired as workload aaaa"),
        (probed(AgentOutcome.PAIRED_ELSEWHERE), "paired with another PCE"),
    ],
)
def test_what_the_vm_answers_against_the_pce_needs_a_person_and_starts_nothing(record: AgentRecord, words: str) -> None:
    verdict = judge(record, **OFFLINE)
    assert isinstance(verdict, Blocked)
    assert (verdict.reason, words in verdict.message, m.UUID in verdict.message) == (Reason.VEN_GONE, True, True)


def test_a_heartbeat_after_the_answer_outweighs_it_and_one_may_still_come() -> None:
    gone = probed(AgentOutcome.NOT_PAIRED, finished_at=m.ago(minutes=2))
    early = judge(gone, online=True, heartbeat_at=m.ago(minutes=4))
    assert isinstance(early, Wait)
    assert (early.reason, early.doubt, early.until) == (Reason.VEN_GONE, True, m.ahead(minutes=13))
    assert isinstance(judge(gone, online=True, heartbeat_at=m.NOW), Done)
    late = replace_finished(gone, minutes=16)
    assert isinstance(judge(late, online=True, heartbeat_at=m.ago(minutes=17)), Blocked)


def replace_finished(record: AgentRecord, **ago: float) -> AgentRecord:
    return probed(AgentOutcome(record.outcome or ""), finished_at=m.ago(**ago))


def test_a_vm_that_says_it_is_paired_as_the_pce_lists_it_needs_a_look_at_its_ven() -> None:
    verdict = judge(probed(AgentOutcome.ALREADY_PAIRED, workload=m.UUID), **OFFLINE)
    assert isinstance(verdict, Wait)
    assert (verdict.reason, "look at the VEN's service" in verdict.message) == (Reason.VEN_OFFLINE, True)


@pytest.mark.parametrize(
    ("power", "words"),
    [
        ("running", "Azure shows the VM running"),
        ("", "Azure does not say whether it runs"),
        ("unknown", "Azure does not say whether it runs"),
    ],
)
def test_a_vm_is_told_to_run_only_where_azure_says_so(power: str, words: str) -> None:
    verdict = judge(power=power, online=False)
    assert isinstance(verdict, Wait)
    assert (verdict.reason, words in verdict.message) == (Reason.VEN_OFFLINE, True)


# a workload that the PCE lost -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "orphaned"), [(m.ago(minutes=1), True), (m.ago(hours=2), False)])
def test_a_ven_whose_workload_the_pce_lost_is_asked_once_and_not_for_ever(asked: Any, *, orphaned: bool) -> None:
    since = m.ago(minutes=10)
    condition = Condition(
        type=ConditionType.AGENT_PAIRED, status=ConditionStatus.FALSE, reason="Unpaired", last_transition_time=since
    )
    record = m.ended(AgentOutcome.ALREADY_PAIRED, workload=m.UUID, intended_at=asked)
    status = HostStatus(agent=record, illumio=IllumioRecord(workload=m.HREF), conditions=(condition,))
    facts = m.facts(unpaired_readings=2)
    verdict = agent.judge(m.context(host=m.host(status), facts=facts))
    if orphaned:
        assert isinstance(verdict, Blocked)
        assert (verdict.reason, m.UUID in verdict.message) == (Reason.VEN_ORPHANED, True)
        again = agent.judge(m.context(host=m.host(status, annotations=RETRY), facts=facts))
        assert isinstance(again, Act)
    else:
        assert isinstance(verdict, Act)


# what people read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("full", "the host is protected (full)"),
        ("selective", "the host is protected (selective)"),
        ("visibility_only", "visible, not enforced"),
        ("idle", "idle, neither"),
    ],
)
def test_protected_is_said_only_where_it_is_enforced(mode: str, words: str) -> None:
    decision = decided(enforcement_mode=mode)
    ready = condition(decision, ConditionType.READY)
    assert ready.status == ConditionStatus.TRUE
    assert words in ready.message
    assert ("protected" in ready.message) is (mode in {"full", "selective"})


def test_ready_follows_the_ven_and_nothing_else_moves() -> None:
    decision = decided(**OFFLINE)
    ready = condition(decision, ConditionType.READY)
    assert (ready.status, ready.reason) == (ConditionStatus.UNKNOWN, Reason.VEN_OFFLINE)
    held = {each.type for each in decision.status.conditions if each.status == ConditionStatus.TRUE}
    assert {ConditionType.LABELLED, ConditionType.GROUPED, ConditionType.POLICY_INSTALLED} <= held
    assert (decision.actions, decision.standing) == ((), Standing.WAITING)
    assert not condition(decision, ConditionType.DRIFTED).message.startswith("Workload")


def decided(**ven: Any) -> Decision:
    """A commissioned host, whose VEN then is so."""
    host, facts = m.host(), m.protected_facts()
    for _ in range(2):
        host = m.with_status(host, decide(host, facts, m.estate(), m.desired(), m.NOW).status)
    assert isinstance(facts.illumio, Seen)
    stamped = facts.illumio.value.stamped
    assert stamped is not None
    facts = replace(facts, illumio=m.illumio(stamped=replace(stamped, **ven)))
    return decide(host, facts, m.estate(), m.desired(), m.NOW)


def condition(decision: Decision, kind: ConditionType) -> Condition:
    (found,) = [each for each in decision.status.conditions if each.type == kind]
    return found
