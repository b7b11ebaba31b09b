"""Drift of every kind: found and told precisely, repaired or only reported, and never fought over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from lab.memory import samples as m
from microseg.model.agent_record import AgentOutcome
from microseg.model.checkpoint_facts import EnforcementPoint, Group, Revision
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason, find
from microseg.model.facts import HostFacts, Seen
from microseg.model.host import HostStatus, ManagedHost
from microseg.model.plan import InstallPolicy, PutObject, RaiseEnforcement, SetLabels, StampWorkload, StartScript
from microseg.planning.decide import Decision, Standing, decide
from microseg.planning.drift import MOST_REPAIRS
from microseg.stages.context import EstateContext


class Life:
    """One protected host whose time is moved by hand; every decision is written as the recorder would."""

    def __init__(self, *, repair: bool = True, **estate: Any) -> None:
        self.now, self.repair = m.NOW, repair
        self.estate: EstateContext = m.estate(**estate)
        paired = m.ended(AgentOutcome.PAIRED, workload=m.UUID, run_command="")
        self.host: ManagedHost = m.host(HostStatus(agent=paired))
        self.facts: HostFacts = m.protected_facts()
        decision = self.decide()
        assert decision.standing == Standing.COMMISSIONED

    def decide(self, **facts: Any) -> Decision:
        """Facts change, a decision is made and written."""
        self.facts = replace(self.facts, **facts)
        decision = decide(self.host, self.facts, self.estate, m.desired(), self.now, repair=self.repair)
        self.host = m.with_status(self.host, decision.status)
        return decision

    def later(self, **parts: float) -> None:
        self.now += timedelta(**parts)

    def annotate(self, word: str) -> None:
        self.host = msgspec.structs.replace(self.host, annotations={"microseg.dev/retry": word})

    def condition(self, kind: ConditionType) -> Condition:
        made = find(self.host.status.conditions, kind)
        assert made is not None
        return made

    @property
    def drifted(self) -> Condition:
        return self.condition(ConditionType.DRIFTED)


def relabelled(*labels: tuple[str, str], **changes: Any) -> dict[str, Any]:
    changed = m.stamped(*(labels or (("app", "Orchestrate"), ("env", "Prod"))), updated_by="/users/7", **changes)
    return {"illumio": m.illumio(stamped=changed, recorded=changed)}


def ungrouped() -> dict[str, Any]:
    return {"check_point": m.check_point(m.host_object())}


def right() -> dict[str, Any]:
    facts = m.protected_facts()
    return {"illumio": facts.illumio, "check_point": facts.check_point}


def gone() -> dict[str, Any]:
    return {"illumio": m.illumio(), "unpaired_readings": 2}


GROUPS = {"SO": Group("SO", "g1", modifier="alice"), "Web": Group("Web", "g2")}
OLDER = Revision("rev-1", m.PUBLISHED.published_at - timedelta(hours=5), by="alice")
LATEST = Revision("rev-9", m.NOW, by="alice")

FIRST_CHANGES: list[tuple[str, dict[str, Any], dict[str, Any], ConditionType, type, str]] = [
    (
        "a label changed", relabelled(), {}, ConditionType.LABELLED, SetLabels,
        "In the PCE label env is Prod instead of Dev. It was last written by /users/7.",
    ),
    (
        "a label removed", relabelled(("app", "Orchestrate")), {}, ConditionType.LABELLED, SetLabels,
        "In the PCE label env=Dev was removed. It was last written by /users/7.",
    ),
    (
        "a member taken out", ungrouped(), {"groups": GROUPS}, ConditionType.GROUPED, PutObject,
        f"In Check Point object {m.OBJECT} was taken out of group SO (last written by alice).",
    ),
    (
        "an object renamed", {"check_point": m.check_point(m.host_object("web", m.IP, "SO", modifier="bob"))}, {},
        ConditionType.GROUPED, PutObject, f"In Check Point object {m.OBJECT} was renamed to web (last written by bob).",
    ),
    (
        "an object's address changed",
        {"check_point": m.check_point(m.host_object(m.OBJECT, "10.9.9.9", "SO", modifier="bob"))}, {},
        ConditionType.GROUPED, PutObject,
        f"In Check Point object {m.OBJECT} has the address 10.9.9.9 instead of {m.IP} (last written by bob).",
    ),
    (
        "an address added to an object",
        {"check_point": m.check_point(
            m.host_object(m.OBJECT, m.IP, "SO", modifier="bob"),
            m.host_object(m.OBJECT, "fd00::99", "SO", modifier="bob"),
        )}, {},
        ConditionType.GROUPED, PutObject,
        f"In Check Point object {m.OBJECT} also has fd00::99 (last written by bob).",
    ),
    (
        "an object deleted",
        {"check_point": m.check_point()}, {"last_revision": LATEST}, ConditionType.GROUPED, PutObject,
        f"In Check Point object {m.OBJECT} was deleted (the latest publish is by alice).",
    ),
    (
        "a workload unpaired", gone(), {}, ConditionType.AGENT_PAIRED, StartScript, f"Workload {m.HREF} was unpaired.",
    ),
    (
        "a stamp removed", {"illumio": m.illumio(claimed=m.workload(), recorded=m.workload(updated_by="/users/7"))}, {},
        ConditionType.AGENT_PAIRED, StampWorkload,
        f"Workload {m.HREF} lost our stamp. It was last written by /users/7.",
    ),
    (
        "enforcement lowered",
        relabelled(("app", "Orchestrate"), ("env", "Dev"), enforcement_mode="idle"), {}, ConditionType.AGENT_PAIRED,
        RaiseEnforcement,
        "Enforcement was lowered to idle, below visibility_only. It was last written by /users/7.",
    ),
    (
        "another package installed", {}, {"gateways": {"gw1": EnforcementPoint("gw1", "Other", LATEST, m.NOW)}},
        ConditionType.POLICY_INSTALLED, InstallPolicy, "Target gw1 has Other installed instead of Standard.",
    ),
    (
        "an older revision installed", {}, {"gateways": {"gw1": EnforcementPoint("gw1", "Standard", OLDER, m.NOW)}},
        ConditionType.POLICY_INSTALLED, InstallPolicy,
        "Target gw1 has an older revision of Standard installed, published 2026-06-01 06:00 UTC.",
    ),
]  # fmt: skip
KINDS = pytest.mark.parametrize(
    ("facts", "estate", "stage", "action", "told"),
    [row[1:] for row in FIRST_CHANGES],
    ids=[row[0] for row in FIRST_CHANGES],
)


@KINDS
def test_what_was_changed_is_told_with_its_time_and_its_writer_and_put_right(
    facts: dict[str, Any], estate: dict[str, Any], stage: ConditionType, action: type, told: str
) -> None:
    life = Life()
    life.later(hours=1)
    life.estate = replace(life.estate, **estate)
    decision = life.decide(**facts)

    assert life.drifted.status == ConditionStatus.TRUE
    assert life.drifted.reason == Reason.DRIFT_FOUND
    assert life.drifted.message == f"{told} Found 2026-06-01 13:00 UTC."
    assert life.drifted.last_transition_time == life.now
    assert [type(each) for each in decision.actions] == [action]
    (record,) = life.host.status.drift
    assert (record.stage, record.since, record.repairs, record.open) == (stage, life.now, 0, True)

    life.later(minutes=10)
    again = life.decide()
    assert again.status.drift == (record,)
    assert life.drifted.message.endswith("Found 2026-06-01 13:00 UTC.")


@KINDS
def test_reported_drift_is_shown_and_not_touched(
    facts: dict[str, Any], estate: dict[str, Any], stage: ConditionType, action: type, told: str
) -> None:
    life = Life(repair=False)
    life.later(hours=1)
    life.estate = replace(life.estate, **estate)
    decision = life.decide(**facts)

    assert life.drifted.message.startswith(told)
    assert not any(isinstance(each, action) for each in decision.actions)
    assert decision.actions == ()
    assert life.host.status.drift[0].stage == stage
    assert life.condition(ConditionType.STALLED).status == ConditionStatus.FALSE


def test_a_host_that_nobody_changed_has_no_drift_and_no_record_of_it() -> None:
    life = Life()
    life.later(days=3)
    before = life.host.status
    assert life.decide().status == before
    assert before.drift == ()


def test_drift_is_shown_while_the_repair_waits_for_a_lock() -> None:
    life = Life(groups={"SO": Group("SO", "g1", locked_by="alice")})
    life.decide(**ungrouped())

    assert life.condition(ConditionType.GROUPED).reason == Reason.GROUP_LOCKED
    assert life.drifted.status == ConditionStatus.TRUE


def test_what_was_put_right_counts_only_for_installs_of_a_later_revision() -> None:
    life = Life()
    life.decide(**ungrouped())
    published = Revision("rev-3", m.NOW + timedelta(minutes=1))
    life.later(minutes=2)
    life.estate = replace(life.estate, last_revision=published)
    decision = life.decide(**right())

    record = decision.status.check_point
    assert record is not None
    assert record.published_at == published.published_at
    assert [type(each) for each in decision.actions] == [InstallPolicy]
    assert life.condition(ConditionType.POLICY_INSTALLED).status == ConditionStatus.FALSE


def test_a_changed_mapping_is_no_drift() -> None:
    life = Life()
    decision = decide(life.host, life.facts, life.estate, m.desired(labels=(("app", "Shop"),)), life.now)
    assert decision.status.drift == ()


def test_a_new_address_is_no_drift() -> None:
    life = Life()
    life.decide(azure=Seen(m.vm("10.1.0.77")))
    assert life.drifted.status == ConditionStatus.FALSE


def test_a_higher_enforcement_floor_is_no_drift() -> None:
    life = Life()
    life.estate = replace(life.estate, enforcement_floor="selective")
    decision = life.decide()
    assert [type(each) for each in decision.actions] == [RaiseEnforcement]
    assert life.drifted.status == ConditionStatus.FALSE


def fight(life: Life, change: Callable[[], dict[str, Any]], rounds: int) -> Decision:
    """Somebody changes it, we put it right, and so on."""
    decision = life.decide()
    for _ in range(rounds):
        life.later(minutes=10)
        life.decide(**change())
        life.later(minutes=10)
        decision = life.decide(**right())
    return decision


def test_after_three_repairs_it_is_left_alone_and_says_who_and_since_when() -> None:
    life = Life(groups=GROUPS)
    fight(life, ungrouped, MOST_REPAIRS)
    life.later(minutes=10)
    decision = life.decide(**ungrouped())

    assert decision.actions == ()
    assert decision.standing == Standing.BLOCKED
    for kind in (ConditionType.DRIFTED, ConditionType.STALLED):
        assert life.condition(kind).status == ConditionStatus.TRUE
        assert life.condition(kind).reason == Reason.CONTENTION
    message = life.drifted.message
    assert "last written by alice" in message
    assert "Since 2026-06-01 12:10 UTC it was repaired 3 times" in message
    assert life.condition(ConditionType.GROUPED).reason == Reason.CONTENTION


def test_contended_enforcement_takes_nothing_from_the_pairing() -> None:
    life = Life()
    fight(life, lambda: relabelled(("app", "Orchestrate"), ("env", "Dev"), enforcement_mode="idle"), MOST_REPAIRS)
    decision = life.decide(**relabelled(("app", "Orchestrate"), ("env", "Dev"), enforcement_mode="idle"))

    assert decision.actions == ()
    assert life.condition(ConditionType.AGENT_PAIRED).status == ConditionStatus.TRUE
    assert life.condition(ConditionType.STALLED).reason == Reason.CONTENTION
    assert decision.standing == Standing.BLOCKED


def test_one_contended_stage_does_not_hold_up_another() -> None:
    life = Life(groups=GROUPS)
    fight(life, ungrouped, MOST_REPAIRS)
    decision = life.decide(**(relabelled() | ungrouped()))
    assert [type(each) for each in decision.actions] == [SetLabels]


def test_a_person_lets_it_be_put_right_again() -> None:
    life = Life(groups=GROUPS)
    fight(life, ungrouped, MOST_REPAIRS)
    life.decide(**ungrouped())
    life.annotate("drift")
    decision = life.decide()

    assert [type(each) for each in decision.actions] == [PutObject]
    assert life.host.status.drift[0].repairs == 0
    assert life.condition(ConditionType.STALLED).status == ConditionStatus.FALSE


def test_contention_ends_when_the_other_side_puts_it_back_but_is_remembered() -> None:
    life = Life(groups=GROUPS)
    fight(life, ungrouped, MOST_REPAIRS)
    life.decide(**ungrouped())
    life.decide(**right())
    assert life.condition(ConditionType.STALLED).status == ConditionStatus.FALSE
    life.later(hours=2)
    life.decide(**ungrouped())
    assert life.drifted.reason == Reason.CONTENTION


def test_a_quiet_day_is_forgotten() -> None:
    life = Life(groups=GROUPS)
    fight(life, ungrouped, MOST_REPAIRS)
    life.later(days=1, minutes=1)
    assert life.decide().status.drift == ()
    decision = life.decide(**ungrouped())
    assert [type(each) for each in decision.actions] == [PutObject]


def test_contention_that_nobody_settles_is_not_forgotten() -> None:
    life = Life(groups=GROUPS)
    fight(life, ungrouped, MOST_REPAIRS)
    life.decide(**ungrouped())
    life.later(days=3)
    decision = life.decide()
    assert decision.actions == ()
    assert life.drifted.reason == Reason.CONTENTION


def test_a_failed_reading_neither_ends_nor_counts_anything() -> None:
    life = Life()
    life.decide(**relabelled())
    before = life.host.status.drift
    unread = HostFacts(azure=life.facts.azure, check_point=life.facts.check_point)
    life.facts = unread
    assert life.decide().status.drift == before


def test_what_only_a_suspended_host_saw_put_right_is_no_repair_of_ours() -> None:
    life = Life()
    life.decide(**relabelled())
    life.host = msgspec.structs.replace(life.host, spec=msgspec.structs.replace(life.host.spec, suspend=True))
    life.later(minutes=5)
    life.decide(**right())
    assert life.host.status.drift[0].repairs == 0


# a workload that was unpaired -------------------------------------------------------------------------------------


def test_one_reading_without_the_workload_starts_no_installer() -> None:
    life = Life()
    decision = life.decide(illumio=m.illumio(), unpaired_readings=1)
    assert decision.actions == ()
    assert life.condition(ConditionType.AGENT_PAIRED).reason == Reason.UNPAIRED


def test_a_new_workload_of_the_vm_is_asked_for_before_anything_is_installed() -> None:
    life = Life()
    newcomer = m.workload(href="/orgs/50/workloads/0f1e2d3c-0000-4000-8000-00000000beef")
    decision = life.decide(illumio=m.illumio(candidates=(newcomer,)), unpaired_readings=2)
    assert decision.actions == (StartScript(m.VM_ID, "probe"),)


def test_the_workload_of_the_second_pairing_is_proven_like_the_first() -> None:
    life = Life()
    life.decide(**gone())
    uuid = "0f1e2d3c-0000-4000-8000-00000000beef"
    second = m.ended(AgentOutcome.PAIRED, number=2, workload=uuid, intended_at=life.now, run_command="")
    life.host = m.with_status(life.host, msgspec.structs.replace(life.host.status, agent=second))
    made = m.workload(href=f"/orgs/50/workloads/{uuid}", created_at=life.now + timedelta(seconds=30))
    life.later(minutes=2)
    decision = life.decide(illumio=m.illumio(claimed=made), unpaired_readings=3)
    assert decision.actions == (StampWorkload(m.VM_ID, made.href),)


@pytest.mark.parametrize(
    ("outcome", "mode", "asked"),
    [(AgentOutcome.PAIRED, "install", ["probe"]), (AgentOutcome.ALREADY_PAIRED, "probe", [])],
)
def test_a_claim_that_was_never_confirmed_is_asked_of_the_vm_once_and_no_installer_starts_by_itself(
    outcome: AgentOutcome, mode: str, asked: list[str]
) -> None:
    claimed = m.ended(outcome, workload=m.UUID, mode=mode, finished_at=m.ago(hours=2))
    decision = decide(m.host(HostStatus(agent=claimed)), m.facts(), m.estate(), m.desired(), m.NOW)
    assert [each.mode for each in decision.actions if isinstance(each, StartScript)] == asked


def test_a_workload_is_not_paired_again_for_ever() -> None:
    life = Life()
    fight(life, gone, MOST_REPAIRS)
    decision = life.decide(**gone())
    assert not [each for each in decision.actions if isinstance(each, StartScript)]
    assert life.condition(ConditionType.AGENT_PAIRED).reason == Reason.CONTENTION
    life.annotate("agent")
    decision = life.decide()
    assert [each for each in decision.actions if isinstance(each, StartScript)]
