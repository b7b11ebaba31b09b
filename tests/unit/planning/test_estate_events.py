"""Events of an Estate: what turned, once; and annotations that mean nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.estate_status import EstateStatus
from microseg.planning.estate_events import misspelt, turns

NOW = datetime(2026, 11, 28, tzinfo=UTC)
TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


def status(*found: tuple[ConditionType, ConditionStatus, Reason]) -> EstateStatus:
    return EstateStatus(
        conditions=tuple(
            Condition(type=kind, status=value, reason=reason.value, message="Why.", last_transition_time=NOW)
            for kind, value, reason in found
        )
    )


UP = status((ConditionType.AZURE_REACHABLE, TRUE, Reason.REACHABLE))
DOWN = status((ConditionType.AZURE_REACHABLE, FALSE, Reason.UNREACHABLE))
REFUSED = status((ConditionType.AZURE_REACHABLE, FALSE, Reason.REFUSED))
UNREAD = status((ConditionType.AZURE_REACHABLE, UNKNOWN, Reason.NEVER_DECIDED))


def test_a_system_that_is_lost_is_a_warning_and_one_that_is_back_is_not() -> None:
    assert list(turns(UP, DOWN)) == [("Unreachable", "AzureReachable False: Why.", True)]
    assert list(turns(DOWN, UP)) == [("Reachable", "AzureReachable True: Why.", False)]
    assert [reason for reason, _, _ in turns(DOWN, REFUSED)] == ["Refused"]


@pytest.mark.parametrize(
    ("before", "after"), [(UP, UP), (DOWN, DOWN), (EstateStatus(), UP), (UP, UNREAD), (UNREAD, UP), (DOWN, UNREAD)]
)
def test_a_start_and_a_new_spec_are_no_news_of_a_system(before: EstateStatus, after: EstateStatus) -> None:
    assert list(turns(before, after)) == []


@pytest.mark.parametrize("before", [EstateStatus(), UNREAD])
def test_a_system_that_refuses_from_the_beginning_is_told(before: EstateStatus) -> None:
    assert [(reason, warning) for reason, _, warning in turns(before, REFUSED)] == [("Refused", True)]


def stalled(reason: Reason) -> EstateStatus:
    return status((ConditionType.READY, FALSE, reason), (ConditionType.STALLED, TRUE, reason))


def test_an_estate_that_stalls_is_told_and_for_another_reason_again() -> None:
    well = status((ConditionType.STALLED, FALSE, Reason.NOTHING_BLOCKS))
    for before in (well, EstateStatus(), stalled(Reason.ENDPOINT_SHARED)):
        told = [(reason, warning) for reason, _, warning in turns(before, stalled(Reason.SECRET_INVALID))]
        assert told == [("SecretInvalid", True)]
    assert list(turns(stalled(Reason.SECRET_INVALID), stalled(Reason.SECRET_INVALID))) == []
    assert [reason for reason, _, _ in turns(stalled(Reason.SECRET_INVALID), well)] == ["NothingBlocks"]


def test_what_has_an_event_of_its_own_is_not_told_as_stalled_too() -> None:
    refused = status(
        (ConditionType.AZURE_REACHABLE, FALSE, Reason.REFUSED), (ConditionType.STALLED, TRUE, Reason.REFUSED)
    )
    assert [message for _, message, _ in turns(UP, refused)] == ["AzureReachable False: Why."]


@pytest.mark.parametrize(
    ("kind", "name", "value", "said"),
    [
        ("Estate", "microseg.dev/aprove", "a:1", "means nothing: did you mean microseg.dev/approve?"),
        ("Estate", "microseg.dev/approve", "abc", "has a value that means nothing: write <digest>:<maxHosts>"),
        ("ManagedHost", "microseg.dev/retyr", "agent", "means nothing: did you mean microseg.dev/retry?"),
        ("ManagedHost", "microseg.dev/retry", "agnet", "has a value that means nothing: write agent or drift."),
        ("ManagedHost", "microseg.dev/approve", "a:1", "means nothing on a ManagedHost: write it on the Estate."),
    ],
)
def test_an_annotation_that_does_nothing_is_told_with_what_was_meant(
    kind: str, name: str, value: str, said: str
) -> None:
    (sentence,) = misspelt({name: value}, kind)
    assert sentence.startswith(f"The annotation {name} {said}")


def test_annotations_that_are_read_or_another_programs_are_not_told() -> None:
    fine = {"microseg.dev/retry": "agent", "microseg.dev/adopt": "x", "example.com/else": "y"}
    assert list(misspelt(fine, "ManagedHost")) == []
    assert list(misspelt({"microseg.dev/approve": "a:1,b:2", "microseg.dev/reconcile-at": "now"}, "Estate")) == []
