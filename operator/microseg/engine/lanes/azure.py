"""The Azure lane: polls every source whole, makes records for new VMs, and runs scripts by the effect protocol."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from microseg.estate.lanes.attempts import Attempts
from microseg.estate.lanes.rhythm import Rhythm
from microseg.estate.ledger import Ledger
from microseg.estate.ports import HostStore, LeaseLost
from microseg.estate.workers import Workers
from microseg.gateways.ports import AzureGateway, GatewayError
from microseg.kube.errors import KubeError
from microseg.model.facts import Vm
from microseg.model.plan import AzureAction, ProveGone, ReadRunCommand, StartScript

log = logging.getLogger(__name__)
_LISTS_A_MINUTE = 150.0
"""Half of Azure's 300 high-cost lists a minute and subscription: the interval stretches so that lists use no more.

Source: learn.microsoft.com/azure/virtual-machines/compute-throttling-limits."""
_AT_ONCE = 32
"""Scripts that are being started or looked at together; the rate limit below them sets the pace."""
_CREATES = 8
_PAUSE = 1.0
"""Seconds before a host is taken up again whose record could not be written."""
_OWN_ERROR_PAUSE = 60.0
"""Seconds before a host is taken up again that met a bug of ours: it must not stop the others (L4)."""


@dataclass(frozen=True, slots=True)
class Poll:
    """The latest poll, for the Estate's status."""

    complete: bool
    vms: tuple[Vm, ...] = ()
    problems: tuple[str, ...] = ()
    uniform: int = 0
    """Machines of uniform scale sets, which are only counted."""


class AzureLane:
    """Observes Azure, and carries out `StartScript` and `ReadRunCommand`."""

    def __init__(
        self,
        sources: Mapping[str, AzureGateway],
        attempts: Attempts,
        hosts: HostStore,
        ledger: Ledger,
        rhythm: Rhythm,
        workers: Workers,
        *,
        estate: str,
        subscriptions: Mapping[str, str],
    ) -> None:
        """`sources`: name -> gateway. `estate`: name that new records get. `subscriptions`: lower-cased -> source."""
        self._by_subscription = subscriptions
        self._sources, self._attempts, self._hosts = sources, attempts, hosts
        self._ledger, self.rhythm, self._workers, self._estate = ledger, rhythm, workers, estate
        self._floor = rhythm.interval
        self._busy: dict[str, asyncio.Task[None]] = {}
        self.poll = Poll(complete=False)
        self._recorded: Poll | None = None
        """The poll whose new VMs have their records."""

    async def run(self) -> None:
        """Go round for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                if self.rhythm.due:
                    await self._observe()
                if self._ledger.synced and self._recorded is not self.poll:
                    self._recorded = self.poll
                    await self._record_new(self.poll.vms)
                    self._ask_again(tasks)
                self._begin(tasks)
                await self.rhythm.pause()

    async def _observe(self) -> None:
        """Read every source whole; a poll is complete or it changes nothing."""
        try:
            lists = [await self._workers.call(gateway.list_vms) for gateway in self._sources.values()]
        except GatewayError as error:
            self.poll = Poll(complete=False, vms=self.poll.vms, uniform=self.poll.uniform)
            self.rhythm.failed(error)
            return
        vms = tuple(vm for listed in lists for vm in listed)
        problems = tuple(text for gateway in self._sources.values() for text in gateway.problems())
        uniform = sum(gateway.uniform_members() for gateway in self._sources.values())
        self.poll = Poll(complete=True, vms=vms, problems=problems, uniform=uniform)
        pages = sum(gateway.list_cost() for gateway in self._sources.values())
        self.rhythm.interval = max(self._floor, pages * 60.0 / _LISTS_A_MINUTE)
        self._ledger.saw_azure(vms)
        self.rhythm.read(f"The latest poll was complete: {len(vms)} VMs.")

    async def _record_new(self, vms: tuple[Vm, ...]) -> None:
        """Make a record for each selected VM without one (effect of kind 2: its name finds the first).

        A thing of ours outside whose VM no list shows any more gets its record back too, and goes the guarded way.
        """
        wanted = {vm.vm_id: vm.record.name for vm in vms if vm.selected and vm.unsupported is None}
        if self.poll.complete:
            wanted |= self._ledger.orphans()
        new = [(vm_id, name) for vm_id, name in wanted.items() if vm_id not in self._ledger.entries]
        gate = asyncio.Semaphore(_CREATES)

        async def create(vm_id: str, name: str) -> None:
            async with gate:
                try:
                    self._ledger.upsert(await self._workers.call(self._hosts.create, name, vm_id, self._estate))
                except KubeError as error:
                    log.warning("record not made", extra={"vm": vm_id, "error": str(error)})

        await asyncio.gather(*(create(vm_id, name) for vm_id, name in new))

    def _begin(self, tasks: asyncio.TaskGroup) -> None:
        """Begin what the decisions ask for, one thing at a time for each VM."""
        for vm_id, action in self._ledger.actions(StartScript, ReadRunCommand, ProveGone):
            if len(self._busy) >= _AT_ONCE:
                return
            if vm_id not in self._busy:
                self._busy[vm_id] = tasks.create_task(self._do(vm_id, action))

    def _ask_again(self, tasks: asyncio.TaskGroup) -> None:
        """Once a poll, those whom Azure could not speak of: rights come back without anybody telling us (L3)."""
        for vm_id, action in self._ledger.unproven():
            if vm_id not in self._busy and len(self._busy) < _AT_ONCE:
                self._busy[vm_id] = tasks.create_task(self._do(vm_id, action))

    def _source_of(self, action: ProveGone) -> AzureGateway | None:
        """The source that reads the subscription of an ARM id."""
        parts = action.resource_id.split("/")
        subscription = parts[2].lower() if len(parts) > 2 else ""
        return self._sources.get(self._by_subscription.get(subscription, ""))

    async def _do(self, vm_id: str, action: AzureAction) -> None:
        """Carry out one action; the host is decided again before its next."""
        try:
            vm = self._ledger.azure.vms.get(vm_id) if self._ledger.azure else None
            if isinstance(action, ProveGone):
                await self._attempts.prove_gone(self._source_of(action), action)
            elif vm is not None:
                gateway = self._sources[vm.source]
                if isinstance(action, StartScript):
                    await self._attempts.start(gateway, vm, action)
                else:
                    await self._attempts.look(gateway, vm, action)
        except KubeError as error:
            log.warning("attempt not recorded", extra={"vm": vm_id, "error": str(error)})
            await asyncio.sleep(_PAUSE)
        except LeaseLost:
            raise
        except Exception:
            log.exception("attempt failed by an error of our own", extra={"vm": vm_id})
            await asyncio.sleep(_OWN_ERROR_PAUSE)
        finally:
            self._ledger.touch((vm_id,))
            del self._busy[vm_id]
            self.rhythm.wake()
