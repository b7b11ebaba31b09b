"""One poll of Azure: every subscription is listed to its end, within its budget, and by itself.

The Azure lane runs it beside its scripts. A subscription that cannot be read costs the others nothing: what is known of
its own VMs stays, and until it can be read again nobody counts as missing, because a VM may have moved into it (S5).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.budgets import Budgets, subscription_of
from microseg.engine.lanes.readings import await_turn, read_whole
from microseg.engine.lanes.schedule import PollSchedule, reason_of
from microseg.engine.state.host_table import HostTable
from microseg.gateways.ports import AzureGateway, GatewayError, Reading, Throttled, Wait
from microseg.model.azure_facts import Unsupported, Vm, VmListing
from microseg.model.condition import Reason

_LISTS_PER_MINUTE = 150.0
"""Half of Azure's 300 high-cost lists per minute and subscription: the interval stretches so that lists use no more.

Source: learn.microsoft.com/azure/virtual-machines/compute-throttling-limits."""
_AT_ONCE = 8
"""Subscriptions that are read together: half of Azure's threads."""
_LONG_PAUSE = 5.0
"""Seconds: a subscription that asks for a longer pause does not hold up the poll of the others."""
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


@dataclass(frozen=True, slots=True)
class AzureSources:
    """The estate's sources of VMs."""

    gateways: Mapping[str, AzureGateway]
    """By the source's name."""
    subscriptions: Mapping[str, str]
    """Subscription in lower case -> name of the source that reads it."""

    def of(self, resource_id: str) -> AzureGateway | None:
        """The gateway that reads the subscription of an ARM id."""
        return self.gateways.get(self.subscriptions.get(subscription_of(resource_id), ""))


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
    ) -> None:
        """`report_soon`: the Estate's status is to say how far the poll is."""
        self._sources, self._budgets, self._table = sources, budgets, table
        self._schedule, self._workers, self._report_soon = schedule, workers, report_soon
        self._shortest_interval = schedule.interval
        self.latest = Poll()
        self.shown = 0
        """How many polls the table has been shown."""
        self._readings: dict[str, asyncio.Task[VmListing | GatewayError]] = {}
        """Subscription -> its reading that is under way, or whose end no poll has taken yet."""
        self._pages = 0
        self._told_at = 0.0
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """One poll, from the first page of each subscription to the last; it waits for no long pause of one of them.

        A reading that a pause holds up goes on in `tasks`, and a later poll takes what it brings.
        """
        self._pages, self._told_at = 0, time.monotonic()
        late = set(self._readings)
        for name in self._sources.subscriptions.keys() - late:
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
            self._schedule.failed(next(iter(failed.values())))
            return
        self._show(listed, failed)

    async def _settled(self) -> None:
        """Until each subscription is read, or asks for a long pause."""
        while waited := [
            reading
            for name, reading in self._readings.items()
            if not reading.done() and self._budgets.of_subscription(name).reads.paused() < _LONG_PAUSE
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
        self.latest = Poll(
            complete=not unreadable and not failed,
            vms=len(vms),
            unsupported=_unsupported(vms, listed.values()),
            unselected=Counter(vm.unselected_by for vm in vms if not vm.selected),
            unreadable_rows=unreadable,
            unread=tuple(failed),
        )
        self.shown += 1
        cost = max(listing.cost for listing in listed.values())
        self._schedule.interval = max(self._shortest_interval, cost * 60.0 / _LISTS_PER_MINUTE)
        self._table.saw_azure(vms, unreadable, {name: self._sources.subscriptions[name] for name in failed})
        rows = [text for listing in listed.values() for text in listing.unreadable]
        problems = [text for listing in listed.values() for text in listing.problems] + problems
        believed = self._table.latest.azure
        seen = believed.vms.values() if believed is not None else ()
        nics = sum(len(vm.record.unreadable_nics()) for vm in seen if vm.selected and vm.unsupported is None)
        shown = f"The latest poll shows {len(vms)} VMs, and"
        if failed:
            message = f"{shown} could not read {_reasons(failed)}. Until it can, no VM counts as missing."
            reasons = {reason_of(error) for error in failed.values()}
            doubt = reasons.pop() if len(reasons) == 1 else Reason.UNREACHABLE
            self._schedule.read(message, [*rows, *problems], doubt)
        elif unreadable:
            message = f"{shown} has rows that cannot be read: {unreadable}. Until they can, no VM counts as missing."
            self._schedule.read(message, [*rows, *problems], Reason.ROWS_UNREADABLE)
        elif nics:
            message = f"{shown} lacks NICs that they have: {nics}. Their objects stay."
            self._schedule.read(message, problems, Reason.NIC_UNREADABLE)
        else:
            self._schedule.read(f"The latest poll was complete: {len(vms)} VMs.", problems)


def _once(listings: Iterable[VmListing], problems: list[str]) -> tuple[Vm, ...]:
    """One VM per vmId: while a VM moves, Azure may list it under both of its ARM ids."""
    vms_by_vm_id: dict[str, Vm] = {}
    listed = (vm for listing in listings for vm in listing.vms)
    for vm in sorted(listed, key=lambda vm: vm.record.resource_id.lower()):
        if vm.vm_id in vms_by_vm_id:
            problems.append(f"Two listed VMs have the vmId {vm.vm_id}; the first by ARM id counts")
        vms_by_vm_id.setdefault(vm.vm_id, vm)
    return tuple(vms_by_vm_id.values())


def _unsupported(vms: Iterable[Vm], listings: Iterable[VmListing]) -> Mapping[str, int]:
    """VMs that cannot be protected, by reason; machines of uniform scale sets are no VMs to Azure's list."""
    counted = Counter(vm.unsupported.value for vm in vms if vm.selected and vm.unsupported)
    counted[Unsupported.UNIFORM_SCALE_SET.value] += sum(listing.uniform_members for listing in listings)
    return +counted


def _reasons(failed: Mapping[str, GatewayError]) -> str:
    """The subscriptions that could not be read, and why: the first few."""
    shown = [f"subscription {name} ({error})" for name, error in list(failed.items())[:3]]
    more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
    return ", ".join(shown) + more
