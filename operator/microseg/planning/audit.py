"""Rings of audit lines: bounded, and not pushed out by what happens again and again. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from microseg.model.checkpoint_facts import Task, TaskState
from microseg.model.estate_status import EstateStatus
from microseg.model.fields import clip
from microseg.model.history_line import HistoryLine

OF_ESTATE = 64
"""Lines of an Estate."""
READY, NOT_READY = "Ready: ", "Not ready: "
"""Beginnings of the lines of a gap: the second begins it, the first ends it."""
_TWICE = 2
_SHOWN = 5
"""Names of a line."""


def added(kept: tuple[HistoryLine, ...], new: Iterable[HistoryLine], most: int) -> tuple[HistoryLine, ...]:
    """The lines with the new ones at the end; one that was there already is counted and moves to the end.

    With the same time it is the same one: the answer to its write was lost, so it is written once more.
    """
    for line in new:
        same = _earlier(kept, line)
        if same is not None and same.at == line.at:
            continue
        kept = (*(each for each in kept if each is not same), line if same is None else _again(same, line))[-most:]
    return kept


def on_estate(status: EstateStatus, line: HistoryLine) -> EstateStatus:
    """The Estate's status with one more line."""
    return msgspec.structs.replace(status, history=added(status.history, (line,), OF_ESTATE))


def of_publish(names: Iterable[str], task: Task, now: datetime) -> HistoryLine:
    """The line of a publish: which objects it brought, and as which revision. `names`: of the objects."""
    changed = sorted(set(names))
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    end = "Published" if task.state is TaskState.SUCCEEDED else "Publish FAILED for"
    what = f"{end} {len(changed)} objects: {', '.join(changed[:_SHOWN])}{more}"
    cause = f"revision {task.revision}" if task.revision else "the plan"
    return HistoryLine(at=now.replace(microsecond=0), what=clip(what), system="checkpoint", cause=clip(cause))


def _earlier(kept: tuple[HistoryLine, ...], line: HistoryLine) -> HistoryLine | None:
    """The line that this one repeats. A gap and its end repeat the latest ones only: each gap keeps its own end."""
    latest = next((each for each in reversed(kept) if each.what.startswith(NOT_READY)), None)
    if line.what.startswith(NOT_READY):
        return latest if latest is not None and _same(latest, line) else None
    if line.what.startswith(READY) and (latest is None or latest.times < _TWICE):
        return None
    return next((each for each in reversed(kept) if _same(each, line)), None)


def _same(one: HistoryLine, other: HistoryLine) -> bool:
    return (one.what, one.system, one.cause) == (other.what, other.system, other.cause)


def _again(before: HistoryLine, line: HistoryLine) -> HistoryLine:
    return msgspec.structs.replace(line, times=max(before.times, 1) + 1, since=before.since or before.at)
