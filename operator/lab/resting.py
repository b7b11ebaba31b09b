"""A fleet that is commissioned and at rest, and how to tell. `lab.storms` and `lab.soak` begin and end with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lab.rig import Rig
from lab.vitals import queue_lengths

_LOOK = 1.0


def onboard(rig: Rig, orders: Sequence[dict[str, Any]], *, seconds: float) -> None:
    """Create VMs, and wait until the estate is at rest with them."""
    before = _counts(rig).get("total", 0)
    rig.worlds.post("/azure/vms", list(orders))
    await_rest(rig, before + len(orders), seconds=seconds)


def await_rest(rig: Rig, hosts: int, *, seconds: float) -> None:
    """Wait until there are so many hosts, all commissioned, and nothing waits. Raises NotInTime."""
    rig.wait_until(at_rest(rig, hosts), seconds=seconds, what=f"{hosts} hosts, commissioned and at rest", pause=_LOOK)


def at_rest(rig: Rig, hosts: int) -> Callable[[], bool]:
    """Return a look at the Estate's own words, and at the operator's queues."""

    def look() -> bool:
        status = rig.estate().get("status", {})
        conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
        counts = status.get("hosts", {})
        if (counts.get("total"), counts.get("commissioned")) != (hosts, hosts):
            return False
        done = (conditions.get("Ready"), conditions.get("Reconciling")) == ("True", "False")
        return done and not any(queue_lengths(rig.operator.metrics()).values())

    return look


def _counts(rig: Rig) -> dict[str, int]:
    found: dict[str, int] = rig.estate().get("status", {}).get("hosts") or {}
    return found
