"""Heartbeats of VENs: a PCE hears each running VEN every five minutes, and keeps the time by its own clock.

`pairing` begins them. Twelve missed ones are the hour after which a VEN counts as offline (vendor's manual 25.2). They
are no changes of the world, so the ledger has none of them.
"""

from __future__ import annotations

from simulators.illumio.context import Context
from simulators.illumio.records import Workload

_SHORTEST = 0.1
"""Real seconds between two, however fast the clock is."""


def begin(context: Context, workload: Workload) -> None:
    """Let the workload's VEN send heartbeats from now on, while its machine runs."""
    clock = context.environment.clock
    context.later(max(context.traits.heartbeat_seconds, _SHORTEST * clock.scale), lambda: _beat(context, workload))


def _beat(context: Context, workload: Workload) -> None:
    ven = workload.ven
    if ven is None or workload.deleted_at is not None:
        return
    if ven.beats:
        ven.last_heartbeat, workload.row = context.stamp(), None
    begin(context, workload)
