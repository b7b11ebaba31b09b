"""Verdicts as conditions: every condition computed each time, by the Kubernetes conventions and kstatus.

Ready, Reconciling and Stalled are derived here and `stage` last of all; no code reads it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import assert_never

import msgspec

from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason, find
from microseg.model.host import HostStatus, ManagedHost, Summary, Timeline, clip
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.planning import history
from microseg.planning.drift import Drift
from microseg.stages import STAGES

_MESSAGE_LIMIT = 1024
_DEPENDENT = {Reason.AWAITING_AGENT, Reason.AWAITING_PUBLISH}
"""Reasons that only say that another stage comes first: never the reason that a person should read."""
_UNREADABLE = {Reason.AZURE_UNREADABLE, Reason.ILLUMIO_UNREADABLE, Reason.CHECK_POINT_UNREADABLE}
_TIMELINE = {
    ConditionType.DISCOVERED: "discovered_at",
    ConditionType.AGENT_PAIRED: "agent_paired_at",
    ConditionType.LABELLED: "labelled_at",
    ConditionType.GROUPED: "grouped_at",
    ConditionType.POLICY_INSTALLED: "policy_installed_at",
    ConditionType.READY: "commissioned_at",
}


def status(
    host: ManagedHost,
    *,
    before: HostStatus,
    verdicts: Mapping[ConditionType, Verdict],
    drifted: Drift,
    now: datetime,
) -> HostStatus:
    """The next status: conditions, mirrors, timeline and history over the host's (already updated) record."""
    now = now.replace(microsecond=0)
    conditions = tuple(_all(host, verdicts, drifted, now))
    ready = _of(conditions, ConditionType.READY)
    record = host.status
    return msgspec.structs.replace(
        record,
        observed_generation=host.generation,
        conditions=conditions,
        ready=ready.status.value,
        reason=ready.reason,
        summary=_summary(record),
        timeline=_timeline(host, conditions, now),
        history=history.lines(before, record, conditions, now),
        stage=_stage(conditions, retiring=record.retirement is not None),
    )


def moving(verdicts: Mapping[ConditionType, Verdict]) -> bool:
    """Whether something is under way for the host."""
    return any(isinstance(v, Act) or (isinstance(v, Wait) and v.moving) for v in verdicts.values())


def condition(
    kind: ConditionType,
    value: ConditionStatus,
    reason: Reason,
    message: str,
    *,
    before: tuple[Condition, ...],
    generation: int,
    now: datetime,
) -> Condition:
    """A condition whose transition time moves only when its status does."""
    old = find(before, kind)
    since = old.last_transition_time if old is not None and old.status == value else now
    return Condition(
        type=kind,
        status=value,
        reason=reason.value,
        message=clip(message, _MESSAGE_LIMIT),
        last_transition_time=since,
        observed_generation=generation,
    )


def _all(
    host: ManagedHost, verdicts: Mapping[ConditionType, Verdict], drifted: Drift, now: datetime
) -> list[Condition]:
    """Every condition of a host, stages first."""
    before, generation = host.status.conditions, host.generation

    def make(kind: ConditionType, value: ConditionStatus, reason: Reason, message: str) -> Condition:
        return condition(kind, value, reason, message, before=before, generation=generation, now=now)

    made: list[Condition] = []
    for kind, verdict in verdicts.items():
        old = find(before, kind)
        if takes_nothing_back(old, verdict) and old is not None:
            made.append(msgspec.structs.replace(old, observed_generation=generation))
        else:
            made.append(make(kind, *_stated(verdict)))
    made.append(make(ConditionType.READY, *_ready(tuple(made), verdicts)))
    made.append(make(ConditionType.RECONCILING, *_reconciling(made, verdicts)))
    made.append(make(ConditionType.STALLED, *_stalled(verdicts, drifted)))
    made.append(make(ConditionType.DRIFTED, *_drifted(drifted)))
    return made


def takes_nothing_back(old: Condition | None, verdict: Verdict) -> bool:
    """A reading that failed leaves what was confirmed as it is; the Estate's conditions show the doubt."""
    unread = isinstance(verdict, Wait) and verdict.doubt and verdict.reason in _UNREADABLE
    return unread and old is not None and old.status == ConditionStatus.TRUE


