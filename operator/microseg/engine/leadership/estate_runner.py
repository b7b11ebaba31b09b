"""One Estate in this process: get its Lease, reconcile it, begin anew when spec or Secrets change, let go in the end.

wait for the Lease ─▶ build ─▶ reconcile ─▶ (spec, Secret, CA changed: build again) ─▶ deleted: close, records by choice

No finalizer holds an Estate: whoever deletes the operator's own namespace deletes the operator first, and nobody would
take it off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from microseg.engine import estate_numbers
from microseg.engine.ground.ports import Clock, EstateStore, EventSink, LeaseLost, SpecChanged
from microseg.engine.ground.workers import Workers
from microseg.engine.leadership.elector import Elector, LeaseTerm
from microseg.engine.leadership.unusable import EstateUnusable, report
from microseg.engine.reconciler import EstateReconciler
from microseg.kube.errors import KubeError
from microseg.metrics import EstateMetrics, EstateNumbers
from microseg.metrics import table as metric
from microseg.model.condition import Reason
from microseg.model.estate import Estate
from microseg.model.estate_spec import RecordsOnDeletion
from microseg.model.operator_report import encode_report

log = logging.getLogger(__name__)
_FORGET_TRIES = 5
"""How often deleting the records of a deleted Estate is tried: RBAC deleted with the namespace does not return."""


@dataclass(frozen=True, slots=True)
class RunnerPauses:
    """Seconds."""

    credentials: float = 30.0
    """Between two looks at the Secrets and CA bundles."""
    restart: float = 15.0
    """Before an estate that could not be reconciled is tried again."""
    forget: float = 3.0
    """Between two tries to delete the records of a deleted Estate."""


@dataclass(frozen=True, slots=True)
class RunningReconciler:
    """A reconciler that was built, and what must be closed behind it."""

    reconciler: EstateReconciler
    close: Callable[[], None]
    credentials: str
    """Digest of the Secrets and CA bundles that it was built from."""
    generation: int
    """Of the spec that it was built from."""


BuildReconciler = Callable[[Estate, LeaseTerm], Awaitable[RunningReconciler]]
CredentialsDigest = Callable[[Estate], Awaitable[str]]


class RecordDeleter(Protocol):
    """The ManagedHosts of a namespace, as far as a deleted Estate concerns them (`kube.hosts.Hosts`)."""

    def delete_all(self, estate_name: str) -> int:
        """Delete every record of an estate; how many there were."""


@dataclass(frozen=True, slots=True)
class RunnerPorts:
    """What a runner touches."""

    estates: EstateStore
    events: EventSink
    records: RecordDeleter
    workers: Workers
    build: BuildReconciler
    credentials: CredentialsDigest
    """Digests what the engine is built from: Secrets and CA bundles."""
    clock: Clock
    metrics: EstateMetrics = field(default_factory=EstateMetrics)


class EstateRunner:
    """Reconciles one Estate whenever this process holds its Lease."""

    def __init__(
        self, estate: Estate, elector: Elector, ports: RunnerPorts, pauses: RunnerPauses = RunnerPauses()
    ) -> None:
        """Nothing runs before `run`."""
        self.estate = estate
        self.shared_with = ""
        """Another Estate that has this one's PCE organisation or Check Point domain; empty: none."""
        self.running: RunningReconciler | None = None
        self.leading = False
        """Whether the Lease is held here."""
        self._elector, self._ports, self._pauses = elector, ports, pauses
        self._changed = asyncio.Event()
        self._gone = self._keep_records = False
        self._term: LeaseTerm | None = None
        self._ages = estate_numbers.QueueAges()
        self._suspended: bool | None = None
        """As this process built the latest engine; None: it has built none in this term."""

    def saw(self, estate: Estate, shared_with: str) -> None:
        """The Estate as it is now. Only a change of spec, of deletion or of sharing builds anew."""
        before, self.estate = self.estate, estate
        again = (before.spec, before.deleting, self.shared_with) != (estate.spec, estate.deleting, shared_with)
        self.shared_with = shared_with
        if again:
            self._changed.set()
        elif self.running is not None and before.annotations != estate.annotations:
            self.running.reconciler.annotated(estate.annotations)

    def gone(self, *, keep_records: bool = False) -> None:
        """The Estate is no more. `keep_records`: its records stay, whatever it wished."""
        self._gone, self._keep_records = True, keep_records
        self._changed.set()

    def end_effects(self) -> None:
        """The process ends: from now on nothing outside is touched; the Lease is released once the loops are over."""
        if self._term is not None:
            self._term.end()

    @property
    def unsynced(self) -> bool:
        """Whether an engine runs for a while and its records were not read completely yet."""
        return self.running is not None and self.running.reconciler.unsynced

    def numbers(self) -> EstateNumbers:
        """How the Estate stands, for Prometheus."""
        if not self.leading:
            return EstateNumbers(*self.estate.key, leading=False)
        return estate_numbers.numbers(self.estate, self.running.reconciler if self.running else None, self._ages)

    def report(self) -> str:
        """What the Lease says of its holder."""
        reconciler = self.running.reconciler if self.running else None
        return encode_report(estate_numbers.report(reconciler, self._ports.metrics))

    async def run(self) -> None:
        """Until the Estate is gone. Losing the Lease ends every effect and begins the waiting anew."""
        while not self._gone:
            term = self._term = await self._elector.acquire()
            self.leading, self._suspended = True, None
            self._ports.metrics.begin()
            self._ports.metrics.count(metric.LEASES, "acquired")
            try:
                async with asyncio.TaskGroup() as tasks:
                    holding = tasks.create_task(self._elector.hold(term, self.report))
                    await self._reconcile(term)
                    holding.cancel()
            except* LeaseLost as lost:
                self._ports.metrics.count(metric.LEASES, "lost")
                log.warning("lease lost", extra={"estate": self.estate.name, "why": _first(lost)})
            finally:
                self.leading = False
                await asyncio.shield(self._elector.release(term))

    async def _reconcile(self, term: LeaseTerm) -> None:
        """Reconcile, and begin anew when something that it was built from changed."""
        while not self._gone:
            self._changed.clear()
            if self.estate.deleting:  # somebody else's finalizer holds it: the session is closed already
                await self._changed.wait()
                continue
            try:
                await self._run_once(term)
            except EstateUnusable as unusable:
                term.check()
                await report(unusable, self.estate, self._ports)
                await self._pause(self._pauses.restart)
            except KubeError as error:
                log.warning("estate not reconciled", extra={"estate": self.estate.name, "error": str(error)})
                await self._pause(self._pauses.restart)
        if self.estate.spec.records_on_deletion == RecordsOnDeletion.DELETE and not self._keep_records:
            await self._forget(term)

    async def _run_once(self, term: LeaseTerm) -> None:
        """Build a reconciler and run it until what it was built from changes."""
        if self.shared_with:
            raise EstateUnusable(
                Reason.ENDPOINT_SHARED,
                f"Estate {self.shared_with} has the same PCE organisation or Check Point domain.",
            )
        watched = self.estate
        estate = await self._ports.workers.call(self._ports.estates.read, watched.namespace, watched.name)
        if self.estate is not watched:  # annotated meanwhile
            estate = msgspec.structs.replace(estate, annotations=self.estate.annotations)
        self.estate = estate
        await self._tell_suspension(estate)
        running = self.running = await self._ports.build(estate, term)
        if self.estate.annotations != estate.annotations:
            running.reconciler.annotated(self.estate.annotations)
        reconciling = asyncio.create_task(running.reconciler.run())
        watching = asyncio.create_task(self._until_changed(running))
        try:
            await asyncio.wait({reconciling, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.running = None
            for task in (reconciling, watching):
                task.cancel()
            ended = await asyncio.gather(reconciling, watching, return_exceptions=True)
            running.close()
        self._judge_end(ended[0])

    async def _tell_suspension(self, estate: Estate) -> None:
        """An Event when a person suspends the estate, or no longer does, while this process leads."""
        before, self._suspended = self._suspended, estate.spec.suspend
        if before in {None, self._suspended}:
            return
        if self._suspended:
            reason, message = "Suspended", "spec.suspend is true: the estate is read, and nothing outside is changed."
        else:
            reason, message = "Resumed", "spec.suspend is false again: the operator goes on."
        await self._ports.workers.call(self._ports.events.post, estate, reason, message, warning=self._suspended)

    def _judge_end(self, ended: object) -> None:
        """A reconciler ends because it was stopped, or saw another spec; anything else is logged, and begun anew."""
        if isinstance(ended, BaseExceptionGroup):
            lost, other = ended.split(LeaseLost)
            if lost is not None:
                raise LeaseLost(_first(lost))
            other = other.split(SpecChanged)[1] if other is not None else None
            if other is not None:
                log.error("reconciler failed", exc_info=other, extra={"estate": self.estate.name})
                raise EstateUnusable(
                    Reason.IN_PROGRESS,
                    "The operator met an error of its own and begins this estate anew; its log has it.",
                )

    async def _until_changed(self, running: RunningReconciler) -> None:
        """Return when the spec changed, or a Secret or CA bundle. The Estate is also read: a watch can be deaf."""
        while not self._changed.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pauses.credentials):
                    await self._changed.wait()
                return
            with suppress(KubeError):
                if await self._ports.credentials(self.estate) != running.credentials:
                    log.info("credentials changed", extra={"estate": self.estate.name})
                    return
                live = await self._ports.workers.call(self._ports.estates.read, self.estate.namespace, self.estate.name)
                if (live.generation, live.deleting) != (running.generation, False):
                    log.info("spec changed while nobody watched", extra={"estate": self.estate.name})
                    return

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _forget(self, term: LeaseTerm) -> None:
        """The records go with the deleted Estate, as it asked. Nothing outside changes: the hosts stay protected."""
        for _ in range(_FORGET_TRIES):
            term.check()
            try:
                deleted = await self._ports.workers.call(self._ports.records.delete_all, self.estate.name)
            except KubeError as error:
                log.warning("records not deleted", extra={"estate": self.estate.name, "error": str(error)})
                await asyncio.sleep(self._pauses.forget)
            else:
                log.info("records deleted with their estate", extra={"estate": self.estate.name, "records": deleted})
                return


def _first(errors: BaseExceptionGroup[BaseException]) -> str:
    """What the first error of a group says: a task group inside of another brings a group of groups."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)
