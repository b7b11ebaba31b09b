"""The only writer of statuses: at most one write in flight a host, none without a difference, conflicts redecided."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
from tests.unit.engine.conftest import Bench

from lab.memory import samples as m
from lab.memory.world import QUICK
from microseg.engine.cluster.host_status import Intent
from microseg.engine.ground.ports import LeaseLost
from microseg.kube.errors import Conflict, Invalid, NotFound, Unavailable
from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.azure_facts import VmDetail
from microseg.model.facts import ABSENT, Seen
from microseg.model.host import HostStatus
from microseg.model.names import Annotation
from microseg.planning.decide import decide


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[asyncio.Task[None]]:
    tasks = [asyncio.create_task(bench.host_status.run()), asyncio.create_task(bench.recorder.run())]
    try:
        yield tasks[0]
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, BaseExceptionGroup):
                await task


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - the condition is a fake's, which has no event
            await asyncio.sleep(0.002)


def decided(bench: Bench) -> HostStatus:
    """The reconciler's part: decide, and offer what differs."""
    facts = bench.table.facts(m.VM_ID)
    decision = decide(bench.state.record, facts, bench.view(), m.desired(), m.NOW)
    bench.table.decided(m.VM_ID, decision)
    if decision.status != bench.state.record.status:
        bench.host_status.offer(m.VM_ID)
    return decision.status


def versions(bench: Bench) -> int:
    """How often the record changed in the API server."""
    return int(bench.stored.resource_version) - 101


def writes(bench: Bench) -> int:
    return len(bench.journal.of("hosts.patch_status"))


async def test_a_decision_is_written_once_and_its_change_of_stage_is_told(bench: Bench) -> None:
    async with running(bench):
        status = decided(bench)
        await until(lambda: bench.stored.status == status)
        await until(lambda: bool(bench.events.posted))
        assert decided(bench) == status
        bench.host_status.offer(m.VM_ID)
        bench.host_status.offer("a-host-that-is-gone")
        await until(lambda: not bench.host_status.waiting)
        await until(lambda: not bench.state.writing.locked())
    assert (writes(bench), versions(bench)) == (1, 1)
    ((reason, message, warning),) = bench.events.posted
    assert (reason, warning, message.startswith("Stage none -> Pairing.")) == ("InstallingAgent", False, True)


async def test_offers_of_one_host_are_one_write_and_one_is_in_flight_at_a_time(bench: Bench) -> None:
    gate, entered, most = threading.Event(), threading.Semaphore(0), []

    def slow() -> None:
        most.append(sum(1 for name in bench.journal.names("hosts.patch_status")))
        entered.release()
        gate.wait(5)

    bench.hosts.meanwhile("patch_status", slow)
    async with running(bench):
        decided(bench)
        await asyncio.to_thread(entered.acquire)
        bench.table.illumio_answered(m.VM_ID, "no.")
        bench.table.saw_azure([m.vm(power_state="stopped")])
        status = decided(bench)
        for _ in range(20):
            bench.host_status.offer(m.VM_ID)
        await asyncio.sleep(0)
        assert writes(bench) == 1, "the second waits for the first"
        bench.table.dirty.clear()
        gate.set()
        await until(lambda: m.VM_ID in bench.table.dirty)
        assert decided(bench) == status
        await until(lambda: bench.stored.status == status)
    assert writes(bench) == 2


async def test_a_change_that_is_taken_back_while_it_is_written_does_not_stay(bench: Bench) -> None:
    gate, entered = threading.Event(), threading.Semaphore(0)

    def slow() -> None:
        entered.release()
        gate.wait(5)

    async with running(bench):
        running_vm = decided(bench)
        await until_written(bench, running_vm)
        bench.hosts.meanwhile("patch_status", slow)
        bench.table.saw_azure([m.vm(power_state="stopped")])
        decided(bench)
        await asyncio.to_thread(entered.acquire)
        bench.table.saw_azure([bench.vm])
        assert decided(bench) == running_vm
        bench.table.dirty.clear()
        gate.set()
        await until(lambda: m.VM_ID in bench.table.dirty)
        decided(bench)
        await until(lambda: bench.stored.status.azure == running_vm.azure)


async def test_a_conflict_takes_the_fresh_record_and_lets_the_host_be_decided_again(bench: Bench) -> None:
    async with running(bench):
        status = decided(bench)
        bench.hosts.annotate(m.NAME, somebody="wrote")
        bench.table.dirty.clear()
        bench.host_status.offer(m.VM_ID)
        await until(lambda: m.VM_ID in bench.table.dirty)
        assert bench.stored.status == HostStatus()
        assert bench.state.record == bench.stored
        assert bench.state.stale
        assert decided(bench) == status
        await until(lambda: bench.stored.status == status)
    assert writes(bench) == 2


