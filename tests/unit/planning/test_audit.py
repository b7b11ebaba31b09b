"""Audit lines: what repeats is counted, and each gap keeps its own end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from microseg.model.history_line import HistoryLine
from microseg.planning.audit import added
from microseg.planning.protection import gaps

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def ring(*whats: str, seconds: int = 60) -> tuple[HistoryLine, ...]:
    kept: tuple[HistoryLine, ...] = ()
    for number, what in enumerate(whats):
        kept = added(kept, [HistoryLine(at=NOON + timedelta(seconds=seconds * number), what=what)], 32)
    return kept


def test_a_flap_is_one_line_with_a_count() -> None:
    kept = ring("Labels: a -> b", *("Groups: joined x", "Groups: left x") * 20)
    assert [(line.what, line.times) for line in kept] == [
        ("Labels: a -> b", 0),
        ("Groups: joined x", 20),
        ("Groups: left x", 20),
    ]
    assert kept[1].since == NOON + timedelta(minutes=1)


def test_each_gap_keeps_its_own_end() -> None:
    kept = ring("Ready: all", "Not ready: X", "Ready: all", "Not ready: Y", "Ready: all", "Not ready: X")
    found = [(gap.reason, gap.began, gap.ended) for gap in gaps(kept)]
    minute = [NOON + timedelta(minutes=number) for number in range(6)]
    assert found == [("X", minute[1], minute[2]), ("Y", minute[3], minute[4]), ("X", minute[5], None)]


def test_a_gap_that_flaps_is_counted_and_ends() -> None:
    kept = ring("Ready: all", *("Not ready: X", "Ready: all") * 10)
    (gap,) = gaps(kept)
    assert (gap.times, gap.ended, gap.first) == (10, NOON + timedelta(minutes=20), NOON + timedelta(minutes=1))


def test_a_gap_of_less_than_a_second_has_ended() -> None:
    (gap,) = gaps(ring("Ready: all", "Not ready: X", "Ready: all", seconds=0))
    assert gap.ended == NOON


def test_a_line_whose_write_was_answered_by_nothing_is_written_once_more_and_counted_once() -> None:
    line = HistoryLine(at=NOON, what="Published 1 objects: az-1", system="checkpoint")
    once = added((), [line], 32)
    assert added(once, [line], 32) == once
