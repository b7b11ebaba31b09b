"""What a soak's samples say, and what its faults are: sums, and choices from a seed."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

from lab.soak import faults, judging
from lab.soak.judging import Sample
from lab.vitals import Slope, Vitals, queue_lengths, slope
from simulators.faults import Fault, fault_from_json

_METRICS = """\
# HELP microseg_queue_length Work that waits
microseg_queue_length{estate="respiro",namespace="microseg",queue="hosts to decide"} 3.0
microseg_queue_length{estate="respiro",namespace="microseg",queue="azure"} 0.0
microseg_queue_age_seconds{estate="respiro",namespace="microseg",queue="azure"} 7.0
"""
OPERATIONS = {"azure": ["vms.list", "commands.put"], "illumio": ["workloads.list"], "checkpoint": ["publish"]}
MIB = 1 << 20


def samples(*, per_hour: float = 0.0, noise: float = 0.0, more_handles: int = 0, minutes: int = 60) -> list[Sample]:
    """One sample per 15 s. `noise`: MiB to and fro; `more_handles`: opened in the second half."""
    count = minutes * 4
    return [
        Sample(
            15.0 * number,
            Vitals(
                int(MIB * (100 + per_hour * number / 240 + noise * (-1) ** number)),
                40 + (more_handles if number > count / 2 else 0),
                30,
            ),
        )
        for number in range(1, count + 1)
    ]


def passed(grown: judging.Growth, broken: list[str], unfinished: str = "") -> list[bool]:
    return [check.passed for check in judging.judge(grown, broken, unfinished)]


def test_the_slope_of_a_line_is_its_own_without_error() -> None:
    found = slope([(1.0, 5.0), (2.0, 7.0), (3.0, 9.0)])
    assert math.isclose(found.rate, 2.0)
    assert found.error < 1e-9


def test_two_points_say_nothing_of_growth() -> None:
    assert slope([(1.0, 5.0), (2.0, 7.0)]) == Slope(0.0, math.inf)


def test_the_queues_are_read_by_name_and_their_ages_are_not() -> None:
    assert queue_lengths(_METRICS) == {"hosts to decide": 3, "azure": 0}


def test_a_soak_that_holds_what_it_held_passes() -> None:
    assert all(passed(judging.growth(samples()), []))


def test_a_leak_of_two_mebibytes_per_hour_fails() -> None:
    assert passed(judging.growth(samples(per_hour=2.0)), []) == [True, True, False, True, True]


def test_a_growth_within_its_own_uncertainty_is_no_leak() -> None:
    grown = judging.growth(samples(per_hour=1.5, noise=5.0))
    assert grown.memory.error > 0.5
    assert all(passed(grown, []))


def test_what_grows_while_the_soak_warms_up_is_no_leak() -> None:
    early = [
        Sample(each.at, replace(each.vitals, memory=each.vitals.memory // 2)) for each in samples() if each.at < 1800
    ]
    late = [each for each in samples() if each.at >= 1800]
    assert all(passed(judging.growth([*early, *late]), []))


def test_handles_that_stay_open_fail() -> None:
    assert passed(judging.growth(samples(more_handles=9)), []) == [True, True, True, False, True]


def test_a_violation_and_a_host_that_never_comes_to_rest_fail_with_their_sentences() -> None:
    grown = judging.growth(samples())
    checks = judging.judge(grown, ["S1: twice"], "web-1 is not commissioned")
    assert [check.passed for check in checks[:2]] == [False, False]
    assert "S1: twice" in checks[0].sentence
    assert checks[1].sentence == "web-1 is not commissioned"


def drawn(seed: int) -> list[dict[str, object]]:
    random = Random(seed)  # noqa: S311 - repeatable, not secret
    return [faults.draw(random, OPERATIONS) for _ in range(300)]


def test_a_seed_gives_the_same_faults_again() -> None:
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_every_fault_that_is_drawn_is_one_and_ends_by_itself() -> None:
    found: list[Fault] = [fault_from_json(each) for each in drawn(3)]
    assert max(fault.count for fault in found) == 3
    assert {fault.system for fault in found} == OPERATIONS.keys()


def test_only_lists_lose_and_repeat_their_rows() -> None:
    found = {(each["operation"], each["action"]) for each in drawn(4)}
    assert ("vms.list", "page-missing") in found
    assert {operation for operation, action in found if action == "page-missing"} == {"vms.list", "workloads.list"}
