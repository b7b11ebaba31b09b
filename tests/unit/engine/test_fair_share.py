"""Several estates over several replicas: a free Lease goes to who holds the fewest, and to somebody in any case."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

import pytest

from lab.memory.cluster import FakeLeases
from microseg.engine.ground.workers import Workers
from microseg.engine.leadership.elector import Elector, LeasePace
from microseg.engine.leadership.fair_share import FairShare
from microseg.kube.leases import Lease

PACE = LeasePace(duration=15.0, renew=1.0, retry=0.05, margin=3.0)
QUICK = 0.005


class Replica:
    """The electors of one process, one per estate. A store's name is its namespace: all estates have one name."""

    def __init__(self, identity: str, stores: dict[str, FakeLeases], workers: Workers) -> None:
        share = FairShare(identity, pause=QUICK)
        self.electors = {
            name: Elector(
                store, workers, namespace=name, name="microseg-plant", identity=identity, pace=PACE, share=share
            )
            for name, store in stores.items()
        }
        self.tasks: list[asyncio.Task[object]] = []

    def begin(self) -> None:
        self.tasks = [asyncio.create_task(each.acquire()) for each in self.electors.values()]

    def end(self) -> None:
        for task in self.tasks:
            task.cancel()


def held(name: str, holder: str) -> FakeLeases:
    return FakeLeases(Lease(name, "plant", holder, 1, None, 15, "1"))


def shares(stores: Iterable[FakeLeases]) -> Counter[str]:
    return Counter(store.stored.holder for store in stores if store.stored is not None and store.stored.holder)


async def all_held(stores: dict[str, FakeLeases]) -> Counter[str]:
    async with asyncio.timeout(20):
        while sum(shares(stores.values()).values()) < len(stores):  # noqa: ASYNC110 - the fake has no event
            await asyncio.sleep(0.002)
    return shares(stores.values())


async def test_what_a_replica_releases_goes_to_the_one_that_holds_fewer(workers: Workers) -> None:
    stores = {f"e{number}": held(f"e{number}", "full") for number in range(4)}
    stores |= {f"f{number}": held(f"f{number}", "") for number in range(4)}
    full, empty = Replica("full", stores, workers), Replica("empty", stores, workers)
    full.begin()
    empty.begin()
    found = await all_held(stores)
    full.end()
    empty.end()
    assert found == {"full": 4, "empty": 4}


async def test_a_replica_that_holds_more_takes_a_free_lease_that_nobody_else_wants(workers: Workers) -> None:
    stores = {"e0": held("e0", "full"), "e1": held("e1", "full"), "e2": held("e2", "other"), "e3": held("e3", "")}
    full = Replica("full", stores, workers)
    full.begin()
    found = await all_held(stores)
    full.end()
    assert found == {"full": 3, "other": 1}, "it waits one look for the other, and no longer"


async def test_a_lease_that_is_free_once_more_is_left_to_others_once_more(workers: Workers) -> None:
    stores = {"e0": held("e0", "full"), "e1": held("e1", "full"), "e2": held("e2", "other"), "e3": held("e3", "")}
    full = Replica("full", stores, workers)
    for name in ("e0", "e1", "e2"):
        await full.electors[name]._try()
    free = full.electors["e3"]
    for _ in range(2):
        assert await free._try() is None, "it is left to the other"
        stores["e3"].stored = Lease("e3", "plant", "other", 2, None, 15, "2")
        assert await free._try() is None
        stores["e3"].stored = Lease("e3", "plant", "", 2, None, 15, "3")


async def test_a_replica_alone_takes_all_at_once(workers: Workers) -> None:
    stores = {f"e{number}": held(f"e{number}", "") for number in range(6)}
    alone = Replica("alone", stores, workers)
    alone.begin()
    assert await all_held(stores) == {"alone": 6}
    alone.end()


@pytest.mark.parametrize(
    ("holders", "former", "others_first"),
    [
        ({}, "", False),
        ({"a": "me"}, "", False),
        ({"a": "me", "b": "other"}, "", False),
        ({"a": "me", "b": "me", "c": "other"}, "", True),
        ({"a": "me", "b": "me", "c": "dead"}, "dead", False),
        ({"a": "me", "b": "me", "c": "dead", "d": "other"}, "dead", True),
        ({"a": "me", "b": "me", "c": ""}, "", False),
    ],
)
def test_only_a_living_replica_that_is_seen_to_hold_fewer_comes_first(
    holders: dict[str, str], former: str, *, others_first: bool
) -> None:
    share = FairShare("me")
    for lease, holder in holders.items():
        share.saw(lease, holder)
    assert share.is_for_others("free", former) is others_first
    assert not share.is_for_others("free", former), "one look is enough"


async def test_who_waits_for_its_turn_looks_again_before_it_takes(workers: Workers) -> None:
    store = held("e0", "")
    share = FairShare("me", pause=QUICK)
    made = Elector(store, workers, namespace="plant", name="e0", identity="me", pace=PACE, share=share)
    async with share.turn():
        waiting = asyncio.create_task(made._try())
        while not store.journal.lines:  # noqa: ASYNC110 - the fake has no event
            await asyncio.sleep(0.001)
        store.stored = Lease("e0", "plant", "other", 2, None, 15, "2")
    assert await waiting is None
    assert store.journal.names("leases.replace") == []
