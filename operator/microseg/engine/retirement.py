"""Begins and ends retirements: the tombstone first, then the record's retirement; in the end the record itself.

What lies between is done by the lanes, as the stage asks for it. The guard counts tombstones, so neither a restart nor
a deleted record lets more begin than may (S6).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from microseg.estate.book import EstateBook
from microseg.estate.ledger import Ledger
from microseg.estate.ports import Clock, HostStore, Term
from microseg.estate.recorder import Recorder
from microseg.estate.workers import Workers
from microseg.kube.errors import KubeError
from microseg.kube.tombstones import Tombstone
from microseg.model.estate import seconds
from microseg.model.host import ManagedHost, RetirementRecord
from microseg.model.plan import BeginRetirement, DeleteRecord
from microseg.planning import guard

log = logging.getLogger(__name__)
_EVERY = 10.0
"""Seconds between two rounds that nothing woke."""
_PRUNE_EVERY = 3600.0
_HOUR = timedelta(hours=1)


class TombstoneStore(Protocol):
    """The tombstones (`kube.tombstones.Tombstones`)."""

    def all(self) -> Sequence[Tombstone]:
        """All that are kept."""

    def write(self, stone: Tombstone) -> None:
        """Write one."""

    def prune(self, before: datetime) -> Sequence[str]:
        """Delete old ones."""


class Retirements:
    """One estate's."""

    def __init__(
        self,
        tombstones: TombstoneStore,
        hosts: HostStore,
        ledger: Ledger,
        recorder: Recorder,
        book: EstateBook,
        workers: Workers,
        term: Term,
        clock: Clock,
    ) -> None:
        """Nothing begins before the tombstones were read."""
        self._tombstones, self._hosts, self._ledger, self._recorder = tombstones, hosts, ledger, recorder
        self._book, self._workers, self._term, self._clock = book, workers, term, clock
        self._times: list[datetime] | None = None
        self._stones: dict[str, Tombstone] = {}
        self._prune_at = datetime.min.replace(tzinfo=clock().tzinfo)
        self._wake = asyncio.Event()
        self.hold: guard.RetirementHold | None = None

    def wake(self) -> None:
        """There may be something to begin or to end."""
        self._wake.set()

    async def run(self) -> None:
        """Go round for ever."""
        while True:
            try:
                await self._round()
            except KubeError as error:
                log.warning("retirements wait", extra={"error": str(error)})
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY):
                    await self._wake.wait()
            self._wake.clear()

    async def _round(self) -> None:
        """Read the tombstones once, then begin and end what the decisions ask for."""
        if self._times is None:
            stones = await self._workers.call(self._tombstones.all)
            self._times = [stone.at for stone in stones]
            self._stones = {stone.vm_id: stone for stone in sorted(stones, key=lambda stone: stone.at)}
            self._ledger.tombstones = self._stones
        for vm_id, action in list(self._ledger.actions(DeleteRecord)):
            await self._delete(vm_id, action)
        wanted = dict(self._ledger.actions(BeginRetirement))
        held = {vm_id for vm_id, entry in self._ledger.entries.items() if entry.retirement_held}
        await self._begin(wanted, held)
        if self._clock() >= self._prune_at:
            self._prune_at = self._clock() + timedelta(seconds=_PRUNE_EVERY)
            kept = timedelta(seconds=seconds(self._book.estate.spec.retirement.tombstones))
            await self._workers.call(self._tombstones.prune, self._clock() - kept)

    async def _begin(self, wanted: dict[str, BeginRetirement], held: set[str]) -> None:
        """Begin all that are wanted, or hold them all."""
        hold = self._judge(set(wanted) | held)
        if hold != self.hold:
            self.hold = hold
            self._tell(held | (hold.hosts if hold else set()))
        if hold is None:
            for vm_id, action in wanted.items():
                await self._bury(vm_id, action)

    def _judge(self, hosts: set[str]) -> guard.RetirementHold | None:
        """The guard, over those that are proven gone and not yet buried."""
        spec, now = self._book.estate.spec.retirement, self._clock()
        counted = {vm_id for vm_id, stone in self._stones.items() if now - stone.at < _HOUR}
        settled = guard.commissioned(entry.host for entry in self._ledger.entries.values())
        return guard.judge_retirements(
            hosts - counted,
            recent=sum(1 for at in self._times or () if now - at < _HOUR),
            commissioned=len(settled),
            count=spec.max_per_hour.count,
            percent=spec.max_per_hour.percent,
            approvals=guard.parse_approvals(self._book.estate.annotations.get("microseg.dev/approve", "")),
        )

    def _tell(self, hosts: set[str]) -> None:
        """Say on each host why it waits, or that it does no more."""
        why = ""
        if self.hold is not None:
            why = (
                f"The VM is gone, but {len(self.hold.hosts)} hosts would be retired at once. Nothing is removed. "
                "Look at the list, and to let it through annotate the Estate with "
                f"microseg.dev/approve={self.hold.approval}."
            )
        for vm_id in hosts & self._ledger.entries.keys():
            self._ledger.entries[vm_id].retirement_held = why if self.hold and vm_id in self.hold.hosts else ""
        self._ledger.touch(hosts)

    async def _bury(self, vm_id: str, action: BeginRetirement) -> None:
        """Tombstone, then the record: after this the stage removes trace after trace."""
        entry = self._ledger.entries.get(vm_id)
        if entry is None or self._times is None:
            return
        now = self._clock().replace(microsecond=0)
        self._term.check()
        before, stone = self._stones.get(vm_id), _stone(entry.host, action, now)
        if before is None or now - before.at >= _HOUR:
            self._times.append(now)
        else:
            stone = msgspec.structs.replace(stone, at=before.at)  # a second start of the same one counts once
        await self._workers.call(self._tombstones.write, stone)
        self._stones[vm_id] = stone
        await self._recorder.begin_retirement(vm_id, RetirementRecord(proof=action.proof, began_at=now))
        log.info("retirement began", extra={"host": entry.host.name, "proof": action.proof.value})

    async def _delete(self, vm_id: str, action: DeleteRecord) -> None:
        """The last step. The tombstone says so first: what a dead VEN leaves in the PCE brings no record back."""
        entry, stone = self._ledger.entries.get(vm_id), self._stones.get(vm_id)
        if entry is not None:
            self._term.check()
            if stone is not None and stone.ended_at is None:
                ended = msgspec.structs.replace(stone, ended_at=self._clock().replace(microsecond=0), left=action.left)
                await self._workers.call(self._tombstones.write, ended)
                self._stones[vm_id] = ended
            await self._workers.call(self._hosts.delete, entry.host.name, entry.host.uid)
            self._ledger.drop(entry.host.name)
            log.info("retired", extra={"host": entry.host.name} | ({"left": action.left} if action.left else {}))
            if action.left:
                self._tell_left(entry.host, action.left)

    def _tell_left(self, host: ManagedHost, workload: str) -> None:
        """A person may want to look, once the record that would say so is gone."""
        message = (
            f"{host.name} is retired, but its VEN has not acknowledged the unpairing for a day: the PCE still lists "
            f"{workload}. Unpair or delete it there if it stays."
        )
        self._recorder.news.tell(self._book.estate, "WorkloadLeft", message, warning=True)


def _stone(host: ManagedHost, action: BeginRetirement, now: datetime) -> Tombstone:
    status = host.status
    return Tombstone(
        vm_id=host.spec.vm_id,
        host=host.name,
        vm=status.azure.name if status.azure else "",
        resource_id=status.azure.resource_id if status.azure else "",
        at=now,
        proof=action.proof.value,
        workload=status.illumio.workload if status.illumio else "",
        objects=tuple(item.name for item in status.check_point.hosts) if status.check_point else (),
        groups=status.check_point.groups if status.check_point else (),
    )
