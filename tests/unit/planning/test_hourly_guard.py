"""The hour of changes: what counts, by which times, and which changes are those that a person saw (S6)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from lab.memory import samples as m
from microseg.model.estate_status import ChangedHosts
from microseg.planning import hourly_guard

APPROVED = frozenset({"group SO: leave", "group Web: join", "label app: Orchestrate -> Shop"})


def test_a_change_counts_for_an_hour_and_one_that_is_yet_to_come_counts_from_now() -> None:
    ahead = {"an hour ago": m.NOW - timedelta(hours=1), "just now": m.NOW, "next year": m.NOW + timedelta(days=400)}
    counted = hourly_guard.within_hour(ahead, m.NOW)
    assert counted == {"just now": m.NOW, "next year": m.NOW}
    assert hourly_guard.within_hour(counted, m.NOW + timedelta(minutes=59)) == counted
    assert hourly_guard.within_hour(counted, m.NOW + timedelta(minutes=61)) == {}


@pytest.mark.parametrize(
    ("kinds", "seen"),
    [
        (APPROVED, True),
        (frozenset({"group SO: leave", "group Web: join"}), True),
        (frozenset({"label app: Orchestrate -> Shop"}), True),
        (frozenset({"group SO: leave", "label app: Orchestrate -> Shop"}), False),
        (frozenset({"group Web: join"}), False),
        (frozenset({"label app: Orchestrate -> Other"}), False),
        (APPROVED | {"object: another address"}, False),
    ],
)
def test_an_approval_covers_what_one_system_has_left_to_do_and_no_half_of_it(kinds: frozenset[str], seen: bool) -> None:
    assert hourly_guard.covers(APPROVED, kinds) is seen


def minutes(number: float) -> datetime:
    return m.NOW + timedelta(minutes=number)


def test_the_estates_count_keeps_each_host_an_hour_and_the_slice_that_it_changed_in_and_not_longer() -> None:
    changed = hourly_guard.with_counted((), ["A", "b"], m.NOW)
    changed = hourly_guard.with_counted(changed, ["c"], minutes(30))
    assert set(hourly_guard.remembered(changed, minutes(59))) == {hourly_guard.identity(each) for each in "abc"}
    assert set(hourly_guard.remembered(changed, minutes(66))) == {hourly_guard.identity("c")}
    assert [len(each.hosts) for each in hourly_guard.with_counted(changed, ["d"], minutes(66))] == [6, 6]


def test_a_host_that_changes_again_counts_once_and_from_then_on() -> None:
    changed = hourly_guard.with_counted((), ["a", "b"], m.NOW)
    assert hourly_guard.unwritten(["a"], changed, minutes(4)) == frozenset()
    assert hourly_guard.unwritten(["a"], changed, minutes(20)) == {"a"}
    changed = hourly_guard.with_counted(changed, ["a"], minutes(20))
    assert [len(each.hosts) for each in changed] == [6, 6]
    assert set(hourly_guard.remembered(changed, minutes(70))) == {hourly_guard.identity("a")}


def test_what_a_clock_that_was_ahead_counted_is_over_an_hour_after_the_next_change() -> None:
    changed = hourly_guard.with_counted((), ["a"], minutes(60 * 24 * 400))
    assert hourly_guard.remembered(changed, m.NOW) == {hourly_guard.identity("a"): m.NOW}
    changed = hourly_guard.with_counted(changed, ["b"], m.NOW)
    assert hourly_guard.remembered(changed, minutes(66)) == {}


def test_the_estates_count_has_room_for_ten_thousand_hosts_and_stays_within_its_bounds() -> None:
    fleet = [str(number) for number in range(12_000)]
    (changed,) = hourly_guard.with_counted((), fleet[:10_000], m.NOW)
    assert hourly_guard.unwritten(fleet[:10_000], (changed,), m.NOW) == frozenset()
    (changed,) = hourly_guard.with_counted((), fleet, m.NOW)
    assert len(changed.hosts) <= 65_536
    every: tuple[ChangedHosts, ...] = ()
    for number in range(100):
        every = hourly_guard.with_counted(every, [str(number)], minutes(number))
    assert len(every) <= 16
