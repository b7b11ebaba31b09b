"""What the mapping asks of each host now, with the guard in between: held hosts go on as recorded (S6).

Commissioned hosts stay as recorded, too, from the moment that rules change until the guard has judged the change:
that needs a complete reading of Azure and of the PCE, and the names of Check Point's groups.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from microseg.engine.ground.ports import Clock
from microseg.engine.mapping.hourly_changes import HourlyChanges, held, known_names
from microseg.engine.mapping.lost_records import LostRecords
from microseg.engine.state.host_table import HostTable
from microseg.mapping import MappingDocument, override_ends
from microseg.model.approval import ApprovalAction
from microseg.model.desired import Desired
from microseg.model.estate import Estate
from microseg.model.estate_status import UsedApproval
from microseg.model.host import ManagedHost
from microseg.model.names import Annotation
from microseg.planning import guard
from microseg.planning.approvals import listed, open_for

_LISTS = 32
"""Holds that are remembered, so that an approval counts for what a person saw a moment ago."""
_JUDGED_EVERY = timedelta(seconds=5)
"""While something is held the whole fleet is judged again, because it lives; not at every decision."""


class MappingRollout:
    """Keeps the present hold. Judged when rules or approvals changed, and again and again while something is held."""

    def __init__(self, table: HostTable, clock: Clock) -> None:
        """Begin without a hold."""
        self._table, self._clock = table, clock
        self._released: MappingDocument | None = None
        """The rules whose changes were let through; None: unknown, so every difference counts as a change of rules."""
        self._judged_at: datetime | None = None
        self._hold: guard.PlanHold | None = None
        self._admitted: UsedApproval | None = None
        self._offered: dict[str, guard.PlanHold] = {}
        """Digest -> a hold that a person may have looked at: a living fleet makes another of it every few seconds."""
        self._judged_with: frozenset[str] = frozenset()
        """VmIds of all hosts that were looked at when the hold was judged."""
        self._first_rules = False
        """Whether the Estate had no rules before this process began, so that none of its hosts has a past."""
        self._records = LostRecords(table, clock, lambda: self._released)
        self.hourly = HourlyChanges(table, clock, self._records)
        """What changes without a change of rules."""

    @property
    def hold(self) -> guard.PlanHold | None:
        """What waits for approval: the change of rules first."""
        return self._hold or self.hourly.hold

    @property
    def admitted(self) -> UsedApproval | None:
        """An approval that covers `approved`; `let_through` lets it through once it is written down."""
        return self._admitted if self._hold is not None else self.hourly.admitted

    @property
    def approved(self) -> guard.PlanHold | None:
        """What of the hold `admitted` lets through: a change of rules as a whole, others host by host."""
        return self._hold or self.hourly.part

    def let_through(self) -> None:
        """What `admitted` covers is approved."""
        if self._hold is None:
            self.hourly.let_through()
        else:
            approved, approval = self._hold.hosts, self._admitted
            self.release()
            self.hourly.let_rules_through(approved, approval)

    @property
    def judged(self) -> bool:
        """Whether it is known what the rules in force would change."""
        return self._judged_at is not None

    @property
    def holds_known(self) -> bool:
        """Whether it is known what is held, or that nothing is: not before the fleet was weighed once after a start."""
        return self.judged and (self.hold is not None or self.hourly.weighed)

    def resume(self, released: MappingDocument) -> None:
        """After a start: the rules whose changes had been let through when the present ones were held."""
        if self._released is None:
            self._released = released

    def reconsider(self) -> None:
        """The rules or the approvals changed."""
        self._judged_at = None
        self._table.touch_all()

    def refresh(self, estate: Estate) -> None:
        """Judge anew what the rules would change on commissioned hosts, where that may have changed."""
        now, latest = self._clock(), self._table.latest
        mapping = latest.mapping
        if mapping is None or not (self._due(now) or self._mended(estate, mapping)):
            return
        self._first_rules = self._first_rules or estate.status.mapping is None
        if self._released is None and _was_let_through(estate, mapping):
            self._released = mapping
        if self._released is not None and self._released.digest == mapping.digest:
            self.release(mapping)
        elif latest.azure is not None and (known := known_names(estate, latest)) is not None:
            settled = self._records.all_settled()
            if not any(map(self._records.is_half_known, settled)):
                self._judge(estate, mapping, now, known.lacking_of(mapping), settled)

    def weigh(self, estate: Estate) -> None:
        """Before hosts are decided: what of them changes without a change of rules."""
        if self.judged and self._table.latest.mapping is not None:
            held = self._hold.hosts if self._hold is not None else frozenset[str]()
            elsewhere = held | {vm_id for vm_id in self._table.dirty if self._stays(vm_id)}
            self.hourly.weigh(self._table.dirty, estate, elsewhere=elsewhere)
        self._table.latest.lacking = self.hold is not None and bool(self.hold.lacking)

    def release(self, mapping: MappingDocument | None = None) -> None:
        """Let the rules in force through: nothing is held any more."""
        self._released = mapping or self._table.latest.mapping
        self._judged_at = self._clock()
        self._admitted = None
        self._offered.clear()
        self._judged_with = frozenset()
        self._set_hold(None)

    def desired(self, vm_id: str) -> Desired | None:
        """What is desired for the host; as recorded while its change is held or not judged yet."""
        desired = self._table.latest.desired(vm_id, self._clock())
        if desired is None:
            return None
        record = self.record(vm_id)
        held_now = self.hourly.holds(vm_id)
        stays = held_now or self._stays(vm_id)
        if held_now or self._records.is_half_known(vm_id) or (stays and guard.is_made_again(record)):
            return held(guard.as_recorded(record, desired))
        if stays:
            return replace(guard.as_recorded(record, desired), keeps_workload=True)
        judged = self.judged or self._first_rules
        unclear = self._records.until_the_pce_is_read(vm_id, desired, judged=judged)
        if unclear is not None:
            return unclear
        changed_at = self.hourly.changed_at(vm_id)
        return desired if changed_at is None else replace(desired, changed_at=changed_at)

    def changes_at(self, vm_id: str, now: datetime) -> datetime | None:
        """When the rules' answer for this host changes by time alone: the end of an override."""
        mapping = self._table.latest.mapping
        return None if mapping is None else override_ends(mapping, vm_id, now)

    def record(self, vm_id: str) -> ManagedHost:
        """What the host is decided by: its record; where that was lost, as the systems show the host."""
        return self._records.record(vm_id) or self._table.hosts[vm_id].record

    def _stays(self, vm_id: str) -> bool:
        """Whether the host stays as recorded, because its change of rules is held or not judged yet."""
        if self._hold is None:
            return not self.judged and self._records.settled(vm_id)
        return vm_id in self._hold.hosts or (vm_id not in self._judged_with and self._records.settled(vm_id))

    def _due(self, now: datetime) -> bool:
        if self._judged_at is None:
            return True
        return self._hold is not None and now - self._judged_at >= _JUDGED_EVERY

    def _mended(self, estate: Estate, mapping: MappingDocument) -> bool:
        """Whether something that the held mapping lacked is there now."""
        if self._hold is None or not self._hold.lacking:
            return False
        known = known_names(estate, self._table.latest)
        return known is not None and known.lacking_of(mapping) != self._hold.lacking

    def _judge(
        self, estate: Estate, mapping: MappingDocument, now: datetime, lacking: tuple[str, ...], settled: set[str]
    ) -> None:
        """Ask the guard about the whole fleet. `settled`: vmIds of the hosts that count."""
        table, released = self._table, self._released
        _, hold = guard.evaluate(
            (record for vm_id in settled if (record := self._records.record(vm_id)) is not None),
            lambda host: table.latest.desired(host.spec.vm_id, now),
            lambda host: table.latest.desired(host.spec.vm_id, now, released) if released else None,
            estate.spec.guard.max_changed_percent,
            revision=mapping.digest,
            lacking=lacking,
        )
        if hold is None:
            self.release(mapping)
            return
        self._judge_hold(estate, hold, mapping.digest, now)
        table.touch(settled - self._judged_with)
        self._judged_with = frozenset(settled)

    def _judge_hold(self, estate: Estate, hold: guard.PlanHold, revision: str, now: datetime) -> None:
        """Hold it, unless a person approved it, or what it was when that person looked."""
        released = self._released
        annotation = estate.annotations.get(Annotation.APPROVE, "")
        used = guard.remembered(estate.status.approvals, annotation)
        given = open_for(ApprovalAction.PLAN, self._table.latest.approvals, used, now)
        for approval in given.values():  # a list that was shown before this process began
            if (seen_before := guard.shown(approval.subject, listed(approval), revision)) is not None:
                self._offered.setdefault(approval.subject, seen_before)
        self._offered[hold.digest] = hold
        for digest in list(self._offered)[:-_LISTS]:
            del self._offered[digest]
        few = len(self._table.fleet.commissioned) * estate.spec.guard.max_changed_percent // 100
        seen = (
            replace(each, lacking=hold.lacking)
            for each in self._offered.values()
            if len(guard.beyond(hold, each)) <= few
        )
        approvals = (guard.admitting(each, annotation, used, now, given) for each in seen)
        self._admitted = next((approval for approval in approvals if approval is not None), None)
        hosts = guard.parse_approvals(annotation).get(hold.digest, 0)
        self._judged_at = now
        used_at = guard.spent(hold.digest, hosts, used)
        instead = released.digest if released is not None else ""
        self._set_hold(replace(hold, used_at=used_at, instead=instead))

    def _set_hold(self, hold: guard.PlanHold | None) -> None:
        """Hosts that came under the hold or left it are decided again."""
        before = self._hold.hosts if self._hold is not None else frozenset()
        self._hold = hold
        self._table.touch(before ^ (hold.hosts if hold is not None else frozenset()))


def _was_let_through(estate: Estate, mapping: MappingDocument) -> bool:
    """Whether these rules were in force before this process began, with nothing held."""
    state = estate.status.mapping
    mapping_held = any(plan.kind == "mapping" for plan in estate.status.held)
    return state is not None and state.revision == mapping.digest and not mapping_held
