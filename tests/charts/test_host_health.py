"""kstatus' own library agrees with us about every state of a host that a decision can lead to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.charts.test_health import Object, made, program
from tests.unit.planning import strategies as s

from lab.memory import samples as m
from lab.processes import run_program
from microseg.model.condition import ConditionStatus, ConditionType, Reason, find
from microseg.model.desired import Desired
from microseg.model.facts import ABSENT, UNREADABLE, HostFacts, Seen
from microseg.model.host import GoneProof, HostStatus, ManagedHost, RetirementRecord
from microseg.planning.decide import Decision, Standing, decide
from microseg.stages.context import EstateContext


def judged(decisions: Sequence[Decision]) -> list[str]:
    """What kstatus makes of the statuses, as the API server would hand them out."""
    items: list[Object] = []
    for decision in decisions:
        status = json.loads(msgspec.json.encode(decision.status))
        items.append(made("ManagedHost") | {"status": status})
        items[-1]["metadata"]["generation"] = decision.status.observed_generation
    return run_program([program()], input=json.dumps({"items": items})).split()


def settled() -> ManagedHost:
    """A host that is commissioned."""
    host = m.host()
    for _ in range(2):
        host = m.with_status(host, decide(host, m.protected_facts(), m.estate(), m.desired(), m.NOW).status)
    return host


def of(
    facts: HostFacts | None = None, host: ManagedHost | None = None, desired: Desired | None = None, **estate: object
) -> Decision:
    """A decision; nothing was done for the host yet where nothing is said."""
    return decide(host or m.host(), facts or m.facts(), m.estate(**estate), desired or m.desired(), m.NOW)


LABELLED = m.illumio(stamped=m.stamped(("app", "Orchestrate"), ("env", "Dev")))
PUBLISHED = m.facts(check_point=m.check_point(m.host_object(m.OBJECT, m.IP, "SO")))
RELABELLED = m.illumio(stamped=m.stamped(("app", "Orchestrate"), ("env", "Prod")))
GONE = msgspec.structs.replace(
    settled().status, retirement=RetirementRecord(proof=GoneProof.NOT_FOUND, began_at=m.ago(minutes=1))
)
STATES: list[tuple[str, Decision, Standing, str, Reason]] = [
    ("commissioned", of(m.protected_facts(), settled()), Standing.COMMISSIONED, "Current", Reason.COMMISSIONED),
    ("new", of(), Standing.IN_PROGRESS, "InProgress", Reason.INSTALLING_AGENT),
    (
        "installing",
        of(host=m.host(HostStatus(agent=m.attempt()))),
        Standing.IN_PROGRESS,
        "InProgress",
        Reason.INSTALLING_AGENT,
    ),
    (
        "a VM that is stopped",
        of(replace(PUBLISHED, azure=Seen(m.vm(power_state="deallocated")))),
        Standing.WAITING,
        "InProgress",
        Reason.VM_NOT_RUNNING,
    ),
    (
        "no rule matches",
        of(m.facts(illumio=LABELLED), desired=m.desired(groups=(), pending_groups=("SO",), miss="No rule matches.")),
        Standing.WAITING,
        "InProgress",
        Reason.MAPPING_MISS,
    ),
    (
        "blocked at one stage while another is worked on",
        of(m.facts(illumio=RELABELLED), groups={}),
        Standing.BLOCKED,
        "Failed",
        Reason.GROUP_MISSING,
    ),
    (
        "blocked before the agent is installed",
        of(profiles={"Linux": "The profile is disabled."}),
        Standing.BLOCKED,
        "Failed",
        Reason.PAIRING_PROFILE_UNSAFE,
    ),
    (
        "a label was changed by hand",
        of(replace(m.protected_facts(), illumio=RELABELLED), settled()),
        Standing.IN_PROGRESS,
        "InProgress",
        Reason.SETTING_LABELS,
    ),
    (
        "suspended",
        of(host=m.host(suspend=True)),
        Standing.WAITING,
        "InProgress",
        Reason.SUSPENDED,
    ),
    ("observed", of(enforcing=False), Standing.WAITING, "InProgress", Reason.OBSERVING),
    (
        "no longer selected, and protected",
        of(replace(m.protected_facts(), azure=Seen(m.vm(selected=False))), settled()),
        Standing.DESELECTED,
        "InProgress",
        Reason.DESELECTED,
    ),
    (
        "missing in Azure",
        of(replace(m.protected_facts(), azure=ABSENT), settled(), subscriptions=frozenset({"s1"})),
        Standing.WAITING,
        "InProgress",
        Reason.NOT_SEEN,
    ),
    (
        "being retired",
        of(m.facts(azure=ABSENT), m.host(GONE)),
        Standing.RETIRING,
        "InProgress",
        Reason.RETIRING,
    ),
    (
        "nothing can be read, and it was commissioned",
        of(m.facts(azure=UNREADABLE, illumio=UNREADABLE, check_point=UNREADABLE), settled()),
        Standing.COMMISSIONED,
        "Current",
        Reason.COMMISSIONED,
    ),
    (
        "nothing can be read, and nothing is known",
        of(m.facts(azure=UNREADABLE, illumio=UNREADABLE, check_point=UNREADABLE)),
        Standing.IN_PROGRESS,
        "InProgress",
        Reason.AZURE_UNREADABLE,
    ),
]


@pytest.mark.parametrize(
    ("name", "decision", "standing", "verdict", "reason"), STATES, ids=[each[0] for each in STATES]
)
def test_kstatus_sees_a_host_as_its_estate_counts_it(
    name: str, decision: Decision, standing: Standing, verdict: str, reason: Reason
) -> None:
    assert (decision.standing, decision.status.reason, judged([decision])) == (standing, reason, [verdict]), name


def test_the_table_has_every_standing() -> None:
    assert {each[2] for each in STATES} == set(Standing)


def test_kstatus_agrees_about_whatever_a_decision_can_lead_to() -> None:
    found: list[Decision] = []

    @settings(
        max_examples=400,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(host=s.hosts, facts=s.facts, estate=s.estates, desired=s.wishes)
    def collect(host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None) -> None:
        found.append(decide(host, facts, estate, desired, m.NOW))

    collect()
    assert len({decision.status.reason for decision in found}) > 15
    for decision, verdict in zip(found, judged(found), strict=True):
        ready = find(decision.status.conditions, ConditionType.READY)
        assert ready is not None
        expected = "Current" if ready.status == ConditionStatus.TRUE else "InProgress"
        if decision.standing is Standing.BLOCKED or decision.status.stage == "Blocked":
            expected = "Failed"
        assert verdict == expected, decision.status