def _stated(verdict: Verdict) -> tuple[ConditionStatus, Reason, str]:
    """A stage's verdict as status, reason and message."""
    match verdict:
        case Done(reason, message):
            return ConditionStatus.TRUE, reason, message
        case Act(reason, message):
            return ConditionStatus.FALSE, reason, message
        case Wait():
            value = ConditionStatus.UNKNOWN if verdict.doubt else ConditionStatus.FALSE
            return value, verdict.reason, verdict.message
        case Blocked(reason, message):
            return ConditionStatus.FALSE, reason, message
        case unexpected:
            assert_never(unexpected)


def _ready(
    stages: tuple[Condition, ...], verdicts: Mapping[ConditionType, Verdict]
) -> tuple[ConditionStatus, Reason, str]:
    """Ready is True when all stages are; else it tells the one thing that a person should read first."""
    missing = [made for made in stages if made.status != ConditionStatus.TRUE]
    if not missing:
        return ConditionStatus.TRUE, Reason.COMMISSIONED, "All stages hold: the host is protected."
    blocked = [made for made in missing if isinstance(verdicts[made.type], Blocked)]
    telling = [made for made in missing if made.reason not in _DEPENDENT]
    first = (blocked or telling or missing)[0]
    doubtful = all(made.status == ConditionStatus.UNKNOWN for made in missing)
    return (
        ConditionStatus.UNKNOWN if doubtful else ConditionStatus.FALSE,
        _REASONS[first.reason],
        f"{first.type.value}: {first.message}",
    )


def _reconciling(
    made: list[Condition], verdicts: Mapping[ConditionType, Verdict]
) -> tuple[ConditionStatus, Reason, str]:
    """Whether something is under way."""
    settled = all(item.status == ConditionStatus.TRUE for item in made)
    if settled or not moving(verdicts):
        return ConditionStatus.FALSE, Reason.SETTLED, "Nothing is under way."
    return ConditionStatus.TRUE, Reason.IN_PROGRESS, "The operator is working on it."


def _drifted(drifted: Drift) -> tuple[ConditionStatus, Reason, str]:
    """Whether something that was right was changed from outside: what, and since when."""
    if not drifted.found:
        return ConditionStatus.FALSE, Reason.NO_DRIFT, "Nothing was changed from outside."
    reason = Reason.CONTENTION if drifted.contended else Reason.DRIFT_FOUND
    return ConditionStatus.TRUE, reason, " ".join({**drifted.found, **drifted.contended}.values())


def _stalled(verdicts: Mapping[ConditionType, Verdict], drifted: Drift) -> tuple[ConditionStatus, Reason, str]:
    """Whether a person must change something."""
    for said in drifted.contended.values():
        return ConditionStatus.TRUE, Reason.CONTENTION, said
    for verdict in verdicts.values():
        if isinstance(verdict, Blocked):
            return ConditionStatus.TRUE, verdict.reason, verdict.message
    return ConditionStatus.FALSE, Reason.NOTHING_BLOCKS, "No person is needed."


def _of(conditions: tuple[Condition, ...], kind: ConditionType) -> Condition:
    """The condition of this type, which is always there."""
    found = find(conditions, kind)
    assert found is not None  # noqa: S101 - `_all` makes every one
    return found


def _stage(conditions: tuple[Condition, ...], *, retiring: bool) -> str:
    """The word that people see."""
    if retiring:
        return "Retiring"
    if _of(conditions, ConditionType.STALLED).status == ConditionStatus.TRUE:
        return "Blocked"
    for stage in STAGES:
        if _of(conditions, stage.condition).status != ConditionStatus.TRUE:
            return stage.doing
    return "Commissioned"


def _summary(record: HostStatus) -> Summary:
    """Text for the wide columns."""
    labels = ",".join(f"{label.key}={label.value}" for label in record.illumio.labels) if record.illumio else ""
    groups = ",".join(record.check_point.groups) if record.check_point else ""
    return Summary(labels=clip(labels, 1024), groups=clip(groups, 1024))


def _timeline(host: ManagedHost, conditions: tuple[Condition, ...], now: datetime) -> Timeline:
    """When each stage first held: set once, never moved."""
    timeline = host.status.timeline or Timeline(created_at=host.created_at)
    first = {
        field: now
        for kind, field in _TIMELINE.items()
        if _of(conditions, kind).status == ConditionStatus.TRUE and getattr(timeline, field) is None
    }
    return msgspec.structs.replace(timeline, **first) if first else timeline


_REASONS = {reason.value: reason for reason in Reason}
