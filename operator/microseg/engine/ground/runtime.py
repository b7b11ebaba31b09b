"""What the parts of one engine share: the Lease, time, the cluster's threads, and the pace and liveness of loops."""

from __future__ import annotations

from dataclasses import dataclass, field

from microseg.engine.ground.engine_settings import Pauses
from microseg.engine.ground.heartbeats import Heartbeats
from microseg.engine.ground.ports import Clock, Term
from microseg.engine.ground.workers import Workers
from microseg.metrics import EstateMetrics


@dataclass(frozen=True, slots=True)
class Runtime:
    """One per engine."""

    term: Term
    clock: Clock
    cluster: Workers
    """Threads for calls of the API server."""
    pauses: Pauses = field(default_factory=Pauses)
    heartbeats: Heartbeats = field(default_factory=Heartbeats)
    metrics: EstateMetrics = field(default_factory=EstateMetrics)
