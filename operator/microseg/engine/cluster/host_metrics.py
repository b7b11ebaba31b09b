"""Counts what a written record shows that the one before did not: stages, attempts, drift. The status writer calls it.

It compares records, so a restart counts nothing twice.
"""

from __future__ import annotations

from datetime import datetime

from microseg.metrics import EstateMetrics, table
from microseg.model.agent_record import AgentRecord
from microseg.model.host import HostStatus, Timeline

_BEGINS_WITH = {
    "agent_paired_at": ("AgentPaired", "discovered_at"),
    "labelled_at": ("Labelled", "agent_paired_at"),
    "grouped_at": ("Grouped", "discovered_at"),
    "policy_installed_at": ("PolicyInstalled", "grouped_at"),
}
"""Field of the timeline -> its stage, and the field of the stage before it, with which it could begin."""


def count(metrics: EstateMetrics, before: HostStatus, after: HostStatus) -> None:
    """Count what is new in `after`."""
    _count_stages(metrics, before.timeline or Timeline(), after.timeline or Timeline())
    _count_attempt(metrics, before.agent or AgentRecord(), after.agent or AgentRecord())
    _count_drift(metrics, before, after)


def _count_stages(metrics: EstateMetrics, before: Timeline, after: Timeline) -> None:
    for name, (stage, begins) in _BEGINS_WITH.items():
        if _came(before, after, name):
            metrics.measure(table.STAGE_DURATION, _seconds(getattr(after, begins), getattr(after, name)), stage)
    if _came(before, after, "commissioned_at"):
        metrics.measure(table.TIME_TO_PROTECT, _seconds(after.discovered_at, after.commissioned_at))


def _came(before: Timeline, after: Timeline, name: str) -> bool:
    return getattr(before, name) is None and getattr(after, name) is not None


def _seconds(began: datetime | None, ended: datetime | None) -> float:
    """How long it took; 0 where it held from the beginning."""
    return max((ended - began).total_seconds(), 0.0) if began is not None and ended is not None else 0.0


def _count_attempt(metrics: EstateMetrics, before: AgentRecord, after: AgentRecord) -> None:
    if after.outcome is not None and (before.attempt, before.outcome) != (after.attempt, after.outcome):
        metrics.count(table.ATTEMPTS, after.mode or "install", after.outcome.value)


def _count_drift(metrics: EstateMetrics, before: HostStatus, after: HostStatus) -> None:
    known = {record.stage: record for record in before.drift}
    for record in after.drift:
        old = known.get(record.stage)
        if record.open and (old is None or not old.open):
            metrics.count(table.DRIFT_FOUND, record.stage)
        if record.repairs > (old.repairs if old is not None else 0):
            metrics.count(table.DRIFT_REPAIRED, record.stage)
