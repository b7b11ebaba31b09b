"""The conditions of an Estate agree with one another, and with kstatus, in every state."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.planning.test_estate_status import DOWN, FINE, GONE, HOLD, SYSTEMS, made, overview

from lab.memory import samples as m
from lab.memory.estate import estate
from microseg.model.condition import ConditionStatus, ConditionType, Reason
from microseg.model.estate import Estate
from microseg.model.estate_spec import Mode
from microseg.model.estate_status import EstateStatus, HostCounts
from microseg.planning.decide import Standing
from microseg.planning.estate_conditions import SystemState
from microseg.planning.estate_status import status

INVALID = SystemState(ConditionStatus.FALSE, Reason.MAPPING_INVALID, "Line 3 has no colon.")
REFUSED = SystemState(ConditionStatus.FALSE, Reason.REFUSED, "The key is refused.")


def because(reason: Reason) -> SystemState:
    return SystemState(ConditionStatus.FALSE, reason, "The proxy says no.")


PARTLY = SystemState(ConditionStatus.FALSE, Reason.ROWS_UNREADABLE, "Rows cannot be read: 3.")
UNREAD = SystemState(ConditionStatus.UNKNOWN, Reason.NEVER_DECIDED, "It has not been read yet.")


def kstatus(found: EstateStatus) -> str:
    """What kstatus makes of it (kubernetes-sigs/cli-utils, pkg/kstatus/status/generic.go)."""
    for condition in found.conditions:
        if condition.type == ConditionType.RECONCILING and condition.status == ConditionStatus.TRUE:
            return "InProgress"
        if condition.type == ConditionType.STALLED and condition.status == ConditionStatus.TRUE:
            return "Failed"
    ready = made(found, ConditionType.READY)
    return "Current" if ready.status == ConditionStatus.TRUE else "InProgress"


def with_spec(**changes: Any) -> Estate:
    made_estate = estate()
    return msgspec.structs.replace(made_estate, spec=msgspec.structs.replace(made_estate.spec, **changes))


@pytest.mark.parametrize(
    ("spec", "changes", "reason", "verdict"),
    [
        ({}, {}, Reason.ALL_COMMISSIONED, "Current"),
        ({}, {"standings": {Standing.IN_PROGRESS: 1}}, Reason.IN_PROGRESS, "InProgress"),
        ({}, {"standings": {Standing.BLOCKED: 1}}, Reason.HOSTS_BLOCKED, "Failed"),
        ({}, {"standings": {Standing.BLOCKED: 1, Standing.IN_PROGRESS: 1}}, Reason.IN_PROGRESS, "Failed"),
        ({}, {"standings": {Standing.COMMISSIONED: 1, Standing.RETIRING: 1}}, Reason.ALL_COMMISSIONED, "InProgress"),
        ({}, {"systems": dict.fromkeys(SYSTEMS, DOWN)}, Reason.UNREACHABLE, "InProgress"),
        ({}, {"systems": dict.fromkeys(SYSTEMS, PARTLY)}, Reason.ROWS_UNREADABLE, "InProgress"),
        ({}, {"systems": dict.fromkeys(SYSTEMS, UNREAD)}, Reason.NEVER_DECIDED, "InProgress"),
        ({}, {"systems": dict.fromkeys(SYSTEMS, REFUSED)}, Reason.REFUSED, "Failed"),
        ({}, {"systems": dict.fromkeys(SYSTEMS, because(Reason.PROXY_REFUSED))}, Reason.PROXY_REFUSED, "Failed"),
        ({}, {"systems": dict.fromkeys(SYSTEMS, because(Reason.PROXY_FAILED))}, Reason.PROXY_FAILED, "InProgress"),
        (
            {},
            {"systems": dict.fromkeys(SYSTEMS, FINE) | {ConditionType.MAPPING_VALID: INVALID}},
            Reason.MAPPING_INVALID,
            "Failed",
        ),
        ({}, {"counted": False}, Reason.IN_PROGRESS, "InProgress"),
        ({}, {"counted": False, "standings": {}}, Reason.IN_PROGRESS, "InProgress"),
        ({}, {"hold": HOLD}, Reason.HELD, "Failed"),
        ({}, {"retirement_hold": GONE}, Reason.RETIREMENT_HELD, "Failed"),
        ({}, {"mistakes": ("Check Point has no gateway gw9.",)}, Reason.NAMES_UNKNOWN, "Failed"),
        ({"suspend": True}, {}, Reason.SUSPENDED, "InProgress"),
        ({"mode": Mode.OBSERVE}, {}, Reason.OBSERVING, "InProgress"),
    ],
)
def test_kstatus_and_the_reason_of_ready_in_every_state(
    spec: dict[str, Any], changes: dict[str, Any], reason: Reason, verdict: str
) -> None:
    found = status(with_spec(**spec), overview(**changes), m.NOW)
    assert (found.reason, kstatus(found)) == (reason, verdict)
    needed = made(found, ConditionType.STALLED).status == ConditionStatus.TRUE
    assert needed == (verdict == "Failed")
    assert ("No person is needed" in made(found, ConditionType.STALLED).message) is not needed
    waits = any(made(found, kind).status != ConditionStatus.TRUE for kind in SYSTEMS)
    if waits and not needed:
        assert made(found, ConditionType.RECONCILING).status == ConditionStatus.TRUE
        assert "could not" in made(found, ConditionType.STALLED).message
    held = made(found, ConditionType.PLAN_HELD)
    assert held.status != ConditionStatus.TRUE or needed


def test_a_stalled_estate_keeps_what_it_counted_last() -> None:
    before = status(estate(), overview(), m.NOW)
    stalled = SystemState(ConditionStatus.TRUE, Reason.SECRET_INVALID, "Secret s does not exist.")
    after = status(
        estate(status=before), overview(stalled=stalled, standings={}, judged=False, policies=(), gateways={}), m.NOW
    )
    assert after.hosts == before.hosts == HostCounts(total=3, commissioned=3)
    assert (after.poll, after.targets, after.unsupported) == (before.poll, before.targets, before.unsupported)
    assert (after.ready, after.reason, kstatus(after)) == ("False", Reason.SECRET_INVALID, "Failed")


def test_counts_of_a_process_that_has_not_decided_everybody_yet_do_not_replace_those_before() -> None:
    before = status(estate(), overview(), m.NOW)
    after = status(estate(status=before), overview(counted=False, standings={}), m.NOW)
    assert after.hosts == before.hosts
