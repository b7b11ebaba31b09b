"""The pulse of a lane: regular, sooner when something changed, ever later after failures, never stopped (L3)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from microseg.engine.ground.heartbeats import Heartbeats
from microseg.engine.lanes.schedule import PollSchedule, SystemHealth
from microseg.gateways.ports import (
    Busy,
    GatewayError,
    OutcomeUnknown,
    ProxyFailed,
    ProxyRefused,
    Refused,
    Rejected,
    Throttled,
    Unreachable,
)
from microseg.model.condition import Reason


class Now:
    """The module's clock, moved by hand."""

    value = 1000.0

    def monotonic(self) -> float:
        return self.value


@pytest.fixture
def now() -> Now:
    return Now()


def hourly(now: Now) -> PollSchedule:
    return PollSchedule("azure", 3600.0, lambda: None, Heartbeats(), now.monotonic)


@pytest.fixture
def told() -> list[SystemHealth]:
    return []


@pytest.fixture
def schedule(now: Now, told: list[SystemHealth]) -> PollSchedule:
    made: list[PollSchedule] = []
    made.append(PollSchedule("azure", 60.0, lambda: told.append(made[0].health), Heartbeats(), now.monotonic))
    return made[0]


def is_due(schedule: PollSchedule) -> bool:
    """Asked anew each time: time passes between two questions."""
    return schedule.due


def test_a_new_lane_is_due_and_its_system_is_not_known(schedule: PollSchedule) -> None:
    assert schedule.due
    assert (schedule.health.readable, schedule.read_at) == (None, None)


def test_after_a_reading_it_is_due_an_interval_later(
    schedule: PollSchedule, now: Now, told: list[SystemHealth]
) -> None:
    schedule.read("All of it.")
    assert (schedule.due, schedule.read_at) == (False, 1000.0)
    now.value += 59.9
    assert not is_due(schedule)
    now.value += 0.1
    assert is_due(schedule)
    assert told == [SystemHealth(readable=True, reason=Reason.REACHABLE, message="All of it.")]
    schedule.read("All of it.")
    assert len(told) == 1, "the same health is no news"


def test_failures_come_back_later_and_later_and_never_later_than_five_minutes(schedule: PollSchedule, now: Now) -> None:
    pauses = []
    for _ in range(12):
        schedule.failed(Refused("no"))
        pauses.append(schedule._due - now.value)
    assert pauses[:4] == [60.0, 120.0, 240.0, 300.0]
    assert set(pauses[3:]) == {300.0}
    schedule.read("back")
    schedule.failed(Refused("no"))
    assert schedule._due - now.value == 60.0, "a reading forgets the failures"


@pytest.mark.parametrize(
    ("interval", "pauses"), [(60.0, [60.0] * 4), (6.0, [6.0, 12.0, 20.0, 20.0]), (900.0, [300.0] * 4)]
)
def test_a_system_that_is_away_is_asked_at_its_usual_pace_so_that_its_return_is_seen(
    now: Now, interval: float, pauses: list[float]
) -> None:
    schedule = PollSchedule("illumio", interval, lambda: None, Heartbeats(), now.monotonic)
    seen = []
    for _ in range(4):
        schedule.failed(Unreachable("away"))
        seen.append(schedule._due - now.value)
    assert seen == pauses


def test_a_throttled_reading_obeys_what_it_was_told(schedule: PollSchedule, now: Now) -> None:
    schedule.failed(Throttled("slow", 400.0))
    assert schedule._due - now.value == 400.0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Refused("no"), Reason.REFUSED),
        (Unreachable("x"), Reason.UNREACHABLE),
        (Throttled("x"), Reason.UNREACHABLE),
        (ProxyFailed("x"), Reason.PROXY_FAILED),
        (ProxyRefused("x"), Reason.PROXY_REFUSED),
    ],
)
def test_a_failure_is_told_with_its_sentence(
    schedule: PollSchedule, told: list[SystemHealth], error: GatewayError, reason: Reason
) -> None:
    schedule.failed(error)
    assert (told[0].readable, told[0].reason, str(error) in told[0].message) == (False, reason, True)


def test_changes_that_follow_one_another_share_a_reading(schedule: PollSchedule, now: Now) -> None:
    schedule.read("x")
    now.value += 1
    schedule.look_soon()
    schedule.look_soon()
    assert not is_due(schedule)
    now.value += 5
    assert is_due(schedule)
    schedule.read("x")
    now.value += 30
    schedule.look_soon()
    assert schedule.due


def test_who_looks_once_an_hour_still_looks_soon_when_told(now: Now) -> None:
    schedule = hourly(now)
    schedule.read("x")
    now.value += 1
    schedule.look_soon()
    assert not is_due(schedule)
    now.value += 6
    assert is_due(schedule)


def test_looking_soon_never_makes_it_later(schedule: PollSchedule) -> None:
    schedule.look_soon()
    assert schedule.due


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
    schedule: PollSchedule, error: GatewayError, pause: float
) -> None:
    assert schedule.effect_failed("publish", error) == pause


async def test_a_pause_ends_when_woken_when_due_or_at_its_time(now: Now) -> None:
    heartbeats = Heartbeats()
    schedule = PollSchedule("azure", 3600.0, lambda: None, heartbeats, now.monotonic)
    schedule.read("x")
    now.value += 5
    begun = time.monotonic()
    steps: list[Callable[[], None]] = [schedule.wake, schedule.look_soon]
    for step in steps:
        waiting = asyncio.create_task(schedule.pause())
        await asyncio.sleep(0)
        assert not waiting.done()
        step()
        async with asyncio.timeout(30):
            await waiting
    assert heartbeats.all()["azure"] >= begun
    async with asyncio.timeout(30):
        await schedule.pause(now.value - 1)
        schedule._due = now.value
        await schedule.pause()


async def test_a_wake_up_before_the_pause_is_not_lost(now: Now) -> None:
    schedule = hourly(now)
    schedule.read("x")
    schedule.wake()
    async with asyncio.timeout(30):
        await schedule.pause()


async def test_a_long_retry_after_is_obeyed_by_everybody_and_is_no_stuck_loop(now: Now) -> None:
    heartbeats = Heartbeats()
    schedule = PollSchedule("checkpoint", 60.0, lambda: None, heartbeats, now.monotonic)
    schedule.effect_failed("publish", Throttled("slow", 900.0))
    schedule.look_soon()
    assert not is_due(schedule), "nobody asks before the time"
    now.value += 899
    assert not is_due(schedule)
    now.value += 1
    assert is_due(schedule)


def test_what_a_list_left_out_is_in_the_message_and_logged_once(
    schedule: PollSchedule, caplog: pytest.LogCaptureFixture
) -> None:
    left_out = [f"VM {number} has no usable vmId" for number in range(5)]
    for _ in range(3):
        schedule.read("All of it.", left_out)
    assert schedule.health.readable
    assert schedule.health.message == (
        "All of it. Left out: VM 0 has no usable vmId; VM 1 has no usable vmId; VM 2 has no usable vmId; "
        "and 2 more, see the log."
    )
    assert [
        getattr(line, "problem", None) for line in caplog.records if line.message == "left out of a list"
    ] == left_out
    schedule.read("All of it.")
    assert (schedule.health.message, schedule.problems) == ("All of it.", ())
