"""One look for changes: Resource Graph hints, Resource Manager answers. `azure_poll.py` has it done between two lists.

Nothing that the graph shows becomes a fact. A VM that it shows otherwise is read by itself, as the lists would show it;
what only the lists can tell, they are asked for (docs/decisions/0028).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.azure_hints import Agreed, Plan, hints_in, plan
from microseg.engine.lanes.azure_sources import AzureSources
from microseg.engine.lanes.budgets import Budgets, check_pause, subscription_of
from microseg.engine.lanes.readings import await_turn, read_whole
from microseg.engine.lanes.schedule import PollSchedule
from microseg.engine.state.host_table import HostTable
from microseg.gateways.http.rate_limiter import RateLimiter
from microseg.gateways.ports import GatewayError, Refused, Rejected, Throttled, Wait
from microseg.model.azure_facts import Vm
from microseg.model.azure_glimpse import Glimpse, Sighting
from microseg.model.facts import Absent

_LONG_PAUSE = 5.0
"""Seconds: for a longer pause nobody waits here; the graph's own window is as long."""
_AT_ONCE = 8
"""VMs of one subscription that are read together: half of Azure's threads."""
_BLIND = 20
"""The graph is not relied on while it lacks more than one in so many of the VMs that the lists show."""
_BLIND_TROUBLE = "it lacks VMs that Azure's lists show: may the operator's identity read them?"
Answer: TypeAlias = Vm | Absent | GatewayError


@dataclass(frozen=True, slots=True)
class Look:
    """What came of it."""

    lists: bool = False
    """Whether the lists must tell."""
    shown: bool = False
    """Whether VMs were read by themselves, and are in the table."""
    trouble: str = ""
    """Why the graph could not be read, as a sentence for people; empty: it could."""


