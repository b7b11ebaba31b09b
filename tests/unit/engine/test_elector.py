"""The elector: one holder, judged by one's own clock, whose effects stop before the Lease runs out (S11)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from lab.memory.cluster import FakeLeases
from microseg.engine.ground.ports import LeaseLost
from microseg.engine.ground.workers import Workers
from microseg.engine.leadership.elector import Elector, LeasePace, LeaseTerm
from microseg.kube.errors import AlreadyExists, Conflict, KubeError, NotFound, Unavailable
from microseg.kube.leases import Lease

PACE = LeasePace(duration=15.0, renew=0.005, retry=0.005, margin=3.0)


_AHEAD = [0.0]


def _monotonic() -> float:
    return time.monotonic() + _AHEAD[0]


@pytest.fixture
def forward() -> Iterator[Callable[[float], None]]:
    """Moves the electors' monotonic clock."""

    def forward(seconds: float) -> None:
        _AHEAD[0] += seconds

    yield forward
    _AHEAD[0] = 0.0


def lease(holder: str, **changes: Any) -> Lease:
    known: dict[str, Any] = {
        "name": "respiro", "namespace": "plant", "holder": holder, "transitions": 4,
        "renewed_at": datetime.now(UTC), "duration": 15, "resource_version": "9",
    }  # fmt: skip
    return Lease(**(known | changes))


def elector(store: FakeLeases, workers: Workers, identity: str = "me", pace: LeasePace = PACE) -> Elector:
    return Elector(
        store, workers, namespace="plant", name="respiro", identity=identity, pace=pace, monotonic=_monotonic
    )


async def acquired(made: Elector) -> LeaseTerm:
    async with asyncio.timeout(30):
        return await made.acquire()


async def test_a_lease_that_is_not_there_is_made(workers: Workers) -> None:
    store = FakeLeases()
    term = await acquired(elector(store, workers))
    term.check()
    assert store.stored is not None
    assert (term.number, store.stored.holder, store.stored.transitions, store.stored.duration) == (1, "me", 1, 15)


@pytest.mark.parametrize("holder", ["", "me"])
async def test_a_released_lease_or_ones_own_is_taken_at_once_as_a_new_term(workers: Workers, holder: str) -> None:
    store = FakeLeases(lease(holder))
    term = await acquired(elector(store, workers))
    assert term.number == 5
    assert store.journal.names() == ["leases.get", "leases.replace"]


async def test_a_lease_that_is_held_is_waited_for_by_ones_own_clock_whatever_its_times_say(
    workers: Workers, forward: Callable[[float], None]
) -> None:
    store = FakeLeases(lease("other", renewed_at=datetime(2000, 1, 1, tzinfo=UTC)))
    waiting = asyncio.create_task(acquired(elector(store, workers)))
    while len(store.journal.lines) < 3:  # noqa: ASYNC110 - the fake has no event
        await asyncio.sleep(0.001)
    assert store.journal.names("leases.replace") == []
    forward(10)
    seen = len(store.journal.lines)
    while len(store.journal.lines) < seen + 2:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert not waiting.done()
    forward(6)
    assert (await waiting).number == 5


async def test_every_renewal_by_its_holder_starts_the_wait_anew(
    workers: Workers, forward: Callable[[float], None]
) -> None:
    made = elector(store := FakeLeases(lease("other")), workers)
    assert await made._try() is None
    for version in ("10", "11", "12"):
        forward(14)
        store.stored = lease("other", resource_version=version)
        assert await made._try() is None
    forward(16)
    assert await made._try() is not None


@pytest.mark.parametrize("error", [Conflict("c"), AlreadyExists("a"), Unavailable("u")])
async def test_whoever_was_slower_waits(workers: Workers, error: KubeError) -> None:
    store = FakeLeases(lease(""))
    store.fail("replace", error)
    store.meanwhile("replace", lambda: None)
    term = await acquired(elector(store, workers))
    assert (term.number, len(store.journal.of("leases.replace"))) == (5, 2)


async def test_two_electors_never_hold_the_same_lease(workers: Workers, forward: Callable[[float], None]) -> None:
    store = FakeLeases()
    one, two = elector(store, workers, "one"), elector(store, workers, "two")
    first = await acquired(one)
    assert await two._try() is None
    forward(15.5)
    with pytest.raises(LeaseLost):
        first.check()
    second = await two._try()
    assert second is not None
    second.check()
    assert second.number == first.number + 1
    with pytest.raises(LeaseLost):
        await one._renew(first)
    with pytest.raises(LeaseLost):
        first.check()


async def test_effects_stop_before_the_lease_runs_out_while_the_api_server_is_away(
    workers: Workers, forward: Callable[[float], None]
) -> None:
    store = FakeLeases()
    made = elector(store, workers)
    term = await acquired(made)
    store.fail("replace", *[Unavailable("away")] * 10_000)
    holding = asyncio.create_task(made.hold(term))
    forward(9)
    tried = len(store.journal.lines)
    while len(store.journal.lines) < tried + 2:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    term.check()
    assert not holding.done(), "borne until the deadline"
    forward(3.5)
    with pytest.raises(LeaseLost):
        term.check()
    async with asyncio.timeout(30):
        with pytest.raises(LeaseLost):
            await holding


