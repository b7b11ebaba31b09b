"""How much may be asked of the systems that count calls. Whoever calls them waits for a turn here, lists included.

Resource Manager counts per subscription and caller, so each subscription has a budget; the PCE counts per API key. A
system that asks for a pause (429, Retry-After) pauses its whole budget: its limit is not one host's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.readings import await_turn, read_whole
from microseg.engine.lanes.schedule import PollSchedule
from microseg.gateways.http.rate_limiter import RateLimiter
from microseg.gateways.ports import Reading, Throttled, Wait

P = ParamSpec("P")
R = TypeVar("R")
_READS, _WRITES = 20.0, 8.0
"""Per second: below what Resource Manager refills for a subscription and principal, 25 reads and 10 writes.

Source: learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling."""
_READS_AT_ONCE, _WRITES_AT_ONCE = 150.0, 120.0
"""Saved up while nothing happens: less than Resource Manager saves, 250 and 200, and more slowly."""
_QUERIES, _QUERIES_AT_ONCE = 2.0, 4.0
"""Of Resource Graph, which takes 15 in 5 s from one caller: so another estate may sign in as the same one.

Source: learn.microsoft.com/azure/governance/resource-graph/concepts/guidance-for-throttled-requests."""
_ILLUMIO_CALLS, _ILLUMIO_AT_ONCE = 8.0, 12.0
"""Per second, and saved up: 492 in any minute, also over a restart, which begins with nothing saved up. The PCE takes
500 per minute and API key. Source: the vendor's REST API guide, rate limits."""

_SHORT_SHARE, _LONG_SHARE = 0.2, 0.06
_ROWS = 1000.0
"""Rows of the PCE that are read per second at most. Each costs some 0.2 ms: a long list takes a fifth of our time."""


def resource_manager_budget() -> Budget:
    """A fresh budget for one subscription."""
    return Budget(RateLimiter(_READS, _READS_AT_ONCE), RateLimiter(_WRITES, _WRITES_AT_ONCE))


def graph_budget() -> RateLimiter:
    """A fresh budget for the queries of one estate."""
    return RateLimiter(_QUERIES, _QUERIES_AT_ONCE)


def illumio_budget() -> RateLimiter:
    """A fresh budget for one PCE organisation."""
    return RateLimiter(_ILLUMIO_CALLS, _ILLUMIO_AT_ONCE)


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be asked in one subscription; both start empty, so a restart never doubles a budget (S13)."""

    reads: RateLimiter
    writes: RateLimiter

    def pause(self, seconds: float) -> None:
        """The subscription asked for a pause."""
        self.reads.pause(seconds)
        self.writes.pause(seconds)


class Budgets:
    """A budget per subscription, so that one that is busy does not hold up the others."""

    def __init__(
        self,
        make: Callable[[], Budget],
        subscriptions: Iterable[str] = (),
        graph: Callable[[], RateLimiter] = graph_budget,
    ) -> None:
        """The budgets of `subscriptions` begin to fill now; another's at its first use. `graph`: of Resource Graph."""
        self._make = make
        self.graph = graph()
        """Queries of Resource Graph, which counts per caller."""
        self._budgets = {each.lower(): make() for each in subscriptions}

    def of(self, resource_id: str) -> Budget:
        """The budget of an ARM id's subscription."""
        return self.of_subscription(subscription_of(resource_id))

    def of_subscription(self, subscription: str) -> Budget:
        """The budget of a subscription."""
        key = subscription.lower()
        if key not in self._budgets:
            self._budgets[key] = self._make()
        return self._budgets[key]

    def left(self) -> dict[str, float]:
        """Budget -> calls that it allows at once, of the subscription that is nearest its limit."""
        budgets = self._budgets.values()
        ways = {"reads": [one.reads.left() for one in budgets], "writes": [one.writes.left() for one in budgets]}
        return {way: min(left) for way, left in ways.items() if left}


