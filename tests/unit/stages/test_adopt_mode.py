"""An estate that adopts and labels: nothing runs on a VM, and only a person's word makes a workload its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab.memory import samples as m
from microseg.model.agent_record import AgentOutcome
from microseg.model.condition import Reason
from microseg.model.host import HostStatus
from microseg.model.plan import StampWorkload
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.stages import agent

ADOPT = {"microseg.dev/adopt": m.UUID.upper()}
RETRY = {"microseg.dev/retry": "agent"}
CANDIDATE = m.workload()


def judge(annotations: dict[str, str] | None = None, status: HostStatus | None = None, **matches: Any) -> Verdict:
    host = m.host(status, annotations=annotations or {})
    return agent.judge(
        m.context(host=host, facts=m.facts(illumio=m.illumio(**matches)), estate=m.estate(adopting=True))
    )


@pytest.mark.parametrize("annotations", [{}, RETRY])
@pytest.mark.parametrize("matches", [{}, {"candidates": (CANDIDATE,)}], ids=["nothing", "a candidate"])
@pytest.mark.parametrize("outcome", [None, AgentOutcome.NOT_PAIRED, AgentOutcome.NO_RESULT, AgentOutcome.TIMED_OUT])
def test_nothing_is_started_and_the_host_says_what_it_waits_for(
    annotations: dict[str, str], matches: dict[str, Any], outcome: AgentOutcome | None
) -> None:
    status = HostStatus(agent=m.ended(outcome)) if outcome is not None else None
    verdict = judge(annotations, status, **matches)
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.moving, verdict.actions) == (Reason.SCRIPTS_OFF, False, ())


def test_a_workload_that_a_person_names_is_stamped_if_it_has_the_vms_primary_address() -> None:
    verdict = judge(ADOPT, candidates=(CANDIDATE,))
    assert isinstance(verdict, Act)
    assert verdict.actions == (StampWorkload(m.VM_ID, CANDIDATE.href),)
    other = replace(CANDIDATE, addresses=frozenset({"10.9.9.9"}))
    refused = judge(ADOPT, candidates=(other,))
    assert isinstance(refused, Blocked)
    assert refused.reason == Reason.IDENTITY_MISMATCH


def test_a_stamped_workload_is_done_and_used_run_commands_stay() -> None:
    status = HostStatus(agent=m.ended(AgentOutcome.PAIRED))
    verdict = judge(RETRY, status, stamped=m.workload(external_set=m.MARK, external_reference=m.VM_ID))
    assert isinstance(verdict, Done)
    assert verdict.actions == ()
