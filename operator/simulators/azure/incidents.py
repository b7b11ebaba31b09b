"""What happens inside a VM without Azure's doing: reboots, fresh disks, killed scripts and handlers, full disks.

`control.py` offers it as actions on a VM; `handler.py` says what Azure shows afterwards, and where that is known from.
"""

from __future__ import annotations

from typing import Any

from simulators.azure.handler import ENDS, NO_NUMBER
from simulators.azure.machine import Vm
from simulators.azure.world import World


def reboot(world: World, vm: Vm) -> None:
    """Start the machine again from inside: for Azure it runs all the time, and its agent is away for a while."""
    if not vm.on:
        message = f"VM {vm.name!r} is off"
        raise ValueError(message)
    world.tell(vm, "stopped")
    delay = world.environment.clock.latency(world.timing.boot + vm.agent_delay)
    vm.agent_ready_at = world.environment.clock.now() + delay
    world.run_commands.reboot(vm)
    world.tell(vm, "started")
    _record(world, "world.vm-rebooted", vm)


def replace_disk(world: World, vm: Vm) -> None:
    """Give a VM a fresh disk (re-image, exchange of the OS disk): it has the same vmId and has run nothing yet."""
    world.run_commands.preempt(vm)
    world.tell(vm, "wiped")
    vm.processed.clear()
    vm.deleted.clear()
    vm.executed.clear()
    if vm.on:
        world.start_agent(vm)
    _record(world, "world.disk-replaced", vm)


def restart_handler(world: World, vm: Vm) -> None:
    """Restart the agent or its run-command handler: running scripts go on, and their ends are lost."""
    world.run_commands.handler.restart(vm)
    _record(world, "world.handler-restarted", vm)


def upgrade_handler(world: World, vm: Vm) -> None:
    """Replace the handler by a newer version: as a restart, and every name that ran is reported as executed."""
    world.run_commands.handler.upgrade(vm)
    _record(world, "world.handler-upgraded", vm)


def kill_scripts(world: World, vm: Vm) -> None:
    """Kill the own process of each running script, as the OOM killer does; what it started lives on."""
    world.run_commands.handler.kill(vm)
    _record(world, "world.scripts-killed", vm)


def obstruct(world: World, vm: Vm, body: dict[str, Any]) -> None:
    """Let no script begin in a VM from now on, for the reason `why`; an empty one: they begin again."""
    why = str(body.get("why", ""))
    known = (*ENDS, NO_NUMBER)
    if why and why not in known:
        message = f"'why' must be one of {', '.join(known)}, or empty; not {why!r}"
        raise ValueError(message)
    vm.obstacle = why
    _record(world, "world.vm-obstructed", vm, why)


def delete_commands(world: World, vm: Vm) -> None:
    """Delete all run-commands of a VM, as a person does who tidies up."""
    for command in list(vm.commands.values()):
        world.run_commands.delete(vm, command.name)
        _record(world, "world.command-deleted-by-hand", vm, command.name)


def _record(world: World, operation: str, vm: Vm, note: str = "") -> None:
    world.environment.ledger.append("azure", operation, changed=(vm.vm_id, vm.name), note=note)
