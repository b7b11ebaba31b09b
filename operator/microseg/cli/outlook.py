"""What `explain` says about time: since when a host is protected, its gaps, and when what it waits for comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from microseg.cli import retiring
from microseg.cli.advice import NOTHING, advice
from microseg.cli.cluster import Live
from microseg.cli.spans import moment
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.host import ManagedHost
from microseg.planning import protection


def shown(at: datetime | None) -> str:
    """A moment in a sentence."""
    return moment(at) or "at an unknown time"


def protection_lines(host: ManagedHost) -> Iterator[str]:
    """Since when it is protected, by which revision, with which gaps."""
    status = host.status
    since = status.timeline.commissioned_at if status.timeline is not None else None
    if since is None:
        yield "It was never protected: not every stage has held yet."
        return
    now = protection.ready_since(status)
    holds = f"every stage holds since {shown(now)}" if now is not None else "NOT every stage holds now"
    revision = status.mapping.revision if status.mapping is not None and status.mapping.revision else "(unknown)"
    yield f"Protected first {shown(since)}, by revision {revision}; {holds}."
    for gap in protection.gaps(status.history):
        often = f", {gap.times} times since {shown(gap.first)}" if gap.times > 1 else ""
        end = shown(gap.ended) if gap.ended is not None else "now"
        yield f"Gap: {shown(gap.began)} to {end} ({gap.reason}){often}."


def protection_data(host: ManagedHost) -> dict[str, Any]:
    """The same for programs."""
    since = host.status.timeline.commissioned_at if host.status.timeline is not None else None
    return {
        "protectedSince": moment(since),
        "readySince": moment(protection.ready_since(host.status)),
        "gaps": [
            {"began": moment(gap.began), "ended": moment(gap.ended), "reason": gap.reason, "times": gap.times}
            for gap in protection.gaps(host.status.history)
        ],
    }


def times(live: Live, host: ManagedHost, stages: Sequence[Condition], began: Sequence[datetime]) -> Iterator[str]:
    """When, where it is not the next poll that decides."""
    reasons = {condition.reason for condition in stages if condition.status != ConditionStatus.TRUE}
    if host.status.missing_since is not None and reasons & {Reason.NOT_SEEN.value, Reason.RETIREMENT_HELD.value}:
        yield f"Retirement: {retiring.when(live, began, host)}."
    if host.status.stage == "Blocked":
        stalled = next((one for one in host.status.conditions if one.type == ConditionType.STALLED), None)
        since = stalled.last_transition_time if stalled is not None else None
        alone = all(advice(reason).next == NOTHING for reason in reasons)
        person = "it ends when a person acts, and never by itself"
        end = person if alone else f"it is judged anew at each poll, every {live.estate.spec.azure.poll_interval}"
        yield f"Blocked since {shown(since)}: {end}."
