"""A script's claim against the facts of the PCE and of Azure: root on one VM gets no other workload by it (S3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from lab.memory import samples as m
from microseg.engine.state.snapshots import IllumioSnapshot
from microseg.model.agent_record import AgentOutcome
from microseg.model.condition import Reason
from microseg.model.facts import Presence, Rival, Seen
from microseg.model.host import HostStatus
from microseg.model.illumio_facts import Workload
from microseg.model.names import Annotation
from microseg.model.plan import StampWorkload
from microseg.model.verdict import Act, Blocked, Verdict
from microseg.stages import agent

BRIDGE = "172.17.0.1"
"""Every container host has it on a bridge of its own."""
OTHER_HREF = "/orgs/50/workloads/0f1e2d3c-0000-4000-8000-0000000000ff"
ADOPT = {Annotation.ADOPT.value: m.UUID}


def claim(
    workload: Workload,
    *others: Workload,
    outcome: AgentOutcome = AgentOutcome.ALREADY_PAIRED,
    annotations: dict[str, str] | None = None,
    vm: Any = None,
    **facts: Any,
) -> Verdict:
    """The script on this VM names `workload`; the PCE lists it and these others."""
    vm = vm or m.vm()
    snapshot = IllumioSnapshot.of(m.MARK, (workload, *others), (), ())
    matches = Seen(snapshot.matches(vm, workload.uuid))
    record = m.ended(outcome, workload=workload.uuid, mode="install" if outcome == AgentOutcome.PAIRED else "probe")
    host = m.host(HostStatus(agent=record), annotations=annotations or {})
    return agent.judge(m.context(host=host, facts=m.facts(azure=Seen(vm), illumio=matches, **facts)))


def refused(verdict: Verdict, word: str) -> bool:
    assert isinstance(verdict, Blocked), verdict
    return verdict.reason == Reason.IDENTITY_MISMATCH and word in verdict.message


def test_a_workload_with_the_vms_primary_address_that_is_younger_than_the_vm_is_adopted() -> None:
    verdict = claim(m.workload(created_at=m.ago(hours=2)))
    assert isinstance(verdict, Act)
    assert verdict.actions == (StampWorkload(m.VM_ID, m.HREF),)


@pytest.mark.parametrize("outcome", [AgentOutcome.PAIRED, AgentOutcome.ALREADY_PAIRED])
def test_an_address_that_is_not_the_primary_one_proves_nothing(outcome: AgentOutcome) -> None:
    verdict = claim(m.workload(addresses=frozenset({BRIDGE})), outcome=outcome, vm=m.vm(m.IP, BRIDGE))
    assert refused(verdict, f"primary address {m.IP}")
    assert "microseg approve" not in str(verdict), "nobody can vouch for a workload without the address"


@pytest.mark.parametrize("created_at", [None, m.ago(days=400)])
def test_a_workload_older_than_the_vm_is_not_adopted(created_at: datetime | None) -> None:
    verdict = claim(m.workload(created_at=created_at))
    assert refused(verdict, "Azure created the VM at 2026-06-01 09:00:00")
    assert f"`microseg approve adoption {m.VM_ID}@{m.UUID}`" in str(verdict)


def test_a_vm_whose_age_azure_does_not_tell_adopts_nothing_by_itself() -> None:
    assert refused(claim(m.workload(), vm=m.vm(created_at=None)), "a time that Azure does not report")


BOTH = [AgentOutcome.PAIRED, AgentOutcome.ALREADY_PAIRED]


@pytest.mark.parametrize("outcome", BOTH)
def test_root_on_a_vm_that_does_not_pair_cannot_name_what_was_paired_meanwhile_elsewhere(outcome: AgentOutcome) -> None:
    """A machine of an unpeered network: the same address, younger than the attempt, and no rival that anybody shows."""
    elsewhere = m.workload(hostname="payroll.corp", created_at=m.NOW)
    verdict = claim(elsewhere, outcome=outcome)
    assert refused(verdict, "another hostname than Azure gave the VM (host24)")
    assert f"`microseg approve adoption {m.VM_ID}@{m.UUID}`" in str(verdict)
    assert isinstance(claim(elsewhere, outcome=outcome, annotations=ADOPT), Act), "a person may know better"
    assert refused(claim(m.workload(hostname=""), outcome=outcome), "no hostname")


@pytest.mark.parametrize("outcome", BOTH)
@pytest.mark.parametrize(
    ("azures", "the_pces"),
    [
        ("host24", "HOST24"),
        ("Host24", "host24.corp.example"),
        ("host24.corp", "HOST24.other.example"),
        ("host24", "host24."),
    ],
)
def test_letter_case_and_domain_of_a_hostname_do_not_matter(outcome: AgentOutcome, azures: str, the_pces: str) -> None:
    verdict = claim(m.workload(hostname=the_pces), outcome=outcome, vm=m.vm(computer_name=azures))
    assert isinstance(verdict, Act)


@pytest.mark.parametrize("outcome", BOTH)
def test_a_vm_whose_computer_name_azure_does_not_show_is_proven_by_the_rest(outcome: AgentOutcome) -> None:
    unnamed = m.vm(computer_name="")
    assert isinstance(claim(m.workload(hostname="anything"), outcome=outcome, vm=unnamed), Act)
    assert refused(claim(m.workload(created_at=m.ago(days=9)), outcome=outcome, vm=unnamed), "older")


@pytest.mark.parametrize("outcome", [AgentOutcome.PAIRED, AgentOutcome.ALREADY_PAIRED])
def test_an_address_that_two_workloads_have_is_no_proof(outcome: AgentOutcome) -> None:
    twin = m.workload(href=OTHER_HREF, addresses=frozenset({m.IP, BRIDGE}))
    assert refused(claim(m.workload(), twin, outcome=outcome), "another workload of the PCE has it too")


def test_what_an_older_life_of_the_vm_left_behind_does_not_stop_a_fresh_pairing() -> None:
    stale = m.workload(href=OTHER_HREF, created_at=m.ago(days=9))
    assert isinstance(claim(m.workload(), stale, outcome=AgentOutcome.PAIRED), Act)
    assert refused(claim(m.workload(), stale), "another workload")


def test_the_workload_of_a_former_holder_with_our_stamp_is_no_rival() -> None:
    former = m.workload(href=OTHER_HREF, external_set=m.MARK, external_reference=m.OTHER_VM_ID)
    assert isinstance(claim(m.workload(), former), Act)


def test_an_address_that_two_vms_have_is_no_proof_but_for_a_fresh_pairing_with_the_vms_hostname() -> None:
    rivals = {m.IP: (Rival(m.OTHER_VM_ID, "twin", Presence.HAS_IT),)}
    assert refused(claim(m.workload(), rivals=rivals), "twin has it too")
    assert isinstance(claim(m.workload(), outcome=AgentOutcome.PAIRED, rivals=rivals), Act)
    for hostname in ("twin", ""):
        verdict = claim(m.workload(hostname=hostname), outcome=AgentOutcome.PAIRED, rivals=rivals)
        assert refused(verdict, "twin has it too")
    unnamed = m.vm(computer_name="")
    assert refused(claim(m.workload(), outcome=AgentOutcome.PAIRED, rivals=rivals, vm=unnamed), "twin has it too")


def test_a_person_vouches_for_one_workload_and_no_other() -> None:
    old = m.workload(created_at=m.ago(days=400), hostname="renamed")
    assert isinstance(claim(old, annotations=ADOPT), Act)
    assert refused(claim(old, annotations={Annotation.ADOPT.value: "another"}), "older")


def test_nobody_can_vouch_for_a_workload_that_has_another_owner() -> None:
    assert refused(claim(m.workload(external_reference=m.OTHER_VM_ID), annotations=ADOPT), "reference")


def test_an_observing_estate_prints_nobodys_uuid() -> None:
    facts = m.facts(illumio=m.illumio(candidates=(m.workload(), m.workload(href=OTHER_HREF))))
    verdict = agent.judge(m.context(facts=facts, estate=m.estate(enforcing=False)))
    assert verdict.reason == Reason.ADOPTION_CANDIDATE
    assert "One of 2 unstamped workloads" in verdict.message
    assert m.UUID not in verdict.message
