"""What one running engine shows of itself: numbers for Prometheus, and the report that its Lease carries.

The estate runner asks for both; nothing is kept here but since when the queues are not empty.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import get_args

import msgspec

from microseg import __version__
from microseg.engine.lanes.schedule import PollSchedule
from microseg.engine.reconciler import EstateReconciler
from microseg.metrics import EstateMetrics, EstateNumbers
from microseg.metrics.calls import CallBook
from microseg.model.condition import ConditionType, find
from microseg.model.estate import Estate
from microseg.model.estate_spec import Mode
from microseg.model.fields import clip
from microseg.model.host import ManagedHost
from microseg.model.operator_report import CallCount, OperatorReport, SystemReport
from microseg.model.plan import AzureAction, CheckPointAction, IllumioAction

_ACTING = {Mode.ADOPT, Mode.ENFORCE}
"""Modes in which something outside is changed."""
_STARTED = datetime.now(UTC).replace(microsecond=0)
_LANES = {
    "azure": get_args(AzureAction),
    "illumio": get_args(IllumioAction),
    "checkpoint": get_args(CheckPointAction),
}


class QueueAges:
    """Since when each queue is not empty, as far as anybody looked."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Every queue is empty."""
        self._monotonic = monotonic
        self._since: dict[str, float] = {}

    def of(self, lengths: Mapping[str, int]) -> dict[str, tuple[int, float]]:
        """Queue -> (length, seconds for which it was not empty at any look)."""
        now = self._monotonic()
        self._since = {queue: self._since.get(queue, now) for queue, length in lengths.items() if length}
        return {queue: (length, now - self._since.get(queue, now)) for queue, length in lengths.items()}


def numbers(estate: Estate, reconciler: EstateReconciler | None, ages: QueueAges) -> EstateNumbers:
    """How an estate stands whose Lease is held here; `reconciler` None: it is being built."""
    status = reconciler.status if reconciler is not None else estate.status
    conditions = {one.type.value: one.status.value for one in status.conditions}
    hosts = msgspec.structs.asdict(status.hosts) if status.hosts else {}
    standing = {name: number for name, number in hosts.items() if name != "total"}
    held = {"mapping": 0, "retirement": 0} | {plan.kind: plan.hosts for plan in status.held}
    suspended = {"estate": int(estate.spec.suspend), "observing": int(estate.spec.mode not in _ACTING)}
    if reconciler is None:
        return EstateNumbers(
            *estate.key, leading=True, conditions=conditions, hosts=standing, held=held, suspended=suspended
        )
    records = [state.record for state in reconciler.parts.table.hosts.values()]
    suspended["hosts"] = sum(1 for record in records if record.spec.suspend)
    return EstateNumbers(
        *estate.key,
        leading=True,
        conditions=conditions,
        hosts=standing,
        reasons=Counter((record.status.stage or "None", record.status.reason or "None") for record in records),
        agents=Counter(_agent(record) for record in records),
        read_at=reconciler.read_at(),
        problems=reconciler.problems(),
        budgets=reconciler.budgets(),
        suspended=suspended,
        held=held,
        queues=ages.of(_queues(reconciler)),
    )


def _agent(host: ManagedHost) -> str:
    paired = find(host.status.conditions, ConditionType.AGENT_PAIRED)
    return paired.reason if paired is not None else "None"


def _queues(reconciler: EstateReconciler) -> dict[str, int]:
    table = reconciler.parts.table
    lanes = {lane: table.actions.length(kinds) for lane, kinds in _LANES.items()}
    return {"decide": len(table.dirty), "status": reconciler.parts.host_status.waiting} | lanes


def report(reconciler: EstateReconciler | None, metrics: EstateMetrics) -> OperatorReport:
    """What goes into the Lease."""
    counts = metrics.calls.counts()
    calls = tuple(
        CallCount(system=system, operation=operation, outcome=outcome, requests=number)
        for (system, operation, outcome), number in sorted(counts.items())
    )
    systems = tuple(_systems(reconciler, metrics.calls, counts)) if reconciler is not None else ()
    return OperatorReport(version=__version__, started_at=_STARTED, systems=systems, calls=calls)


def _systems(
    reconciler: EstateReconciler, calls: CallBook, counts: Mapping[tuple[str, str, str], int]
) -> Iterator[SystemReport]:
    began = time.time() - time.monotonic()
    for schedule in reconciler.parts.lanes.schedules:
        outcomes: Counter[str] = Counter()
        for (system, _, outcome), number in counts.items():
            if system == schedule.system:
                outcomes[outcome] += number
        latency = calls.latency(schedule.system)
        yield SystemReport(
            system=schedule.system,
            readable=schedule.health.readable,
            read_at=_read_at(schedule, began),
            message=clip(schedule.health.message),
            requests=outcomes.total(),
            failed=sum(number for outcome, number in outcomes.items() if not outcome.startswith(("2", "3"))),
            throttled=outcomes["429"],
            median=round(latency.median, 3),
            slow=round(latency.slow, 3),
            budgets={
                budget: round(left, 1)
                for (system, budget), left in reconciler.budgets().items()
                if system == schedule.system
            },
            left_out=len(schedule.problems),
        )


def _read_at(schedule: PollSchedule, began: float) -> datetime | None:
    """Whole seconds by the wall clock."""
    at = schedule.read_at
    return None if at is None else datetime.fromtimestamp(int(began + at), UTC)
