"""What is counted as it happens, for one estate. The engine and the gateways count; nothing here knows either.

An `EstateMetrics` outlives the engines of its estate, so a new spec or Secret begins no counter anew. Safe to use
from several threads: the gateways' calls run in the pools' threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Histogram

from microseg.metrics import table
from microseg.metrics.calls import CallBook
from microseg.metrics.table import Kind, Metric

_THROTTLED = "429"


@dataclass(frozen=True, slots=True)
class Instruments:
    """The counters and histograms of one registry."""

    counters: Mapping[Metric, Counter]
    histograms: Mapping[Metric, Histogram]

    @classmethod
    def make(cls, registry: CollectorRegistry) -> Instruments:
        """One of each in the table."""
        counters = [each for each in table.ALL if each.kind is Kind.COUNTER]
        histograms = [each for each in table.ALL if each.kind is Kind.HISTOGRAM]
        return cls(
            {each: Counter(each.name, each.help, each.labels, registry=registry) for each in counters},
            {
                each: Histogram(each.name, each.help, each.labels, buckets=each.buckets, registry=registry)
                for each in histograms
            },
        )


def _unseen() -> Instruments:
    """Instruments that nobody reads: what an engine counts with that is given none."""
    return Instruments.make(CollectorRegistry())


@dataclass(frozen=True, slots=True)
class EstateMetrics:
    """The counters of one estate."""

    namespace: str = ""
    estate: str = ""
    instruments: Instruments = field(default_factory=_unseen)
    calls: CallBook = field(default_factory=CallBook)
    """The same requests, for `microseg status`."""

    def begin(self) -> None:
        """The Lease was acquired: show what is rare as not counted yet."""
        for metric, values in table.FROM_ZERO.items():
            for value in values:
                self.count(metric, value, amount=0)

    def count(self, metric: Metric, *labels: str, amount: float = 1) -> None:
        """Add to a counter. `labels`: those behind namespace and estate."""
        self.instruments.counters[metric].labels(self.namespace, self.estate, *labels).inc(amount)

    def measure(self, metric: Metric, value: float, *labels: str) -> None:
        """Add a value to a histogram. `labels`: those behind namespace and estate."""
        self.instruments.histograms[metric].labels(self.namespace, self.estate, *labels).observe(value)

    def request(self, system: str, operation: str, outcome: str, seconds: float) -> None:
        """A request went over the wire; see `gateways.http.wire.Observe`."""
        self.measure(table.REQUESTS, seconds, system, operation, outcome)
        if outcome == _THROTTLED:
            self.count(table.THROTTLES, system)
        self.calls.add(system, operation, outcome, seconds)
