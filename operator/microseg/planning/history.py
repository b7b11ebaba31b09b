"""What changed between two records of a host, in words: the lines of `history`, and the Events that follow from them.

`report` writes the lines, the estate's recorder posts the Events; both compare records, so both survive a restart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from microseg.mapping import OVERRIDE
from microseg.model.condition import Condition, ConditionStatus, ConditionType, find
from microseg.model.host import HistoryLine, HostStatus, IllumioRecord, clip

KEPT = 10
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
    """The history with a line for each change, and for each stage that came to hold; the last ten."""
    found = changes(before, after)
    told = [change.what for change in found]
    told += [f"{kind.value}: {made.message}" for kind, made in _came_to_hold(before, conditions, now)
             if kind not in {change.stage for change in found}]  # fmt: skip
    revision = after.mapping.revision if after.mapping else ""
    new = tuple(HistoryLine(at=now, what=clip(what), revision=revision) for what in told)
    return (*before.history, *new)[-KEPT:] if new else before.history


def _came_to_hold(
    before: HostStatus, conditions: tuple[Condition, ...], now: datetime
) -> Iterator[tuple[ConditionType, Condition]]:
    """Stages that hold now and did not in the record before."""
    for made in conditions:
        if made.type in _STAGES and made.status == ConditionStatus.TRUE and made.last_transition_time == now:
            old = find(before.conditions, made.type)
            if old is not made and (old is None or old.status != ConditionStatus.TRUE):
                yield made.type, made


def _labels(before: HostStatus, after: HostStatus) -> Iterator[Change]:
    """Labels of ours on the same workload."""
    old, new = before.illumio or IllumioRecord(), after.illumio or IllumioRecord()
    if not old.labels or old.workload != new.workload:
        return
    was = {label.key: label.value for label in old.labels}
    now = {label.key: label.value for label in new.labels}
    keys = sorted({*old.owned_keys, *new.owned_keys})
    told = [
        f"{key} {was.get(key, '(none)')} -> {now.get(key, '(none)')}" for key in keys if was.get(key) != now.get(key)
    ]
    if told:
        yield Change("LabelsChanged", f"Labels: {', '.join(told)}", ConditionType.LABELLED)


def _groups(before: HostStatus, after: HostStatus) -> Iterator[Change]:
    """Memberships of ours."""
    if before.check_point is None or after.check_point is None:
        return
    was, now = set(before.check_point.groups), set(after.check_point.groups)
    told = [f"joined {', '.join(sorted(now - was))}"] if now - was else []
    told += [f"left {', '.join(sorted(was - now))}"] if was - now else []
    if told:
        yield Change("GroupsChanged", f"Groups: {'; '.join(told)}", ConditionType.GROUPED)


def _overrides(before: HostStatus, after: HostStatus) -> Iterator[Change]:
    """Overrides that decided and do not any more."""
    was = before.mapping.cases if before.mapping else ()
    now = set(after.mapping.cases if after.mapping else ())
    for case in was:
        if case.startswith(OVERRIDE) and case not in now:
            yield Change("OverrideEnded", f"The {case} is over: the rules decide again")
