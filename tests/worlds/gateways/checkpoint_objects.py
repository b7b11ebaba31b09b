"""The host objects that tests of the Check Point gateway write."""

from __future__ import annotations

from microseg.gateways.ports import ObjectForm
from simulators.checkpoint import World

from .conftest import OWNER, Running

Firewall = Running[World]
NAME = f"microseg/{OWNER}/1"
VM = "0a0a0a0a-0000-0000-0000-{:012d}"


def form(number: int, **more: object) -> ObjectForm:
    values: dict[str, object] = {
        "name": f"az-host{number}",
        "address": f"10.0.{number // 250}.{number % 250 + 1}",
        "owner": OWNER,
        "vm_id": VM.format(number),
    }
    return ObjectForm(**(values | more))  # type: ignore[arg-type]
