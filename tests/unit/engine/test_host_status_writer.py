"""The only writer of statuses: at most one write in flight a host, none without a difference, conflicts redecided."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
from tests.unit.estate.conftest import Bench
from tests.unit.stages import makers as m

from microseg.estate import recorder as module
from microseg.estate.ports import LeaseLost
from microseg.estate.recorder import Intent, Recorder
from microseg.kube.errors import Conflict, Invalid, NotFound, Unavailable
from microseg.model.facts import ABSENT, Seen
from microseg.model.host import AgentOutcome, AgentRecord, HostStatus
from microseg.planning.decide import decide
from microseg.stages.agent import RETRY_ANNOTATION


@pytest.fixture(autouse=True)
def _short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.01)


@asynccontextmanager
async def running(recorder: Recorder) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(recorder.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, BaseExceptionGroup):
            await task


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - the condition is a fake's, which has no event
            await asyncio.sleep(0.002)


def decided(bench: Bench) -> HostStatus:
    """The keeper's part: decide, and offer what differs."""
    facts = bench.ledger.facts(m.VM_ID, "az-")
    decision = decide(bench.entry.host, facts, bench.view(), m.wanted(), m.NOW)
    bench.entry.decision, bench.entry.stale = decision, False
    if decision.status != bench.entry.host.status:
        bench.recorder.offer(m.VM_ID)
    return decision.status


def writes(bench: Bench) -> int:
    return len(bench.journal.of("hosts.patch_status"))


async def test_a_decision_is_written_once_and_its_change_of_stage_is_told(bench: Bench) -> None:
    async with running(bench.recorder):
        status = decided(bench)
        await until(lambda: bench.stored.status == status)
        await until(lambda: bool(bench.events.posted))
        assert decided(bench) == status
        bench.recorder.offer(m.VM_ID)
        bench.recorder.offer("a-host-that-is-gone")
        await bench.recorder.settled()
        await until(lambda: not bench.entry.writing.locked())
    assert (writes(bench), bench.recorder.writes) == (1, 1)
    ((reason, message, warning),) = bench.events.posted
    assert (reason, warning, message.startswith("Stage none -> Pairing.")) == ("Installing", False, True)


async def test_offers_of_one_host_are_one_write_and_one_is_in_flight_at_a_time(bench: Bench) -> None:
    gate, entered, most = threading.Event(), threading.Semaphore(0), []

    def slow() -> None:
        most.append(sum(1 for name in bench.journal.names("hosts.patch_status")))
        entered.release()
        gate.wait(5)

    bench.hosts.meanwhile("patch_status", slow)
    async with running(bench.recorder):
        decided(bench)
        await asyncio.to_thread(entered.acquire)
        bench.entry.illumio_complaint = "no."
        bench.ledger.saw_azure([m.vm(power_state="stopped")])
        status = decided(bench)
        for _ in range(20):
            bench.recorder.offer(m.VM_ID)
        await asyncio.sleep(0)
        assert writes(bench) == 1, "the second waits for the first"
        gate.set()
        await until(lambda: bench.stored.status == status)
    assert writes(bench) == 2


async def test_a_conflict_takes_the_fresh_record_and_lets_the_host_be_decided_again(bench: Bench) -> None:
    async with running(bench.recorder):
        status = decided(bench)
        bench.hosts.annotate(m.NAME, somebody="wrote")
        bench.ledger.dirty.clear()
        bench.recorder.offer(m.VM_ID)
        await until(lambda: m.VM_ID in bench.ledger.dirty)
        assert bench.stored.status == HostStatus()
        assert bench.entry.host == bench.stored
        assert bench.entry.stale
        assert decided(bench) == status
        await until(lambda: bench.stored.status == status)
    assert writes(bench) == 2


async def test_a_conflict_whose_record_cannot_be_read_stops_nobody(bench: Bench) -> None:
    bench.hosts.fail("patch_status", Conflict("c"))
    bench.hosts.fail("read", Unavailable("away"))
    async with running(bench.recorder) as task:
        status = decided(bench)
        bench.ledger.dirty.clear()
        await until(lambda: m.VM_ID in bench.ledger.dirty)
        assert not task.done()
        decided(bench)
        await until(lambda: bench.stored.status == status)


@pytest.mark.parametrize("then", ["patch_status", "read"])
async def test_a_record_that_was_deleted_is_forgotten(bench: Bench, then: str) -> None:
    if then == "read":
        bench.hosts.fail("patch_status", Conflict("c"))
    decided(bench)
    del bench.hosts.stored[m.NAME]
    async with running(bench.recorder):
        await until(lambda: m.VM_ID not in bench.ledger.entries)
    assert bench.hosts.stored == {}


async def test_while_the_api_server_is_away_a_write_is_tried_again(bench: Bench) -> None:
    bench.hosts.fail("patch_status", Unavailable("away"), Unavailable("away"))
    async with running(bench.recorder):
        status = decided(bench)
        await until(lambda: bench.stored.status == status)
    assert (writes(bench), bench.recorder.writes) == (3, 1)


