"""The one table: all that is known now about each host, and which hosts are to be decided again.

Every writer has methods of its own here, and nobody else writes into a row. All run on one event loop, without locks.
It is memory only: every restart builds it anew from the records and the outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Unpack

import msgspec

from microseg.engine.ground.ports import Clock
from microseg.engine.state.accepted_effects import AcceptedEffects
from microseg.engine.state.action_queues import ActionQueues
from microseg.engine.state.fleet_index import FleetIndex
from microseg.engine.state.host_state import NOTHING_OBSERVED, AttemptFacts, HostState, older, recorded_first, same
from microseg.engine.state.latest import Latest
from microseg.engine.state.snapshots import AzureSnapshot, CheckPointSnapshot, IllumioSnapshot
from microseg.mapping import MappingDocument
from microseg.model.azure_facts import Vm, VmDetail
from microseg.model.azure_record import AzureRecord
from microseg.model.facts import HostFacts, Unreadable
from microseg.model.host import HostStatus, ManagedHost
from microseg.model.plan import Action, ProveGone
from microseg.model.sharing import Sharing
from microseg.planning.decide import Decision


class HostTable:
    """All hosts of one estate by vmId."""

    def __init__(self, clock: Clock = lambda: datetime.now(UTC)) -> None:
        """Begin empty: nothing is known."""
        self.effects = AcceptedEffects(clock)
        self.hosts: dict[str, HostState] = {}
        self.latest = Latest(self.hosts.get, clock)
        self.actions = ActionQueues()
        self.fleet = FleetIndex()
        self.synced = False
        """Whether the reflector has brought every record."""
        self.dirty: set[str] = set()
        self.wake = asyncio.Event()
        self._sharing = Sharing(lambda: len(self.hosts))
        self._vm_ids: dict[str, str] = {}
        """Record's name -> vmId."""
        self._wait_for_sync: list[Callable[[], None]] = []

    def when_synced(self, wake: Callable[[], None]) -> None:
        """`wake` is called then."""
        self._wait_for_sync.append(wake)

    # the reconciler: what is to be decided again, and what was decided ------------------------------------------

    def touch(self, vm_ids: Iterable[str]) -> None:
        """These hosts are to be decided again."""
        touched = self.hosts.keys() & set(vm_ids)
        for vm_id in touched:
            self._outdate(vm_id, self.hosts[vm_id])
        if touched:
            self.dirty |= touched
            self.wake.set()

    def touch_all(self) -> None:
        """Every host is to be decided again."""
        self.touch(self.hosts)

    def decided(self, vm_id: str, decision: Decision) -> bool:
        """A host was decided with all that is known: its actions go to the lanes. Whether its status differs."""
        state = self.hosts[vm_id]
        self.fleet.decided(vm_id, state.decision, decision)
        differs = state.decided(decision)
        self.fleet.claimed(vm_id, state.claimed)
        self.effects.decided(vm_id, decision.verdicts)
        self.actions.deliver(vm_id, decision.actions)
        return differs

    def _outdate(self, vm_id: str, state: HostState) -> None:
        if not state.stale:
            state.stale = True
            self.actions.withdraw(vm_id)

    # the reflector and the status writer: records ---------------------------------------------------------------

    def upsert(self, record: ManagedHost) -> None:
        """A record as the API server has it; one that is older than what we hold is passed over."""
        state = self.hosts.get(vm_id := record.spec.vm_id)
        self._vm_ids[record.name] = vm_id
        if state is None:
            state = self.hosts[vm_id] = HostState(record, sharing=self._sharing)
        elif older(record, state.record):
            return
        elif same(record, state.record):
            state.recorded(record)
            return
        elif state.sending is not None and same(record, msgspec.structs.replace(state.record, status=state.sending)):
            self.wrote(record)  # our own write, which the watch shows before its answer comes
            return
        self._set_record(state, record)
        self.touch((vm_id,))

    def drop(self, name: str) -> None:
        """The record is gone. That means nothing for the VM: the next poll shows it again."""
        vm_id = self._vm_ids.pop(name, None)
        if vm_id is not None and vm_id in self.hosts and self.hosts[vm_id].record.name == name:
            self.fleet.forget(vm_id, self.hosts.pop(vm_id).decision)
            self.actions.forget(vm_id)
            self.effects.forget(vm_id)
            self.dirty.add(vm_id)  # the estate's counts are others now
            self.wake.set()

    def keep_only(self, names: frozenset[str], began: float) -> None:
        """After a list: what it lacks was deleted while nobody watched, unless it was made since the list `began`."""
        for name in self._vm_ids.keys() - names:
            state = self.hosts.get(self._vm_ids[name])  # None: another record of the same VM was dropped
            if state is None or state.known_since < began:
                self.drop(name)
        if not self.synced:
            self.latest.records_came(self._recorded_azure)
            self.synced = True
            for wake in self._wait_for_sync:
                wake()
        self.wake.set()

    def sending(self, vm_id: str, status: HostStatus | None) -> None:
        """This status is being written to the host's record; None: that is over."""
        if vm_id in self.hosts:
            self.hosts[vm_id].sending = status

    def wrote(self, record: ManagedHost) -> None:
        """The API server took our write, or answered our read: it is at least as new as what we hold."""
        vm_id = record.spec.vm_id
        state = self.hosts.get(vm_id)
        if state is None or older(record, state.record):
            return
        asked = (record.spec, record.annotations) != (state.record.spec, state.record.annotations)
        waited_for = recorded_first(record) - recorded_first(state.record)
        self._set_record(state, record)
        if asked or waited_for:  # a person's wish: the watch brings no news of it then; stamps and labels go on
            self.touch((vm_id,))

    def attempt_intended(self, vm_id: str) -> None:
        """An attempt's intent is written: what was observed of the one before is forgotten.

        The decision is older than the intent and must not be carried out; the host is decided again once the effect
        was tried, until then there is nothing to report.
        """
        if (state := self.hosts.get(vm_id)) is not None:
            self._observe(vm_id, **NOTHING_OBSERVED)
            self._outdate(vm_id, state)

    def _set_record(self, state: HostState, record: ManagedHost) -> None:
        was_retiring = state.record.status.retirement is not None
        state.recorded(record)
        if was_retiring != (record.status.retirement is not None):
            self.touch(self.latest.sharing((record.spec.vm_id,)))  # its addresses are free, or its own again
        self.fleet.recorded(record.spec.vm_id, record)

    # the Azure lane ---------------------------------------------------------------------------------------------

    def saw_azure(
        self, vms: Collection[Vm], unreadable_rows: int = 0, unread: Mapping[str, str] = {}, *, some: bool = False
    ) -> None:
        """A poll. Where a row or a subscription could not be read, nobody counts as missing (S5).

        `unread`: subscription in lower case -> its source: its VMs stay as they were. `some`: only these were read, and
        what was in doubt before is still.
        """
        latest, before = self.latest, self.latest.azure
        old = latest.old(vms, unread, self.hosts.values(), some=some)
        doubt = (before.unreadable_rows, before.unread) if some and before is not None else (unreadable_rows, unread)
        snapshot = AzureSnapshot.of(latest.as_believed(vms, self._recorded_azure, old), *doubt)
        changed = snapshot.changed(before)
        missed = self.hosts.keys() - snapshot.vms.keys() if not some else set[str]()
        if not snapshot.doubtful:
            for vm_id in missed:
                self._observe(vm_id, missed_polls=self.hosts[vm_id].observed.missed_polls + 1)
        elif before is not None and before.doubtful:
            missed = set()  # they know it already
        for vm_id in snapshot.vms.keys() & self.hosts.keys():
            observed = self.hosts[vm_id].observed
            if observed.missed_polls or observed.gone is not None or observed.retirement_held:
                self._observe(vm_id, missed_polls=0, gone=None, retirement_held="")
        settled = latest.saw_tags(snapshot, self._recorded_azure, old) if self.synced else set[str]()
        latest.azure = snapshot
        self.touch(changed | missed | settled | latest.sharing(changed, before))

    def saw_detail(self, vm_id: str, detail: VmDetail) -> None:
        """One VM read by itself: newer than the list in power state and readiness."""
        azure, vm = self.latest.azure, self.latest.vm(vm_id)
        if azure is None or vm is None:
            return
        newer = msgspec.structs.replace(vm.record, power_state=detail.power_state, agent_ready=detail.agent_ready)
        if newer != vm.record:
            azure.vms[vm_id] = replace(vm, record=newer)
            self.touch((vm_id,))

    def attempt_observed(self, vm_id: str, **changes: Unpack[AttemptFacts]) -> None:
        """What the effect protocol learnt of the current attempt, or of the VM's end. It does not touch the host."""
        self._observe(vm_id, **changes)

    def unproven(self) -> list[ProveGone]:
        """What to ask again: missing VMs that Azure neither showed nor declared gone."""
        unproven = [state for state in self.hosts.values() if isinstance(state.observed.gone, Unreadable)]
        candidates = ((state.record.spec.vm_id, self.latest.last_resource_id(state)) for state in unproven)
        return [ProveGone(vm_id, resource_id) for vm_id, resource_id in candidates if resource_id]

    def _recorded_azure(self, vm_id: str) -> AzureRecord | None:
        return self.hosts[vm_id].record.status.azure if vm_id in self.hosts else None

    # the Illumio lane -------------------------------------------------------------------------------------------

    def saw_illumio(self, snapshot: IllumioSnapshot) -> None:
        """A complete reading of the PCE."""
        before, self.latest.illumio = self.latest.illumio, snapshot
        self.touch(self.effects.looked("illumio", self.latest, self.hosts))
        self.touch({*self._count_unpaired(snapshot), *self.fleet.missing})
        if before is None or before.labels != snapshot.labels or before.profiles != snapshot.profiles:
            self.touch_all()
        else:
            self.touch(snapshot.changed(before, lambda keys: self.latest.unstamped_with(keys, self.fleet.claims)))

    def illumio_answered(self, vm_id: str, complaint: str) -> bool:
        """What the PCE answered to this host's change; empty: it took it. Returns whether that is news."""
        if vm_id not in self.hosts or self.hosts[vm_id].observed.illumio_complaint == complaint:
            return False
        self._observe(vm_id, illumio_complaint=complaint)
        self.touch((vm_id,))
        return True

    def unpairing_answered(self, vm_id: str, *, accepted: bool) -> None:
        """What the PCE answered to an unpairing."""
        self._observe(vm_id, unpair_accepted=accepted)
        self.touch((vm_id,))

    def effect_answered(self, action: Action, *, refused: bool = False) -> None:
        """A system accepted this effect, or refused it alone; the next complete readings tell whether it takes (L6)."""
        self.effects.tried(action, self.latest, refused=refused)

    def _count_unpaired(self, snapshot: IllumioSnapshot) -> Iterator[str]:
        """Count the readings in which a recorded workload is gone; yields those for whom that is news."""
        gone = snapshot.lost & self.hosts.keys()
        for vm_id in gone | self.fleet.unpaired:
            readings = self.hosts[vm_id].observed.unpaired_readings + snapshot.whole if vm_id in gone else 0
            self._observe(vm_id, unpaired_readings=readings)
            if readings == 2 and snapshot.whole:
                yield vm_id
        self.fleet.unpaired = set(gone)

    # the Check Point lane ---------------------------------------------------------------------------------------

    def saw_check_point(self, snapshot: CheckPointSnapshot, *, whole: bool = True) -> None:
        """A complete reading of Check Point; not `whole`: only its gateways are newer than the one before."""
        before, self.latest.check_point = self.latest.check_point, snapshot
        changed = snapshot.changed(before)
        if whole:
            self.touch(self.effects.looked("checkpoint", self.latest, self.hosts))
        if changed is None or before is None:
            self.touch_all()
        else:
            bound = self.fleet.firewall_bound if snapshot.shared() != before.shared() else set[str]()
            self.touch(changed | bound | self.latest.holders(snapshot.changed_addresses(before)))

    def check_point_answered(self, vm_id: str, *, rejection: str, held_up: str) -> None:
        """What became of this host's change: refused, held up by a lock or another session, or neither."""
        self._observe(vm_id, rejection=rejection, held_up=held_up)
        self.touch((vm_id,))

    # mapping and retirement -------------------------------------------------------------------------------------

    def saw_mapping(self, mapping: MappingDocument) -> None:
        """A mapping was accepted."""
        self.latest.mapping = mapping
        self.touch_all()

    def retirement_held(self, vm_id: str, why: str) -> None:
        """Why the host's retirement may not begin now; empty: it may."""
        self._observe(vm_id, retirement_held=why)
        self.touch((vm_id,))

    # one host ---------------------------------------------------------------------------------------------------

    def facts(self, vm_id: str) -> HostFacts:
        """Everything known now about one host outside the cluster."""
        facts = self.latest.facts(self.hosts[vm_id], self.record)
        return replace(facts, untaken=untaken) if (untaken := self.effects.untaken(vm_id)) else facts

    def record(self, vm_id: str) -> ManagedHost | None:
        """The record of a VM; None: it has none."""
        return self.hosts[vm_id].record if vm_id in self.hosts else None

    def _observe(self, vm_id: str, **changes: object) -> None:
        """Replace what was observed of the host, as a whole."""
        if (state := self.hosts.get(vm_id)) is not None:
            state.observed = replace(state.observed, **changes)  # type: ignore[arg-type]  # names of HostFacts
