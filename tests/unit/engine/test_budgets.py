"""Budgets: one a subscription, and calls that wait for their turn and ask again whether they may be made."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from microseg.estate.lanes.budgets import Budgets, pce, resource_manager
from microseg.estate.ports import LeaseLost
from microseg.estate.workers import PacedWorkers, Workers


@pytest.fixture
def threads() -> Iterator[Workers]:
    made = Workers("budgets", 1)
    yield made
    made.close()


def _id(subscription: str) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/web1"


def test_a_subscription_has_one_budget_whatever_its_letter_case() -> None:
    budgets = Budgets(resource_manager, ["S1"])
    assert budgets.of(_id("s1")) is budgets.of(_id("S1"))


def test_a_busy_subscription_does_not_hold_up_another() -> None:
    budgets = Budgets(resource_manager, ["s1", "s2"])
    busy = [budgets.of(_id("s1")).writes.reserve() for _ in range(50)]
    assert budgets.of(_id("s2")).writes.reserve() < 1 < busy[-1]


def test_a_fresh_budget_of_the_pce_stays_below_its_limit_from_the_first_minute_on() -> None:
    budget = pce()
    assert sum(budget.reserve() <= 60 for _ in range(600)) < 500


@pytest.mark.asyncio
async def test_a_call_that_lost_its_lease_while_it_waited_is_not_made(threads: Workers) -> None:
    made: list[str] = []

    def lost() -> None:
        raise LeaseLost("gone")

    paced = PacedWorkers(threads, lambda: 0.01, lost)
    with pytest.raises(LeaseLost):
        await paced.call(made.append, "sent")
    assert made == []
