"""What differs between management servers, and how long they take; both may be switched during a run.

`world.World` holds one of each; the control port changes them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Durations:
    """Vendor seconds, scaled by the stage's clock. No figure is published; these are what reports make plausible."""

    read: float = 0.05
    write: float = 0.15
    publish: float = 20.0
    publish_per_change: float = 0.02
    batch: float = 2.0
    batch_per_object: float = 0.02
    install: float = 60.0
    install_per_change: float = 0.01
    question: float = 1.0


@dataclass(slots=True)
class Traits:
    """What differs between servers.

    `makes_tags`: a tag that a host names and nobody made is made, not refused. `keep_alive_requests`: how many requests
    a connection may carry.
    """

    version: str = "1.9"
    makes_tags: bool = False
    standby: bool = False
    keep_alive_requests: int = 100