async def test_a_conflict_whose_record_cannot_be_read_stops_nobody(bench: Bench) -> None:
    bench.hosts.fail("patch_status", Conflict("c"))
    bench.hosts.fail("read", Unavailable("away"))
    async with running(bench) as task:
        status = decided(bench)
        bench.table.dirty.clear()
        await until(lambda: m.VM_ID in bench.table.dirty)
        assert not task.done()
        decided(bench)
        await until(lambda: bench.stored.status == status)


@pytest.mark.parametrize("then", ["patch_status", "read"])
async def test_a_record_that_was_deleted_is_forgotten(bench: Bench, then: str) -> None:
    if then == "read":
        bench.hosts.fail("patch_status", Conflict("c"))
    decided(bench)
    del bench.hosts.stored[m.NAME]
    async with running(bench):
        await until(lambda: m.VM_ID not in bench.table.hosts)
    assert bench.hosts.stored == {}


async def test_while_the_api_server_is_away_a_write_is_tried_again(bench: Bench) -> None:
    bench.hosts.fail("patch_status", Unavailable("away"), Unavailable("away"))
    async with running(bench):
        status = decided(bench)
        await until(lambda: bench.stored.status == status)
    assert (writes(bench), versions(bench)) == (3, 1)


async def test_a_write_whose_answer_was_lost_is_found_by_its_conflict(bench: Bench) -> None:
    bench.hosts.lose("patch_status", Unavailable("lost"))
    async with running(bench):
        status = decided(bench)
        await until(lambda: bench.stored.status == status)
        bench.table.dirty.clear()
        await until(lambda: m.VM_ID in bench.table.dirty)
        assert bench.state.record == bench.stored
        assert decided(bench) == status
        await until(lambda: not bench.host_status.waiting)
    assert writes(bench) == 2


async def test_a_status_that_the_api_server_refuses_is_not_sent_again_and_again(bench: Bench) -> None:
    bench.hosts.fail("patch_status", Invalid("422"))
    async with running(bench) as task:
        decided(bench)
        await until(lambda: writes(bench) == 1)
        await until(lambda: not bench.state.writing.locked())
        assert (writes(bench), task.done()) == (1, False)


async def test_without_the_lease_nothing_is_written_and_the_recorder_ends(bench: Bench) -> None:
    bench.term.lose_after(0)
    task = asyncio.create_task(bench.host_status.run())
    decided(bench)
    with pytest.raises(ExceptionGroup) as ended:
        async with asyncio.timeout(30):
            await task
    assert ended.group_contains(LeaseLost)
    assert writes(bench) == 0


# lesser news ------------------------------------------------------------------------------------------------------


def agent_answers(bench: Bench, *, ready: bool = False) -> HostStatus:
    """What Azure's agent says is read anew; nothing else is."""
    bench.table.saw_detail(m.VM_ID, VmDetail(m.VM_ID, bench.vm.record.power_state, agent_ready=ready))
    return decided(bench)


async def test_lesser_news_waits_for_more_and_is_written_with_it(bench: Bench) -> None:
    async with running(bench):
        await until_written(bench, decided(bench))
        status = agent_answers(bench)
        bench.host_status.offer(m.VM_ID)
        assert (bench.host_status.waiting, status == bench.stored.status) == (0, False)
        bench.table.saw_azure([m.vm(power_state="stopped", agent_ready=False)])
        await until_written(bench, decided(bench))
        await asyncio.sleep(2 * QUICK.lesser_news)
    assert writes(bench) == 2


async def test_lesser_news_alone_is_written_after_a_while(bench: Bench) -> None:
    async with running(bench):
        await until_written(bench, decided(bench))
        await until_written(bench, agent_answers(bench))
    assert writes(bench) == 2


async def test_lesser_news_of_a_host_with_annotations_is_written_at_once(bench: Bench) -> None:
    async with running(bench):
        await until_written(bench, decided(bench))
        bench.hosts.annotate(m.NAME, somebody="wrote")
        bench.sync()
        agent_answers(bench)
        assert bench.host_status.waiting == 1


async def test_lesser_news_that_comes_again_is_written_again(bench: Bench) -> None:
    async with running(bench):
        await until_written(bench, decided(bench))
        await until_written(bench, agent_answers(bench, ready=False))
        await until_written(bench, agent_answers(bench, ready=True))
    assert writes(bench) == 3


