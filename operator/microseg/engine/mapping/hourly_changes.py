"""What would change on commissioned hosts although the rules are the same: by tags, addresses, NICs, overrides (S6).

A script that takes a tag off 200 VMs would otherwise take their labels and groups within seconds. Hosts whose answer
changed are counted over an hour; once they are too many, those that were not let through yet stay as they are until a
person approves, or until the hour has gone by. A host is looked at when it is to be decided again, never without
news. A host is counted in the Estate's status before it is let through, and its record keeps when it changed last, so
the hour goes on after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from microseg.engine.ground.ports import Clock
from microseg.engine.mapping.approved_changes import ApprovedChanges
from microseg.engine.mapping.counted_hour import CountedHour
from microseg.engine.mapping.lost_records import LostRecords
from microseg.engine.state.host_table import HostTable
from microseg.engine.state.latest import Latest
from microseg.model.approval import ApprovalAction
from microseg.model.desired import Desired
from microseg.model.estate import Estate
from microseg.model.estate_status import UsedApproval
from microseg.model.names import Annotation
from microseg.planning import guard, hourly_guard
from microseg.planning.approvals import open_for
from microseg.planning.known_names import Known, added, as_read


@dataclass(frozen=True, slots=True)
class _Answer:
    """What makes a host's state: what the rules ask for, and for which addresses."""

    labels: tuple[tuple[str, str], ...]
    removed: tuple[str, ...]
    groups: tuple[str, ...]
    missed: bool
    addresses: frozenset[str] | None
    """None: no groups, so it needs no object."""
    lost: bool = False
    """Whether its workload is gone from the PCE: it would be paired anew."""


