"""The state of the simulated Azure: its VMs, and what happens to them. Knows nothing of HTTP.

The routes read it, the control port and tests change it. Everything runs in one event loop; timers of that loop finish
changes that take time (boot, stop).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from simulators.azure import errors, specs
from simulators.azure.commands import RunCommandService
from simulators.azure.fleet import Fleet, ListCache
from simulators.azure.graph import ResourceGraph
from simulators.azure.handler import ScriptRunner
from simulators.azure.identity import Directory
from simulators.azure.lists import Kind, is_hidden, list_entry
from simulators.azure.machine import NEVER, Machine, Power, PowerOff, Vm, vm_key
from simulators.azure.throttle import Throttle
from simulators.azure.timing import Timing, Traits
from simulators.environment import Environment

__all__ = ["ScriptRunner", "World"]


class World:
    """The subscriptions of one tenant and their VMs."""

    def __init__(
        self,
        environment: Environment,
        directory: Directory,
        subscriptions: Sequence[str],
        runner: ScriptRunner,
        timing: Timing,
    ) -> None:
        self.environment = environment
        self.directory = directory
        self.subscriptions = tuple(subscriptions)
        self.timing = timing
        self.traits = Traits()
        self.lists = ListCache(environment.clock, self.traits)
        self.group_locks: dict[str, float] = {}
        self.run_commands = RunCommandService(environment, timing, runner)
        self.throttle = Throttle(enforced=lambda: environment.limits, exhausted=lambda: self.traits.exhausted)
        self.graph = ResourceGraph(environment.clock, self.traits, subscriptions, lambda: environment.limits)
        self._addresses = specs.Addresses()
        self._sequence = 0
        self.machines: list[Callable[[Vm, Machine], None]] = []
        """Called when the machine of a VM starts, stops or loses its disk."""
        self._fleets = {subscription.lower(): Fleet() for subscription in subscriptions}
        self._vms: dict[tuple[str, str, str], Vm] = {}

    # --- reading ------------------------------------------------------------------------------------------------

    def vm(self, subscription: str, group: str, name: str) -> Vm:
        """Return a VM; raises ArmError 404 if there is none (members of uniform scale sets are hidden)."""
        self.fleet(subscription)
        found = self._vms.get(vm_key(subscription, group, name))
        if group.lower() in self.traits.denied:
            raise errors.forbidden(self.directory.client_id, "Microsoft.Compute/virtualMachines/read")
        if found is None or is_hidden(found):
            raise errors.vm_not_found(group, name)
        return found

    def check_lock(self, group: str) -> None:
        """Raise ArmError 409 while the resource group is locked."""
        if self.group_locks.get(group.lower(), 0.0) > self.environment.clock.now():
            raise errors.locked(group)

    def named(self, name: str) -> Vm:
        """Return the VM with a name, for the control port; raises LookupError if there is none or more than one."""
        found = [vm for vm in self.all() if vm.name.lower() == name.lower()]
        if len(found) != 1:
            message = f"VM {name!r} is in {len(found)} groups: say subscription and group" if found else f"VM {name!r}"
            raise LookupError(message)
        return found[0]

    def all(self) -> Iterable[Vm]:
        """Return every VM, also those of uniform scale sets."""
        return self._vms.values()

    def fleet(self, subscription: str) -> Fleet:
        """Return the VMs of a subscription; raises ArmError 404 if the tenant has no such subscription."""
        fleet = self._fleets.get(subscription.lower())
        if fleet is None:
            raise errors.subscription_not_found(subscription)
        return fleet

    # --- changing -----------------------------------------------------------------------------------------------

    def add(self, spec: Mapping[str, Any]) -> Vm:
        """Create a VM (see `specs`); its agent is ready `agentDelay` vendor seconds later."""
        now = self.environment.clock.now()
        vm = specs.read_vm(spec, self.subscriptions[0], self._addresses, now, self.timing.agent)
        if vm.subscription.lower() not in self._fleets:
            message = f"the tenant has no subscription {vm.subscription!r}"
            raise ValueError(message)
        if vm.key in self._vms:
            message = f"VM {vm.name!r} exists already in {vm.group}"
            raise ValueError(message)
        vm.attached = not self.traits.nic_lag
        self._insert(vm)
        if not vm.attached:
            self._after(self.traits.nic_lag, lambda: self._attach(vm))
        if vm.on:
            self.start_agent(vm)
        elif vm.power == "creating":
            self._later(self.timing.create, vm, lambda: self._power(vm, "running"))
        self._record("world.vm-created", vm, "")
        return vm

    def stop(self, vm: Vm, off: PowerOff = "deallocated") -> None:
        """Stop a VM; its scripts are killed at once."""
        if vm.power in (off, "stopping", "deallocating", "deleting"):
            return
        self.run_commands.preempt(vm)
        self._power(vm, "deallocating" if off == "deallocated" else "stopping")
        self._later(self.timing.stop, vm, lambda: self._power(vm, off))

    def start(self, vm: Vm) -> None:
        """Start a VM that is off."""
        if vm.power in ("running", "starting", "deleting"):
            return
        self._power(vm, "starting")
        self._later(self.timing.boot, vm, lambda: self._power(vm, "running"))

    def retag(self, vm: Vm, tags: Mapping[str, str]) -> None:
        """Replace all tags."""
        self._keep_listed_state(vm)
        vm.tags = {str(name): str(value) for name, value in tags.items()}
        self._note_change(vm)
        self._record("world.vm-tagged", vm, "")

    def readdress(self, vm: Vm, addresses: Sequence[str]) -> None:
        """Replace the NICs with one that has these addresses (none: the next free one)."""
        self._keep_listed_state(vm)
        vm.nics = specs.read_nics({"addresses": list(addresses)}, vm.name, self._addresses)
        self._note_change(vm)
        self._record("world.vm-readdressed", vm, " ".join(address.ip for nic in vm.nics for address in nic.addresses))

    def attach(self, vm: Vm, addresses: Sequence[str]) -> None:
        """Attach one more NIC with these addresses (none: the next free one)."""
        self._keep_listed_state(vm)
        name = f"{vm.name}-nic{len(vm.nics)}"
        (nic,) = specs.read_nics({"nics": [{"name": name, "addresses": list(addresses)}]}, vm.name, self._addresses)
        vm.nics += (replace(nic, primary=False),)
        self._note_change(vm)
        self._record("world.nic-attached", vm, " ".join(address.ip for address in nic.addresses))

    def resize(self, vm: Vm, size: str) -> None:
        """Resize a VM, as Azure does without a stop if the hardware has both sizes."""
        self._keep_listed_state(vm)
        vm.size = size
        self._note_change(vm)
        self._record("world.vm-resized", vm, size)

    def rename(self, vm: Vm, computer_name: str) -> None:
        """Change the host name inside the VM, not the VM's own name."""
        self._keep_listed_state(vm)
        vm.computer_name = computer_name
        self._note_change(vm)
        self._record("world.vm-renamed", vm, computer_name)

    def remove(self, vm: Vm) -> None:
        """Start to delete a VM: it is `Deleting` for a while, and its scripts are killed."""
        if vm.power == "deleting":
            return
        self.run_commands.preempt(vm)
        self._power(vm, "deleting")
        self._later(self.traits.deleting, vm, lambda: self.delete(vm))

    def delete(self, vm: Vm) -> None:
        """Delete a VM at once; lists may show it a while longer."""
        self.run_commands.preempt(vm)
        self._keep_listed_state(vm)
        del self._vms[vm.key]
        vm.gone = True
        self.tell(vm, "stopped")
        self.lists.later(lambda: self.fleet(vm.subscription).remove(vm))
        self.graph.vanish(vm)
        self._record("world.vm-deleted", vm, "")

    def recreate(self, vm: Vm) -> Vm:
        """Delete a VM and create one with the same name: same ARM id, another vmId, no run-commands."""
        self.delete(vm)
        now = self.environment.clock.now()
        again = replace(
            vm,
            vm_id=str(uuid.uuid4()),
            created_at=now,
            power="running",
            power_changed_at=now,
            agent_ready_at=NEVER,
            revision=1,
            gone=False,
            commands={},
            processed={},
            deleted=[],
            executed=set(),
            obstacle="",
            cached={},
        )
        self._insert(again)
        self.start_agent(again)
        self._record("world.vm-created", again, f"instead of {vm.vm_id}")
        return again

    def move(self, vm: Vm, group: str, subscription: str = "") -> None:
        """Move a VM to another resource group and maybe subscription: another ARM id, the same vmId."""
        before = self.fleet(vm.subscription)
        after = self.fleet(subscription or vm.subscription)
        self._keep_listed_state(vm)
        del self._vms[vm.key]
        vm.group, vm.subscription = group, subscription or vm.subscription
        self._vms[vm.key] = vm
        self._note_change(vm)
        self.lists.later(lambda: before.remove(vm))
        self.lists.later(lambda: after.add(vm))
        self._record("world.vm-moved", vm, f"{vm.subscription} {group}")

    def tell(self, vm: Vm, what: Machine) -> None:
        """Call the listeners of machines."""
        for listener in self.machines:
            listener(vm, what)

    async def close(self) -> None:
        """Kill all scripts."""
        await self.run_commands.close()

    def _insert(self, vm: Vm) -> None:
        self._sequence += 1
        vm.sequence = self._sequence
        self._vms[vm.key] = vm
        self.lists.later(lambda: self._appear(vm))
        self.graph.appear(vm)

    def _appear(self, vm: Vm) -> None:
        """List a new VM, unless it was deleted meanwhile."""
        if not vm.gone:
            self.fleet(vm.subscription).add(vm)

    def _attach(self, vm: Vm) -> None:
        self._keep_listed_state(vm)
        vm.attached = True
        self._note_change(vm)
        self._record("world.nic-attached", vm, "")

    def _keep_listed_state(self, vm: Vm) -> None:
        """If lists lag, keep what they show of a VM that is about to change; so does Resource Graph."""
        self.graph.keep(vm)
        if self.lists.lag:
            for kind in get_args(Kind):
                list_entry(vm, kind)

    def _note_change(self, vm: Vm) -> None:
        """Increase the revision and, after the lag, show the change in lists."""
        vm.revision += 1
        self.lists.later(vm.cached.clear)
        self.graph.changed(vm)

    def _power(self, vm: Vm, power: Power) -> None:
        self._keep_listed_state(vm)
        vm.power, vm.power_changed_at, vm.agent_ready_at = power, self.environment.clock.now(), NEVER
        if power == "running":
            self.start_agent(vm)
        self._note_change(vm)
        self._record("world.vm-power", vm, power)
        if power in {"running", "stopping", "deallocating", "deleting"}:
            self.tell(vm, "started" if power == "running" else "stopped")

    def start_agent(self, vm: Vm) -> None:
        """Let the agent of a VM be ready soon; it gets all run-commands of the VM."""
        vm.agent_ready_at = self.environment.clock.now() + self.environment.clock.latency(vm.agent_delay)
        self.run_commands.deliver(vm)

    def _later(self, seconds: float, vm: Vm, change: Callable[[], None]) -> None:
        """Finish a change later, unless another one started or the VM was deleted meanwhile."""
        revision = vm.power_changed_at

        def finish() -> None:
            if vm.power_changed_at == revision and self._vms.get(vm.key) is vm:
                change()

        self._after(seconds, finish)

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(self.environment.clock.latency(seconds), act)

    def _record(self, operation: str, vm: Vm, note: str) -> None:
        self.environment.ledger.append("azure", operation, changed=(vm.vm_id, vm.name), note=note)
