"""The Illumio lane: one list of workloads for all hosts; stamps, labels and enforcement written in bulk."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

from microseg.engine.ground.ports import Clock, Term
from microseg.engine.lanes.budgets import PacedWorkers, closest_readings, shortest_interval
from microseg.engine.lanes.schedule import PollSchedule
from microseg.engine.lanes.unlisted import Unlisted, UnlistedWorkloads
from microseg.engine.state.host_table import HostTable
from microseg.engine.state.last_known import workloads_held_once
from microseg.engine.state.snapshots import IllumioSnapshot
from microseg.gateways.ports import GatewayError, IllumioGateway, Rejected, WorkloadChange
from microseg.model.illumio_facts import Label, PairingProfile, Workload
from microseg.model.plan import (
    CreateLabel,
    IllumioAction,
    RaiseEnforcement,
    SetLabels,
    StampWorkload,
    StartScript,
    UnpairWorkload,
)

log = logging.getLogger(__name__)
_SLOWLY = 300.0
"""Seconds between two readings of what changes rarely and is not asked for: labels and pairing profiles."""
_BULK = 1000
"""The PCE takes so many items in one bulk call (product-docs-repo.illumio.com, REST APIs, bulk operations)."""


class IllumioLane:
    """Observes the PCE, and carries out every `IllumioAction`."""

    def __init__(
        self,
        illumio: IllumioGateway,
        mark: str,
        table: HostTable,
        schedule: PollSchedule,
        workers: PacedWorkers,
        term: Term,
        clock: Clock,
        returned: Callable[[], None] = lambda: None,
    ) -> None:
        """`mark`: our external data set. `returned` is called when the PCE is read again after it could not be."""
        self._clock, self._returned = clock, returned
        self._illumio, self._mark, self._table = illumio, mark, table
        self.schedule, self._workers, self._term = schedule, workers, term
        self._unlisted = UnlistedWorkloads(illumio, lambda reading: workers.read(reading, schedule))
        self._interval = schedule.interval
        self._not_before = 0.0
        self._slow: tuple[tuple[Label, ...], tuple[PairingProfile, ...]] | None = None
        self._slow_at = self._labels_at = 0.0
        self._unseen = False
        """Whether something was changed that was not read back yet: nothing is done twice meanwhile."""
        table.actions.subscribe(
            (CreateLabel, StampWorkload, RaiseEnforcement, SetLabels, UnpairWorkload, StartScript), schedule.wake
        )

    async def run(self) -> None:
        """Go round for ever."""
        while True:
            if self.schedule.due:
                await self._observe()
            if self.schedule.health.readable and not self._unseen and time.monotonic() >= self._not_before:
                await self._carry_out()
            await self.schedule.pause(self._not_before if self._not_before > time.monotonic() else None)

    async def _observe(self) -> None:
        """Read workloads, labels and profiles; a reading is complete or it changes nothing."""
        began = self._clock()
        before = self._workers.requests
        try:
            workloads = await self._workers.read(self._illumio.workloads(), self.schedule)
            self.schedule.closest = closest_readings(self._workers.requests - before, len(workloads))
            self.schedule.interval = max(self._interval, shortest_interval(len(workloads)))
            unlisted = await self._ask_for_unlisted(workloads)
            if self._slow is None or self._slow_is_old() or _renamed(workloads, self._slow[0]):
                labels = await self._workers.read(self._illumio.labels(), self.schedule)
                self._slow = (labels, await self._workers.read(self._illumio.profiles(), self.schedule))
                self._slow_at = self._labels_at = time.monotonic()
        except GatewayError as error:
            self.schedule.failed(error)
            return
        self._unseen = False
        theirs = self._illumio.time()
        ahead = theirs - self._clock() if theirs is not None else timedelta()
        problems = self._illumio.problems()
        known = self._table.latest.illumio.workloads if self._table.latest.illumio is not None else {}
        snapshot = IllumioSnapshot.of(
            self._mark, workloads_held_once((*workloads, *unlisted.shown), known), *self._slow,
            read_at=began, ahead=ahead, lost=unlisted.lost, whole=not problems,
        )  # fmt: skip
        self._table.saw_illumio(snapshot)
        if self.schedule.health.readable is False:
            self._returned()
        self.schedule.read("The latest reading was complete.", (*unlisted.sentences(), *problems))

    async def _ask_for_unlisted(self, workloads: tuple[Workload, ...]) -> Unlisted:
        """What became of the recorded workloads that the list lacks."""
        fleet = self._table.fleet
        return await self._unlisted.ask(workloads, fleet.workloads, fleet.missing)

    def _slow_is_old(self) -> bool:
        """Whether labels and profiles are read again: with each poll while decisions stand on them, else seldom.

        Not with each of the closer readings that follow our own changes: the PCE counts calls.
        """
        age = time.monotonic() - self._slow_at
        return age >= (self.schedule.interval if self._asked() else _SLOWLY)

    def _asked(self) -> bool:
        """Whether a decision stands on labels or profiles, which change rarely otherwise."""
        return self._table.latest.lacking or any(True for _ in self._table.actions.of(CreateLabel, StartScript))

    async def _carry_out(self) -> None:
        """Everything that the decisions ask of the PCE, kind by kind; then look at what came of it."""
        steps: tuple[tuple[str, Callable[[], Awaitable[bool]]], ...] = (
            ("create-labels", self._create_labels),
            ("stamp", self._stamp),
            ("set-labels", self._set_labels),
            ("unpair", self._unpair),
        )
        acted = False
        for what, step in steps:
            try:
                acted = await step() or acted
            except GatewayError as error:
                self._not_before = time.monotonic() + self.schedule.effect_failed(what, error)
                acted = True
                break
        else:
            if acted:
                self.schedule.effect_taken()
        if acted:
            self._unseen = True
            self.schedule.look_soon()

    async def _create_labels(self) -> bool:
        """Each missing label once, whoever asks for it."""
        desired = {(action.key, action.value): action for _, action in self._table.actions.of(CreateLabel)}
        for action in desired.values():
            self._term.check()
            try:
                await self._workers.call(self._illumio.create_label, action.key, action.value)
                self._slow = None
                log.info("label created", extra={"key": action.key})
                self._table.effect_answered(action)
            except Rejected as error:
                self._complain(action, str(error))
        return bool(desired)

    async def _stamp(self) -> bool:
        """Our mark, and the enforcement floor, in one bulk call.

        What a script named is in the record before its stamp is in the PCE: once that is shown, nobody asks the script.
        """
        changes: dict[str, tuple[StampWorkload | RaiseEnforcement, WorkloadChange]] = {
            action.workload: (
                action,
                WorkloadChange(action.workload, external_set=self._mark, external_reference=vm_id),
            )
            for vm_id, action in self._table.actions.of(StampWorkload)
            if self._table.hosts[vm_id].names_its_workload
        }
        changes |= {
            action.workload: (action, WorkloadChange(action.workload, enforcement_mode=action.mode))
            for _, action in self._table.actions.of(RaiseEnforcement)
        }
        for part in _parts(list(changes.values())):
            self._term.check()
            failures = await self._workers.call(self._illumio.update_workloads, [change for _, change in part])
            for action, change in part:
                self._complain(action, failures.get(change.href, ""))
        return bool(changes)

    async def _unpair(self) -> bool:
        """The VENs of VMs that are gone, in one call per way of restoring (10 calls per minute are allowed)."""
        desired: defaultdict[str, dict[str, UnpairWorkload]] = defaultdict(dict)
        for _, action in self._table.actions.of(UnpairWorkload):
            desired[action.restore][action.ven] = action
        for restore, vens in desired.items():
            for part in _parts(list(vens)):
                self._term.check()
                refused = await self._workers.call(self._illumio.unpair, part, restore)
                for ven in part:
                    self._complain(vens[ven], refused.get(ven, ""))
                    self._table.unpairing_answered(vens[ven].vm_id, accepted=ven not in refused)
        return bool(desired)

    async def _set_labels(self) -> bool:
        """Workloads that need the same labels share a call. Keys are ours in the record before they are in the PCE."""
        alike: defaultdict[tuple[tuple[str, ...], tuple[str, ...]], list[SetLabels]] = defaultdict(list)
        for vm_id, action in self._table.actions.of(SetLabels):
            if not self._table.hosts[vm_id].owns([key for key, _ in action.labels]):
                continue  # it is being written, and decided again then
            alike[(tuple(href for _, href in action.labels), action.clear)].append(action)
        if alike and not await self._labels_stand():
            return True
        for (labels, clear), hosts in alike.items():
            for part in _parts(hosts):
                await self._label(part, labels, clear)
        return bool(alike)

    async def _labels_stand(self) -> bool:
        """Whether labels that were listed an interval ago are called the same now; else all is read and decided anew.

        Somebody may have renamed one that no workload carries, so that no reading showed it (`_renamed`).
        """
        if self._slow is not None and time.monotonic() - self._labels_at >= self._interval:
            labels = await self._workers.read(self._illumio.labels(), self.schedule)
            self._labels_at = time.monotonic()
            if set(labels) != set(self._slow[0]):
                self._slow = None
                return False
        return True

    async def _label(self, hosts: list[SetLabels], labels: Sequence[str], clear: Sequence[str]) -> None:
        """One call for all; where the PCE refuses it, halves, so that one bad workload stops only itself (L4)."""
        self._term.check()
        try:
            await self._workers.call(self._illumio.set_labels, [each.workload for each in hosts], labels, clear)
        except Rejected as error:
            if len(hosts) == 1:
                self._complain(hosts[0], str(error))
                return
            middle = len(hosts) // 2
            await self._label(hosts[:middle], labels, clear)
            await self._label(hosts[middle:], labels, clear)
            return
        for each in hosts:
            self._complain(each, "")

    def _complain(self, action: IllumioAction, why: str) -> None:
        """Remember what the PCE said of this host's change; empty: it accepted it."""
        self._table.effect_answered(action, refused=bool(why))
        if self._table.illumio_answered(action.vm_id, why) and why:
            self._slow = None  # the labels may have changed


T = TypeVar("T")


def _renamed(workloads: Iterable[Workload], labels: Iterable[Label]) -> bool:
    """Whether a workload shows a label otherwise than the list of labels: to set that one would be to set another."""
    known = {label.href: (label.key, label.value) for label in labels}
    shown = (label for workload in workloads for label in workload.labels)
    return any(known.get(label.href, (label.key, label.value)) != (label.key, label.value) for label in shown)


def _parts(items: list[T]) -> Iterator[list[T]]:
    """Slices of at most a bulk call's size."""
    for start in range(0, len(items), _BULK):
        yield items[start : start + _BULK]