def closest_readings(requests: int, rows: int) -> float:
    """Seconds between two readings of the PCE that need so many requests each, where our own changes ask for them.

    A short list may use a fifth of the budget, so that a host goes on soon; a long one little, because keys need it.
    """
    share = _SHORT_SHARE if requests <= 1 else _LONG_SHARE
    return max(requests / (_ILLUMIO_CALLS * share), shortest_interval(rows))


def shortest_interval(rows: int) -> float:
    """Seconds between two readings of the PCE that nothing asks for, at least."""
    return rows / _ROWS


def subscription_of(resource_id: str) -> str:
    """The subscription of an ARM id, in lower case; empty: it has none."""
    parts = resource_id.split("/")
    return parts[2].lower() if len(parts) > 2 else ""


async def turn(limiter: RateLimiter, system: str) -> None:
    """Wait for the turn of one call. Raises Throttled while the system wants a pause, also one that begins meanwhile.

    Nobody sleeps through a pause here: the caller's decision would grow stale, and its place is somebody else's.
    """
    check_pause(limiter, system)
    await asyncio.sleep(limiter.reserve())
    check_pause(limiter, system)


def check_pause(limiter: RateLimiter, system: str, tolerated: float = 0.0) -> None:
    """Raise Throttled during a pause that is longer than so many seconds."""
    if (left := limiter.paused()) > tolerated:
        raise Throttled(f"{system} asks for a pause of {left:.0f} s", left)


class PacedWorkers:
    """A system's threads, for calls that the system counts: each waits for its turn first."""

    def __init__(self, workers: Workers, limiter: RateLimiter, check: Callable[[], None]) -> None:
        """`check` raises if no call may be made any more: the Lease may be lost while a call waits."""
        self._workers, self._limiter, self._check = workers, limiter, check
        self.requests = 0
        """Requests that lists needed so far."""

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Wait for the turn and run it. Raises what `check` raises. Throttled: the whole budget pauses."""
        await turn(self._limiter, "The PCE")
        self._check()
        try:
            return await self._workers.call(function, *args, **kwargs)
        except Throttled as error:
            self._limiter.pause(error.retry_after)
            raise

    async def read(self, reading: Reading[R], lane: PollSchedule) -> R:
        """A whole list of the lane's system, request by request. Raises GatewayError."""

        async def wait(asked: Wait) -> None:
            self.requests += 1
            await await_turn(self._limiter, asked, lane)

        return await read_whole(reading, self._workers, wait)


class ResourceManagerCalls:
    """Calls of Resource Manager that concern one VM, within its subscription's budget."""

    def __init__(self, workers: Workers, budgets: Budgets, check: Callable[[], None]) -> None:
        """`check` raises if no effect may be tried any more."""
        self._workers, self._budgets, self._check = workers, budgets, check

    async def read(
        self, function: Callable[Concatenate[str, P], R], resource_id: str, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """A read. Throttled: the subscription's whole budget pauses."""
        budget = self._budgets.of(resource_id)
        await turn(budget.reads, "Azure")
        return await self._call(budget, function, resource_id, *args, **kwargs)

    async def write(
        self, function: Callable[Concatenate[str, P], R], resource_id: str, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """An effect: only with the Lease. Throttled: the subscription's whole budget pauses."""
        await self.turn_to_write(resource_id)
        return await self.write_in_turn(function, resource_id, *args, **kwargs)

    async def turn_to_write(self, resource_id: str) -> None:
        """Wait for the turn of an effect that is prepared, at a cost, right before `write_in_turn` tries it.

        Throttled: the budget pauses.
        """
        await turn(self._budgets.of(resource_id).writes, "Azure")

    async def write_in_turn(
        self, function: Callable[Concatenate[str, P], R], resource_id: str, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """An effect whose turn has come: only with the Lease, and not in a pause that began meanwhile."""
        budget = self._budgets.of(resource_id)
        check_pause(budget.writes, "Azure")
        self._check()
        return await self._call(budget, function, resource_id, *args, **kwargs)

    async def _call(self, budget: Budget, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await self._workers.call(function, *args, **kwargs)
        except Throttled as error:
            budget.pause(error.retry_after)
            raise
