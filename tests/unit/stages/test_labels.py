"""Stage 3: labels by key; what is not ours or not wanted stays as it is."""

from __future__ import annotations

from typing import Any

import pytest

from lab.memory import samples as m
from microseg.model.condition import ConditionType, Reason
from microseg.model.facts import ABSENT, UNREADABLE
from microseg.model.host import HostStatus
from microseg.model.illumio_record import IllumioRecord
from microseg.model.plan import CreateLabel, SetLabels
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.stages import labels

PAIRED = frozenset({ConditionType.DISCOVERED, ConditionType.AGENT_PAIRED})


def judge(*carried: tuple[str, str], owned: tuple[str, ...] = (), **changes: Any) -> Verdict:
    status = HostStatus(illumio=IllumioRecord(workload=m.HREF, owned_keys=owned)) if owned else HostStatus()
    known: dict[str, Any] = {
        "host": m.host(status),
        "facts": m.facts(illumio=m.illumio(stamped=m.stamped(*carried))),
        "satisfied": PAIRED,
    }
    return labels.judge(m.context(**(known | changes)))


@pytest.mark.parametrize(
    ("change", "reason", "doubt"),
    [
        ({"facts": m.facts(illumio=UNREADABLE)}, Reason.ILLUMIO_UNREADABLE, True),
        ({"facts": m.facts(azure=ABSENT)}, Reason.AZURE_UNREADABLE, True),
        ({"desired": None}, Reason.NO_MAPPING, False),
        ({"desired": m.desired(miss="label env: no rule.")}, Reason.MAPPING_MISS, False),
        ({"facts": m.facts()}, Reason.AWAITING_AGENT, False),
    ],
)
def test_labels_wait_for_what_they_need(change: dict[str, Any], reason: Reason, *, doubt: bool) -> None:
    verdict = judge(**change)
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt) == (reason, doubt)


def test_wanted_labels_that_are_carried_are_done_and_other_keys_do_not_matter() -> None:
    verdict = judge(("app", "Orchestrate"), ("env", "Dev"), ("loc", "somewhere"))
    assert isinstance(verdict, Done)
    assert "app=Orchestrate, env=Dev" in verdict.message


def test_labels_hold_or_are_set_though_the_ven_is_offline() -> None:
    assert isinstance(judge(("app", "Orchestrate"), ("env", "Dev"), satisfied=frozenset()), Done)
    assert isinstance(judge(("app", "Orchestrate"), satisfied=frozenset()), Act)


def test_a_host_that_needs_no_label_is_done() -> None:
    verdict = judge(("loc", "somewhere"), desired=m.desired(labels=()))
    assert isinstance(verdict, Done)
    assert "no label" in verdict.message


def test_only_keys_that_differ_are_set() -> None:
    verdict = judge(("app", "Orchestrate"), ("env", "Prod"), ("loc", "x"))
    assert isinstance(verdict, Act)
    assert verdict.reason == Reason.SETTING_LABELS
    assert verdict.actions == (SetLabels(m.VM_ID, m.HREF, (("env", "/orgs/50/labels/2"),)),)


@pytest.mark.parametrize(
    ("carried", "owned", "cleared"),
    [
        ((("role", "Web"),), ("role",), ("role",)),
        ((("role", "Web"),), ("app",), ()),
        ((("role", "Web"),), (), ()),
        ((), ("role",), ()),
    ],
)
def test_a_label_is_taken_off_only_if_we_put_it_there(
    carried: tuple[tuple[str, str], ...], owned: tuple[str, ...], cleared: tuple[str, ...]
) -> None:
    verdict = judge(*carried, owned=owned, desired=m.desired(labels=(), removed=("role",)))
    if not cleared:
        assert isinstance(verdict, Done)
        return
    assert isinstance(verdict, Act)
    assert verdict.actions == (SetLabels(m.VM_ID, m.HREF, (), cleared),)
    assert "without role" in verdict.message


@pytest.mark.parametrize("create", [True, False])
def test_a_label_that_the_pce_lacks_is_created_first_or_asked_for(*, create: bool) -> None:
    verdict = judge(
        desired=m.desired(labels=(("app", "Orchestrate"), ("env", "New"))), estate=m.estate(create_labels=create)
    )
    if create:
        assert isinstance(verdict, Act)
        assert (verdict.reason, verdict.actions) == (Reason.CREATING_LABELS, (CreateLabel(m.VM_ID, "env", "New"),))
    else:
        assert isinstance(verdict, Blocked)
        assert (verdict.reason, "env=New" in verdict.message) == (Reason.LABEL_MISSING, True)


@pytest.mark.parametrize("value", ["Dev", "New"])
def test_what_the_pce_said_last_time_is_told(value: str) -> None:
    facts = m.facts(illumio=m.illumio(stamped=m.stamped()), illumio_complaint="too many labels.")
    verdict = judge(facts=facts, desired=m.desired(labels=(("env", value),)))
    assert isinstance(verdict, Act)
    assert verdict.message.endswith("The PCE refused it last time: too many labels.")
