"""What changed between two records of a host, in words: the lines of `history`, and the Events that follow from them.

`conditions` writes the lines, the event recorder posts the Events; both compare records, so both survive a restart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from microseg.mapping import OVERRIDE
from microseg.model.condition import Condition, ConditionStatus, ConditionType, find
from microseg.model.fields import clip
from microseg.model.history_line import HistoryLine
from microseg.model.host import HostStatus
from microseg.model.illumio_record import IllumioRecord
from microseg.planning import audit

KEPT = 32
"""Lines of a host. What happens again and again is one line that is counted, so a flap pushes nothing out."""
_SYSTEMS: dict[ConditionType | None, str] = {
    ConditionType.DISCOVERED: "azure",
    ConditionType.AGENT_PAIRED: "illumio",
    ConditionType.LABELLED: "illumio",
    ConditionType.GROUPED: "checkpoint",
    ConditionType.POLICY_INSTALLED: "checkpoint",
}
_STAGES = (
    ConditionType.DISCOVERED,
    ConditionType.AGENT_PAIRED,
    ConditionType.LABELLED,
    ConditionType.GROUPED,
    ConditionType.POLICY_INSTALLED,
    ConditionType.READY,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of what was confirmed; `reason` is an Event's reason."""

    reason: str
    what: str
    stage: ConditionType | None = None
    """The stage that made it."""


def changes(before: HostStatus, after: HostStatus) -> tuple[Change, ...]:
    """Changes of something that was there before; what came for the first time is a stage's own line."""
    return (*_labels(before, after), *_groups(before, after), *_overrides(before, after))


def lines(
    before: HostStatus, after: HostStatus, conditions: tuple[Condition, ...], now: datetime
) -> tuple[HistoryLine, ...]:
    """The history with one line per change outside, per stage that is newly satisfied, and per gap that begins."""
    changed = changes(before, after)
    revision = after.mapping.revision if after.mapping else ""
    by_mapping = f"mapping {revision}" if revision else ""
    new = [_line(now, each.what, revision, each.stage, by_mapping) for each in changed]
    repaired = dict(_repaired(before, after))
    new += [
        _line(now, f"{kind.value}: {each.message}", revision, kind, repaired.get(kind) or by_mapping)
        for kind, each in _came_to_hold(before, conditions, now)
        if kind not in {change.stage for change in changed}
    ]
    new += [_line(now, what, revision, None, "") for what in _lost(before, conditions, now)]
    new += [_line(now, what, revision, None, cause) for what, cause in _retired(before, after)]
    return audit.added(before.history, new, KEPT)


def _line(at: datetime, what: str, revision: str, stage: ConditionType | None, cause: str) -> HistoryLine:
    return HistoryLine(at=at, what=clip(what), revision=revision, system=_SYSTEMS.get(stage, ""), cause=clip(cause))


def _repaired(before: HostStatus, after: HostStatus) -> Iterator[tuple[ConditionType, str]]:
    """Stages whose drift was repaired just now, with what had been changed and by whom, as the condition said it."""
    repairs = {record.stage: record.repairs for record in before.drift}
    drifted = find(before.conditions, ConditionType.DRIFTED)
    what = drifted.message if drifted is not None and drifted.status == ConditionStatus.TRUE else ""
    for record in after.drift:
        if record.repairs > repairs.get(record.stage, 0):
            yield ConditionType(record.stage), f"drift repaired: {what}" if what else "drift repaired"


def _lost(before: HostStatus, conditions: tuple[Condition, ...], now: datetime) -> Iterator[str]:
    """That the host is not ready any more: a gap in its protection, or in what is known of it."""
    old, ready = find(before.conditions, ConditionType.READY), find(conditions, ConditionType.READY)
    if old is None or ready is None or old.status != ConditionStatus.TRUE or ready.status == ConditionStatus.TRUE:
        return
    if ready.last_transition_time == now:
        yield f"{audit.NOT_READY}{ready.reason}"


def _retired(before: HostStatus, after: HostStatus) -> Iterator[tuple[str, str]]:
    """The steps of a retirement that were confirmed."""
    old, new = before.retirement, after.retirement
    if new is None:
        return
    cause = f"retirement, proven by {new.proof.value}"
    if new.ungrouped_at is not None and (old is None or old.ungrouped_at is None):
        yield "Groups: its objects left all groups and were deleted", cause
    if new.unpaired_at is not None and (old is None or old.unpaired_at is None):
        yield "Agent: its workload was unpaired", cause


def _came_to_hold(
    before: HostStatus, conditions: tuple[Condition, ...], now: datetime
) -> Iterator[tuple[ConditionType, Condition]]:
    """Stages that are satisfied now and were not in the record before."""
    for each in conditions:
        if each.type in _STAGES and each.status == ConditionStatus.TRUE and each.last_transition_time == now:
            old = find(before.conditions, each.type)
            if old is not each and (old is None or old.status != ConditionStatus.TRUE):
                yield each.type, each


def _labels(before: HostStatus, after: HostStatus) -> Iterator[Change]:
    """Labels that the operator set on the same workload."""
    old, new = before.illumio or IllumioRecord(), after.illumio or IllumioRecord()
    if not old.labels or old.workload != new.workload:
        return
    was = {label.key: label.value for label in old.labels}
    now = {label.key: label.value for label in new.labels}
    keys = sorted({*old.owned_keys, *new.owned_keys})
    texts = [
        f"{key} {was.get(key, '(none)')} -> {now.get(key, '(none)')}" for key in keys if was.get(key) != now.get(key)
    ]
    if texts:
        yield Change("LabelsChanged", f"Labels: {', '.join(texts)}", ConditionType.LABELLED)


def _groups(before: HostStatus, after: HostStatus) -> Iterator[Change]:
    """Memberships that the operator made."""
    if before.check_point is None or after.check_point is None:
        return
    was, now = set(before.check_point.groups), set(after.check_point.groups)
    texts = [f"joined {', '.join(sorted(now - was))}"] if now - was else []
    texts += [f"left {', '.join(sorted(was - now))}"] if was - now else []
    if texts:
        yield Change("GroupsChanged", f"Groups: {'; '.join(texts)}", ConditionType.GROUPED)


def _overrides(before: HostStatus, after: HostStatus) -> Iterator[Change]:
    """Overrides that decided and do not any more."""
    was = before.mapping.cases if before.mapping else ()
    now = set(after.mapping.cases if after.mapping else ())
    for case in was:
        if case.startswith(OVERRIDE) and case not in now:
            yield Change("OverrideEnded", f"The {case} is over: the rules decide again")
