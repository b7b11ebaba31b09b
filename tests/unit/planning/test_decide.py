"""One decision judges everything once: stages and permission, and what a stage compared is passed on as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lab.memory import samples as m
from microseg.model.condition import ConditionType
from microseg.model.facts import HostFacts
from microseg.model.host import HostStatus
from microseg.model.plan import PutObject
from microseg.model.verdict import LabelDifference, PolicyDifference
from microseg.planning.decide import decide
from microseg.stages import STAGES, discovery, policy, retirement


def changed_from_outside() -> tuple[HostStatus, HostFacts]:
    """A commissioned host, and what the systems show after somebody changed a label and a group."""
    host = m.host()
    for _ in range(2):
        host = m.with_status(host, decide(host, m.protected_facts(), m.estate(), m.desired(), m.NOW).status)
    stamped = m.stamped(("app", "Orchestrate"), ("env", "Prod"))
    facts = m.facts(illumio=m.illumio(stamped=stamped), check_point=m.check_point(m.host_object()))
    return host.status, facts


def test_every_judge_is_called_once_in_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()

    def counted(name: str, judge: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            calls[name] += 1
            return judge(*arguments)

        return call

    stages = tuple(replace(stage, judge=counted(stage.condition.value, stage.judge)) for stage in STAGES)
    monkeypatch.setattr("microseg.planning.decide.STAGES", stages)
    for name, module, function in (
        ("discovery", discovery, "judge"),
        ("retirement", retirement, "judge"),
        ("late", policy, "late"),
    ):
        monkeypatch.setattr(module, function, counted(name, getattr(module, function)))
    status, facts = changed_from_outside()
    calls.clear()
    decide(m.host(status), facts, m.estate(), m.desired(), m.NOW)
    assert set(calls.values()) == {1}
    assert {"discovery", "retirement", "late", "AgentPaired", "Labelled", "Grouped", "PolicyInstalled"} == set(calls)


def test_what_a_stage_compared_is_on_its_verdict_and_drift_says_it() -> None:
    status, facts = changed_from_outside()
    decision = decide(m.host(status), facts, m.estate(), m.desired(), m.NOW)
    assert decision.verdicts[ConditionType.LABELLED].differences == (LabelDifference("env", "Dev", "Prod"),)
    (change,) = decision.verdicts[ConditionType.GROUPED].differences
    assert isinstance(change, PutObject)
    assert change.join == ("SO",)
    assert [record.stage for record in decision.status.drift if record.open] == ["Labelled", "Grouped"]


def test_a_late_target_is_on_the_verdict_whatever_stands_in_the_way() -> None:
    status, facts = changed_from_outside()
    decision = decide(m.host(status), facts, m.estate(gateways={}), m.desired(), m.NOW)
    differences = decision.verdicts[ConditionType.POLICY_INSTALLED].differences
    assert differences == (PolicyDifference("Standard", ("gw1",), ("gw1",)),)
