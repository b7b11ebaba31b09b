"""One poll of Azure: every subscription is listed to its end, within its budget, and by itself.

Where the lists are long and were read lately, a poll is a look for changes instead (`azure_changes.py`). The Azure lane
runs it beside its scripts. A subscription that cannot be read costs the others nothing: what is known of
its own VMs stays, and until it can be read again nobody counts as missing, because a VM may have moved into it (S5).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.azure_changes import AzureChanges
from microseg.engine.lanes.azure_sources import AzureSources
from microseg.engine.lanes.budgets import Budgets
from microseg.engine.lanes.list_pace import ListPace
from microseg.engine.lanes.readings import await_turn, read_whole
from microseg.engine.lanes.schedule import PollSchedule, reason_of
from microseg.engine.state.host_table import HostTable
from microseg.gateways.ports import GatewayError, Reading, Throttled, Wait
from microseg.model.azure_facts import Unsupported, Vm, VmListing
from microseg.model.condition import Reason

_AT_ONCE = 8
"""Subscriptions that are read together: half of Azure's threads."""
_LONG_PAUSE = 5.0
"""Seconds: a subscription that asks for longer pauses does not hold up the poll of the others."""
_LOOK = 1.0
"""Seconds between two looks at whether one asks for a pause."""
_HELD_UP = Throttled("Azure asked for a pause in the midst of it", 1.0)
_TOLD_EVERY = 15.0
"""Seconds between two reports of how far a poll is."""


@dataclass(frozen=True, slots=True)
class Poll:
    """The latest poll, for the Estate's status."""

    complete: bool = False
    vms: int = 0
    unsupported: Mapping[str, int] = field(default_factory=dict)
    """Why VMs cannot be protected -> how many."""
    unselected: Mapping[str, int] = field(default_factory=dict)
    """Field of `select` -> how many VMs it leaves out."""
    unreadable_rows: int = 0
    """Rows that may be any VM: with one, no VM counts as missing."""
    unread: tuple[str, ...] = ()
    """Subscriptions that could not be read."""
    pages: int = 0
    """Requests that the poll under way has got answers to; 0 while the latest poll is complete."""


