"""The times of one engine, as values: bounds of the effect protocol, and the pauses of its loops."""

from __future__ import annotations

from dataclasses import dataclass, field

from microseg.stages.context import Timing


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds between the rounds of the engine's loops."""

    settle: float = 0.05
    """In which changes that come together are decided together."""
    estate_status: float = 1.0
    """Between two writes of the Estate's status."""
    idle: float = 60.0
    """After which a loop goes round though nothing woke it."""
    write_retry: float = 2.0
    """Before a status is written again when the API server is away."""
    lesser_news: float = 10.0
    """For which a status that brings nothing that anybody waits for may wait for more."""
    retirement: float = 10.0
    """Between two rounds of retirement that nothing woke."""
    approvals: float = 5.0
    """Between two looks at the Approvals."""
    event_sum: float = 30.0
    """Between two rounds of aggregated Events."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How one engine is run; times are seconds."""

    timing: Timing = field(default_factory=Timing)
    task_pause: float = 2.0
    """Between two looks at a Check Point task."""
    install_patience: float = 60.0
    """That a wanted install waits for publishes that still come."""
    install_margin: float = 30.0
    """After the answer of an install was lost: one without a task by then did not begin."""
    pauses: Pauses = field(default_factory=Pauses)
    slice: int = 100
    """Decisions between two turns of the event loop: under 50 ms."""
