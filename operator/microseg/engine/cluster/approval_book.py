"""The Approvals of one estate: followed by their names, told to the table, and written when something came of one.

Their spec never changes and only this process writes their status, so the names tell what is new; all are read when
those differ, and once a minute. No watch: a person waits seconds, there are few, and the operator needs one verb less.
While they cannot be listed, what was known of them stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.ground.runtime import Runtime
from microseg.engine.state.host_table import HostTable
from microseg.kube.errors import Conflict, KubeError, NotFound
from microseg.model.approval import Approval, ApprovalAction, ApprovalStatus
from microseg.model.fields import seconds
from microseg.model.host import GoneProof
from microseg.planning import approvals

log = logging.getLogger(__name__)


class ApprovalStore(Protocol):
    """The Approvals of one estate (`kube.approvals.Approvals`)."""

    def names(self) -> frozenset[str]:
        """Names of all in the namespace."""

    def all(self) -> Sequence[Approval]:
        """All of the estate, the oldest first."""

    def settle(self, approval: Approval, status: ApprovalStatus) -> Approval:
        """Write what came of it."""

    def delete(self, approval: Approval) -> None:
        """Delete that very one."""


class ApprovalBook:
    """Follows them."""

    def __init__(
        self,
        store: ApprovalStore,
        table: HostTable,
        estate_status: EstateStatusWriter,
        runtime: Runtime,
        changed: Callable[[], None],
    ) -> None:
        """`changed`: another list than before is in `table.latest.approvals`."""
        self._store, self._table, self._estate_status = store, table, estate_status
        self._runtime, self._changed = runtime, changed
        self._names: frozenset[str] = frozenset()
        self._read_at: datetime | None = None
        self._problem = ""
        self.looked = False
        """Whether they were asked for since the start: before that nobody knows what persons approved."""

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._runtime.heartbeats.beat("approvals")
            try:
                await self._look()
                self._problem = ""
            except (Conflict, NotFound):
                self._read_at = None  # another one was made or deleted meanwhile, or there is no such kind
            except KubeError as error:
                if str(error) != self._problem:
                    log.warning("approvals not read or written", extra={"error": str(error)})
                self._problem = str(error)
            if not self.looked:
                self.looked = True
                self._table.wake.set()
            await asyncio.sleep(self._runtime.pauses.approvals)

    async def _look(self) -> None:
        """Read what is new; write and delete what is over."""
        now, names = self._runtime.clock(), await self._runtime.cluster.call(self._store.names)
        idle = timedelta(seconds=self._runtime.pauses.idle)
        if names != self._names or self._read_at is None or now - self._read_at >= idle:
            self._take(tuple(await self._runtime.cluster.call(self._store.all)))
            self._names, self._read_at = names, now
        for approval in self._table.latest.approvals:
            used = self._estate_status.status.approvals
            status = approvals.settled(approval, used, now, happened=self._happened(approval))
            if status != approval.status:
                await self._settle(approval, status)
        if self._table.synced:
            await self._prune(now)

    async def _settle(self, approval: Approval, status: ApprovalStatus) -> None:
        self._runtime.term.check()
        written = await self._runtime.cluster.call(self._store.settle, approval, status)
        latest = self._table.latest.approvals
        self._take(tuple(written if each.uid == approval.uid else each for each in latest))
        log.info("approval settled", extra={"approval": approval.name, "outcome": status.outcome})

    async def _prune(self, now: datetime) -> None:
        """Evidence is kept as long as tombstones are."""
        keep_for = timedelta(seconds=seconds(self._estate_status.estate.spec.retirement.tombstones))
        for approval in approvals.outlived(self._table.latest.approvals, self._table.hosts.keys(), keep_for, now):
            self._runtime.term.check()
            await self._runtime.cluster.call(self._store.delete, approval)

    def _take(self, listed: tuple[Approval, ...]) -> None:
        """Tell of another list than before."""
        before, self._table.latest.approvals = self._table.latest.approvals, listed
        if listed != before:
            self._table.touch(_hosts({*before} ^ {*listed}))
            self._changed()

    def _happened(self, approval: Approval) -> bool:
        """Whether what a person vouches for was acted on. Of plans and retirements the Estate's status tells."""
        vm_id, _, subject = approval.spec.what.partition("@")
        mapping, state = self._estate_status.status.mapping, self._table.hosts.get(vm_id)
        match approval.spec.action:
            case ApprovalAction.CONFIRM_GONE:
                stone = (self._table.latest.tombstones or {}).get(vm_id)
                if stone is None or stone.proof != GoneProof.CONFIRMED:
                    return False
                return f"{stone.began.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" >= subject
            case ApprovalAction.ADOPT:
                illumio = state.record.status.illumio if state is not None else None
                return illumio is not None and illumio.workload.endswith(f"/{subject}")
            case ApprovalAction.PIN:
                return vm_id == "none" or (mapping is not None and mapping.revision == vm_id)
            case ApprovalAction.PLAN | ApprovalAction.RETIREMENT:
                return False


def _hosts(listed: Iterable[Approval]) -> frozenset[str]:
    """The vmIds that persons vouch for something of."""
    return frozenset(each.spec.what.partition("@")[0] for each in listed if "@" in each.spec.what)
