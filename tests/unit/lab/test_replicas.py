"""What fails a run with several replicas: sums of what it noted."""

from __future__ import annotations

from dataclasses import replace

from lab.replicas.run import Replicas, apart, judge

EVEN = {"replica-1": 4, "replica-2": 4, "replica-3": 4}
FOUND = Replicas(12, EVEN, 4, [11.0, 12.5, 13.0, 14.9], [14.0], {"replica-2": 6, "replica-3": 6}, EVEN, [])


def failed(found: Replicas) -> list[str]:
    return [check.sentence for check in judge(found) if not check.passed]


def test_shares_within_one_estate_and_a_quick_successor_pass() -> None:
    assert failed(FOUND) == []
    assert failed(replace(FOUND, back={"replica-1": 4, "replica-2": 5, "replica-3": 4})) == []


def test_one_estate_that_waits_longer_for_its_successor_fails() -> None:
    (sentence,) = failed(replace(FOUND, taken=[11.0, 15.2]))
    assert sentence.startswith("4 estates taken over within 15.2 s")


def test_a_replica_that_holds_nothing_beside_one_that_holds_all_fails() -> None:
    (sentence,) = failed(replace(FOUND, at_start={"replica-1": 12, "replica-2": 0, "replica-3": 0}))
    assert sentence == "shares at the start: 12, 0, 0"


def test_a_violation_in_one_estate_fails_with_its_sentence() -> None:
    (sentence,) = failed(replace(FOUND, broken=["estate-03: S1"]))
    assert "estate-03: S1" in sentence


def test_a_replica_without_any_estate_counts() -> None:
    assert apart({"a": 3, "b": 0}) == 3
    assert apart({}) == 0
