"""VMs of the Azure world, and the script that is started on them."""

from __future__ import annotations

from microseg.model.script import Script
from microseg.model.secret import Secret
from simulators.azure.machine import Vm
from simulators.azure.world import World

from .conftest import Running

Azure = Running[World]
CODE = "activation-code-c0ffee"


def add(azure: Azure, **order: object) -> Vm:
    made: list[Vm] = []
    azure.act(lambda: made.append(azure.world.add({"os": "linux", **order})))
    return made[0]


def arm_id(vm: Vm) -> str:
    scope = f"/subscriptions/{vm.subscription}/resourceGroups/{vm.group}"
    return f"{scope}/providers/Microsoft.Compute/virtualMachines/{vm.name}"


def script(name: str = "microseg-abc-1", text: str = "echo hello", **more: object) -> Script:
    values: dict[str, object] = {
        "name": name,
        "location": "westeurope",
        "windows": False,
        "text": text,
        "parameters": {"MICROSEG_MODE": "install"},
        "protected": {"MICROSEG_ACTIVATION_CODE": Secret(CODE)},
        "timeout": 600,
        "tags": {"microseg.dev-owner": "plant/estate"},
    }
    return Script(**(values | more))  # type: ignore[arg-type]
