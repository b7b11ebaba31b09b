"""The benchmarks' VMs: all can be commissioned. `lab.bench`, `lab.storms` and `lab.soak` create them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_APPLICATIONS: tuple[tuple[str, dict[str, str]], ...] = (
    ("so", {"app": "service orchestrate", "env": "dev"}),
    ("shop", {"app": "shop", "env": "Prod"}),
    ("sap", {"Application": "sap", "Environment": "PRD"}),
    ("billing", {"app": "billing", "env": "tst"}),
)
_ROLES = ("web", "db")
_EVERY_WINDOWS, _EVERY_PCI = 4, 11


def orders(count: int, subscriptions: Sequence[str], *, first: int = 0) -> list[dict[str, Any]]:
    """Return `count` running VMs for the control port, numbered from `first`, spread evenly over the subscriptions."""
    return [_order(number, subscriptions[number % len(subscriptions)]) for number in range(first, first + count)]


def _order(number: int, subscription: str) -> dict[str, Any]:
    prefix, tags = _APPLICATIONS[number // 2 % len(_APPLICATIONS)]
    role = _ROLES[number // 3 % len(_ROLES)]
    pci = {"DataClass": "pci"} if number % _EVERY_PCI == 0 else {}
    return {
        "name": f"{prefix}-{role}-{number:05d}",
        "os": "windows" if number % _EVERY_WINDOWS == 1 else "linux",
        "subscription": subscription,
        "resourceGroup": f"{prefix}-rg",
        "tags": {**tags, **pci, "rol": role},
    }
