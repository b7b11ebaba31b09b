"""The Estate's status: true in every word, steady where nothing changed, silent about what is not judged yet."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from lab.memory import samples as m
from lab.memory.estate import estate
from microseg.model.checkpoint_facts import EnforcementPoint
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason, find
from microseg.model.estate import Estate
from microseg.model.estate_status import EstateStatus, KnownNames, MappingState, PollRecord, UsedApproval
from microseg.planning.decide import Standing
from microseg.planning.estate_conditions import EstateOverview, SystemState
from microseg.planning.estate_status import status
from microseg.planning.guard import PlanHold
from microseg.planning.retirement_guard import RetirementHold
from microseg.stages.context import Policy

FINE = SystemState(ConditionStatus.TRUE, Reason.REACHABLE, "It was read.")
DOWN = SystemState(ConditionStatus.FALSE, Reason.UNREACHABLE, "Nobody answers.")
SYSTEMS = (
    ConditionType.AZURE_REACHABLE, ConditionType.ILLUMIO_REACHABLE,
    ConditionType.CHECK_POINT_REACHABLE, ConditionType.MAPPING_VALID,
)  # fmt: skip
HOLD = PlanHold(
    "abc123", frozenset({"vm-1", "vm-2"}), ("group SO: leave", "label env: Dev -> Prod"), (2, 1), instead="old"
)
GONE = RetirementHold("def456", frozenset({"vm-3"}))


def overview(**changes: Any) -> EstateOverview:
    """Everything fine: three hosts, all commissioned."""
    known: dict[str, Any] = {
        "systems": dict.fromkeys(SYSTEMS, FINE),
        "standings": {Standing.COMMISSIONED: 3},
        "poll": PollRecord(complete=True, vms=1),
        "mapping": MappingState(revision="new"),
        "hold": None,
        "retirement_hold": None,
        "policies": (),
        "gateways": {},
    }
    return EstateOverview(**(known | changes))


def made(found: EstateStatus, kind: ConditionType) -> Condition:
    condition = find(found.conditions, kind)
    assert condition is not None
    return condition


def told(**changes: Any) -> EstateStatus:
    return status(estate(), overview(**changes), m.NOW)


def after(seconds: float, before: EstateStatus, **changes: Any) -> EstateStatus:
    now: datetime = m.NOW + timedelta(seconds=seconds)
    return status(holding(before), overview(**changes), now)


def holding(found: EstateStatus) -> Estate:
    return estate(status=found)


@pytest.mark.parametrize("kind", SYSTEMS)
def test_an_estate_with_one_system_away_is_not_ready_and_names_it(kind: ConditionType) -> None:
    ready = made(told(systems=dict.fromkeys(SYSTEMS, FINE) | {kind: DOWN}), ConditionType.READY)
    assert (ready.status, ready.reason) == (ConditionStatus.FALSE, Reason.UNREACHABLE)
    assert ready.message == f"{kind.value}: Nobody answers."


@pytest.mark.parametrize(
    ("standings", "ready", "reason", "moving"),
    [
        ({Standing.COMMISSIONED: 3}, True, Reason.ALL_COMMISSIONED, False),
        ({Standing.COMMISSIONED: 1, Standing.WAITING: 1, Standing.DESELECTED: 1}, True, Reason.HOSTS_WAITING, False),
        ({Standing.COMMISSIONED: 1, Standing.DESELECTED: 1}, True, Reason.ALL_COMMISSIONED, False),
        ({Standing.WAITING: 30}, False, Reason.HOSTS_WAITING, False),
        ({Standing.WAITING: 1, Standing.DESELECTED: 2}, False, Reason.HOSTS_WAITING, False),
        ({Standing.DESELECTED: 5}, False, Reason.NOTHING_SELECTED, False),
        ({Standing.COMMISSIONED: 1, Standing.BLOCKED: 2}, False, Reason.HOSTS_BLOCKED, False),
        ({Standing.IN_PROGRESS: 1, Standing.BLOCKED: 2}, False, Reason.IN_PROGRESS, True),
        ({Standing.COMMISSIONED: 1, Standing.RETIRING: 1}, True, Reason.ALL_COMMISSIONED, True),
        ({}, True, Reason.ALL_COMMISSIONED, False),
    ],
)
def test_ready_follows_the_hosts(standings: dict[Standing, int], ready: bool, reason: Reason, moving: bool) -> None:
    found = told(standings=standings)
    assert (made(found, ConditionType.READY).status == ConditionStatus.TRUE, found.reason) == (ready, reason)
    assert (made(found, ConditionType.RECONCILING).status == ConditionStatus.TRUE) == moving
    assert found.hosts is not None
    assert found.hosts.total == sum(standings.values())


def test_hosts_that_were_not_read_and_decided_yet_are_no_success_and_their_number_stays() -> None:
    before = told(standings={Standing.COMMISSIONED: 3}, unsupported={"NoAgent": 2})
    found = after(5, before, counted=False, standings={}, unsupported={})
    assert (found.ready, found.reason) == ("False", Reason.IN_PROGRESS)
    assert (found.hosts, found.unsupported) == (before.hosts, before.unsupported)


def test_a_suspended_estate_says_so() -> None:
    frozen = estate()
    frozen = msgspec.structs.replace(frozen, spec=msgspec.structs.replace(frozen.spec, suspend=True))
    for standing in (Standing.COMMISSIONED, Standing.WAITING):
        found = status(frozen, overview(standings={standing: 5}), m.NOW)
        assert (found.ready, found.reason) == ("False", Reason.SUSPENDED)


def test_a_stalled_estate_keeps_what_was_known_of_its_hosts() -> None:
    shown = {"gw1": EnforcementPoint("gw1", "Standard", m.PUBLISHED, m.NOW)}
    before = told(standings={Standing.COMMISSIONED: 5}, policies=(Policy("Standard", ("gw1",)),), gateways=shown)
    stalled = SystemState(ConditionStatus.TRUE, Reason.SECRET_INVALID, "Secret x has no key y.")
    found = after(5, before, stalled=stalled, standings={}, counted=False, judged=False, poll=PollRecord())
    assert (found.hosts, found.poll, found.targets) == (before.hosts, before.poll, before.targets)


def test_what_keeps_the_whole_estate_from_being_reconciled_comes_before_everything() -> None:
    stalled = SystemState(ConditionStatus.TRUE, Reason.SECRET_INVALID, "Secret x has no key y.")
    found = told(stalled=stalled, standings={Standing.IN_PROGRESS: 1})
    assert made(found, ConditionType.STALLED).status == ConditionStatus.TRUE
    assert made(found, ConditionType.RECONCILING).status == ConditionStatus.FALSE
    assert (found.ready, found.reason) == ("False", Reason.SECRET_INVALID)


def test_the_same_world_later_makes_the_same_status_so_nothing_is_written() -> None:
    first = told(hold=HOLD)
    assert after(599, first, hold=HOLD) == first
    assert after(86400, first, hold=HOLD) == first


def test_a_poll_is_written_when_it_is_news_and_seldom_while_hosts_are_worked_on() -> None:
    busy = {"standings": {Standing.IN_PROGRESS: 1}}
    first = told(**busy)
    assert after(599, first, **busy).poll == first.poll
    assert after(600, first, **busy).poll != first.poll
    fewer = after(1, first, poll=PollRecord(complete=True), **busy).poll
    broken = after(1, first, poll=PollRecord(vms=1), **busy).poll
    assert fewer is not None
    assert broken is not None
    assert (fewer.vms, broken.complete) == (0, False)


def test_a_held_plan_names_what_the_outside_lacks_and_that_no_approval_counts_before() -> None:
    lacking = tuple(f"Check Point has no group G{number}." for number in range(5))
    hold = PlanHold("abc", frozenset({"vm-1"}), ("group G0: join",), (1,), lacking=lacking)
    text = made(told(hold=hold), ConditionType.PLAN_HELD).message
    assert "Check Point has no group G2. There are 2 more such names." in text
    assert "no approval counts before that" in text


def test_the_names_that_the_outside_has_stay_until_others_are_read() -> None:
    before = told(known=KnownNames(groups=("SO",)))
    assert before.known == after(1, before).known == KnownNames(groups=("SO",))


def test_a_held_plan_says_what_and_how_many_and_what_to_run() -> None:
    found = told(hold=HOLD)
    condition = made(found, ConditionType.PLAN_HELD)
    assert (condition.status, condition.reason) == (ConditionStatus.TRUE, Reason.HELD)
    for part in (
        "2 commissioned hosts",
        "group SO: leave (2)",
        "label env: Dev -> Prod (1)",
        "microseg approve plan abc123:2`",
    ):
        assert part in condition.message
    plan = found.held[0]
    assert (plan.kind, plan.digest, plan.hosts, plan.instead) == ("mapping", "abc123", 2, "old")


def test_a_used_approval_says_that_it_must_be_taken_off_first() -> None:
    again = msgspec.structs.replace(told(), conditions=())
    held = PlanHold(HOLD.digest, HOLD.hosts, HOLD.kinds, used_at=m.NOW)
    message = made(after(1, again, hold=held), ConditionType.PLAN_HELD).message
    assert "2026-06-01 12:00" in message
    assert "remove it first" in message


def test_held_plans_keep_since_when_and_end_with_the_hold() -> None:
    first = told(hold=HOLD)
    both = after(3600, first, hold=HOLD, retirement_hold=GONE)
    assert [(plan.kind, plan.since) for plan in both.held] == [
        ("mapping", m.NOW),
        ("retirement", m.NOW + timedelta(hours=1)),
    ]
    ended = after(7200, both)
    assert ended.held == ()
    assert made(ended, ConditionType.PLAN_HELD).status == ConditionStatus.FALSE


def test_a_process_that_has_not_judged_yet_takes_back_nothing_that_was_told() -> None:
    first = told(hold=HOLD, mapping=MappingState(revision="held"))
    second = after(5, first, hold=None, judged=False, holds_known=False, mapping=MappingState(revision="newer"))
    assert second.held == first.held
    assert second.mapping == first.mapping
    assert made(second, ConditionType.PLAN_HELD) == made(first, ConditionType.PLAN_HELD)


def test_an_approval_is_remembered_as_used_for_as_long_as_it_is_annotated() -> None:
    used = (UsedApproval(digest="abc", max_hosts=3, at=m.NOW), UsedApproval(digest="def", max_hosts=3, at=m.NOW))
    before = EstateStatus(approvals=used)
    annotated = estate(status=before, annotations={"microseg.dev/approve": "def:3"})
    assert status(annotated, overview(), m.NOW).approvals == used[1:]


def test_vms_that_a_selection_hides_are_counted_by_its_field() -> None:
    found = told(unselected={"tags": 2, "notTags": 5})
    assert found.hosts is not None
    assert found.hosts.unselected == 7
    assert [(row.field, row.vms) for row in found.unselected] == [("notTags", 5), ("tags", 2)]


def test_vms_that_cannot_be_protected_are_counted_by_reason() -> None:
    found = told(unsupported={"UniformScaleSet": 7, "NoAgent": 1})
    assert found.hosts is not None
    assert found.hosts.unsupported == 8
    assert [(row.reason, row.vms) for row in found.unsupported] == [("NoAgent", 1), ("UniformScaleSet", 7)]


def test_how_far_a_poll_is_and_what_it_could_not_read_is_told() -> None:
    poll = PollRecord(vms=1, unread=("s2",), pages=90)
    assert told(poll=poll).poll == msgspec.structs.replace(poll, at=m.NOW)


def test_targets_show_what_the_gateways_report_and_nothing_where_they_report_nothing() -> None:
    gateways = {"gw1": EnforcementPoint("gw1", "Standard", m.PUBLISHED, m.NOW)}
    found = told(policies=(Policy("Standard", ("gw1", "gw2")),), gateways=gateways)
    assert [(row.target, row.revision, row.at) for row in found.targets] == [("gw1", "rev-2", m.NOW), ("gw2", "", None)]
