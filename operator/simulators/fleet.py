"""An example fleet: VMs as a company might have them, for a person who tries out the simulators.

`python -m simulators --vms N` creates it. The same N gives the same fleet, except for ids and addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Order = dict[str, Any]

_APPLICATIONS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("so", "respiro-rg", {"app": "service orchestrate", "env": "dev", "loc": "azure"}),
    ("shop", "shop-rg", {"app": "shop", "env": "Prod"}),
    ("sap", "sap-rg", {"Application": "sap", "Environment": "PRD"}),
    ("billing", "billing-rg", {"app": "billing", "env": "prd"}),
    ("lab", "lab-rg", {"app": "lab", "env": "test"}),
)
_ROLES = ("web", "web", "web", "app", "app", "db", "cache")
_EVERY_WINDOWS, _EVERY_OFF, _EVERY_SILENT, _EVERY_UNTAGGED, _EVERY_PCI = 4, 23, 97, 53, 11


def orders(count: int, subscriptions: Sequence[str]) -> Iterator[Order]:
    """Return `count` VMs for the control port, spread over the subscriptions by application."""
    for number in range(count):
        yield _order(number, subscriptions)


def _order(number: int, subscriptions: Sequence[str]) -> Order:
    which = number % len(_APPLICATIONS)
    prefix, group, tags = _APPLICATIONS[which]
    role = _ROLES[number // len(_APPLICATIONS) % len(_ROLES)]
    order: Order = {
        "name": f"{prefix}-{role}-{number:05d}",
        "os": "windows" if number % _EVERY_WINDOWS == 1 else "linux",
        "subscription": subscriptions[which % len(subscriptions)],
        "resourceGroup": group,
        "tags": {**tags, "rol": role},
    }
    if number % _EVERY_PCI == _EVERY_PCI - 1:
        order["tags"] |= {"DataClass": "pci"}
    if number % _EVERY_UNTAGGED == _EVERY_UNTAGGED - 1:
        order["tags"] = {}
    if number % _EVERY_OFF == _EVERY_OFF - 1:
        order["power"] = "deallocated"
    if number % _EVERY_SILENT == _EVERY_SILENT - 1:
        order["agent"] = "never"
    if role == "db":
        order["dataDisks"] = [{"sizeGb": 256}]
    return order
