"""The Azure lane: polls every source whole, makes records for new VMs, and runs scripts by the effect protocol."""

from __future__ import annotations

import asyncio
import logging

from microseg.engine.ground.ports import HostStore, LeaseLost
from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.azure_attempts import ScriptAttempts
from microseg.engine.lanes.azure_poll import AzurePolls
from microseg.engine.lanes.azure_sources import AzureSources
from microseg.engine.lanes.schedule import PollSchedule
from microseg.engine.lanes.turns import Turns
from microseg.engine.state.host_table import HostTable
from microseg.kube.errors import KubeError
from microseg.model.plan import AzureAction, DeleteRunCommands, ProveGone, ReadRunCommand, StartScript

log = logging.getLogger(__name__)
_AT_ONCE = 32
"""Hosts that are worked on together; the budgets below them set the pace."""
_STARTS_AT_ONCE = 16
"""Starts among them: each waits for a pairing key, and a reading of the PCE waits behind all of these."""
_LINE = 32
"""Starts that are put in line at once: sorting everybody who waits at each start would cost the square of the fleet."""
_DELETIONS_AT_ONCE = 4
"""Deletions of used run-commands, which wait for every start."""
_CREATES = 8
_PAUSE = 1.0
"""Seconds before a host is taken up again whose record could not be written."""
_OWN_ERROR_PAUSE = 60.0
"""Seconds before a host is taken up again that met a bug of ours: it must not stop the others (L4)."""


