"""Budgets: one a subscription, and calls that wait for their turn and ask again whether they may be made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from lab.memory.scripted import FakeLimiter
from microseg.engine.ground.ports import LeaseLost
from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.budgets import (
    Budget,
    Budgets,
    PacedWorkers,
    ResourceManagerCalls,
    illumio_budget,
    resource_manager_budget,
    turn,
)
from microseg.gateways.http.rate_limiter import RateLimiter
from microseg.gateways.ports import Throttled


@pytest.fixture
def threads() -> Iterator[Workers]:
    made = Workers("budgets", 1)
    yield made
    made.close()


def _id(subscription: str) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/web1"


def test_a_subscription_has_one_budget_whatever_its_letter_case() -> None:
    budgets = Budgets(resource_manager_budget, ["S1"])
    assert budgets.of(_id("s1")) is budgets.of(_id("S1"))


def test_a_busy_subscription_does_not_hold_up_another() -> None:
    budgets = Budgets(resource_manager_budget, ["s1", "s2"])
    busy = [budgets.of(_id("s1")).writes.reserve() for _ in range(50)]
    assert budgets.of(_id("s2")).writes.reserve() < 1 < busy[-1]


def test_a_fresh_budget_of_the_pce_stays_below_its_limit_from_the_first_minute_on() -> None:
    budget = illumio_budget()
    assert sum(budget.reserve() <= 60 for _ in range(600)) < 500


@pytest.mark.asyncio
async def test_a_call_that_lost_its_lease_while_it_waited_is_not_made(threads: Workers) -> None:
    made: list[str] = []

    def lost() -> None:
        raise LeaseLost("gone")

    paced = PacedWorkers(threads, RateLimiter(100.0, 1.0), lost)
    with pytest.raises(LeaseLost):
        await paced.call(made.append, "sent")
    assert made == []


class Asked:
    """A system that asks for a pause once."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def read(self, resource_id: str) -> str:
        self.calls.append(resource_id)
        if len(self.calls) == 1:
            raise Throttled("Azure asks for a pause of 30 s", 30.0)
        return "read"


async def test_a_429_pauses_the_whole_subscription_and_no_other(threads: Workers) -> None:
    azure, budgets = Asked(), Budgets(lambda: Budget(FakeLimiter(), FakeLimiter()))
    calls = ResourceManagerCalls(threads, budgets, lambda: None)
    with pytest.raises(Throttled):
        await calls.read(azure.read, _id("S1"))
    await calls.write(azure.read, _id("s2"))
    assert pauses(budgets, "s1") == ([30.0], [30.0]), "reads and writes of every host"
    assert pauses(budgets, "s2") == ([], [])


async def test_a_429_of_the_pce_pauses_every_call_of_its_organisation(threads: Workers) -> None:
    limiter, illumio = FakeLimiter(), Asked()
    paced = PacedWorkers(threads, limiter, lambda: None)
    with pytest.raises(Throttled):
        await paced.call(illumio.read, "/workloads")
    assert limiter.pauses == [30.0]


async def test_nobody_sleeps_through_a_pause_not_even_one_that_began_meanwhile() -> None:
    limiter = RateLimiter(20.0, 1.0)
    waiting = asyncio.create_task(turn(limiter, "Azure"))
    await asyncio.sleep(0.01)
    limiter.pause(60.0)
    with pytest.raises(Throttled, match="Azure asks for a pause of 60 s"):
        await waiting
    began = time.monotonic()
    with pytest.raises(Throttled):
        await turn(limiter, "Azure")
    assert time.monotonic() - began < 1


def pauses(budgets: Budgets, subscription: str) -> tuple[list[float], list[float]]:
    budget = budgets.of_subscription(subscription)
    assert isinstance(budget.reads, FakeLimiter)
    assert isinstance(budget.writes, FakeLimiter)
    return budget.reads.pauses, budget.writes.pauses
