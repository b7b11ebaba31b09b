"""Since when a host is protected, and with which gaps: read from its record's timeline and history. Pure.

`microseg explain` and `microseg report` call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from microseg.model.condition import ConditionStatus, ConditionType, find
from microseg.model.history_line import HistoryLine
from microseg.model.host import HostStatus
from microseg.planning.audit import NOT_READY, READY


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which not every stage held."""

    began: datetime
    ended: datetime | None
    """None: it lasts."""
    reason: str
    times: int = 1
    """How often there was such a gap; `began` and `ended` are those of the latest."""
    first: datetime | None = None
    """When the first of them began, where there were several."""


def gaps(history: Sequence[HistoryLine]) -> tuple[Gap, ...]:
    """The gaps that the history still has, the oldest first."""
    return tuple(
        _gap(line, history[number + 1 :]) for number, line in enumerate(history) if line.what.startswith(NOT_READY)
    )


def _gap(line: HistoryLine, later: Sequence[HistoryLine]) -> Gap:
    """One gap. The order of the lines decides what ends it: both may be of the same second."""
    return Gap(
        began=line.at,
        ended=next((each.at for each in later if each.what.startswith(READY)), None),
        reason=line.what.removeprefix(NOT_READY),
        times=max(line.times, 1),
        first=line.since,
    )


def protected_at(status: HostStatus, at: datetime) -> bool:
    """Whether every stage held at that time, as far as the record tells."""
    since = status.timeline.commissioned_at if status.timeline is not None else None
    if since is None or since > at:
        return False
    return not any(gap.began <= at and (gap.ended is None or at < gap.ended) for gap in gaps(status.history))


def ready_since(status: HostStatus) -> datetime | None:
    """Since when every stage holds without a gap; None: not now."""
    ready = find(status.conditions, ConditionType.READY)
    return ready.last_transition_time if ready is not None and ready.status == ConditionStatus.TRUE else None
