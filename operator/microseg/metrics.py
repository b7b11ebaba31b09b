"""Numbers for Prometheus, served at /metrics: the calls to the outside systems, and how each estate stands.

Nothing is kept per host, and what an estate shows is read from its keeper when Prometheus asks: a settled estate has no
work with it. A name, a unit and a label exist once, here; `docs/reference/metrics.md` is made from it. Names follow
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Seconds: from a look at the PCE to the whole list of a large subscription."""
_OF_ESTATE = ("namespace", "estate")
_STATUSES = ("True", "False", "Unknown")


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
    read_at: Mapping[str, float] = field(default_factory=dict)
    """System -> monotonic time of its latest complete reading."""


class Metrics:
    """All metrics of one process. Safe to use from several threads."""

    def __init__(self, version: str, estates: Callable[[], Iterable[EstateNumbers]]) -> None:
        """`estates` is asked whenever somebody looks."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_Standing(version, estates))
        self._calls = Histogram(
            "microseg_request_duration_seconds",
            "Calls of the outside systems by how they ended: ok, or the kind of error; a list is one call.",
            ("system", "operation", "outcome"),
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def observe(self, system: str, operation: str, outcome: str, seconds: float) -> None:
        """A call of a system ended; see `gateways.transport.Observe`."""
        self._calls.labels(system, operation, outcome).observe(seconds)

    def page(self, accept: str) -> tuple[bytes, str]:
        """Everything in the format that the header `accept` asks for, with its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class _Standing(Collector):
    """What is read when it is asked for."""

    def __init__(self, version: str, estates: Callable[[], Iterable[EstateNumbers]]) -> None:
        self._version, self._estates = version, estates

    def describe(self) -> Iterable[Metric]:
        """The names alone: registering must not ask anybody."""
        return _families()

    def collect(self) -> Iterable[Metric]:
        """Read every estate."""
        build, leader, condition, hosts, reading = families = _families()
        build.add_metric((self._version,), 1)
        began = time.time() - time.monotonic()
        for each in self._estates():
            key = (each.namespace, each.name)
            leader.add_metric(key, each.leading)
            for kind, status in each.conditions.items():
                for one in _STATUSES:
                    condition.add_metric((*key, kind, one.lower()), one == status)
            for standing, number in each.hosts.items():
                hosts.add_metric((*key, standing), number)
            for system, at in each.read_at.items():
                reading.add_metric((*key, system), began + at)
        return families


def _families() -> tuple[GaugeMetricFamily, ...]:
    """The metrics of the estates, empty."""
    return (
        GaugeMetricFamily("microseg_build_info", "The version that runs; always 1.", labels=("version",)),
        GaugeMetricFamily(
            "microseg_estate_leader", "Whether this process holds the Lease of the estate.", labels=_OF_ESTATE
        ),
        GaugeMetricFamily(
            "microseg_estate_condition",
            "The Estate's conditions: 1 for the status that each has. Shown by the holder of the Lease.",
            labels=(*_OF_ESTATE, "condition", "status"),
        ),
        GaugeMetricFamily(
            "microseg_hosts",
            "ManagedHosts by how they stand, as in the Estate's status. Shown by the holder of the Lease.",
            labels=(*_OF_ESTATE, "standing"),
        ),
        GaugeMetricFamily(
            "microseg_last_reading_timestamp_seconds",
            "When a system was last read completely, in seconds since the epoch. Shown by the holder of the Lease.",
            labels=(*_OF_ESTATE, "system"),
        ),
    )
