"""The token bucket, with a clock that the test moves: budgets, tokens to take at once, and pauses."""

from __future__ import annotations

import concurrent.futures
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.gateways.http.rate_limiter import RateLimiter

SLACK = 1e-6
"""For sums of floats."""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_budget_starts_empty_and_fills_up_to_its_burst() -> None:
    clock = Clock()
    limiter = RateLimiter(rate=2.0, burst=3.0, clock=clock)
    assert [limiter.reserve() for _ in range(3)] == [0.5, 1.0, 1.5]
    clock.now += 100.0
    assert [limiter.reserve() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_a_full_bucket_starts_with_its_burst() -> None:
    limiter = RateLimiter(rate=2.0, burst=3.0, clock=Clock(), full=True)
    assert [limiter.reserve() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_tokens_are_taken_while_they_last_and_come_back_with_time() -> None:
    clock = Clock()
    limiter = RateLimiter(rate=2.0, burst=3.0, clock=clock, full=True)
    assert [limiter.try_take() for _ in range(4)] == [True, True, True, False]
    clock.now += 0.4
    assert not limiter.try_take()
    clock.now += 0.1
    assert [limiter.try_take(), limiter.try_take()] == [True, False]


def test_several_tokens_are_taken_together_or_not_at_all() -> None:
    limiter = RateLimiter(rate=1.0, burst=5.0, clock=Clock(), full=True)
    assert [limiter.try_take(3), limiter.try_take(3), limiter.try_take(2), limiter.try_take(1)] == [
        True,
        False,
        True,
        False,
    ]


def test_a_turn_that_is_reserved_leaves_no_token_to_take() -> None:
    clock = Clock()
    limiter = RateLimiter(rate=1.0, burst=2.0, clock=clock, full=True)
    assert [limiter.reserve() for _ in range(3)] == [0.0, 0.0, 1.0]
    clock.now += 1.0
    assert not limiter.try_take()
    clock.now += 1.0
    assert limiter.try_take()


def test_a_pause_holds_the_budget_back() -> None:
    clock = Clock()
    limiter = RateLimiter(rate=10.0, burst=10.0, clock=clock)
    clock.now += 10.0
    limiter.pause(30.0)
    assert limiter.reserve() == pytest.approx(30.1)
    clock.now += 31.0
    assert limiter.reserve() == 0.0


def test_nothing_is_taken_during_a_pause_and_nothing_is_saved_up() -> None:
    clock = Clock()
    limiter = RateLimiter(rate=1.0, burst=50.0, clock=clock, full=True)
    limiter.pause(30.0)
    clock.now += 30.0
    assert not limiter.try_take()
    clock.now += 1.0
    assert [limiter.try_take(), limiter.try_take()] == [True, False]


@pytest.mark.parametrize(
    ("first", "after", "second", "end"),
    [
        (30.0, 0.0, 30.0, 30.0),
        (30.0, 10.0, 5.0, 30.0),
        (30.0, 10.0, 20.0, 30.0),
        (30.0, 10.0, 60.0, 70.0),
        (30.0, 40.0, 10.0, 50.0),
        (30.0, 10.0, 0.0, 30.0),
    ],
)
def test_overlapping_pauses_end_with_the_later_one(first: float, after: float, second: float, end: float) -> None:
    clock = Clock()
    began = clock.now
    limiter = RateLimiter(rate=1.0, burst=1.0, clock=clock, full=True)
    limiter.pause(first)
    clock.now += after
    limiter.pause(second)
    assert clock.now + limiter.reserve() - began == pytest.approx(end + 1.0)


@pytest.mark.parametrize(("pause", "turn"), [(1.0, 12.0), (10.0, 12.0), (11.0, 13.0), (30.0, 32.0)])
def test_a_turn_after_a_pause_comes_after_those_that_were_reserved_before(pause: float, turn: float) -> None:
    limiter = RateLimiter(rate=0.5, burst=1.0, clock=Clock())
    assert [limiter.reserve() for _ in range(5)] == [2.0, 4.0, 6.0, 8.0, 10.0]
    limiter.pause(pause)
    assert limiter.reserve() == pytest.approx(turn)


def test_threads_share_one_budget() -> None:
    limiter = RateLimiter(rate=1.0, burst=1.0, clock=Clock())
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waits = sorted(pool.map(lambda _: limiter.reserve(), range(200)))
    assert waits == [float(number) for number in range(1, 201)]


@given(
    rate=st.floats(0.1, 50),
    burst=st.floats(1, 20),
    steps=st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
def test_no_budget_is_ever_exceeded(rate: float, burst: float, steps: list[float]) -> None:
    clock = Clock()
    limiter = RateLimiter(rate, burst, clock)
    began, starts = clock.now, []
    for step in steps:
        clock.now += step
        starts.append(clock.now + limiter.reserve())
    for number, start in enumerate(starts, 1):
        assert number <= burst + rate * (start - began) + 1e-6


rates = st.floats(0.1, 5)
moves = st.lists(
    st.tuples(
        st.just(0.0) | st.floats(0, 5), st.sampled_from(["reserve", "reserve", "take", "pause"]), st.floats(0, 20)
    ),
    max_size=60,
)
"""Seconds until the move, the move, and the seconds of a pause; often several moves at once, so turns queue up."""


@given(rate=rates, burst=st.floats(1, 20), full=st.booleans(), moves=moves)
def test_no_turn_falls_into_a_pause_that_began_before_it_was_given(
    rate: float, burst: float, *, full: bool, moves: list[tuple[float, str, float]]
) -> None:
    clock, paused_until = Clock(), 0.0
    limiter = RateLimiter(rate, burst, clock, full=full)
    for step, move, seconds in moves:
        clock.now += step
        if move == "pause":
            limiter.pause(seconds)
            paused_until = max(paused_until, clock.now + seconds)
        elif move == "reserve":
            assert clock.now + limiter.reserve() >= paused_until - SLACK
        elif limiter.try_take():
            assert clock.now >= paused_until - SLACK


@given(rate=rates, burst=st.floats(1, 20), moves=moves)
def test_pauses_cost_no_more_than_the_time_until_the_last_one_ends(
    rate: float, burst: float, moves: list[tuple[float, str, float]]
) -> None:
    clock = Clock()
    limiter = RateLimiter(rate, burst, clock)
    end, reserved = clock.now, 0
    for step, move, seconds in moves:
        clock.now += step
        if move == "pause":
            limiter.pause(seconds)
            end = max(end, clock.now + seconds)
        else:
            limiter.reserve()
            reserved += 1
    start = max(clock.now, end)
    assert clock.now + limiter.reserve() <= start + (reserved + 1) / rate + SLACK


@given(rate=rates, burst=st.floats(1, 20), full=st.booleans(), moves=moves)
def test_within_any_time_no_more_turns_come_than_burst_and_rate_allow(
    rate: float, burst: float, *, full: bool, moves: list[tuple[float, str, float]]
) -> None:
    clock = Clock()
    turns: list[float] = []
    limiter = RateLimiter(rate, burst, clock, full=full)
    for step, move, seconds in moves:
        clock.now += step
        if move == "pause":
            limiter.pause(seconds)
        elif move == "reserve":
            turns.append(clock.now + limiter.reserve())
        elif limiter.try_take():
            turns.append(clock.now)
    assert all(later >= earlier - SLACK for earlier, later in itertools.pairwise(turns)), "in the order of asking"
    for first, at in enumerate(turns):
        for last in range(first, len(turns)):
            assert last - first + 1 <= burst + rate * (turns[last] - at) + SLACK


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0.5)])
def test_a_budget_of_nothing_is_a_mistake(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        RateLimiter(rate, burst)


def test_who_reserved_a_turn_before_a_pause_can_see_how_long_it_lasts() -> None:
    clock = Clock()
    limiter = RateLimiter(rate=2.0, burst=3.0, clock=clock)
    assert limiter.paused() == 0.0
    limiter.pause(5.0)
    limiter.pause(3.0)
    assert limiter.paused() == 5.0
    clock.now += 4.0
    assert limiter.paused() == 1.0
    clock.now += 2.0
    assert limiter.paused() == 0.0
