"""The pulse of a lane: regular, sooner when something changed, ever later after failures, never stopped (L3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from microseg.estate.lanes import rhythm as module
from microseg.estate.lanes.rhythm import Health, Rhythm
from microseg.gateways.ports import Busy, GatewayError, OutcomeUnknown, Refused, Rejected, Throttled, Unreachable
from microseg.model.condition import Reason


class Now:
    """The module's clock, moved by hand."""

    value = 1000.0

    def monotonic(self) -> float:
        return self.value


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    clock = Now()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def told() -> list[Health]:
    return []


@pytest.fixture
def rhythm(now: Now, told: list[Health]) -> Rhythm:
    del now
    made: list[Rhythm] = []
    made.append(Rhythm("azure", 60.0, lambda: told.append(made[0].health)))
    return made[0]


def is_due(rhythm: Rhythm) -> bool:
    """Asked anew each time: time passes between two questions."""
    return rhythm.due


def test_a_new_lane_is_due_and_its_system_is_not_known(rhythm: Rhythm) -> None:
    assert rhythm.due
    assert (rhythm.health.readable, rhythm.read_at) == (None, None)


def test_after_a_reading_it_is_due_an_interval_later(rhythm: Rhythm, now: Now, told: list[Health]) -> None:
    rhythm.read("All of it.")
    assert (rhythm.due, rhythm.read_at) == (False, 1000.0)
    now.value += 59.9
    assert not is_due(rhythm)
    now.value += 0.1
    assert is_due(rhythm)
    assert told == [Health(readable=True, reason=Reason.REACHABLE, message="All of it.")]
    rhythm.read("All of it.")
    assert len(told) == 1, "the same health is no news"


def test_failures_come_back_later_and_later_and_never_later_than_five_minutes(rhythm: Rhythm, now: Now) -> None:
    pauses = []
    for _ in range(12):
        rhythm.failed(Unreachable("away"))
        pauses.append(rhythm._due - now.value)
    assert pauses[:4] == [60.0, 120.0, 240.0, 300.0]
    assert set(pauses[3:]) == {300.0}
    rhythm.read("back")
    rhythm.failed(Unreachable("away"))
    assert rhythm._due - now.value == 60.0, "a reading forgets the failures"


def test_a_throttled_reading_obeys_what_it_was_told(rhythm: Rhythm, now: Now) -> None:
    rhythm.failed(Throttled("slow", 400.0))
    assert rhythm._due - now.value == 400.0


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Refused("no"), Reason.REFUSED), (Unreachable("x"), Reason.UNREACHABLE), (Throttled("x"), Reason.UNREACHABLE)],
)
def test_a_failure_is_told_with_its_sentence(
    rhythm: Rhythm, told: list[Health], error: GatewayError, reason: Reason
) -> None:
    rhythm.failed(error)
    assert (told[0].readable, told[0].reason, str(error) in told[0].message) == (False, reason, True)


def test_changes_that_follow_one_another_share_a_reading(rhythm: Rhythm, now: Now) -> None:
    rhythm.read("x")
    now.value += 1
    rhythm.look_soon()
    rhythm.look_soon()
    assert not is_due(rhythm)
    now.value += 5
    assert is_due(rhythm)
    rhythm.read("x")
    now.value += 30
    rhythm.look_soon()
    assert rhythm.due


def test_who_looks_once_an_hour_still_looks_soon_when_told(now: Now) -> None:
    rhythm = Rhythm("azure", 3600.0, lambda: None)
    rhythm.read("x")
    now.value += 1
    rhythm.look_soon()
    assert not is_due(rhythm)
    now.value += 6
    assert is_due(rhythm)


def test_looking_soon_never_makes_it_later(rhythm: Rhythm) -> None:
    rhythm.look_soon()
    assert rhythm.due


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (Throttled("x", 77.0), 77.0),
        (Unreachable("x"), 30.0),
        (Busy("x"), 30.0),
        (OutcomeUnknown("x"), 30.0),
        (Refused("x"), 120.0),
        (Rejected("x"), 120.0),
        (GatewayError("x"), 60.0),
    ],
)
def test_effects_that_failed_are_tried_again_after_a_bounded_pause(
    rhythm: Rhythm, error: GatewayError, pause: float
) -> None:
    assert rhythm.effect_failed("publish", error) == pause


async def test_a_pause_ends_when_woken_when_due_or_at_its_time(now: Now) -> None:
    rhythm = Rhythm("azure", 3600.0, lambda: None)
    rhythm.read("x")
    now.value += 5
    steps: list[Callable[[], None]] = [rhythm.wake, rhythm.look_soon]
    for step in steps:
        waiting = asyncio.create_task(rhythm.pause())
        await asyncio.sleep(0)
        assert not waiting.done()
        step()
        async with asyncio.timeout(30):
            await waiting
    assert rhythm.beat == now.value
    async with asyncio.timeout(30):
        await rhythm.pause(now.value - 1)
        rhythm._due = now.value
        await rhythm.pause()


async def test_a_wake_up_before_the_pause_is_not_lost(now: Now) -> None:
    del now
    rhythm = Rhythm("azure", 3600.0, lambda: None)
    rhythm.read("x")
    rhythm.wake()
    async with asyncio.timeout(30):
        await rhythm.pause()
