"""What carries another operator's mark, and what may be a VM's own but is not proven: named, and never touched."""

from __future__ import annotations

from typing import Any

import pytest

from lab.memory import samples as m
from microseg.model.agent_record import AgentOutcome
from microseg.model.condition import Reason
from microseg.model.host import HostStatus
from microseg.model.verdict import Act, Blocked, Wait
from microseg.stages import agent, grouping

THEIRS = "other/estate"


@pytest.mark.parametrize(
    ("owner", "reason"), [(THEIRS, Reason.OWNED_ELSEWHERE), ("", Reason.ADDRESS_TAKEN)], ids=["marked", "unmarked"]
)
def test_an_object_with_this_address_blocks_and_a_mark_is_named(owner: str, reason: Reason) -> None:
    holder = m.host_object("az-theirs", m.IP, owner=owner, vm_id=m.VM_ID if owner else "")
    verdict = grouping.judge(m.context(facts=m.facts(check_point=m.check_point(address_clashes={m.IP: (holder,)}))))
    assert isinstance(verdict, Blocked)
    assert verdict.reason == reason
    assert ("another owner, other/estate" in verdict.message) == bool(owner)


@pytest.mark.parametrize(
    ("owner", "reason"), [(THEIRS, Reason.OWNED_ELSEWHERE), ("", Reason.NAME_TAKEN)], ids=["marked", "unmarked"]
)
def test_an_object_with_our_name_blocks_and_a_mark_is_named(owner: str, reason: Reason) -> None:
    holder = m.host_object(m.OBJECT, "10.9.9.9", owner=owner, vm_id="")
    verdict = grouping.judge(m.context(facts=m.facts(check_point=m.check_point(name_clashes={m.OBJECT: holder}))))
    assert isinstance(verdict, Blocked)
    assert verdict.reason == reason


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        ({"external_set": f"microseg.dev/{THEIRS}", "external_reference": m.VM_ID}, Reason.OWNED_ELSEWHERE),
        (
            {"external_set": f"microseg.dev/{THEIRS}", "external_reference": m.OTHER_VM_ID},
            Reason.IDENTITY_MISMATCH,
        ),
        ({"external_set": m.MARK, "external_reference": m.OTHER_VM_ID}, Reason.IDENTITY_MISMATCH),
        ({"external_set": "cmdb", "external_reference": m.VM_ID}, Reason.IDENTITY_MISMATCH),
    ],
    ids=["another operator's, this VM", "another operator's, another VM", "ours, another VM", "another program's"],
)
def test_a_claimed_workload_with_a_mark_is_never_stamped(marks: dict[str, Any], reason: Reason) -> None:
    record = m.ended(AgentOutcome.ALREADY_PAIRED, workload=m.UUID)
    facts = m.facts(illumio=m.illumio(claimed=m.workload(**marks)))
    verdict = agent.judge(m.context(host=m.host(HostStatus(agent=record)), facts=facts))
    assert isinstance(verdict, Blocked)
    assert verdict.reason == reason


def test_an_observed_estate_tells_of_a_workload_that_may_be_the_vms_and_starts_nothing() -> None:
    facts = m.facts(illumio=m.illumio(candidates=(m.workload(),)))
    verdict = agent.judge(m.context(facts=facts, estate=m.estate(enforcing=False)))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt, verdict.moving, verdict.actions) == (
        Reason.ADOPTION_CANDIDATE,
        True,
        False,
        (),
    )
    assert m.UUID not in verdict.message, "it may be somebody else's"


def test_an_enforced_estate_asks_the_vm_by_a_keyless_script() -> None:
    verdict = agent.judge(m.context(facts=m.facts(illumio=m.illumio(candidates=(m.workload(),)))))
    assert isinstance(verdict, Act)
    assert verdict.reason == Reason.PROBING