class AzureLane:
    """Observes Azure, and carries out `StartScript`, `ReadRunCommand`, `ProveGone` and `DeleteRunCommands`."""

    def __init__(
        self,
        sources: AzureSources,
        polls: AzurePolls,
        attempts: ScriptAttempts,
        hosts: HostStore,
        table: HostTable,
        schedule: PollSchedule,
        workers: Workers,
        *,
        estate: str,
    ) -> None:
        """`estate`: name that new records get; `workers`: the cluster's threads."""
        self._sources, self.polls, self._attempts, self._hosts = sources, polls, attempts, hosts
        self._table, self.schedule, self._workers, self._estate = table, schedule, workers, estate
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._starting: set[str] = set()
        self._turns, self._line = Turns(), list[str]()
        """Who starts next: subscriptions in turn. The line's first is its last."""
        self._recording: asyncio.Task[None] | None = None
        self._recorded = self._swept = 0
        """The poll after which records were made, and the latest one that was shown and swept up after."""
        table.actions.subscribe((StartScript, ReadRunCommand, ProveGone, DeleteRunCommands), schedule.wake)
        table.when_synced(schedule.wake)

    async def run(self) -> None:
        """Go round for ever. Polls and records take long in a large fleet, so scripts go on beside them."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                if self.schedule.due:
                    self.schedule.begin()
                    tasks.create_task(self._poll(tasks))
                if self._table.synced and self._recording is None and self._recorded != self.polls.ended:
                    self._recorded = self.polls.ended
                    self._recording = tasks.create_task(self._record_new())
                if self._table.synced and self._swept != self.polls.shown:
                    self._swept = self.polls.shown
                    self._attempts.keep_only(self._table.hosts)
                    self._turns.keep_only(self._table.hosts)
                    self._ask_again(tasks)
                self._begin(tasks)
                await self.schedule.pause()

    def pce_returned(self) -> None:
        """The PCE is read again after it could not be: starts that waited for it may go on."""
        self._attempts.put_off.pce_returned()

    async def _poll(self, tasks: asyncio.TaskGroup) -> None:
        await self.polls.run(tasks)
        self.schedule.wake()

    async def _record_new(self) -> None:
        """Make a record for each selected VM without one (a named effect: the name finds the first).

        A thing of ours outside whose VM no list shows any more gets its record back too, and goes the guarded way.
        """
        latest, recorded = self._table.latest, self._table.hosts
        vms = latest.azure.vms.values() if latest.azure is not None else ()
        unrecorded = (vm for vm in vms if vm.vm_id not in recorded)
        new = {vm.vm_id: vm.record.name for vm in unrecorded if vm.selected and vm.unsupported is None}
        if self.polls.latest.complete:
            new |= latest.orphans(recorded)
        gate = asyncio.Semaphore(_CREATES)

        async def create(vm_id: str, name: str) -> None:
            async with gate:
                try:
                    self._table.upsert(await self._workers.call(self._hosts.create, name, vm_id, self._estate))
                except KubeError as error:
                    log.warning("record not made", extra={"vm": vm_id, "error": str(error)})

        await asyncio.gather(*(create(vm_id, name) for vm_id, name in new.items()))
        self._recording = None
        self.schedule.wake()

    def _begin(self, tasks: asyncio.TaskGroup) -> None:
        """Begin what the decisions ask for, one thing at a time per VM; what is under way is finished first."""
        for vm_id, action in self._table.actions.of(ReadRunCommand, ProveGone):
            if len(self._busy) >= _AT_ONCE:
                return
            if vm_id not in self._busy:
                self._busy[vm_id] = tasks.create_task(self._do(vm_id, action))
        while len(self._busy) < _AT_ONCE and len(self._starting) < _STARTS_AT_ONCE:
            start = self._next_start()
            if start is None:
                break
            self._turns.served(start.vm_id, self._subscription(start.vm_id))
            self._busy[start.vm_id] = tasks.create_task(self._do(start.vm_id, start))
            self._starting.add(start.vm_id)
        self._begin_deletions(tasks)

    def _next_start(self) -> StartScript | None:
        """The next start in line; a new line where the old one is served."""
        actions = self._table.actions
        for fresh in (False, True):
            if fresh:
                waiting = (vm_id for vm_id, _ in actions.of(StartScript) if vm_id not in self._busy)
                self._line = self._turns.line(((vm_id, self._subscription(vm_id)) for vm_id in waiting), _LINE)[::-1]
            while self._line:
                vm_id = self._line.pop()
                start = actions.of_host(StartScript, vm_id)
                if start is not None and vm_id not in self._busy:
                    return start
        return None

    def _subscription(self, vm_id: str) -> str:
        vm = self._table.latest.vm(vm_id)
        return vm.record.subscription.lower() if vm is not None else ""

    def _begin_deletions(self, tasks: asyncio.TaskGroup) -> None:
        """Nobody waits for these: only while nothing waits to be started."""
        if next(self._table.actions.of(StartScript), None) is not None:
            return
        for vm_id, action in self._table.actions.of(DeleteRunCommands):
            if len(self._busy) >= _DELETIONS_AT_ONCE:
                return
            if vm_id not in self._busy:
                self._busy[vm_id] = tasks.create_task(self._do(vm_id, action))

    def _ask_again(self, tasks: asyncio.TaskGroup) -> None:
        """Once per poll, those whom Azure could not speak of: permissions come back without anybody saying so (L3)."""
        for action in sorted(self._table.unproven(), key=self._attempts.gone_asked_at):
            if action.vm_id not in self._busy and len(self._busy) < _AT_ONCE:
                self._busy[action.vm_id] = tasks.create_task(self._do(action.vm_id, action))

    async def _do(self, vm_id: str, action: AzureAction) -> None:
        """Carry out one action; the host is decided again before its next."""
        try:
            vm = self._table.latest.vm(vm_id)
            if isinstance(action, ProveGone):
                await self._attempts.prove_gone(self._sources.of(action.resource_id), action)
            elif vm is not None:
                gateway = self._sources.gateways[vm.source]
                if isinstance(action, StartScript):
                    await self._attempts.start(gateway, vm, action)
                elif isinstance(action, DeleteRunCommands):
                    await self._attempts.used.delete(gateway, vm)
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
            self._table.touch((vm_id,))
            del self._busy[vm_id]
            self._starting.discard(vm_id)
            self.schedule.wake()
