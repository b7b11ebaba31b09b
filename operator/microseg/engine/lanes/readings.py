"""Reads a list of any size within its system's budget: each request waits for its turn, and a pause for its end.

The lanes hand it the readings of their gateways. A request that failed is asked again by the reading itself, so what
was read before it is never thrown away (L6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.schedule import PollSchedule
from microseg.gateways.http.rate_limiter import RateLimiter
from microseg.gateways.ports import Reading, Wait

T = TypeVar("T")
_STEP = 20.0
"""Seconds: a longer wait is cut, so that the probe sees the lane alive."""
_WORTH_TELLING = 2.0
"""Seconds: a shorter pause changes nothing that a person would want to know."""


@dataclass(frozen=True, slots=True)
class _End(Generic[T]):
    """The whole list."""

    value: T


async def read_whole(reading: Reading[T], workers: Workers, wait: Callable[[Wait], Awaitable[None]]) -> T:
    """The whole list. `wait` returns when the next request may be sent. Raises the reading's GatewayError."""
    while True:
        step = await workers.call(_advance, reading)
        if isinstance(step, _End):
            return step.value
        await wait(step)


def _advance(reading: Reading[T]) -> _End[T] | Wait:
    """Send one request, and parse what came: in a thread, because both take long."""
    try:
        return next(reading)
    except StopIteration as end:
        return _End(end.value)


async def await_turn(limiter: RateLimiter, wait: Wait, lane: PollSchedule, *, told: bool = True) -> None:
    """Wait as the reading asks, then for its turn and for the end of every pause. A pause is the whole budget's.

    Unlike an effect, which is given up while the system wants a pause, a list goes on after it. `told`: whether the
    system's health says so meanwhile.
    """
    if wait.throttled:
        limiter.pause(wait.seconds)
    else:
        await sleep_alive(wait.seconds, lane.alive)
    if told and limiter.paused() >= _WORTH_TELLING:
        lane.held_up()
    await sleep_alive(limiter.reserve(), lane.alive)
    while (left := limiter.paused()) > 0:
        await sleep_alive(left, lane.alive)


async def read_uncounted(reading: Reading[T], workers: Workers, lane: PollSchedule) -> T:
    """The whole list of a system that counts no calls, but may ask for a pause. Raises the reading's GatewayError."""

    async def wait_as_asked(wait: Wait) -> None:
        if wait.throttled and wait.seconds >= _WORTH_TELLING:
            lane.held_up()
        await sleep_alive(wait.seconds, lane.alive)

    return await read_whole(reading, workers, wait_as_asked)


async def sleep_alive(seconds: float, alive: Callable[[], None]) -> None:
    """Sleep in steps, and beat at each."""
    while seconds > 0:
        alive()
        await asyncio.sleep(min(seconds, _STEP))
        seconds -= _STEP