class AzurePolls:
    """Reads all subscriptions, and writes what they show into the table."""

    def __init__(
        self,
        sources: AzureSources,
        budgets: Budgets,
        table: HostTable,
        schedule: PollSchedule,
        workers: Workers,
        report_soon: Callable[[], None],
        changes: AzureChanges,
    ) -> None:
        """`report_soon`: the Estate's status is to say how far the poll is."""
        self._sources, self._budgets, self._table = sources, budgets, table
        self._schedule, self._workers, self._report_soon = schedule, workers, report_soon
        self._changes, self._pace = changes, ListPace(schedule.interval)
        self._told: tuple[str, tuple[str, ...], Reason | None] = "", (), None
        """What the latest reading of the lists says, what it left out, and why nothing can be concluded from that."""
        self._requests: dict[str, int] = {}
        """Subscription -> requests that its lists needed when they were read last."""
        self._costs: dict[str, int] = {}
        """The same of the expensive ones among them: lists that fail in the midst cost as much."""
        self._trouble: tuple[str, ...] = ()
        """Why Resource Graph could not be read."""
        self._uniform = 0
        """Machines of uniform scale sets, which only the lists count."""
        self.latest = Poll()
        self.shown = 0
        """How many polls the table has been shown."""
        self.ended = 0
        """How many polls there were, those among them that showed nothing new."""
        self._readings: dict[str, asyncio.Task[VmListing | GatewayError]] = {}
        """Subscription -> its reading that is under way, or whose end no poll has taken yet."""
        self._asked_pauses: dict[str, float] = {}
        """Subscription -> seconds for which its latest reading was asked to pause, all together."""
        self._pages = 0
        self._told_at = 0.0
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """One poll: the lists, or a look for changes, after which the lists may be due."""
        await self._poll(tasks)
        self.ended += 1

    async def _poll(self, tasks: asyncio.TaskGroup) -> None:
        pace = self._pace
        if self._table.synced and not pace.due(asked=self._schedule.asked):
            idle = {name: number for name, number in self._requests.items() if name not in self._readings}
            look = await self._changes.look(idle, lists_allowed=pace.allowed)
            self._trouble = (look.trouble,) if look.trouble else ()
            if look.lists:
                pace.want()
            if not pace.due():
                if look.shown:
                    self._count()
                message, problems, doubt = self._told
                again_in = pace.next_in(blind=bool(self._trouble))
                self._schedule.looked(message, (*problems, *self._trouble), doubt, again_in)
                return
        await self._list(tasks)

    async def _list(self, tasks: asyncio.TaskGroup) -> None:
        """The lists, from the first page of each subscription to the last; it waits for no long pause of one of them.

        A reading that a pause holds up goes on in `tasks`, and a later poll takes what it brings.
        """
        self._pages, self._told_at = 0, time.monotonic()
        late = set(self._readings)
        for name in self._sources.subscriptions.keys() - late:
            self._asked_pauses[name] = 0.0
            self._readings[name] = tasks.create_task(self._read(name))
        await self._settled()
        listed: dict[str, VmListing] = {}
        failed: dict[str, GatewayError] = {}
        for name in sorted(self._readings):
            answer = self._readings.pop(name).result() if self._readings[name].done() else _HELD_UP
            if isinstance(answer, VmListing):
                listed[name] = answer
            if name in late or isinstance(answer, GatewayError):
                failed[name] = answer if isinstance(answer, GatewayError) else _HELD_UP
        if failed and (not listed or not self._table.synced):  # until the records came, nothing is known of the others
            self.latest = replace(self.latest, complete=False, unread=tuple(failed), pages=0)
            self._pace.failed()
            self._schedule.interval = self._pace.interval
            self._schedule.failed(next(iter(failed.values())))
            return
        self._show(listed, failed)

    async def _settled(self) -> None:
        """Until each subscription is read, or asks for a long pause, or for so many that they are as long."""
        while waited := [
            reading
            for name, reading in self._readings.items()
            if not reading.done()
            and max(self._asked_pauses[name], self._budgets.of_subscription(name).reads.paused()) < _LONG_PAUSE
        ]:
            await asyncio.wait(waited, timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED)

    async def _read(self, subscription: str) -> VmListing | GatewayError:
        """One subscription; a page that asks for a pause pauses its whole budget, for scripts too."""
        budget = self._budgets.of_subscription(subscription)
        reading: Reading[VmListing] = self._sources.gateways[self._sources.subscriptions[subscription]].list_vms(
            subscription
        )

        async def wait(asked: Wait) -> None:
            self._tell()
            if asked.throttled:
                self._asked_pauses[subscription] += asked.seconds
            await await_turn(budget.reads, asked, self._schedule, told=False)

        try:
            async with self._gate:
                return await read_whole(reading, self._workers, wait)
        except GatewayError as error:
            if isinstance(error, Throttled):
                budget.pause(error.retry_after)
            return error

    def _tell(self) -> None:
        """Count a request; now and then, while there is no complete poll to show, tell how many there were."""
        self._pages += 1
        if not self.latest.complete and time.monotonic() - self._told_at >= _TOLD_EVERY:
            self._told_at = time.monotonic()
            self.latest = replace(self.latest, pages=self._pages)
            self._report_soon()

    def _show(self, listed: Mapping[str, VmListing], failed: Mapping[str, GatewayError]) -> None:
        """Hand what was read to the table, and report it as the system's health."""
        problems: list[str] = []
        vms = _once(listed.values(), problems)
        unreadable = sum(listing.unreadable_rows for listing in listed.values())
        self.latest = Poll(complete=not unreadable and not failed, unreadable_rows=unreadable, unread=tuple(failed))
        self._uniform = sum(listing.uniform_members for listing in listed.values())
        self._table.saw_azure(vms, unreadable, {name: self._sources.subscriptions[name] for name in failed})
        self._count(vms)
        nics = self._unreadable_nics()
        self._requests |= {name: listing.requests for name, listing in listed.items()}
        self._costs |= {name: listing.cost for name, listing in listed.items()}
        doubtful = bool(failed or unreadable or nics)
        self._pace.read(sum(self._requests.values()), max(self._costs.values()), doubtful=doubtful)
        self._schedule.interval = self._pace.interval
        if self._pace.looks:
            self._changes.lists_answered(failed)
        else:
            self._trouble = ()  # nobody looks
        rows = [text for listing in listed.values() for text in listing.unreadable]
        problems = [*rows, *(text for listing in listed.values() for text in listing.problems), *problems]
        message, doubt = _verdict(len(vms), failed, unreadable, nics)
        self._told = message, tuple(problems), doubt
        self._schedule.read(message, (*problems, *self._trouble), doubt)

    def _count(self, vms: Collection[Vm] | None = None) -> None:
        """Count what is known now for the Estate's status. `vms`: of a poll; None: all that the table shows."""
        if vms is None:
            vms = self._table.latest.azure.vms.values() if self._table.latest.azure is not None else ()
        unsupported = Counter(vm.unsupported.value for vm in vms if vm.selected and vm.unsupported)
        unsupported[Unsupported.UNIFORM_SCALE_SET.value] += self._uniform
        self.latest = replace(
            self.latest,
            vms=len(vms),
            unsupported=+unsupported,
            unselected=Counter(vm.unselected_by for vm in vms if not vm.selected),
        )
        self.shown += 1

    def _unreadable_nics(self) -> int:
        """NICs of VMs to protect that the lists do not show."""
        believed = self._table.latest.azure
        seen = believed.vms.values() if believed is not None else ()
        return sum(len(vm.record.unreadable_nics()) for vm in seen if vm.selected and vm.unsupported is None)


