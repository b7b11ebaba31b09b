"""What is read when Prometheus asks: how each estate stands. It costs a settled estate nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from microseg.metrics import table
from microseg.metrics.table import Metric

_STATUSES = ("True", "False", "Unknown")
_SHOWN = (
    table.BUILD_INFO, table.LEADER, table.CONDITION, table.HOSTS, table.HOSTS_BY_REASON, table.AGENTS, table.READ_AT,
    table.PROBLEMS, table.BUDGET, table.SUSPENDED, table.HELD, table.QUEUE, table.QUEUE_AGE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EstateNumbers:
    """How one estate stands here and now."""

    namespace: str
    name: str
    leading: bool
    """Whether this process holds its Lease; without it the rest is empty: the holder shows it."""
    conditions: Mapping[str, str] = field(default_factory=dict)
    """Type -> status."""
    hosts: Mapping[str, int] = field(default_factory=dict)
    """Standing -> number."""
    reasons: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(stage, reason) -> number of hosts."""
    agents: Mapping[str, int] = field(default_factory=dict)
    """Reason of the condition AgentPaired -> number of hosts."""
    read_at: Mapping[str, float] = field(default_factory=dict)
    """System -> monotonic time of its latest complete reading."""
    problems: Mapping[str, int] = field(default_factory=dict)
    """System -> items that its latest complete reading left out."""
    budgets: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(system, budget) -> calls left."""
    suspended: Mapping[str, int] = field(default_factory=dict)
    """What -> how many: `estate` is 0 or 1, `observing` is 0 or 1, `hosts` a number."""
    held: Mapping[str, int] = field(default_factory=dict)
    """Kind of a held plan -> hosts."""
    queues: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """Queue -> (length, seconds since it was last seen empty)."""


class Standing(Collector):
    """Asks every estate whenever somebody looks."""

    def __init__(self, version: str, estates: Callable[[], Iterable[EstateNumbers]]) -> None:
        """`estates` is asked at each look."""
        self._version, self._estates = version, estates

    def describe(self) -> Iterable[Family]:
        """The names alone: registering must not ask anybody."""
        return _families().values()

    def collect(self) -> Iterable[Family]:
        """Read every estate."""
        families = _families()
        families[table.BUILD_INFO].add_metric((self._version,), 1)
        for each in self._estates():
            families[table.LEADER].add_metric((each.namespace, each.name), each.leading)
            for metric, labels, value in _samples(each):
                families[metric].add_metric((each.namespace, each.name, *labels), value)
        return families.values()


def _samples(each: EstateNumbers) -> Iterable[tuple[Metric, tuple[str, ...], float]]:
    """Every sample of one estate, without the labels of the estate."""
    began = time.time() - time.monotonic()
    for kind, status in each.conditions.items():
        for one in _STATUSES:
            yield table.CONDITION, (kind, one.lower()), one == status
    for reason, number in each.reasons.items():
        yield table.HOSTS_BY_REASON, reason, number
    for system, at in each.read_at.items():
        yield table.READ_AT, (system,), began + at
    for budget, left in each.budgets.items():
        yield table.BUDGET, budget, left
    for queue, (length, age) in each.queues.items():
        yield table.QUEUE, (queue,), length
        yield table.QUEUE_AGE, (queue,), age
    counted = (
        (table.HOSTS, each.hosts), (table.PROBLEMS, each.problems), (table.SUSPENDED, each.suspended),
        (table.HELD, each.held), (table.AGENTS, each.agents),
    )  # fmt: skip
    for metric, numbers in counted:
        for label, number in numbers.items():
            yield metric, (label,), number


def _families() -> dict[Metric, GaugeMetricFamily]:
    """The metrics of the estates, empty."""
    return {metric: GaugeMetricFamily(metric.name, metric.help, labels=metric.labels) for metric in _SHOWN}