class AzureChanges:
    """Remembers which hints were answered."""

    def __init__(
        self,
        sources: AzureSources,
        budgets: Budgets,
        table: HostTable,
        schedule: PollSchedule,
        workers: Workers,
        missed_polls: int,
    ) -> None:
        """`missed_polls`: complete lists in a row that must lack a VM before it is asked for by its id."""
        self._sources, self._budgets, self._table = sources, budgets, table
        self._schedule, self._workers, self._missed_polls = schedule, workers, missed_polls
        self._open: dict[str, Glimpse | None] = {}
        self._answered: dict[str, Glimpse | None] = {}
        self._agreed: Agreed = {}
        self._gates = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(_AT_ONCE))
        """By subscription, so that one that asks for pauses holds up only its own."""
        self._pauses = defaultdict[str, float](float)
        """Subscription -> seconds for which this look was asked to pause, all together."""

    async def look(self, most: Mapping[str, int], *, lists_allowed: bool) -> Look:
        """Look once. `most`: subscription in lower case -> requests that its lists need; VMs of others are not read.

        `lists_allowed`: whether the lists may be read right now.
        """
        azure = self._table.latest.azure
        if azure is None:
            return Look(lists=True)
        try:
            shown, known = await self._sightings(), dict(azure.vms)
            hints = await self._workers.call(hints_in, shown, known, self._answered, self._agreed)
        except GatewayError as error:
            why = "it asks for a pause" if isinstance(error, Throttled) else str(error)
            return Look(lists=True, trouble=_trouble(why))
        self._open, self._answered, self._agreed = dict(hints.open), dict(hints.answered), hints.agreed
        if _BLIND * sum(glimpse is None for glimpse in self._answered.values()) > len(known):
            return Look(lists=True, trouble=_trouble(_BLIND_TROUBLE))
        todo = plan(self._open, known, self._table.latest.waiting(), most)
        lists = todo.lists or self._counts_misses()
        if lists and lists_allowed:
            return Look(lists=True)  # they answer everything
        return await self._follow(todo, lists=lists)

    def lists_answered(self, unread: Collection[str]) -> None:
        """The lists were read to their end since the latest look: whatever it hinted at, they have told.

        `unread`: subscriptions in lower case whose lists were not; they have told nothing.
        """
        answered = {vm_id: glimpse for vm_id, glimpse in self._open.items() if self._subscription(vm_id) not in unread}
        self._answered |= answered
        for vm_id in answered:
            del self._open[vm_id]

    def _subscription(self, vm_id: str) -> str:
        """The subscription of a VM that was hinted at; empty: nobody shows one."""
        glimpse, vm = self._open[vm_id], self._table.latest.vm(vm_id)
        resource_id = glimpse.resource_id if glimpse is not None else vm.record.resource_id if vm is not None else ""
        return subscription_of(resource_id)

    def _counts_misses(self) -> bool:
        """Whether somebody is missing who was not missed often enough to be asked for: only the lists count."""
        azure, hosts = self._table.latest.azure, self._table.hosts
        missing = hosts.keys() - azure.vms.keys() if azure is not None else ()
        return any(hosts[vm_id].observed.missed_polls < self._missed_polls for vm_id in missing)

    async def _sightings(self) -> list[Sighting]:
        """What the graph shows of all sources, each of its own subscriptions."""
        graph = self._budgets.graph
        check_pause(graph, "Azure", _LONG_PAUSE)

        async def wait(asked: Wait) -> None:
            await _await_turn(graph, asked, self._schedule)

        found: list[Sighting] = []
        for gateway in self._sources.gateways.values():
            shown = await read_whole(gateway.sightings(), self._workers, wait)
            found += (each for each in shown if self._sources.of(each.resource_id) is gateway)
        return found

    async def _follow(self, todo: Plan, *, lists: bool) -> Look:
        """Read the VMs by themselves, and show them to the table."""
        self._pauses.clear()
        answers = await asyncio.gather(*(self._answer(resource_id) for resource_id in todo.reread.values()))
        vms = [vm for vm_id, vm in zip(todo.reread, answers, strict=True) if self._settle(vm_id, vm)]
        shown = [vm for vm in vms if isinstance(vm, Vm)]
        if shown:
            self._table.saw_azure(shown, some=True)
        doubtful = any(vm.record.unreadable_nics() for vm in shown)
        return Look(lists=lists or doubtful or self._astray(todo, answers), shown=bool(shown))

    def _settle(self, vm_id: str, answer: Answer) -> bool:
        """Whether the answer is the VM that was meant. A hint that has one, or can have none, is answered."""
        meant = isinstance(answer, Vm) and answer.vm_id == vm_id
        unknown = isinstance(answer, Absent) and self._table.latest.vm(vm_id) is None
        if (meant or unknown or isinstance(answer, Refused | Rejected)) and vm_id in self._open:
            self._answered[vm_id] = self._open.pop(vm_id)
        return meant

    def _astray(self, todo: Plan, answers: Iterable[Answer]) -> bool:
        """Whether Azure has no VM, or another one, where one is known: what that means only the lists tell."""
        pairs = zip(todo.reread, answers, strict=True)
        return any(
            (isinstance(answer, Absent) and self._table.latest.vm(vm_id) is not None)
            or (isinstance(answer, Vm) and answer.vm_id != vm_id)
            for vm_id, answer in pairs
        )

    async def _answer(self, resource_id: str) -> Answer:
        """Resource Manager's answer, within the budget of its subscription. An error leaves the hint open."""
        gateway, budget = self._sources.of(resource_id), self._budgets.of(resource_id)
        subscription = subscription_of(resource_id)
        if gateway is None:
            return Rejected("No source reads its subscription")

        async def wait(asked: Wait) -> None:
            self._pauses[subscription] += asked.seconds if asked.throttled else 0.0
            self._check_pauses(subscription)
            await _await_turn(budget.reads, asked, self._schedule)

        try:
            async with self._gates[subscription]:
                check_pause(budget.reads, "Azure", _LONG_PAUSE)
                self._check_pauses(subscription)
                return await read_whole(gateway.read_vm(resource_id), self._workers, wait)
        except GatewayError as error:
            if isinstance(error, Throttled):
                budget.pause(error.retry_after)
            return error

    def _check_pauses(self, subscription: str) -> None:
        """Raises Throttled where many short pauses are as long as a long one: the look of the others goes on."""
        if self._pauses[subscription] > _LONG_PAUSE:
            raise Throttled("Azure asks for pauses again and again", 1.0)


async def _await_turn(limiter: RateLimiter, asked: Wait, lane: PollSchedule) -> None:
    """Wait for a turn, and for a short pause; a long one ends the look, and is obeyed by the next."""
    if asked.throttled and asked.seconds > _LONG_PAUSE:
        limiter.pause(asked.seconds)
    check_pause(limiter, "Azure", _LONG_PAUSE)
    await await_turn(limiter, asked, lane, told=False)


def _trouble(why: str) -> str:
    """The same words for the same trouble: each other word is written and logged."""
    return f"what Azure Resource Graph tells of changes ({why}), so that the lists are read each time"
