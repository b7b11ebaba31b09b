"""Stage 5: published is not installed; only what the gateways' side reports counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.stages import makers as m

from microseg.model.condition import ConditionType, Reason
from microseg.model.facts import UNREADABLE, Gateway, Revision
from microseg.model.host import CheckPointRecord, HostStatus
from microseg.model.plan import InstallPolicy
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.stages import policy
from microseg.stages.situation import Policy

AT = m.PUBLISHED.published_at
GROUPED = frozenset({ConditionType.DISCOVERED, ConditionType.GROUPED})
RECORD = CheckPointRecord(groups=("SO",), published_revision="rev-2", published_at=AT)


def judge(record: CheckPointRecord | None = RECORD, **changes: Any) -> Verdict:
    known: dict[str, Any] = {"host": m.host(HostStatus(check_point=record)), "held": GROUPED}
    return policy.judge(m.situation(**(known | changes)))


def gateway(package: str = "Standard", seconds: float | None = 0.0, installed_after: float = 60.0) -> Gateway:
    revision = None if seconds is None else Revision("r", AT + timedelta(seconds=seconds))
    return Gateway("gw1", package, revision, AT + timedelta(seconds=installed_after))


def test_an_unread_check_point_is_doubt() -> None:
    verdict = judge(facts=m.facts(firewall=UNREADABLE))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt) == (Reason.CHECK_POINT_UNREADABLE, True)


def test_nothing_is_installed_before_it_is_published() -> None:
    verdict = judge(held=frozenset({ConditionType.DISCOVERED}))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.moving) == (Reason.AWAITING_PUBLISH, False)


@pytest.mark.parametrize("record", [None, CheckPointRecord(), CheckPointRecord(published_at=AT)])
def test_a_host_in_no_group_of_ours_needs_no_install(record: CheckPointRecord | None) -> None:
    verdict = judge(record)
    assert isinstance(verdict, Done)
    assert verdict.reason == Reason.NOTHING_TO_INSTALL


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
        (Gateway("gw1", "Standard", None, None), False),
    ],
)
def test_a_target_covers_a_host_by_its_package_and_revision(shown: Gateway | None, *, covered: bool) -> None:
    verdict = judge(estate=m.estate(gateways={"gw1": shown} if shown else {}))
    assert isinstance(verdict, Done) is covered
    if not covered:
        assert isinstance(verdict, Act)
        assert verdict.actions == (InstallPolicy(m.VM_ID, "Standard", ("gw1",), AT),)


def test_one_late_target_asks_for_its_whole_package_and_only_for_that() -> None:
    policies = (Policy("A", ("gw1", "gw2")), Policy("B", ("gw3",)))
    gateways = {
        "gw1": Gateway("gw1", "A", m.PUBLISHED, AT),
        "gw2": Gateway("gw2", "A", None, None),
        "gw3": Gateway("gw3", "B", m.PUBLISHED, AT),
    }
    verdict = judge(estate=m.estate(policies=policies, gateways=gateways))
    assert isinstance(verdict, Act)
    assert verdict.actions == (InstallPolicy(m.VM_ID, "A", ("gw1", "gw2"), AT),)
    assert "gw2" in verdict.message
    assert "gw1" not in verdict.message


def test_a_record_without_a_publish_is_covered_by_nothing() -> None:
    situation = m.situation(host=m.host(HostStatus(check_point=CheckPointRecord(groups=("SO",)))))
    assert not policy.covers(gateway(), Policy("Standard", ("gw1",)), situation)
    assert not policy.covers(gateway(), Policy("Standard", ("gw1",)), m.situation())


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
