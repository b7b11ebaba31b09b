"""The hour of changes: what counts, by which times, and which changes are those that a person saw (S6)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lab.memory import samples as m
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
