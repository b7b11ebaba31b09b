"""Verdicts as conditions: every condition computed each time, by the Kubernetes conventions and kstatus.

Ready, Reconciling and Stalled are derived here and `stage` last of all; no code reads it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

import msgspec

from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.fields import clip
from microseg.model.host import HostStatus, ManagedHost, Summary, Timeline
from microseg.model.illumio_record import IllumioRecord
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


@dataclass(frozen=True, slots=True)
class HostJudgement:
    """What `decide` concluded of one host: everything that its conditions follow from."""

    before: HostStatus
    """As it was stored."""
    verdicts: Mapping[ConditionType, Verdict]
    """As people see them."""
    satisfied: frozenset[ConditionType]
    """Stages that are satisfied: done, done as far as is known, or confirmed earlier and unreadable now."""
    drifted: Drift
    moving: bool
    """Whether something is under way."""
    unread: frozenset[ConditionType] = frozenset()
    """Stages of which nothing new is known since the start: see `stays_as_stored`."""


def status(host: ManagedHost, judgement: HostJudgement, now: datetime) -> HostStatus:
    """The next status: conditions, mirrors, timeline and history over the host's (already updated) record."""
    now = now.replace(microsecond=0)
    by_type = _all(host, judgement, now)
    conditions, ready, record = tuple(by_type.values()), by_type[ConditionType.READY], host.status
    return msgspec.structs.replace(
        record,
        observed_generation=host.generation,
        conditions=conditions,
        ready=ready.status.value,
        reason=ready.reason,
        summary=_summary(record),
        timeline=_timeline(host, by_type, now),
        history=history.lines(judgement.before, record, conditions, now),
        stage=_stage(by_type, retiring=record.retirement is not None),
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
    old: Condition | None,
    generation: int,
    now: datetime,
) -> Condition:
    """A condition whose transition time moves only when its status does. `old`: the one of this type, as stored."""
    since = old.last_transition_time if old is not None and old.status == value else now
    return Condition(
        type=kind,
        status=value,
        reason=reason.value,
        message=clip(message, _MESSAGE_LIMIT),
        last_transition_time=since,
        observed_generation=generation,
    )


def _all(host: ManagedHost, judgement: HostJudgement, now: datetime) -> dict[ConditionType, Condition]:
    """Every condition of a host, stages first."""
    before = {condition.type: condition for condition in reversed(judgement.before.conditions)}
    verdicts, generation = judgement.verdicts, host.generation
    conditions: dict[ConditionType, Condition] = {}

    def make(kind: ConditionType, value: ConditionStatus, reason: Reason, message: str) -> None:
        conditions[kind] = condition(kind, value, reason, message, old=before.get(kind), generation=generation, now=now)

    for kind, verdict in verdicts.items():
        confirmed = kind in judgement.satisfied and isinstance(verdict, Wait) and not verdict.partly
        if confirmed or kind in judgement.unread:
            conditions[kind] = msgspec.structs.replace(before[kind], observed_generation=generation)
        else:
            make(kind, *_stated(verdict))
    stages = tuple(conditions.values())
    missing = [condition for condition in stages if condition.status != ConditionStatus.TRUE]
    blocked = _blocked(missing, judgement, before.get(ConditionType.STALLED))
    make(ConditionType.READY, *_ready(missing, blocked, host.status.illumio))
    make(ConditionType.STALLED, *_stalled(blocked, judgement.drifted))  # kstatus takes the first that is True
    make(ConditionType.RECONCILING, *_reconciling(under_way=bool(missing) and judgement.moving))
    make(ConditionType.DRIFTED, *_drifted(judgement.drifted))
    return conditions


def stays_confirmed(old: Condition | None, verdict: Verdict) -> bool:
    """A reading that failed leaves what was confirmed as it is; the Estate's conditions show the doubt."""
    unread = isinstance(verdict, Wait) and verdict.doubt and verdict.reason in _UNREADABLE
    return unread and old is not None and old.status == ConditionStatus.TRUE


def stays_as_stored(old: Condition | None, verdict: Verdict, unread: frozenset[Reason]) -> bool:
    """Before a system was first read nothing is said anew of whoever waits: a start or a new spec is no news of a host.

    `unread`: the reasons that stand for the systems that were not read since the start.
    """
    doubt = isinstance(verdict, Wait) and verdict.doubt and verdict.reason in unread
    return doubt and old is not None and old.reason not in _UNREADABLE


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


