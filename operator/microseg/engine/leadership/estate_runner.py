"""One Estate in this process: get its Lease, keep it, begin anew when spec or Secrets change, let go in the end.

wait for the Lease ─▶ build ─▶ keep ─▶ (spec, Secret or CA changed: build again) ─▶ deleted: close, records by choice

No finalizer holds an Estate: whoever deletes the operator's own namespace deletes the operator first, and nobody would
take it off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import msgspec

from microseg.estate.keeper import Keeper
from microseg.estate.lease import Elector, HeldTerm
from microseg.estate.ports import Clock, EstateStore, LeaseLost
from microseg.estate.workers import Workers
from microseg.kube.errors import Conflict, KubeError, NotFound
from microseg.metrics import EstateNumbers
from microseg.model.condition import ConditionStatus, ConditionType, Reason
from microseg.model.estate import Estate, RecordsOnDeletion
from microseg.planning.summary import Overview, SystemState
from microseg.planning.summary import status as estate_status

log = logging.getLogger(__name__)
_INPUTS_EVERY = 30.0
"""Seconds between two looks at the Secrets and CA bundles."""
_AGAIN = 15.0
"""Seconds before an estate that could not be kept is tried again."""
_FORGET_TRIES, _FORGET_PAUSE = 5, 3.0
"""How often deleted records are tried, and the seconds between: rights that went with the namespace come back never."""


class Unusable(Exception):
    """The estate cannot be kept as it is; `reason` and the sentence go into its conditions."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Take both."""
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Running:
    """A keeper that was built, and what must be closed behind it."""

    keeper: Keeper
    close: Callable[[], None]
    inputs: str
    """Digest of the Secrets and CA bundles that it was built from."""


Build = Callable[[Estate, HeldTerm], Awaitable[Running]]
Inputs = Callable[[Estate], Awaitable[str]]


class Records(Protocol):
    """The ManagedHosts of a namespace, as far as a deleted Estate concerns them (`kube.hosts.Hosts`)."""

    def delete_all(self, estate_name: str) -> int:
        """Delete every record of an estate; how many there were."""


