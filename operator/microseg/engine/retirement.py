"""Begins and ends retirements: the tombstone first, then the record's retirement; in the end the record itself.

What lies between is done by the lanes, as the stage asks for it. The guard counts tombstones, so neither a restart nor
a deleted record lets more begin than may (S6).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from microseg.engine.cluster.approved_retirements import ApprovedRetirements
from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.cluster.event_recorder import EventRecorder
from microseg.engine.cluster.host_status import HostStatusWriter
from microseg.engine.ground.ports import HostStore
from microseg.engine.ground.runtime import Runtime
from microseg.engine.state.host_table import HostTable
from microseg.kube.errors import KubeError
from microseg.kube.tombstones import Tombstone
from microseg.metrics import table as metric
from microseg.model.approval import ApprovalAction, command
from microseg.model.checkpoint_facts import HostObject
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.facts import Seen
from microseg.model.fields import seconds
from microseg.model.host import ManagedHost, RetirementRecord
from microseg.model.plan import BeginRetirement, DeleteRecord
from microseg.planning import retirement_guard
from microseg.planning.retirement_guard import Gone, RetirementHold, group_of

log = logging.getLogger(__name__)
_PRUNE_EVERY = 3600.0
_HOUR = timedelta(hours=1)
_TOMBSTONES_LIVE = timedelta(days=2)
"""At least, whatever the Estate says: the hour is counted by them, and a retirement with a dead agent lasts a day."""


class TombstoneStore(Protocol):
    """The tombstones (`kube.tombstones.Tombstones`)."""

    def all(self) -> Sequence[Tombstone]:
        """All that are kept."""

    def write(self, stone: Tombstone) -> None:
        """Write one."""

    def prune(self, before: datetime) -> Sequence[str]:
        """Delete old ones."""


class RetirementController:
    """One estate's retirements."""

    def __init__(
        self,
        tombstones: TombstoneStore,
        hosts: HostStore,
        table: HostTable,
        host_status: HostStatusWriter,
        estate_status: EstateStatusWriter,
        events: EventRecorder,
        runtime: Runtime,
    ) -> None:
        """Nothing begins before the tombstones were read."""
        self._tombstones, self._hosts, self._table, self._host_status = tombstones, hosts, table, host_status
        self._estate_status, self._events, self._runtime = estate_status, events, runtime
        self._begun: list[tuple[datetime, str]] | None = None
        """When retirements began, each with its resource group."""
        self._stones: dict[str, Tombstone] = {}
        self._approved = ApprovedRetirements(table, estate_status, events)
        self._prune_at = datetime.min.replace(tzinfo=runtime.clock().tzinfo)
        self._wake = asyncio.Event()
        self.hold: RetirementHold | None = None
        table.actions.subscribe((BeginRetirement, DeleteRecord), self.wake)

    def wake(self) -> None:
        """There may be something to begin or to end."""
        self._wake.set()

    async def run(self) -> None:
        """Go round for ever."""
        while True:
            self._runtime.heartbeats.beat("retirement")
            try:
                await self._round()
            except KubeError as error:
                log.warning("retirements wait", extra={"error": str(error)})
            with suppress(TimeoutError):
                async with asyncio.timeout(self._runtime.pauses.retirement):
                    await self._wake.wait()
            self._wake.clear()

    async def _round(self) -> None:
        """Read the tombstones once, then begin and end what the decisions ask for."""
        if self._begun is None:
            stones = await self._runtime.cluster.call(self._tombstones.all)
            self._begun = [(stone.at, group_of(stone.resource_id)) for stone in stones]
            self._stones = {stone.vm_id: stone for stone in sorted(stones, key=lambda stone: stone.at)}
            self._table.latest.tombstones = self._stones
            self._table.touch_all()  # what a record says of its retirement counts from now on
        if self._table.actions.in_round:
            return  # a part of the fleet is no ground for a judgement; the end of the round wakes this loop
        for vm_id, action in list(self._table.actions.of(DeleteRecord)):
            await self._delete(vm_id, action)
            self._runtime.heartbeats.beat("retirement")
        await self._begin(dict(self._table.actions.of(BeginRetirement)), self._held())
        if self._runtime.clock() >= self._prune_at:
            self._prune_at = self._runtime.clock() + timedelta(seconds=_PRUNE_EVERY)
            keep_for = timedelta(seconds=seconds(self._estate_status.estate.spec.retirement.tombstones))
            oldest = self._runtime.clock() - max(keep_for, _TOMBSTONES_LIVE)
            await self._runtime.cluster.call(self._tombstones.prune, oldest)

    def _held(self) -> set[str]:
        """Hosts that wait for the hold to end, and have not been seen again."""
        held = self.hold.hosts if self.hold is not None else frozenset()
        hosts = self._table.hosts
        return {vm_id for vm_id in held if vm_id in hosts and hosts[vm_id].observed.retirement_held}

    async def _begin(self, wanted: dict[str, BeginRetirement], held: set[str]) -> None:
        """Begin the oldest, as many as the hour has left; hold the others."""
        await self._approved.look(set(wanted) | held, self._runtime.clock())
        hold = self._judge(set(wanted) | held)
        if hold != self.hold:
            before, self.hold = self.hold, hold
            if before is None:
                self._runtime.metrics.count(metric.GUARD_TRIPS, "retirement")
                self._post_hold(hold)
            self._report_hold(held | (before.hosts if before else set()) | (hold.hosts if hold else set()))
        elif hold is not None and wanted.keys() & hold.hosts:
            self._report_hold(wanted.keys() & hold.hosts)  # a VM that came back and went again between two rounds
        for vm_id, action in wanted.items():
            if hold is None or vm_id not in hold.hosts:
                await self._bury(vm_id, action)
                self._runtime.heartbeats.beat("retirement")

    def _judge(self, hosts: set[str]) -> RetirementHold | None:
        """The guard, over those that are proven gone and not yet buried."""
        estate, now = self._estate_status.estate, self._runtime.clock()
        admitted = self._approved.hosts(now)
        counted = {vm_id for vm_id, stone in self._stones.items() if now - stone.at < _HOUR}
        waiting = hosts - counted - admitted
        if not waiting:
            return None
        limits = estate.spec.retirement.max_per_hour
        hold = retirement_guard.judge(
            (self._gone(vm_id, now) for vm_id in waiting),
            recent=[group for at, group in self._begun or () if now - at < _HOUR],
            groups=len({_group(state.record) for state in self._table.hosts.values()}),
            most=max(limits.count, len(self._table.fleet.commissioned) * limits.percent // 100),
        )
        if hold is not None:
            self._approved.offer(hold)
        return hold

    def _post_hold(self, hold: RetirementHold | None) -> None:
        if hold is not None:
            message = (
                f"{len(hold.hosts)} VMs are gone, more than may go in this hour. Nothing of them is removed before "
                f"their turn, or `{command(ApprovalAction.RETIREMENT, hold.approval)}`."
            )
            self._events.post_on_estate("RetirementHeld", message, warning=True)

    def _gone(self, vm_id: str, now: datetime) -> Gone:
        state = self._table.hosts.get(vm_id)
        if state is None:
            return Gone(vm_id, now)
        return Gone(vm_id, state.record.status.missing_since or now, _group(state.record))

    def _report_hold(self, hosts: set[str]) -> None:
        """Say on each host why it waits, or that it does no more."""
        why = ""
        if self.hold is not None:
            why = (
                f"The VM is gone, but {len(self.hold.hosts)} hosts are more than may go in this hour; nothing of them "
                "is removed. The oldest go first, hour by hour. To let all of them through, look at the list and "
                f"run `{command(ApprovalAction.RETIREMENT, self.hold.approval)}`."
            )
        for vm_id in hosts:
            self._table.retirement_held(vm_id, why if self.hold and vm_id in self.hold.hosts else "")

    async def _bury(self, vm_id: str, action: BeginRetirement) -> None:
        """Tombstone, then the record: after this the stage removes trace after trace."""
        state = self._table.hosts.get(vm_id)
        if state is None or self._begun is None:
            return
        now = self._runtime.clock().replace(microsecond=0)
        self._runtime.term.check()
        before, shown = self._stones.get(vm_id), self._table.facts(vm_id).check_point
        objects = shown.value.own if isinstance(shown, Seen) else ()
        stone = _stone(state.record, action, now, objects)
        if before is not None and before.ended_at is None:
            stone = _with_known(stone, before)
        if before is None or now - before.at >= _HOUR:
            self._begun.append((now, _group(state.record)))
        else:
            # A second start of the same one counts once.
            stone = msgspec.structs.replace(stone, at=before.at, began_at=now)
        await self._runtime.cluster.call(self._tombstones.write, stone)
        self._stones[vm_id] = stone
        self._approved.began(vm_id)
        await self._host_status.begin_retirement(vm_id, RetirementRecord(proof=action.proof, began_at=now))
        self._runtime.metrics.count(metric.RETIREMENTS, "began")
        log.info("retirement began", extra={"host": state.record.name, "proof": action.proof.value})

    async def _delete(self, vm_id: str, action: DeleteRecord) -> None:
        """The last step. The tombstone says so first: what a dead VEN leaves in the PCE brings no record back."""
        state, stone = self._table.hosts.get(vm_id), self._stones.get(vm_id)
        if state is None:
            return
        record = state.record
        self._runtime.term.check()
        if stone is not None and stone.ended_at is None:
            ended = msgspec.structs.replace(
                stone, ended_at=self._runtime.clock().replace(microsecond=0), left=action.left
            )
            await self._runtime.cluster.call(self._tombstones.write, ended)
            self._stones[vm_id] = ended
        await self._runtime.cluster.call(self._hosts.delete, record.name, record.uid)
        self._table.drop(record.name)
        self._runtime.metrics.count(metric.RETIREMENTS, "ended")
        log.info("retired", extra={"host": record.name} | ({"left": action.left} if action.left else {}))
        self._events.post_on_estate("Retired", f"{record.name} is retired: its VM is gone, and its last trace removed.")
        if action.left:
            message = (
                f"{record.name} is retired, and the PCE still lists {action.left}: its VEN has not acknowledged the "
                "unpairing for a day, or was adopted and nobody asked for it. Unpair or delete it there if it stays."
            )
            self._events.post_on_estate("WorkloadLeft", message, warning=True)


def _group(host: ManagedHost) -> str:
    """The resource group of a host, as the key of its cap."""
    return group_of(host.status.azure.resource_id) if host.status.azure else ""


def _stone(host: ManagedHost, action: BeginRetirement, now: datetime, shown: Iterable[HostObject]) -> Tombstone:
    """What is known of the host: by its record, and by the objects of ours that Check Point shows."""
    status, recorded = host.status, host.status.check_point or CheckPointRecord()
    objects, groups = {item.name for item in recorded.hosts}, set(recorded.groups)
    for item in shown:
        objects.add(item.name)
        groups |= item.groups
    return Tombstone(
        vm_id=host.spec.vm_id,
        host=host.name,
        vm=status.azure.name if status.azure else "",
        resource_id=status.azure.resource_id if status.azure else "",
        at=now,
        proof=action.proof.value,
        workload=status.illumio.workload if status.illumio else "",
        objects=tuple(sorted(objects)),
        groups=tuple(sorted(groups)),
    )


def _with_known(stone: Tombstone, before: Tombstone) -> Tombstone:
    """The tombstone of a retirement that begins again, with what the one before knew: the record may be lost since."""
    return msgspec.structs.replace(
        stone,
        vm=stone.vm or before.vm,
        resource_id=stone.resource_id or before.resource_id,
        workload=stone.workload or before.workload,
        objects=tuple(sorted({*stone.objects, *before.objects})),
        groups=tuple(sorted({*stone.groups, *before.groups})),
    )
