"""The Illumio lane: one list of workloads for all hosts; stamps, labels and enforcement written in bulk."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from microseg.estate.lanes.rhythm import Rhythm
from microseg.estate.ledger import Ledger
from microseg.estate.ports import Term
from microseg.estate.readings import PceReading
from microseg.estate.workers import Workers
from microseg.gateways.ports import GatewayError, IllumioGateway, Rejected, WorkloadChange
from microseg.model.facts import Label, PairingProfile
from microseg.model.plan import CreateLabel, RaiseEnforcement, SetLabels, StampWorkload, StartScript, UnpairWorkload

log = logging.getLogger(__name__)
_SLOWLY = 300.0
"""Seconds between two readings of what changes rarely and is not asked for: labels and pairing profiles."""
_BULK = 1000
"""The PCE takes so many items in one bulk call (product-docs-repo.illumio.com, REST APIs, bulk operations)."""


class IllumioLane:
    """Observes the PCE, and carries out `StampWorkload`, `RaiseEnforcement`, `CreateLabel` and `SetLabels`."""

    def __init__(
        self, pce: IllumioGateway, mark: str, ledger: Ledger, rhythm: Rhythm, workers: Workers, term: Term
    ) -> None:
        """`mark`: our external data set."""
        self._pce, self._mark, self._ledger = pce, mark, ledger
        self.rhythm, self._workers, self._term = rhythm, workers, term
        self._not_before = 0.0
        self._slow: tuple[tuple[Label, ...], tuple[PairingProfile, ...]] | None = None
        self._slow_at = 0.0
        self._unseen = False
        """Whether something was changed that was not read back yet: nothing is done twice meanwhile."""

    async def run(self) -> None:
        """Go round for ever."""
        while True:
            if self.rhythm.due:
                await self._observe()
            if self.rhythm.health.readable and not self._unseen and time.monotonic() >= self._not_before:
                await self._carry_out()
            await self.rhythm.pause(self._not_before if self._not_before > time.monotonic() else None)

    async def _observe(self) -> None:
        """Read workloads, labels and profiles; a reading is complete or it changes nothing."""
        try:
            workloads = await self._workers.call(self._pce.workloads)
            if self._slow is None or self._slow_is_old():
                labels = await self._workers.call(self._pce.labels)
                self._slow = (labels, await self._workers.call(self._pce.profiles))
                self._slow_at = time.monotonic()
        except GatewayError as error:
            self.rhythm.failed(error)
            return
        self._unseen = False
        self._ledger.saw_pce(PceReading.of(self._mark, workloads, *self._slow))
        self.rhythm.read("The latest reading was complete.")

    def _slow_is_old(self) -> bool:
        """Whether labels and profiles are read again: with each poll while decisions stand on them, else seldom.

        Not with each of the closer readings that follow our own changes: the PCE counts calls.
        """
        age = time.monotonic() - self._slow_at
        return age >= (self.rhythm.interval if self._asked() else _SLOWLY)

    def _asked(self) -> bool:
        """Whether a decision stands on labels or profiles, which change rarely otherwise."""
        return any(True for _ in self._ledger.actions(CreateLabel, StartScript))

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
                self._not_before = time.monotonic() + self.rhythm.effect_failed(what, error)
                acted = True
                break
        else:
            if acted:
                self.rhythm.effect_taken()
        if acted:
            self._unseen = True
            self.rhythm.look_soon()

    async def _create_labels(self) -> bool:
        """Each missing label once, whoever asks for it."""
        wanted = {(action.key, action.value): vm_id for vm_id, action in self._ledger.actions(CreateLabel)}
        for (key, value), vm_id in wanted.items():
            self._term.check()
            try:
                await self._workers.call(self._pce.create_label, key, value)
                self._slow = None
                log.info("label created", extra={"key": key})
            except Rejected as error:
                self._complain(vm_id, str(error))
        return bool(wanted)

    async def _stamp(self) -> bool:
        """Our mark, and the enforcement floor, in one bulk call."""
        changes = {
            action.workload: (vm_id, WorkloadChange(action.workload, external_set=self._mark, external_reference=vm_id))
            for vm_id, action in self._ledger.actions(StampWorkload)
        }
        changes |= {
            action.workload: (vm_id, WorkloadChange(action.workload, enforcement_mode=action.mode))
            for vm_id, action in self._ledger.actions(RaiseEnforcement)
        }
        for part in _parts(list(changes.values())):
            self._term.check()
            failures = await self._workers.call(self._pce.update_workloads, [change for _, change in part])
            for vm_id, change in part:
                self._complain(vm_id, failures.get(change.href, ""))
        return bool(changes)

    async def _unpair(self) -> bool:
        """The VENs of VMs that are gone, in one call a way of restoring (10 calls a minute are allowed)."""
        wanted: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for vm_id, action in self._ledger.actions(UnpairWorkload):
            wanted[action.restore][action.ven] = vm_id
        for restore, vens in wanted.items():
            for part in _parts(list(vens)):
                self._term.check()
                refused = await self._workers.call(self._pce.unpair, part, restore)
                for ven in part:
                    self._complain(vens[ven], refused.get(ven, ""))
                    self._ledger.unpaired(vens[ven], accepted=ven not in refused)
        return bool(wanted)

    async def _set_labels(self) -> bool:
        """Workloads that need the same labels share a call. Keys are ours in the record before they are in the PCE."""
        alike: defaultdict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[str, str]]] = defaultdict(list)
        for vm_id, action in self._ledger.actions(SetLabels):
            if not self._ledger.owns(vm_id, [key for key, _ in action.labels]):
                continue  # it is being written, and decided again then
            alike[(tuple(href for _, href in action.labels), action.clear)].append((vm_id, action.workload))
        for (labels, clear), hosts in alike.items():
            for part in _parts(hosts):
                await self._label(part, labels, clear)
        return bool(alike)

    async def _label(self, hosts: list[tuple[str, str]], labels: Sequence[str], clear: Sequence[str]) -> None:
        """One call for all; where the PCE refuses it, halves, so that one bad workload stops only itself (L4)."""
        self._term.check()
        try:
            await self._workers.call(self._pce.set_labels, [href for _, href in hosts], labels, clear)
        except Rejected as error:
            if len(hosts) == 1:
                self._complain(hosts[0][0], str(error))
                return
            middle = len(hosts) // 2
            await self._label(hosts[:middle], labels, clear)
            await self._label(hosts[middle:], labels, clear)
            return
        for vm_id, _ in hosts:
            self._complain(vm_id, "")

    def _complain(self, vm_id: str, why: str) -> None:
        """Remember what the PCE said of this host's change; empty: it took it."""
        entry = self._ledger.entries.get(vm_id)
        if entry is not None and entry.illumio_complaint != why:
            entry.illumio_complaint = why
            if why:
                self._slow = None  # the labels may have changed
            self._ledger.touch((vm_id,))


T = TypeVar("T")


def _parts(items: list[T]) -> Iterator[list[T]]:
    """Slices of at most a bulk call's size."""
    for start in range(0, len(items), _BULK):
        yield items[start : start + _BULK]
