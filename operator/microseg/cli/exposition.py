"""`microseg status -o prom`: the status in Prometheus' format, for a node's textfile collector or a cron job."""

from __future__ import annotations

from collections import Counter

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from microseg.cli.cluster import Leadership, Live
from microseg.metrics import table


class _Once(Collector):
    """Shows what was collected already."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> list[Family]:
        """Return them."""
        return self._families


def exposition(live: Live, leadership: Leadership) -> str:
    """Gauges with the names of `/metrics`, as far as the cluster shows them."""
    key = (live.estate.namespace, live.estate.name)
    shown = (table.LEADER, table.CONDITION, table.HOSTS_BY_REASON, table.READ_AT, table.SUSPENDED, table.HELD)
    families = {metric: GaugeMetricFamily(metric.name, metric.help, labels=metric.labels) for metric in shown}
    families[table.LEADER].add_metric(key, leadership.alive(live.now))
    for condition in live.estate.status.conditions:
        for one in ("True", "False", "Unknown"):
            families[table.CONDITION].add_metric(
                (*key, condition.type.value, one.lower()), condition.status.value == one
            )
    reasons = Counter((host.status.stage or "None", host.status.reason or "None") for host in live.hosts)
    for reason, number in sorted(reasons.items()):
        families[table.HOSTS_BY_REASON].add_metric((*key, *reason), number)
    for system in leadership.report.systems if leadership.report is not None else ():
        if system.read_at is not None:
            families[table.READ_AT].add_metric((*key, system.system), system.read_at.timestamp())
    families[table.SUSPENDED].add_metric((*key, "estate"), live.estate.spec.suspend)
    families[table.SUSPENDED].add_metric((*key, "hosts"), sum(1 for host in live.hosts if host.spec.suspend))
    for plan in live.estate.status.held:
        families[table.HELD].add_metric((*key, plan.kind), plan.hosts)
    registry = CollectorRegistry()
    registry.register(_Once(list(families.values())))
    return generate_latest(registry).decode()
