"""The lists' view of the workloads, which may lag behind a GET by HREF.

Lists of a PCE cluster may be answered from a replica: a workload that was just paired is missing for a while and
labels that were just set are shown later than by its own GET. How long is not publicly known, so it is switchable: the
trait `list_lag_seconds`, or a fault that freezes the lists.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from simulators.illumio.context import Context
from simulators.illumio.records import Workload
from simulators.illumio.workloads import Workloads


class Replica:
    """A copy of all workloads that is refreshed at intervals; there is none if lists do not lag."""

    def __init__(self, context: Context, workloads: Workloads) -> None:
        self._context = context
        self._workloads = workloads
        self._copies: list[Workload] | None = None
        self._renewed = 0.0
        self._frozen_until = 0.0

    def freeze(self, seconds: float) -> None:
        """Keep the lists as they are now for these real seconds."""
        self._renew()
        self._frozen_until = self._context.now() + seconds

    def shown(self) -> Collection[Workload]:
        """Return the workloads that lists show, also deleted ones."""
        self.advance()
        return self._workloads.all() if self._copies is None else self._copies

    @property
    def lags(self) -> bool:
        """Return whether lists may be out of date."""
        return self._copies is not None

    def advance(self) -> None:
        """Refresh the copy when it is due; drop it if lists no longer lag."""
        now, lag = self._context.now(), self._context.environment.clock.latency(self._context.traits.list_lag_seconds)
        if now < self._frozen_until:
            return
        if not lag:
            self._copies = None
        elif self._copies is None or now - self._renewed >= lag:
            self._renew()

    def _renew(self) -> None:
        self._renewed = self._context.now()
        self._copies = [_copy(workload) for workload in self._workloads.all()]


def _copy(workload: Workload) -> Workload:
    ven = replace(workload.ven) if workload.ven is not None else None
    return replace(workload, ven=ven, labels=dict(workload.labels), interfaces=list(workload.interfaces))
