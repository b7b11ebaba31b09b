"""The only writer of hosts' statuses: intents at once by compare-and-swap, everything else coalesced.

One write is in flight per host. A status that does not differ is not written, and lesser news waits some seconds for
the next write. A conflict means that somebody else wrote: the fresh record is taken and the host is decided again.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable

import msgspec

from microseg.engine.cluster import host_metrics
from microseg.engine.cluster.event_recorder import EventRecorder
from microseg.engine.cluster.lesser_news import is_lesser_news
from microseg.engine.ground.ports import HostStore
from microseg.engine.ground.runtime import Runtime
from microseg.engine.state.host_state import HostState
from microseg.engine.state.host_table import HostTable
from microseg.kube.errors import Conflict, Invalid, KubeError, NotFound
from microseg.model.agent_record import AgentRecord
from microseg.model.host import HostStatus, ManagedHost, RetirementRecord
from microseg.model.names import Annotation
from microseg.planning.drift import contended
from microseg.stages.agent import DRIFT
from microseg.stages.attempt import under_way

log = logging.getLogger(__name__)
_WRITERS = 8
"""Writes in flight; `make bench-writes` compares them with the least client of as many connections (docs/scale.md)."""


class Intent(enum.Enum):
    """Whether an intent was written."""

    COMMITTED = "committed"
    CONFLICT = "conflict"


class HostStatusWriter:
    """Writes statuses, and reports to the event recorder what changed."""

    def __init__(self, hosts: HostStore, events: EventRecorder, table: HostTable, runtime: Runtime) -> None:
        """Take the store; nothing runs before `run`."""
        self._hosts, self._events, self._table, self._runtime = hosts, events, table, runtime
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()
        self._later: dict[str, asyncio.TimerHandle] = {}

    def offer(self, vm_id: str) -> None:
        """This host's decision differs from its record: write it when its turn comes."""
        state = self._table.hosts.get(vm_id)
        if state is None or state.decision is None or not is_lesser_news(state.record, state.decision.status):
            self._enqueue(vm_id)
        elif vm_id not in self._later:
            pause = self._runtime.pauses.lesser_news
            self._later[vm_id] = asyncio.get_running_loop().call_later(pause, self._enqueue, vm_id)

    def _enqueue(self, vm_id: str) -> None:
        self._forget_timer(vm_id)
        if vm_id not in self._queued:
            self._queued.add(vm_id)
            self._queue.put_nowait(vm_id)

    def _forget_timer(self, vm_id: str) -> None:
        timer = self._later.pop(vm_id, None)
        if timer is not None:
            timer.cancel()

    @property
    def waiting(self) -> int:
        """Hosts whose status waits to be written."""
        return len(self._queued)

    async def run(self) -> None:
        """Write for ever."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(_WRITERS):
                    tasks.create_task(self._write_forever(f"host-status-{number}"))
        finally:
            for vm_id in tuple(self._later):
                self._forget_timer(vm_id)

    async def intend(self, vm_id: str, agent: AgentRecord) -> Intent:
        """Write an intent now. Only after COMMITTED may the effect be tried. Raises KubeError when nobody can know.

        The host is not decided again before the caller touches it: until its effect is tried nothing is new.
        """
        return await self._swap(
            vm_id,
            lambda status: msgspec.structs.replace(status, agent=agent),
            lambda: self._table.attempt_intended(vm_id),
        )

    async def begin_retirement(self, vm_id: str, record: RetirementRecord) -> Intent:
        """Write that a host is being retired; its tombstone is written already."""
        return await self._swap(
            vm_id,
            lambda status: msgspec.structs.replace(status, retirement=record),
            lambda: self._table.touch((vm_id,)),
        )

    async def _swap(
        self, vm_id: str, change: Callable[[HostStatus], HostStatus], committed: Callable[[], None]
    ) -> Intent:
        """Compare-and-swap one host's status at once, over whatever was decided and not yet written."""
        state = self._table.hosts.get(vm_id)
        if state is None:
            return Intent.CONFLICT
        async with state.writing:
            self._runtime.term.check()
            decided = state.decision is not None and not state.stale
            status = change(state.decision.status if state.decision and decided else state.record.status)
            try:
                before = state.record
                written = await self._patch(state, status)
            except Conflict:
                await self._refresh(state)
                return Intent.CONFLICT
            except NotFound:
                self._table.drop(state.record.name)
                return Intent.CONFLICT
            committed()
            self._took(before, written)
            await self._acted_on_retry(state)
        return Intent.COMMITTED

    async def _write_forever(self, loop: str) -> None:
        while True:
            self._runtime.heartbeats.beat(loop)
            vm_id = await self._next()
            state = self._table.hosts.get(vm_id)
            if state is not None:
                await self._write(vm_id, state)

    async def _next(self) -> str:
        """The next host to be written; empty where none came for a while."""
        try:
            async with asyncio.timeout(self._runtime.pauses.idle):
                vm_id = await self._queue.get()
        except TimeoutError:
            return ""
        self._queued.discard(vm_id)
        return vm_id

    async def _write(self, vm_id: str, state: HostState) -> None:
        """Write one host's decision, if it still differs from the record."""
        async with state.writing:
            try:
                self._runtime.term.check()
                # A stale decision may be older than an intent that was committed meanwhile, and would undo it.
                if state.decision is not None and not state.stale and state.decision.status != state.record.status:
                    status = state.decision.status
                    before = state.record
                    self._took(before, await self._patch(state, status))
                    if state.decision.status != status:
                        # Decided meanwhile by the record before this write, which may be what is wanted again.
                        self._table.touch((vm_id,))
                await self._clear_retry(state)
                await self._clear_void(state)
            except Conflict:
                await self._refresh(state)
            except NotFound:
                self._table.drop(state.record.name)
            except Invalid as error:
                log.error("status refused", extra={"host": state.record.name, "error": str(error)})
            except KubeError as error:
                log.warning("status not written", extra={"host": state.record.name, "error": str(error)})
                await asyncio.sleep(self._runtime.pauses.write_retry)
                self.offer(vm_id)

    async def _patch(self, state: HostState, status: HostStatus) -> ManagedHost:
        """Write one status. The watch may show it before its answer is here: the table is to know it for ours."""
        vm_id = state.record.spec.vm_id
        self._table.sending(vm_id, status)
        try:
            return await self._runtime.cluster.call(self._hosts.patch_status, state.record, status)
        finally:
            self._table.sending(vm_id, None)

    async def _clear_retry(self, state: HostState) -> None:
        """A person's `retry` was acted on once its attempt is under way, or nothing is left alone as Contention."""
        word = state.record.annotations.get(Annotation.RETRY)
        if word is not None and (_attempted(state.record) if word != DRIFT else not contended(state.record)):
            self._table.wrote(
                await self._runtime.cluster.call(self._hosts.clear_annotation, state.record, Annotation.RETRY)
            )

    async def _clear_void(self, state: HostState) -> None:
        """A person's word that a VM is gone is void once the VM is seen."""
        if seen_again(state.record):
            self._table.wrote(
                await self._runtime.cluster.call(self._hosts.clear_annotation, state.record, Annotation.CONFIRM_GONE)
            )

    async def _acted_on_retry(self, state: HostState) -> None:
        """Take it off at once: an attempt that is over before its first write must not cause another."""
        try:
            await self._clear_retry(state)
        except KubeError as error:
            log.warning("annotation not taken off", extra={"host": state.record.name, "error": str(error)})

    async def _refresh(self, state: HostState) -> None:
        """Somebody else wrote: decide again from what is there now."""
        try:
            self._table.wrote(await self._runtime.cluster.call(self._hosts.read, state.record.name))
        except NotFound:
            self._table.drop(state.record.name)
            return
        except KubeError as error:
            log.warning("record not read", extra={"host": state.record.name, "error": str(error)})
        self._table.touch((state.record.spec.vm_id,))

    def _took(self, before: ManagedHost, written: ManagedHost) -> None:
        """The API server took a write: remember it, and post an Event where a stage changed.

        `before`: what was written over; the table may have the new record already, by the reflector.
        """
        self._table.wrote(written)
        host_metrics.count(self._runtime.metrics, before.status, written.status)
        self._events.host_changed(written, before.status, written.status)


def seen_again(host: ManagedHost) -> bool:
    """Whether a person vouches that the VM is gone while the record says that it is there."""
    there = host.status.missing_since is None and host.status.azure is not None
    return there and Annotation.CONFIRM_GONE in host.annotations


def _attempted(host: ManagedHost) -> bool:
    """Whether an attempt is under way that is not known to have ended without a result: that one is no answer."""
    agent = host.status.agent
    return agent is not None and under_way(agent) and agent.lost_at is None