async def test_renewals_extend_the_term_from_before_they_were_asked_for(
    workers: Workers, forward: Callable[[float], None]
) -> None:
    store = FakeLeases()
    made = elector(store, workers)
    term = await acquired(made)
    for _ in range(4):
        forward(11)
        await made._renew(term)
        term.check()
    store.meanwhile("replace", lambda: forward(12.5))
    await made._renew(term)
    with pytest.raises(LeaseLost):
        term.check()


async def test_a_renewal_whose_answer_was_lost_is_not_taken_for_another_replica(workers: Workers) -> None:
    store = FakeLeases()
    made = elector(store, workers)
    term = await acquired(made)
    store.lose("replace", Unavailable("no answer in time"))
    assert not await made._renew(term), "it was written, and nobody heard of it"
    assert not await made._renew(term), "the conflict is with ourselves"
    assert await made._renew(term)
    term.check()
    assert store.stored is not None
    assert store.stored.transitions == term.number


async def test_a_lease_that_somebody_took_ends_the_term_at_once(workers: Workers) -> None:
    store = FakeLeases()
    made = elector(store, workers)
    term = await acquired(made)
    store.stored = lease("other", resource_version="99")
    async with asyncio.timeout(30):
        with pytest.raises(LeaseLost):
            await made.hold(term)
    with pytest.raises(LeaseLost):
        term.check()


async def test_a_lease_that_somebody_deleted_comes_back_by_its_holders_renewal(workers: Workers) -> None:
    store = FakeLeases()
    made = elector(store, workers)
    term = await acquired(made)
    store.stored = None
    holding = asyncio.create_task(made.hold(term))
    async with asyncio.timeout(30):
        while holder_of(store) != "me":  # noqa: ASYNC110 - the fakes have no events
            await asyncio.sleep(0.005)
    term.check()
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)


def holder_of(store: FakeLeases) -> str:
    return store.stored.holder if store.stored is not None else ""


async def test_a_lease_that_another_took_and_that_is_gone_since_ends_the_term_at_once(workers: Workers) -> None:
    store = FakeLeases()
    made = elector(store, workers)
    term = await acquired(made)
    store.stored = None
    store.fail("replace", Conflict("another one's"))
    async with asyncio.timeout(30):
        with pytest.raises(LeaseLost, match="deleted since"):
            await made.hold(term)
    with pytest.raises(LeaseLost):
        term.check()


async def test_a_holder_that_is_stopped_has_no_term_any_more(workers: Workers) -> None:
    store = FakeLeases()
    made = elector(store, workers)
    term = await acquired(made)
    holding = asyncio.create_task(made.hold(term))
    await asyncio.sleep(0)
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    with pytest.raises(LeaseLost):
        term.check()


async def test_a_released_lease_is_taken_over_within_one_retry(workers: Workers) -> None:
    store = FakeLeases()
    made = elector(store, workers)
    term = await acquired(made)
    await made.release(term)
    with pytest.raises(LeaseLost):
        term.check()
    assert store.stored is not None
    assert (store.stored.holder, store.stored.duration) == ("", 1)
    assert (await acquired(elector(store, workers, "next"))).number == 2


async def test_a_release_after_a_renewal_whose_answer_was_lost_frees_the_lease(workers: Workers) -> None:
    store = FakeLeases()
    made = elector(store, workers)
    term = await acquired(made)
    store.lose("replace", Unavailable("no answer in time"))
    await made._renew(term)
    await made.release(term)
    assert store.stored is not None
    assert store.stored.holder == ""


async def test_a_release_takes_nothing_from_who_took_the_lease_meanwhile(workers: Workers) -> None:
    store = FakeLeases()
    made = elector(store, workers)
    term = await acquired(made)
    store.stored = lease("other", resource_version="99")
    await made.release(term)
    assert store.stored.holder == "other"


@pytest.mark.parametrize("error", [Conflict("c"), Unavailable("u"), NotFound("n")])
async def test_a_release_that_fails_is_borne_and_takes_nothing_from_a_successor(
    workers: Workers, error: KubeError
) -> None:
    store = FakeLeases()
    made = elector(store, workers)
    term = await acquired(made)
    store.fail("replace", error, error)
    await made.release(term)
    assert store.stored is not None
    assert store.stored.holder == "me"


async def test_a_term_that_was_never_acquired_is_released_without_a_call(workers: Workers) -> None:
    store = FakeLeases()
    await elector(store, workers).release(LeaseTerm(1, time.monotonic))
    assert store.journal.lines == []


def test_a_term_is_not_valid_before_it_is_extended() -> None:
    now = [100.0]
    term = LeaseTerm(7, lambda: now[0])
    with pytest.raises(LeaseLost):
        term.check()
    term.extend(110.0)
    term.check()
    now[0] = 110.0
    with pytest.raises(LeaseLost):
        term.check()
    term.extend(120.0)
    term.check()
    term.end()
    with pytest.raises(LeaseLost):
        term.check()


async def test_the_lease_carries_what_its_holder_says_of_itself() -> None:
    leases, renewed = FakeLeases(), asyncio.Event()

    def report() -> str:
        if leases.get("ns", "microseg-e").report:
            renewed.set()
        return '{"version":"1"}'

    elector = Elector(leases, Workers("kube", 2), namespace="ns", name="microseg-e", identity="a", pace=PACE)
    term = await elector.acquire()
    holding = asyncio.create_task(elector.hold(term, report))
    async with asyncio.timeout(5):
        await renewed.wait()
    holding.cancel()
    await elector.release(term)
    assert leases.get("ns", "microseg-e").holder == ""