async def test_a_write_whose_answer_was_lost_is_found_by_its_conflict(bench: Bench) -> None:
    bench.hosts.lose("patch_status", Unavailable("lost"))
    async with running(bench.recorder):
        status = decided(bench)
        await until(lambda: bench.stored.status == status)
        bench.ledger.dirty.clear()
        await until(lambda: m.VM_ID in bench.ledger.dirty)
        assert bench.entry.host == bench.stored
        assert decided(bench) == status
        await bench.recorder.settled()
    assert writes(bench) == 2


async def test_a_status_that_the_api_server_refuses_is_not_sent_again_and_again(bench: Bench) -> None:
    bench.hosts.fail("patch_status", Invalid("422"))
    async with running(bench.recorder) as task:
        decided(bench)
        await until(lambda: writes(bench) == 1)
        await until(lambda: not bench.entry.writing.locked())
        assert (writes(bench), task.done()) == (1, False)


async def test_without_the_lease_nothing_is_written_and_the_recorder_ends(bench: Bench) -> None:
    bench.term.lose_after(0)
    task = asyncio.create_task(bench.recorder.run())
    decided(bench)
    with pytest.raises(ExceptionGroup) as ended:
        async with asyncio.timeout(30):
            await task
    assert ended.group_contains(LeaseLost)
    assert writes(bench) == 0


# intents ----------------------------------------------------------------------------------------------------------


async def test_an_intent_carries_the_decision_with_it_and_begins_the_attempt_without_memories(bench: Bench) -> None:
    status = decided(bench)
    entry = bench.entry
    entry.run_command, entry.looks, entry.looked_at = ABSENT, 3, m.NOW
    entry.concluded = AgentOutcome.NEVER_BEGAN
    assert await bench.recorder.intend(m.VM_ID, m.attempt()) is Intent.COMMITTED
    assert bench.stored.status == msgspec.structs.replace(status, agent=m.attempt())
    memories: tuple[object, ...] = (entry.run_command is ABSENT, entry.looks, entry.looked_at, entry.concluded)
    assert memories == (False, 0, None, None)
    assert m.VM_ID in bench.ledger.dirty


@pytest.mark.parametrize("error", [Conflict("c"), NotFound("n")])
async def test_an_intent_that_was_not_taken_keeps_what_is_known(bench: Bench, error: Exception) -> None:
    bench.entry.run_command = Seen(m.run_command(m.attempt()))
    entry = bench.entry
    bench.hosts.fail("patch_status", error)
    assert await bench.recorder.intend(m.VM_ID, m.attempt()) is Intent.CONFLICT
    assert bench.stored.status == HostStatus()
    assert isinstance(entry.run_command, Seen)
    assert (m.VM_ID in bench.ledger.entries) is isinstance(error, Conflict)


async def test_an_intent_for_an_unknown_host_is_a_conflict(bench: Bench) -> None:
    assert await bench.recorder.intend(m.OTHER_VM_ID, m.attempt()) is Intent.CONFLICT


async def test_an_intent_nobody_can_know_of_raises(bench: Bench) -> None:
    bench.hosts.fail("patch_status", Unavailable("away"))
    with pytest.raises(Unavailable):
        await bench.recorder.intend(m.VM_ID, m.attempt())
    assert not bench.entry.writing.locked()


# the person's annotation ------------------------------------------------------------------------------------------


def annotated(bench: Bench, agent: AgentRecord) -> None:
    bench.hosts.put(
        m.with_status(m.host(annotations={RETRY_ANNOTATION: "agent", "other": "x"}), HostStatus(agent=agent))
    )
    bench.mirror()


async def test_a_retry_is_taken_off_with_the_intent_that_acts_on_it_and_others_stay(bench: Bench) -> None:
    annotated(bench, m.ended(AgentOutcome.KEY_REFUSED))
    assert await bench.recorder.intend(m.VM_ID, m.attempt(2)) is Intent.COMMITTED
    assert bench.stored.annotations == {"other": "x"}
    assert bench.entry.host == bench.stored


async def test_a_retry_that_cannot_be_taken_off_does_not_undo_the_intent_and_is_taken_off_later(bench: Bench) -> None:
    annotated(bench, m.ended(AgentOutcome.KEY_REFUSED))
    bench.hosts.fail("clear_annotation", Unavailable("away"), Unavailable("away"))
    assert await bench.recorder.intend(m.VM_ID, m.attempt(2)) is Intent.COMMITTED
    assert RETRY_ANNOTATION in bench.stored.annotations
    async with running(bench.recorder):
        decided(bench)
        await until(lambda: RETRY_ANNOTATION not in bench.stored.annotations)


async def test_a_retry_stays_while_no_attempt_is_under_way(bench: Bench) -> None:
    annotated(bench, m.ended(AgentOutcome.KEY_REFUSED))
    async with running(bench.recorder):
        decided(bench)
        await until(lambda: writes(bench) == 1)
        await until(lambda: not bench.entry.writing.locked())
    assert RETRY_ANNOTATION in bench.stored.annotations
