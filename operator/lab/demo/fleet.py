"""The demo's VMs, as the Azure simulator's control port takes them, and the names of the special ones.

Called by the steps (`steps.py`) and by the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Order = dict[str, Any]

SEED = "Host24"
"""The one host whose log the 2019 workflow published."""
STOPPED = "billing-batch-01"
HELD = "mystery-01"
"""No rule of the mapping matches its application."""
REFUSED = "legacy-web-01"
"""The PCE refuses every pairing key from it."""
ADOPTED = "shop-cache-01"
"""It had a VEN before the operator started."""
LOCKED_GROUP = "az-pci"
LOCKED_SECONDS = 40.0
ADMINISTRATOR = "alice"

PRINTER, PRINTER_ADDRESS, PRINTER_GROUP = "printer-01", "192.168.7.9", "az-web"
"""A host object in a group, both made by an administrator: not the operator's."""
MAINFRAME = "mainframe-01"
"""A workload outside Azure with labels set by hand: not the operator's."""

_SO = {"app": "service orchestrate", "env": "dev", "loc": "azure"}
_SHOP = {"app": "shop", "env": "Prod"}
_SAP = {"Application": "sap", "Environment": "PRD"}
_BILLING = {"app": "billing", "env": "prd"}
_PCI = {"DataClass": "pci"}


def first_wave(subscriptions: Sequence[str]) -> list[Order]:
    """Twenty-five VMs in two subscriptions."""
    respiro = [
        _vm(SEED, "windows", _SO | {"rol": "web"}, location="australiaeast", size="Standard_D2s_v3"),
        _vm("Host25", "linux", _SO | {"rol": "web"}, location="australiaeast"),
        _vm("Host26", "linux", _SO | {"rol": "db"}, location="australiaeast", dataDisks=[{"sizeGb": 256}]),
        _vm(HELD, "linux", {"app": "mystery", "env": "dev", "rol": "web"}),
    ]
    shop = [
        *(_vm(f"shop-web-0{number}", "linux", _SHOP | {"rol": "web"}) for number in range(1, 6)),
        _vm("shop-web-06", "windows", _SHOP | {"rol": "web"}),
        _vm("shop-db-01", "linux", {"app": "shop", "Environment": "PRD", "dataclass": "PCI"}),  # a database by its name
        _vm("shop-db-02", "windows", _SHOP | _PCI | {"rol": "database"}),
        _vm(ADOPTED, "linux", _SHOP),
        _vm(REFUSED, "linux", _SHOP | {"rol": "web"}),
    ]
    sap = [
        *(_vm(f"sap-app-0{number}", "windows", _SAP) for number in range(1, 5)),
        _vm("sap-db-01", "linux", _SAP | {"rol": "db"}, nics=_two_interfaces()),
        _vm("sap-web-01", "linux", _SAP | {"rol": "web"}),
    ]
    billing = [
        *(_vm(f"billing-web-0{number}", "linux", _BILLING | {"rol": "web"}) for number in range(1, 4)),
        _vm("billing-db-01", "linux", _BILLING | _PCI | {"rol": "db"}),
        _vm(STOPPED, "linux", _BILLING, power="deallocated"),
    ]
    first, second = subscriptions[0], subscriptions[-1]
    return [
        *_placed(respiro, first, "respiro-rg"),
        *_placed(shop, first, "shop-rg"),
        *_placed(sap, second, "sap-rg"),
        *_placed(billing, second, "billing-rg"),
    ]


def second_wave(subscriptions: Sequence[str]) -> list[Order]:
    """Three more, while the operator works."""
    first = subscriptions[0]
    return [
        *_placed([_vm("Host27", "windows", _SO | {"rol": "web"}, location="australiaeast")], first, "respiro-rg"),
        *_placed([_vm(f"shop-web-0{number}", "linux", _SHOP | {"rol": "web"}) for number in (7, 8)], first, "shop-rg"),
    ]


def _vm(name: str, os: str, tags: dict[str, str], **more: Any) -> Order:
    return {"name": name, "os": os, "tags": tags, **more}


def _placed(orders: list[Order], subscription: str, group: str) -> list[Order]:
    return [order | {"subscription": subscription, "resourceGroup": group} for order in orders]


def _two_interfaces() -> list[dict[str, Any]]:
    return [{"addresses": ["10.9.0.4", "fd00:9::4"]}, {"addresses": ["10.9.1.4"]}]
