"""Numbers for Prometheus, served at /metrics. `table` names them; nothing is kept per host."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from microseg.metrics.estate_metrics import EstateMetrics, Instruments
from microseg.metrics.standing import EstateNumbers, Standing

__all__ = ["EstateMetrics", "EstateNumbers", "Metrics"]


class Metrics:
    """All metrics of one process. Safe to use from several threads."""

    def __init__(self, version: str, estates: Callable[[], Iterable[EstateNumbers]]) -> None:
        """`estates` is asked whenever somebody looks."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(Standing(version, estates))
        self._instruments = Instruments.make(self.registry)
        self._estates: dict[tuple[str, str], EstateMetrics] = {}

    def of(self, namespace: str, estate: str) -> EstateMetrics:
        """The counters of one estate; the same ones for the whole life of the process."""
        key = (namespace, estate)
        if key not in self._estates:
            self._estates[key] = EstateMetrics(namespace, estate, self._instruments)
        return self._estates[key]

    def page(self, accept: str) -> tuple[bytes, str]:
        """Everything in the format that the header `accept` asks for, with its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