class HourlyChanges:
    """Keeps the answers that were let through, and the hold."""

    def __init__(self, table: HostTable, clock: Clock, records: LostRecords) -> None:
        """Begin without a hold."""
        self._table, self._clock, self._records = table, clock, records
        self._all_addresses = True
        """Whether the estate publishes every address of a VM, else the primary one alone."""
        self._let: dict[str, _Answer] = {}
        """VmId -> the answer that was let through last."""
        self._hour = CountedHour(table)
        self.uncounted: frozenset[str] = frozenset()
        """VmIds of hosts that stay as recorded until the Estate's status counts them."""
        self._approved = ApprovedChanges(table)
        self.hold: guard.PlanHold | None = None
        self.admitted: UsedApproval | None = None
        """An approval of a list of which some are held."""
        self.part: guard.PlanHold | None = None
        """What of the hold it lets through."""
        self._shown: guard.PlanHold | None = None
        """The list that the person saw."""
        self.weighed = False
        """Whether every host was weighed since Azure and the PCE were read first: a start finds its hold by that."""

    def weigh(self, vm_ids: Iterable[str], estate: Estate, *, elsewhere: frozenset[str]) -> None:
        """Before these hosts are decided: let their answers through, or hold them.

        `elsewhere`: hosts that a change of rules holds; they are judged there.
        """
        now, commissioned = self._clock(), self._table.fleet.commissioned
        self._all_addresses = estate.spec.check_point.addresses != "primary"
        counted = self._hour.counted(estate.status.changed, now)
        for gone in self._let.keys() - self._table.hosts.keys():
            del self._let[gone]
        held = self.hold.hosts if self.hold is not None else frozenset[str]()
        asked = {vm_id for vm_id in (set(vm_ids) | held | self.uncounted) - elsewhere if self._is_judged(vm_id)}
        answers = {vm_id: answer for vm_id in asked if (answer := self._answer(vm_id, now)) is not None}
        changing = {vm_id: kinds for vm_id, answer in answers.items() if (kinds := self._kinds(vm_id, answer, now))}
        self._approved.resume(changing, estate, now)
        for vm_id in self._approved.begin(changing, now):
            del changing[vm_id]
        hold = hourly_guard.judge(
            changing, counted, commissioned=len(commissioned), percent=estate.spec.guard.max_changed_percent
        )
        if hold is not None:
            hold = replace(hold, lacking=self._lacking(hold, answers, estate))
        let = changing.keys() - (hold.hosts if hold is not None else frozenset())
        self._set_uncounted(hourly_guard.unwritten(let, estate.status.changed, now))
        self._hour.count(let - self.uncounted, now)
        waiting = changing.keys() - let | self.uncounted
        self._let |= {vm_id: answer for vm_id, answer in answers.items() if vm_id not in waiting}
        self._set_hold(hold, answers, estate, now)
        # The first reading of each has every host decided again, so those that were asked are all of them.
        self.weighed = self.weighed or None not in (self._table.latest.azure, self._table.latest.illumio)

    def _is_judged(self, vm_id: str) -> bool:
        """Whether the guard counts the host, and all is known of it that a change is told by."""
        return self._records.settled(vm_id) and not self._records.is_half_known(vm_id)

    def holds(self, vm_id: str) -> bool:
        """Whether the host stays as recorded: it waits for a person, or is not counted yet."""
        return vm_id in self.uncounted or (self.hold is not None and vm_id in self.hold.hosts)

    def count(self, vm_ids: Iterable[str]) -> None:
        """The Estate's status counts these hosts: the next `weigh` lets them through."""
        self._hour.count(vm_ids, self._clock())

    def changed_at(self, vm_id: str) -> datetime | None:
        """When a change of the host was let through that nobody approved; None: not within the hour."""
        return self._hour.at(vm_id)

    def let_through(self) -> None:
        """A person approved `part`: the next `weigh` lets it through. The hour is for what nobody looked at."""
        if self.admitted is not None and self._shown is not None:
            self._approved.take(self.admitted, self._shown.changes)
            self.admitted = self.part = self._shown = None

    def let_rules_through(self, vm_ids: Iterable[str], approval: UsedApproval | None) -> None:
        """A person approved what a change of rules does to these hosts."""
        now = self._clock()
        if approval is not None:
            self._approved.take(approval, {})
        self._let |= {vm_id: answer for vm_id in vm_ids if (answer := self._answer(vm_id, now)) is not None}

    def _answer(self, vm_id: str, now: datetime) -> _Answer | None:
        """What is asked for the host now; None: nothing is known of it, or not everything yet."""
        desired = self._table.latest.desired(vm_id, now)
        if desired is None or (desired.pending_groups and not desired.miss):
            return None
        addresses = self._addresses(vm_id)
        if addresses is None:
            addresses = (self._let[vm_id].addresses if vm_id in self._let else None) or frozenset()
        return _Answer(
            desired.labels, desired.removed, desired.groups, bool(desired.miss),
            addresses if desired.groups or desired.pending_groups else None, self._lost(vm_id),
        )  # fmt: skip

    def _addresses(self, vm_id: str) -> frozenset[str] | None:
        """The addresses that stand for the VM in the firewall; None: not all of them are known."""
        vm = self._table.latest.vm(vm_id)
        if vm is None or vm.record.unreadable_nics() or not (self._all_addresses or vm.record.primary_known):
            return None
        shown = vm.record.addresses()
        return frozenset(each.ip for each in (shown if self._all_addresses else shown[:1]))

    def _kinds(self, vm_id: str, answer: _Answer, now: datetime) -> frozenset[str]:
        """The kinds of change; none where the answer is the one that was let through: what differs then is drift."""
        if self._let.get(vm_id) == answer:
            return frozenset()
        record, desired = self._records.record(vm_id), self._table.latest.desired(vm_id, now)
        if record is None or desired is None:
            return frozenset()
        kinds = guard.difference(record, desired)
        kinds |= hourly_guard.moved(record, answer.addresses)
        return kinds | {hourly_guard.PAIRED_ANEW} if answer.lost else kinds

    def _lacking(self, hold: guard.PlanHold, answers: Mapping[str, _Answer], estate: Estate) -> tuple[str, ...]:
        """What these hosts would get and the outside lacks."""
        known = known_names(estate, self._table.latest)
        if known is None:
            return ()
        asked = [
            added(record, answers[vm_id].labels, answers[vm_id].groups)
            for vm_id in hold.hosts
            if (record := self._records.record(vm_id)) is not None
        ]
        return known.lacking({one for labels, _ in asked for one in labels}, {one for _, each in asked for one in each})

    def _lost(self, vm_id: str) -> bool:
        """Whether the PCE says that the recorded workload is gone."""
        state = self._table.hosts.get(vm_id)
        return state is not None and state.observed.unpaired_readings > 0

    def _set_uncounted(self, uncounted: frozenset[str]) -> None:
        """Hosts that are counted now are decided again."""
        before, self.uncounted = self.uncounted, uncounted
        self._table.touch(before - uncounted)

    def _set_hold(
        self, hold: guard.PlanHold | None, answers: Mapping[str, _Answer], estate: Estate, now: datetime
    ) -> None:
        """Hosts that came under the hold or left it are decided again."""
        self.admitted = self.part = self._shown = None
        if hold is not None:
            annotation = estate.annotations.get(Annotation.APPROVE, "")
            used = guard.remembered(estate.status.approvals, annotation)
            given = open_for(ApprovalAction.PLAN, self._table.latest.approvals, used, now)
            self._approved.offer(hold)
            for shown, part in self._approved.shown(hold, given, guard.parse_approvals(annotation)):
                lacking = self._lacking(part, answers, estate)
                self.admitted = guard.admitting(replace(shown, lacking=lacking), annotation, used, now, given)
                if self.admitted is not None:
                    self.part, self._shown = part, shown
                    break
            hosts = guard.parse_approvals(annotation).get(hold.digest, 0)
            hold = replace(hold, used_at=guard.spent(hold.digest, hosts, used))
        before = self.hold.hosts if self.hold is not None else frozenset()
        self.hold = hold
        self._table.touch(before ^ (hold.hosts if hold is not None else frozenset()))


def known_names(estate: Estate, latest: Latest) -> Known | None:
    """The names that the outside has; None: not all of them are known, so nobody knows what a mapping lacks.

    Groups are those that the Estate keeps until Check Point is read: one that is away holds up no label.
    """
    if latest.illumio is None:
        return None
    if latest.check_point is not None:
        return as_read(estate, latest.check_point.groups, latest.illumio.labels)
    kept = estate.status.known
    return as_read(estate, kept.groups, latest.illumio.labels) if kept is not None and not kept.left_out else None


def held(recorded: Desired) -> Desired:
    """What is desired of a host that is held: as recorded, and its objects keep the addresses that they have."""
    return replace(recorded, keeps_objects=True, keeps_workload=True)
