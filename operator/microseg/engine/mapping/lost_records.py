"""Hosts whose records were lost: they count for the guard by what the systems show of them (S6).

Somebody deleted a ManagedHost, or took its label off, or all of them are gone. Until the rules have decided about such
a host again, its record is the one that the systems bear out; a VM whose record is not made again yet counts, too, so
no deletion makes a held change smaller. `engine.mapping.rollout` and `engine.mapping.hourly_changes` ask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from microseg.engine.ground.ports import Clock
from microseg.engine.state.host_state import HostState, unrecorded
from microseg.engine.state.host_table import HostTable
from microseg.mapping import MappingDocument
from microseg.model.desired import Desired
from microseg.model.facts import Seen
from microseg.model.host import ManagedHost
from microseg.planning import guard, lost_record


class LostRecords:
    """Looks at the table; keeps nothing."""

    def __init__(self, table: HostTable, clock: Clock, before: Callable[[], MappingDocument | None]) -> None:
        """`before`: the rules whose changes were let through last, if they are known."""
        self._table, self._clock, self._before = table, clock, before

    def record(self, vm_id: str) -> ManagedHost | None:
        """The host's record; where that was lost, as the systems show the host. None: neither is there."""
        state, latest = self._table.hosts.get(vm_id), self._table.latest
        recorded = state.record if state is not None else None
        if recorded is not None and not lost_record.is_open(recorded):
            return recorded
        stamped = latest.illumio is not None and vm_id in latest.illumio.by_vm
        state = state or self._unrecorded(vm_id)
        if state is None or latest.vm(vm_id) is None or not (stamped or guard.is_made_again(state.record)):
            return recorded
        facts = latest.facts(state, self._table.record)
        workload = facts.illumio.value.stamped if isinstance(facts.illumio, Seen) else None
        objects = facts.check_point.value.own if isinstance(facts.check_point, Seen) else None
        if not (guard.is_made_again(state.record) or lost_record.has_something_to_lose(workload, objects)):
            return recorded
        return lost_record.as_shown(state.record, workload, objects, self._answers(vm_id))

    def settled(self, vm_id: str) -> bool:
        """Whether the guard counts the host: by its record, or by what is shown in place of a lost one."""
        if vm_id in self._table.fleet.commissioned:
            return True
        record = self.record(vm_id)
        return record is not None and guard.was_commissioned(record)

    def all_settled(self) -> set[str]:
        """VmIds of all hosts that the guard counts."""
        latest, commissioned = self._table.latest, self._table.fleet.commissioned
        if latest.azure is None or latest.illumio is None:
            return set(commissioned)
        stamped = latest.illumio.by_vm.keys() & latest.azure.vms.keys()
        return commissioned | {vm_id for vm_id in stamped - commissioned if self.settled(vm_id)}

    def is_half_known(self, vm_id: str) -> bool:
        """Whether nobody knows yet which groups the host of a lost record is in: Check Point was not read."""
        if self._table.latest.check_point is not None:
            return False
        record = self.record(vm_id)
        return record is not None and guard.is_made_again(record) and record.status.check_point is None

    def until_the_pce_is_read(self, vm_id: str, desired: Desired, *, judged: bool) -> Desired | None:
        """What a new record asks for while only the PCE can tell whether its host is new; None: that is known.

        It is known of a host without objects, too, where nothing waits for the guard: it has no group to lose.
        """
        latest, state = self._table.latest, self._table.hosts.get(vm_id)
        if latest.illumio is not None or state is None or not lost_record.is_blank(state.record):
            return None
        if not lost_record.is_ungrouped(state.record):
            return None
        objects = latest.check_point.own.get(vm_id, ()) if latest.check_point is not None else ()
        if judged and not objects:
            return None
        groups = {*desired.groups, *desired.pending_groups, *(group for item in objects for group in item.groups)}
        return replace(desired, groups=(), pending_groups=tuple(sorted(groups)))

    def _unrecorded(self, vm_id: str) -> HostState | None:
        """A row for a VM that the estate protects and that has no record now."""
        vm = self._table.latest.vm(vm_id)
        return unrecorded(vm) if vm is not None and vm.selected and vm.unsupported is None else None

    def _answers(self, vm_id: str) -> list[Desired]:
        """What the rules in force and those before ask for."""
        latest, now, before = self._table.latest, self._clock(), self._before()
        answers = (latest.desired(vm_id, now), latest.desired(vm_id, now, before) if before is not None else None)
        return [answer for answer in answers if answer is not None]
