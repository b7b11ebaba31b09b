"""What goes wrong, drawn at random: one failure of the sweep, or of a list, at one operation. Called by `run.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from lab.sweep import points

_LISTS = {
    "azure": ("vms.list", "vms.list-status", "nics.list"),
    "illumio": ("workloads.list",),
    "checkpoint": ("show-hosts",),
}
"""Whose answers may also lack, repeat or cut what they list."""
_OF_LISTS = ("item-duplicated", "page-missing", "page-repeated")
_MOST_HITS = 3


def draw(random: Random, operations: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """Return a fault for the control port. `operations`: system -> those that the operator calls, at least one."""
    system = random.choice(sorted(operations))
    operation = random.choice(sorted(operations[system]))
    kinds = [failure.fault for failure in points.FAULTS]
    if operation in _LISTS.get(system, ()):
        kinds += [{"phase": "after", "action": action} for action in _OF_LISTS]
    fault = dict(random.choice(kinds))
    hits = min(int(str(fault.get("count", _MOST_HITS))), _MOST_HITS)
    return {"system": system, "operation": operation, **fault, "count": random.randint(1, hits)}