async def test_lesser_news_waits_no_longer_because_it_is_decided_again_and_again(bench: Bench) -> None:
    async with running(bench):
        await until_written(bench, decided(bench))
        status = agent_answers(bench)
        async with asyncio.timeout(30):
            while bench.stored.status != status:
                bench.host_status.offer(m.VM_ID)
                await asyncio.sleep(QUICK.lesser_news / 20)
    assert writes(bench) == 2


async def test_lesser_news_is_forgotten_at_the_end_of_the_term(bench: Bench) -> None:
    async with running(bench):
        await until_written(bench, decided(bench))
        agent_answers(bench)
        before = writes(bench)
    await asyncio.sleep(2 * QUICK.lesser_news)
    assert (bench.host_status.waiting, writes(bench)) == (0, before)


async def until_written(bench: Bench, status: HostStatus) -> None:
    await until(lambda: bench.stored.status == status and not bench.state.writing.locked())


# intents ----------------------------------------------------------------------------------------------------------


async def test_an_intent_carries_the_decision_with_it_and_begins_the_attempt_without_memories(bench: Bench) -> None:
    status = decided(bench)
    state = bench.state
    bench.table.attempt_observed(
        m.VM_ID, run_command=ABSENT, looks=3, looked_at=m.NOW, concluded=AgentOutcome.NEVER_BEGAN
    )
    assert await bench.host_status.intend(m.VM_ID, m.attempt()) is Intent.COMMITTED
    assert bench.stored.status == msgspec.structs.replace(status, agent=m.attempt())
    memories: tuple[object, ...] = (
        state.observed.run_command is ABSENT,
        state.observed.looks,
        state.observed.looked_at,
        state.observed.concluded,
    )
    assert memories == (False, 0, None, None)
    assert m.VM_ID in bench.table.dirty


@pytest.mark.parametrize("error", [Conflict("c"), NotFound("n")])
async def test_an_intent_that_was_not_taken_keeps_what_is_known(bench: Bench, error: Exception) -> None:
    bench.table.attempt_observed(m.VM_ID, run_command=Seen(m.run_command(m.attempt())))
    state = bench.state
    bench.hosts.fail("patch_status", error)
    assert await bench.host_status.intend(m.VM_ID, m.attempt()) is Intent.CONFLICT
    assert bench.stored.status == HostStatus()
    assert isinstance(state.observed.run_command, Seen)
    assert (m.VM_ID in bench.table.hosts) is isinstance(error, Conflict)


async def test_an_intent_for_an_unknown_host_is_a_conflict(bench: Bench) -> None:
    assert await bench.host_status.intend(m.OTHER_VM_ID, m.attempt()) is Intent.CONFLICT


async def test_an_intent_nobody_can_know_of_raises(bench: Bench) -> None:
    bench.hosts.fail("patch_status", Unavailable("away"))
    with pytest.raises(Unavailable):
        await bench.host_status.intend(m.VM_ID, m.attempt())
    assert not bench.state.writing.locked()


# the person's annotation ------------------------------------------------------------------------------------------


def annotated(bench: Bench, agent: AgentRecord) -> None:
    bench.hosts.put(
        m.with_status(m.host(annotations={Annotation.RETRY: "agent", "other": "x"}), HostStatus(agent=agent))
    )
    bench.sync()


async def test_a_retry_is_taken_off_with_the_intent_that_acts_on_it_and_others_stay(bench: Bench) -> None:
    annotated(bench, m.ended(AgentOutcome.KEY_REFUSED))
    assert await bench.host_status.intend(m.VM_ID, m.attempt(2)) is Intent.COMMITTED
    assert bench.stored.annotations == {"other": "x"}
    assert bench.state.record == bench.stored


async def test_a_retry_that_cannot_be_taken_off_does_not_undo_the_intent_and_is_taken_off_later(bench: Bench) -> None:
    annotated(bench, m.ended(AgentOutcome.KEY_REFUSED))
    bench.hosts.fail("clear_annotation", Unavailable("away"), Unavailable("away"))
    assert await bench.host_status.intend(m.VM_ID, m.attempt(2)) is Intent.COMMITTED
    assert Annotation.RETRY in bench.stored.annotations
    async with running(bench):
        decided(bench)
        await until(lambda: Annotation.RETRY not in bench.stored.annotations)


async def test_a_retry_stays_while_no_attempt_is_under_way(bench: Bench) -> None:
    annotated(bench, m.ended(AgentOutcome.KEY_REFUSED))
    async with running(bench):
        decided(bench)
        await until(lambda: writes(bench) == 1)
        await until(lambda: not bench.state.writing.locked())
    assert Annotation.RETRY in bench.stored.annotations