def _verdict(vms: int, failed: Mapping[str, GatewayError], unreadable: int, nics: int) -> tuple[str, Reason | None]:
    """What a reading of the lists says of Azure, and why nothing can be concluded from what it lacks; None: it can."""
    shown = f"The latest poll shows {vms} VMs, and"
    if failed:
        reasons = {reason_of(error) for error in failed.values()}
        doubt = reasons.pop() if len(reasons) == 1 else Reason.UNREACHABLE
        return f"{shown} could not read {_reasons(failed)}. Until it can, no VM counts as missing.", doubt
    if unreadable:
        message = f"{shown} has rows that cannot be read: {unreadable}. Until they can, no VM counts as missing."
        return message, Reason.ROWS_UNREADABLE
    if nics:
        return f"{shown} lacks NICs that they have: {nics}. Their objects stay.", Reason.NIC_UNREADABLE
    return f"The latest poll was complete: {vms} VMs.", None


def _once(listings: Iterable[VmListing], problems: list[str]) -> tuple[Vm, ...]:
    """One VM per vmId: while a VM moves, Azure may list it under both of its ARM ids."""
    vms_by_vm_id: dict[str, Vm] = {}
    listed = (vm for listing in listings for vm in listing.vms)
    for vm in sorted(listed, key=lambda vm: vm.record.resource_id.lower()):
        if vm.vm_id in vms_by_vm_id:
            problems.append(f"Two listed VMs have the vmId {vm.vm_id}; the first by ARM id counts")
        vms_by_vm_id.setdefault(vm.vm_id, vm)
    return tuple(vms_by_vm_id.values())


def _reasons(failed: Mapping[str, GatewayError]) -> str:
    """The subscriptions that could not be read, and why: the first few."""
    shown = [f"subscription {name} ({error})" for name, error in list(failed.items())[:3]]
    more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
    return ", ".join(shown) + more