def _blocked(missing: list[Condition], judgement: HostJudgement, stalled: Condition | None) -> list[Condition]:
    """The stages that a person must do something for; before a system was read, those that waited for one."""
    waited = stalled.reason if stalled is not None and stalled.status == ConditionStatus.TRUE else None
    return [
        each
        for each in missing
        if isinstance(judgement.verdicts[each.type], Blocked)
        or (each.type in judgement.unread and each.reason == waited)
    ]


def _ready(
    missing: list[Condition], blocked: list[Condition], illumio: IllumioRecord | None
) -> tuple[ConditionStatus, Reason, str]:
    """Ready is True when no stage is missing; else it shows the one thing that a person should read first."""
    if not missing:
        return ConditionStatus.TRUE, Reason.COMMISSIONED, _protection(illumio.enforcement_mode if illumio else "")
    telling = [each for each in missing if each.reason not in _DEPENDENT]
    first = (blocked or telling or missing)[0]
    doubtful = all(each.status == ConditionStatus.UNKNOWN for each in missing)
    return (
        ConditionStatus.UNKNOWN if doubtful else ConditionStatus.FALSE,
        REASONS[first.reason],
        f"{first.type.value}: {first.message}",
    )


def _protection(mode: str) -> str:
    """What a host has whose stages all hold: only a workload that enforces is protected."""
    match mode:
        case "full" | "selective":
            return f"All stages hold: the host is protected ({mode})."
        case "visibility_only":
            return "All stages hold: the host is visible, not enforced (visibility_only)."
        case "idle":
            return "All stages hold: the host is idle, neither visible nor enforced."
        case _:
            return "All stages hold."


def _reconciling(*, under_way: bool) -> tuple[ConditionStatus, Reason, str]:
    """Whether the operator is working on the host."""
    if not under_way:
        return ConditionStatus.FALSE, Reason.SETTLED, "Nothing is in progress."
    return ConditionStatus.TRUE, Reason.IN_PROGRESS, "The operator is working on it."


def _drifted(drifted: Drift) -> tuple[ConditionStatus, Reason, str]:
    """Whether something that was correct was changed from outside: what, and since when."""
    if not drifted.messages:
        return ConditionStatus.FALSE, Reason.NO_DRIFT, "Nothing was changed from outside."
    reason = Reason.CONTENTION if drifted.contended else Reason.DRIFT_FOUND
    return ConditionStatus.TRUE, reason, " ".join({**drifted.messages, **drifted.contended}.values())


def _stalled(blocked: list[Condition], drifted: Drift) -> tuple[ConditionStatus, Reason, str]:
    """Whether a person must change something."""
    for message in drifted.contended.values():
        return ConditionStatus.TRUE, Reason.CONTENTION, message
    for each in blocked:
        return ConditionStatus.TRUE, REASONS[each.reason], each.message
    return ConditionStatus.FALSE, Reason.NOTHING_BLOCKS, "No person is needed."


def _stage(conditions: Mapping[ConditionType, Condition], *, retiring: bool) -> str:
    """The word that people see."""
    if retiring:
        return "Retiring"
    if conditions[ConditionType.STALLED].status == ConditionStatus.TRUE:
        return "Blocked"
    for stage in STAGES:
        if conditions[stage.condition].status != ConditionStatus.TRUE:
            return stage.doing
    return "Commissioned"


def _summary(record: HostStatus) -> Summary:
    """Text for the wide columns."""
    labels = ",".join(f"{label.key}={label.value}" for label in record.illumio.labels) if record.illumio else ""
    groups = ",".join(record.check_point.groups) if record.check_point else ""
    return Summary(labels=clip(labels, 1024), groups=clip(groups, 1024))


def _timeline(host: ManagedHost, conditions: Mapping[ConditionType, Condition], now: datetime) -> Timeline:
    """When each stage was first satisfied: set once, never moved."""
    timeline = host.status.timeline or Timeline(created_at=host.created_at)
    first = {
        field: now
        for kind, field in _TIMELINE.items()
        if conditions[kind].status == ConditionStatus.TRUE and getattr(timeline, field) is None
    }
    return msgspec.structs.replace(timeline, **first) if first else timeline


REASONS = {reason.value: reason for reason in Reason}
