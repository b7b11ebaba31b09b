"""The only writer of hosts' statuses: intents at once by compare-and-swap, everything else coalesced.

One write is in flight per host. A status that does not differ is not written. A conflict means that somebody else
wrote: the fresh record is taken and the host is decided again.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable

import msgspec

from microseg.estate.entry import Entry
from microseg.estate.ledger import Ledger
from microseg.estate.news import News
from microseg.estate.ports import EventSink, HostStore, Term
from microseg.estate.workers import Workers
from microseg.kube.errors import Conflict, Invalid, KubeError, NotFound
from microseg.model.host import AgentRecord, HostStatus, ManagedHost, RetirementRecord
from microseg.planning.drift import contended
from microseg.stages.agent import DRIFT, RETRY_ANNOTATION
from microseg.stages.attempt import under_way

log = logging.getLogger(__name__)
_WRITERS = 8
"""Writes in flight: eight threads reach 0.85-0.9 of what the API server takes (measured, see docs/decisions)."""
_PAUSE = 2.0
"""Seconds before a write is tried again when the API server is away."""


class Intent(enum.Enum):
    """Whether an intent was written."""

    COMMITTED = "committed"
    CONFLICT = "conflict"


class Recorder:
    """Writes statuses and posts the Events that follow from them."""

    def __init__(self, hosts: HostStore, events: EventSink, ledger: Ledger, workers: Workers, term: Term) -> None:
        """Take the stores; nothing runs before `run`."""
        self._hosts, self._ledger, self._workers, self._term = hosts, ledger, workers, term
        self.news = News(events, workers)
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()
        self._settled = asyncio.Event()
        self._settled.set()
        self.writes = 0
        """Status writes that the API server took."""

    def offer(self, vm_id: str) -> None:
        """This host's decision differs from its record: write it when its turn comes."""
        if vm_id not in self._queued:
            self._queued.add(vm_id)
            self._settled.clear()
            self._queue.put_nowait(vm_id)

    async def run(self) -> None:
        """Write for ever."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_WRITERS):
                tasks.create_task(self._write_forever())
            tasks.create_task(self.news.run())

    async def settled(self) -> None:
        """Return when nothing waits to be written (for tests and a clean stop)."""
        await self._settled.wait()

    async def intend(self, vm_id: str, agent: AgentRecord) -> Intent:
        """Write an intent now. Only after COMMITTED may the effect be tried. Raises KubeError when nobody can know.

        The host is not decided again before the caller touches it: until its effect is tried there is nothing to tell.
        """

        def committed(entry: Entry) -> None:
            entry.new_attempt()
            entry.stale = True

        return await self._swap(vm_id, lambda status: msgspec.structs.replace(status, agent=agent), committed)

    async def begin_retirement(self, vm_id: str, record: RetirementRecord) -> Intent:
        """Write that a host is being retired; its tombstone is written already."""
        return await self._swap(
            vm_id,
            lambda status: msgspec.structs.replace(status, retirement=record),
            lambda _: self._ledger.touch((vm_id,)),
        )

    async def _swap(
        self, vm_id: str, change: Callable[[HostStatus], HostStatus], committed: Callable[[Entry], None]
    ) -> Intent:
        """Compare-and-swap one host's status at once, over whatever was decided and not yet written."""
        entry = self._ledger.entries.get(vm_id)
        if entry is None:
            return Intent.CONFLICT
        async with entry.writing:
            self._term.check()
            decided = entry.decision is not None and not entry.stale
            status = change(entry.decision.status if entry.decision and decided else entry.host.status)
            try:
                before = entry.host
                written = await self._workers.call(self._hosts.patch_status, before, status)
            except Conflict:
                await self._refresh(entry)
                return Intent.CONFLICT
            except NotFound:
                self._ledger.drop(entry.host.name)
                return Intent.CONFLICT
            committed(entry)
            self._took(before, written)
            await self._acted_on_retry(entry)
        return Intent.COMMITTED

    async def _write_forever(self) -> None:
        while True:
            vm_id = await self._queue.get()
            self._queued.discard(vm_id)
            if not self._queued:
                self._settled.set()
            entry = self._ledger.entries.get(vm_id)
            if entry is not None:
                await self._write(vm_id, entry)

    async def _write(self, vm_id: str, entry: Entry) -> None:
        """Write one host's decision, if it still differs from the record."""
        async with entry.writing:
            try:
                self._term.check()
                # A stale decision may be older than an intent that was committed meanwhile, and would undo it.
                if entry.decision is not None and not entry.stale and entry.decision.status != entry.host.status:
                    status = entry.decision.status
                    before = entry.host
                    self._took(before, await self._workers.call(self._hosts.patch_status, before, status))
                await self._clear_retry(entry)
            except Conflict:
                await self._refresh(entry)
            except NotFound:
                self._ledger.drop(entry.host.name)
            except Invalid as error:
                log.error("status refused", extra={"host": entry.host.name, "error": str(error)})
            except KubeError as error:
                log.warning("status not written", extra={"host": entry.host.name, "error": str(error)})
                await asyncio.sleep(_PAUSE)
                self.offer(vm_id)

    async def _clear_retry(self, entry: Entry) -> None:
        """A person's `retry` was acted on once its attempt is under way, or nothing is left alone as Contention."""
        word = entry.host.annotations.get(RETRY_ANNOTATION)
        if word is not None and (_attempted(entry.host) if word != DRIFT else not contended(entry.host)):
            entry.host = await self._workers.call(self._hosts.clear_annotation, entry.host, RETRY_ANNOTATION)

    async def _acted_on_retry(self, entry: Entry) -> None:
        """Take it off at once: an attempt that is over before its first write must not cause another."""
        try:
            await self._clear_retry(entry)
        except KubeError as error:
            log.warning("annotation not taken off", extra={"host": entry.host.name, "error": str(error)})

    async def _refresh(self, entry: Entry) -> None:
        """Somebody else wrote: decide again from what is there now."""
        try:
            entry.host = await self._workers.call(self._hosts.read, entry.host.name)
        except NotFound:
            self._ledger.drop(entry.host.name)
            return
        except KubeError as error:
            log.warning("record not read", extra={"host": entry.host.name, "error": str(error)})
        self._ledger.touch((entry.host.spec.vm_id,))

    def _took(self, before: ManagedHost, written: ManagedHost) -> None:
        """The API server took a write: remember it, and tell it where a stage changed.

        `before`: what was written over; the ledger may have the new record already, by the mirror.
        """
        self.writes += 1
        self._ledger.wrote(written)
        self.news.host_changed(written, before.status, written.status)


def _attempted(host: ManagedHost) -> bool:
    """Whether an attempt is under way."""
    return host.status.agent is not None and under_way(host.status.agent)
