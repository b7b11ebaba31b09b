"""Stage 5: published is not installed; only what the gateways' side reports counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lab.memory import samples as m
from microseg.model.checkpoint_facts import EnforcementPoint, Revision
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.condition import ConditionType, Reason
from microseg.model.facts import UNREADABLE
from microseg.model.host import HostStatus
from microseg.model.plan import InstallPolicy
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.stages import policy
from microseg.stages.context import Policy

AT = m.PUBLISHED.published_at
GROUPED = frozenset({ConditionType.DISCOVERED, ConditionType.GROUPED})
RECORD = CheckPointRecord(groups=("SO",), published_revision="rev-2", published_at=AT)


def judge(record: CheckPointRecord | None = RECORD, **changes: Any) -> Verdict:
    known: dict[str, Any] = {"host": m.host(HostStatus(check_point=record)), "satisfied": GROUPED}
    return policy.judge(m.context(**(known | changes)))


def gateway(package: str = "Standard", seconds: float | None = 0.0, installed_after: float = 60.0) -> EnforcementPoint:
    revision = None if seconds is None else Revision("r", AT + timedelta(seconds=seconds))
    return EnforcementPoint("gw1", package, revision, AT + timedelta(seconds=installed_after))


def test_an_unread_check_point_is_doubt() -> None:
    verdict = judge(facts=m.facts(check_point=UNREADABLE))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt) == (Reason.CHECK_POINT_UNREADABLE, True)


def test_nothing_is_installed_before_it_is_published() -> None:
    verdict = judge(satisfied=frozenset({ConditionType.DISCOVERED}))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.moving) == (Reason.AWAITING_PUBLISH, False)


@pytest.mark.parametrize("record", [None, CheckPointRecord(), CheckPointRecord(published_at=AT)])
def test_a_host_in_no_group_of_ours_needs_no_install(record: CheckPointRecord | None) -> None:
    verdict = judge(record)
    assert isinstance(verdict, Done)
    assert verdict.reason == Reason.NOTHING_TO_INSTALL


def test_a_gateway_of_two_packages_is_never_taken_for_installed_and_gets_neither() -> None:
    both = (Policy("Standard", (), ("gw1",)), Policy("Edge", (), ("gw1",)))
    verdict = judge(estate=m.estate(policies=both))
    assert isinstance(verdict, Blocked)
    assert "gw1 is a target of two packages" in verdict.message


def test_groups_without_a_known_publish_are_not_taken_for_installed() -> None:
    verdict = judge(CheckPointRecord(groups=("SO",)))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt) == (Reason.AWAITING_PUBLISH, True)


def test_an_estate_without_a_package_needs_a_person() -> None:
    verdict = judge(estate=m.estate(policies=()))
    assert isinstance(verdict, Blocked)
    assert verdict.reason == Reason.NO_POLICY_CONFIGURED


@pytest.mark.parametrize(
    ("shown", "covered"),
    [
        (None, False),
        (gateway(), True),
        (gateway(seconds=60.0), True),
        (gateway(seconds=-1.0), False),
        (gateway(package="Other"), False),
        (gateway(package=""), False),
        (gateway(seconds=None, installed_after=1.0), True),
        (gateway(seconds=None, installed_after=0.0), False),
        (gateway(seconds=-1.0, installed_after=60.0), False),
        (EnforcementPoint("gw1", "Standard", None, None), False),
    ],
)
def test_a_target_covers_a_host_by_its_package_and_revision(shown: EnforcementPoint | None, *, covered: bool) -> None:
    verdict = judge(estate=m.estate(gateways={"gw1": shown} if shown else {}))
    assert isinstance(verdict, Done) is covered
    if not covered:
        assert isinstance(verdict, Act)
        assert verdict.actions == (InstallPolicy(m.VM_ID, "Standard", ("gw1",), AT),)


def test_one_late_target_asks_for_its_whole_package_and_only_for_that() -> None:
    policies = (Policy("A", ("gw1", "gw2")), Policy("B", ("gw3",)))
    gateways = {
        "gw1": EnforcementPoint("gw1", "A", m.PUBLISHED, AT),
        "gw2": EnforcementPoint("gw2", "A", None, None),
        "gw3": EnforcementPoint("gw3", "B", m.PUBLISHED, AT),
    }
    verdict = judge(estate=m.estate(policies=policies, gateways=gateways))
    assert isinstance(verdict, Act)
    assert verdict.actions == (InstallPolicy(m.VM_ID, "A", ("gw1", "gw2"), AT),)
    assert "gw2" in verdict.message
    assert "gw1" not in verdict.message


def test_a_record_without_a_publish_is_covered_by_nothing() -> None:
    context = m.context(host=m.host(HostStatus(check_point=CheckPointRecord(groups=("SO",)))))
    assert not policy.covers(gateway(), Policy("Standard", ("gw1",)), context)
    assert not policy.covers(gateway(), Policy("Standard", ("gw1",)), m.context())


def test_outside_the_window_it_waits_and_is_not_called_moving() -> None:
    opens = m.ahead(hours=9)
    verdict = judge(estate=m.estate(gateways={}, window_opens=opens))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.until, verdict.moving) == (Reason.OUTSIDE_INSTALL_WINDOW, opens, False)


def test_a_closed_window_takes_nothing_back() -> None:
    assert isinstance(judge(estate=m.estate(window_opens=m.ahead(hours=9))), Done)


def test_a_failed_install_is_told_and_asked_for_again() -> None:
    verdict = judge(
        estate=m.estate(gateways={}, install_failures={"gw1": "refused the policy: No memory.", "gw9": "other"})
    )
    assert isinstance(verdict, Act)
    assert (verdict.reason, "gw1 refused the policy: No memory." in verdict.message) == (Reason.INSTALL_FAILED, True)


def test_an_install_in_doubt_is_no_failure_and_is_told() -> None:
    verdict = judge(estate=m.estate(gateways={}, install_doubts={"gw1": "Check Point could not be reached"}))
    assert isinstance(verdict, Act)
    assert verdict.reason == Reason.INSTALLING_POLICY
    assert "not known: Check Point could not be reached." in verdict.message


def test_a_package_without_targets_installs_nothing_and_is_not_called_installed() -> None:
    verdict = judge(estate=m.estate(policies=(Policy("Standard", ()),)))
    assert isinstance(verdict, Blocked)
    assert verdict.reason == Reason.NO_POLICY_CONFIGURED


@pytest.mark.parametrize(
    ("policies", "packages", "told"),
    [
        ((Policy("Standard", ("gw9",)),), frozenset(), "Check Point has no gateway gw9."),
        ((Policy("Standrad", ("gw1",)),), frozenset({"Standard"}), "Check Point has no package Standrad."),
    ],
)
def test_a_name_that_check_point_does_not_know_is_told_and_never_tried(
    policies: tuple[Policy, ...], packages: frozenset[str], told: str
) -> None:
    verdict = judge(estate=m.estate(policies=policies, packages=packages))
    assert isinstance(verdict, Blocked)
    assert (verdict.reason, told in verdict.message) == (Reason.NAMES_UNKNOWN, True)


def test_an_unknown_gateway_holds_up_no_other() -> None:
    late = {"gw1": gateway(seconds=-60, installed_after=-60)}
    verdict = judge(estate=m.estate(policies=(Policy("Standard", ("gw1", "gw9")),), gateways=late))
    assert isinstance(verdict, Act)
    assert verdict.actions == (InstallPolicy(m.VM_ID, "Standard", ("gw1",), AT),)


@pytest.mark.parametrize(("again", "waits"), [(m.ahead(minutes=1), True), (m.NOW, False)])
def test_an_install_that_check_point_refuses_needs_a_person_and_is_tried_again_later(
    again: Any, *, waits: bool
) -> None:
    late = {"gw1": gateway(seconds=-60, installed_after=-60)}
    refusals = {"gw1": ("it was rejected: not an installation target.", again)}
    verdict = judge(estate=m.estate(gateways=late, install_refusals=refusals))
    assert isinstance(verdict, Blocked if waits else Act)
    if isinstance(verdict, Blocked):
        assert (verdict.reason, verdict.until) == (Reason.INSTALL_FAILED, again)
        assert "not an installation target" in verdict.message