class Tenure:
    """Keeps one Estate whenever this process holds its Lease."""

    def __init__(
        self,
        estate: Estate,
        elector: Elector,
        store: EstateStore,
        records: Records,
        workers: Workers,
        build: Build,
        inputs: Inputs,
        clock: Clock,
    ) -> None:
        """`build` and `inputs`: see wiring."""
        self.estate = estate
        self.shared_with = ""
        """Another Estate that has this one's PCE organisation or Check Point domain; empty: none."""
        self.running: Running | None = None
        self.leading = False
        """Whether the Lease is held here."""
        self._elector, self._store, self._records, self._workers = elector, store, records, workers
        self._build, self._inputs, self._clock = build, inputs, clock
        self._changed = asyncio.Event()
        self._gone = False

    def saw(self, estate: Estate, shared_with: str) -> None:
        """The Estate as it is now. Only a change of spec, of deletion or of sharing begins a new keeper."""
        before, self.estate = self.estate, estate
        again = (before.spec, before.deleting, self.shared_with) != (estate.spec, estate.deleting, shared_with)
        self.shared_with = shared_with
        if again:
            self._changed.set()
        elif self.running is not None and before.annotations != estate.annotations:
            self.running.keeper.annotated(estate.annotations)

    def gone(self) -> None:
        """The Estate is no more."""
        self._gone = True
        self._changed.set()

    def numbers(self) -> EstateNumbers:
        """How the Estate stands, for Prometheus."""
        if not self.leading:
            return EstateNumbers(*self.estate.key, leading=False)
        status = self.running.keeper.status if self.running else self.estate.status
        hosts = msgspec.structs.asdict(status.hosts) if status.hosts else {}
        return EstateNumbers(
            *self.estate.key,
            leading=True,
            conditions={one.type.value: one.status.value for one in status.conditions},
            hosts={standing: number for standing, number in hosts.items() if standing != "total"},
            read_at=self.running.keeper.read_at() if self.running else {},
        )

    async def run(self) -> None:
        """Until the Estate is gone. Losing the Lease ends every effect and begins the waiting anew."""
        while not self._gone:
            term = await self._elector.acquire()
            self.leading = True
            try:
                async with asyncio.TaskGroup() as tasks:
                    holding = tasks.create_task(self._elector.hold(term))
                    await self._keep(term)
                    holding.cancel()
            except* LeaseLost as lost:
                log.warning("lease lost", extra={"estate": self.estate.name, "why": str(lost.exceptions[0])})
            finally:
                self.leading = False
                await asyncio.shield(self._elector.release(term))

    async def _keep(self, term: HeldTerm) -> None:
        """Keep, and begin anew when something that it was built from changed."""
        while not self._gone:
            self._changed.clear()
            if self.estate.deleting:  # somebody else's finalizer holds it: the session is closed already
                await self._changed.wait()
                continue
            try:
                await self._one_run(term)
            except Unusable as unusable:
                await self._tell(unusable, term)
                await self._pause(_AGAIN)
            except KubeError as error:
                log.warning("estate not kept", extra={"estate": self.estate.name, "error": str(error)})
                await self._pause(_AGAIN)
        if self.estate.spec.records_on_deletion == RecordsOnDeletion.DELETE:
            await self._forget(term)

    async def _one_run(self, term: HeldTerm) -> None:
        """Build a keeper and run it until its inputs change."""
        if self.shared_with:
            raise Unusable(
                Reason.ENDPOINT_SHARED,
                f"Estate {self.shared_with} has the same PCE organisation or Check Point domain.",
            )
        seen = self.estate
        found = await self._workers.call(self._store.read, seen.namespace, seen.name)
        if self.estate is not seen:  # annotated meanwhile
            found = msgspec.structs.replace(found, annotations=self.estate.annotations)
        self.estate = found
        running = self.running = await self._build(found, term)
        if self.estate.annotations != found.annotations:
            running.keeper.annotated(self.estate.annotations)
        keeping = asyncio.create_task(running.keeper.run())
        watching = asyncio.create_task(self._until_changed(running))
        try:
            await asyncio.wait({keeping, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.running = None
            for task in (keeping, watching):
                task.cancel()
            ended = await asyncio.gather(keeping, watching, return_exceptions=True)
            running.close()
        self._judge_end(ended[0])

    def _judge_end(self, ended: object) -> None:
        """A keeper ends because it was asked to; anything else is told, and the estate is begun anew."""
        if isinstance(ended, BaseExceptionGroup):
            lost, other = ended.split(LeaseLost)
            if lost is not None:
                raise LeaseLost(str(lost.exceptions[0]))
            if other is not None:
                log.error("keeper failed", exc_info=other, extra={"estate": self.estate.name})
                raise Unusable(
                    Reason.IN_PROGRESS,
                    "The operator met an error of its own and begins this estate anew; its log has it.",
                )

    async def _until_changed(self, running: Running) -> None:
        """Return when the spec changed, or a Secret or CA bundle."""
        while not self._changed.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_INPUTS_EVERY):
                    await self._changed.wait()
                return
            with suppress(KubeError):
                if await self._inputs(self.estate) != running.inputs:
                    log.info("credentials changed", extra={"estate": self.estate.name})
                    return

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _forget(self, term: HeldTerm) -> None:
        """The records go with the deleted Estate, as it asked. Nothing outside changes: the hosts stay protected."""
        for _ in range(_FORGET_TRIES):
            term.check()
            try:
                gone = await self._workers.call(self._records.delete_all, self.estate.name)
            except KubeError as error:
                log.warning("records not deleted", extra={"estate": self.estate.name, "error": str(error)})
                await asyncio.sleep(_FORGET_PAUSE)
            else:
                log.info("records deleted with their estate", extra={"estate": self.estate.name, "records": gone})
                return

    async def _tell(self, unusable: Unusable, term: HeldTerm) -> None:
        """Say in the Estate's status why it cannot be kept."""
        log.warning(
            "estate unusable", extra={"estate": self.estate.name, "reason": unusable.reason.value, "why": str(unusable)}
        )
        term.check()
        doubt = SystemState(ConditionStatus.UNKNOWN, Reason.NEVER_DECIDED, "Not looked at while the estate is stalled.")
        kinds = (
            ConditionType.AZURE_REACHABLE, ConditionType.ILLUMIO_REACHABLE,
            ConditionType.CHECK_POINT_REACHABLE, ConditionType.MAPPING_VALID,
        )  # fmt: skip
        told = SystemState(ConditionStatus.TRUE, unusable.reason, f"{unusable} It is looked at again by itself.")
        overview = Overview(
            systems=dict.fromkeys(kinds, doubt), standings={}, vms=(), poll_complete=False, mapping=None, hold=None,
            judged=False, retirement_hold=None, policies=(), gateways={}, stalled=told,
        )  # fmt: skip
        with suppress(Conflict, NotFound):
            current = await self._workers.call(self._store.read, self.estate.namespace, self.estate.name)
            await self._workers.call(self._store.patch_status, current, estate_status(current, overview, self._clock()))
