"""Azure as a world of virtual machines: what there is, and what happens to it. Knows nothing of HTTP.

The routes read it, the control port and tests change it. Everything runs in one event loop; changes that take time
(boot, stop) are finished by timers of that loop.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, assert_never, get_args

from simulators.azure import errors, render, specs
from simulators.azure.commands import CommandDesk, Runner, ScriptResult
from simulators.azure.fleet import Fleet, ListCache
from simulators.azure.identity import Directory
from simulators.azure.machine import NEVER, Power, PowerOff, Vm, vm_key
from simulators.azure.throttle import Throttle
from simulators.azure.timing import Timing, Traits
from simulators.server import Stage

__all__ = ["Kind", "Page", "Runner", "ScriptResult", "World"]

Kind = Literal["vms", "statuses", "nics"]
PAGE_SIZE = 50
_EMPTY_PAGE = 3


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: JSON values, and where the next page begins (None: there is none)."""

    values: list[bytes]
    after: int | None


class World:
    """The subscriptions of one tenant and their VMs."""

    def __init__(
        self, stage: Stage, directory: Directory, subscriptions: Sequence[str], runner: Runner, timing: Timing
    ) -> None:
        self.stage = stage
        self.directory = directory
        self.subscriptions = tuple(subscriptions)
        self.timing = timing
        self.traits = Traits()
        self.lists = ListCache(stage.clock, self.traits)
        self.group_locks: dict[str, float] = {}
        self.desk = CommandDesk(stage, timing, runner)
        self.throttle = Throttle(enforced=lambda: stage.limits)
        self.page_size = PAGE_SIZE
        self._addresses = specs.Addresses()
        self._sequence = 0
        self._fleets = {subscription.lower(): Fleet() for subscription in subscriptions}
        self._vms: dict[tuple[str, str, str], Vm] = {}

    # --- reading ------------------------------------------------------------------------------------------------

    def vm(self, subscription: str, group: str, name: str) -> Vm:
        """A VM; ArmError 404 where there is none (members of uniform scale sets are none)."""
        self.fleet(subscription)
        found = self._vms.get(vm_key(subscription, group, name))
        if group.lower() in self.traits.denied:
            raise errors.forbidden(self.directory.client_id, "Microsoft.Compute/virtualMachines/read")
        if found is None or _hidden(found):
            raise errors.vm_not_found(group, name)
        return found

    def check_lock(self, group: str) -> None:
        """ArmError 409 while somebody's lock on the resource group holds."""
        if self.group_locks.get(group.lower(), 0.0) > self.stage.clock.now():
            raise errors.locked(group)

    def named(self, name: str) -> Vm:
        """The VM of a name, wherever it is, for the control port; LookupError where there is none or are several."""
        found = [vm for vm in self.all() if vm.name.lower() == name.lower()]
        if len(found) != 1:
            message = (
                f"VM {name!r}" if not found else f"VM {name!r} is in {len(found)} groups; say subscription and group"
            )
            raise LookupError(message)
        return found[0]

    def all(self) -> Iterable[Vm]:
        """Every VM, those of uniform scale sets too."""
        return self._vms.values()

    def fleet(self, subscription: str) -> Fleet:
        """The VMs of a subscription; ArmError 404 where the tenant has no such subscription."""
        fleet = self._fleets.get(subscription.lower())
        if fleet is None:
            raise errors.subscription_not_found(subscription)
        return fleet

    def page(self, subscription: str, kind: Kind, after: int, number: int) -> Page:
        """Page `number` (from 0) of a list, from after a sequence number. Page sizes vary; page 3 is empty."""
        fleet = self.fleet(subscription)
        if number == _EMPTY_PAGE:
            return Page([], after)
        size = max(1, self.page_size - (number * 7) % max(self.page_size // 3, 1))
        vms, more = fleet.after(after, size)
        values = [part for vm in vms if self._listed(vm) and (part := self._json(vm, kind))]
        return Page(values, vms[-1].sequence if more else None)

    def scale_sets(self, subscription: str) -> list[dict[str, Any]]:
        """The scale sets of a subscription."""
        members: dict[tuple[str, str], list[Vm]] = {}
        for vm in self.fleet(subscription).vms:
            if vm.scale_set and vm.group.lower() not in self.traits.denied:
                members.setdefault((vm.group.lower(), vm.scale_set.name.lower()), []).append(vm)
        return [render.scale_set(group) for group in members.values()]

    def _listed(self, vm: Vm) -> bool:
        return not _hidden(vm) and vm.group.lower() not in self.traits.denied

    def _json(self, vm: Vm, kind: Kind) -> bytes:
        """A VM's part of a list, kept until the VM changes: lists of 10,000 are joined, not rendered."""
        if kind not in vm.cached:
            vm.cached[kind] = _rendered(vm, kind).encode()
        return vm.cached[kind]

    # --- changing -----------------------------------------------------------------------------------------------

    def add(self, spec: Mapping[str, Any]) -> Vm:
        """Create a VM by an order (see `specs`); its agent is heard `agentDelay` vendor seconds later."""
        now = self.stage.clock.now()
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
            self._agent_wakes(vm)
        elif vm.power == "creating":
            self._later(self.timing.create, vm, lambda: self._power(vm, "running"))
        self._record("world.vm-created", vm, "")
        return vm

    def stop(self, vm: Vm, off: PowerOff = "deallocated") -> None:
        """Stop a VM; what runs in it dies at once."""
        if vm.power in (off, "stopping", "deallocating", "deleting"):
            return
        self.desk.preempt(vm)
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
        self._pin(vm)
        vm.tags = {str(name): str(value) for name, value in tags.items()}
        self._touched(vm)
        self._record("world.vm-tagged", vm, "")

    def readdress(self, vm: Vm, addresses: Sequence[str]) -> None:
        """Replace the NICs by one with these addresses (none: the next free one)."""
        self._pin(vm)
        vm.nics = specs.read_nics({"addresses": list(addresses)}, vm.name, self._addresses)
        self._touched(vm)
        self._record("world.vm-readdressed", vm, " ".join(address.ip for nic in vm.nics for address in nic.addresses))

    def attach(self, vm: Vm, addresses: Sequence[str]) -> None:
        """Attach one more NIC with these addresses (none: the next free one)."""
        self._pin(vm)
        name = f"{vm.name}-nic{len(vm.nics)}"
        (nic,) = specs.read_nics({"nics": [{"name": name, "addresses": list(addresses)}]}, vm.name, self._addresses)
        vm.nics += (replace(nic, primary=False),)
        self._touched(vm)
        self._record("world.nic-attached", vm, " ".join(address.ip for address in nic.addresses))

    def resize(self, vm: Vm, size: str) -> None:
        """Give it another size, as Azure does without a stop where the hardware has both."""
        self._pin(vm)
        vm.size = size
        self._touched(vm)
        self._record("world.vm-resized", vm, size)

    def rename(self, vm: Vm, computer_name: str) -> None:
        """Give the machine inside another name; the VM's own stays."""
        self._pin(vm)
        vm.computer_name = computer_name
        self._touched(vm)
        self._record("world.vm-renamed", vm, computer_name)

    def remove(self, vm: Vm) -> None:
        """Begin to delete a VM: it is there as `Deleting` for a while, and nothing runs in it any more."""
        if vm.power == "deleting":
            return
        self.desk.preempt(vm)
        self._power(vm, "deleting")
        self._later(self.traits.deleting, vm, lambda: self.delete(vm))

    def delete(self, vm: Vm) -> None:
        """Delete a VM at once, with all that is in it; lists may show it a while longer."""
        self.desk.preempt(vm)
        self._pin(vm)
        del self._vms[vm.key]
        vm.gone = True
        self.lists.later(lambda: self.fleet(vm.subscription).remove(vm))
        self._record("world.vm-deleted", vm, "")

    def recreate(self, vm: Vm) -> Vm:
        """Delete a VM and create one of the same name: same ARM id, another vmId, no run-commands."""
        self.delete(vm)
        now = self.stage.clock.now()
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
            cached={},
        )
        self._insert(again)
        self._agent_wakes(again)
        self._record("world.vm-created", again, f"instead of {vm.vm_id}")
        return again

    def move(self, vm: Vm, group: str, subscription: str = "") -> None:
        """Move a VM to another resource group, maybe of another subscription: another ARM id, the same vmId."""
        before = self.fleet(vm.subscription)
        after = self.fleet(subscription or vm.subscription)
        self._pin(vm)
        del self._vms[vm.key]
        vm.group, vm.subscription = group, subscription or vm.subscription
        self._vms[vm.key] = vm
        self._touched(vm)
        self.lists.later(lambda: before.remove(vm))
        self.lists.later(lambda: after.add(vm))
        self._record("world.vm-moved", vm, f"{vm.subscription} {group}")

    async def close(self) -> None:
        """Stop everything that runs."""
        await self.desk.close()

    def _insert(self, vm: Vm) -> None:
        self._sequence += 1
        vm.sequence = self._sequence
        self._vms[vm.key] = vm
        self.lists.later(lambda: self._appear(vm))

    def _appear(self, vm: Vm) -> None:
        """Lists learn of a VM, unless it went before they did."""
        if not vm.gone:
            self.fleet(vm.subscription).add(vm)

    def _attach(self, vm: Vm) -> None:
        self._pin(vm)
        vm.attached = True
        self._touched(vm)
        self._record("world.nic-attached", vm, "")

    def _pin(self, vm: Vm) -> None:
        """Keep what lists show of a VM that is about to change, where they lag."""
        if self.lists.lag:
            for kind in get_args(Kind):
                self._json(vm, kind)

    def _touched(self, vm: Vm) -> None:
        """Note that something shown to callers changed."""
        vm.revision += 1
        self.lists.later(vm.cached.clear)

    def _power(self, vm: Vm, power: Power) -> None:
        self._pin(vm)
        vm.power, vm.power_changed_at, vm.agent_ready_at = power, self.stage.clock.now(), NEVER
        if power == "running":
            self._agent_wakes(vm)
        self._touched(vm)
        self._record("world.vm-power", vm, power)

    def _agent_wakes(self, vm: Vm) -> None:
        vm.agent_ready_at = self.stage.clock.now() + self.stage.clock.latency(vm.agent_delay)

    def _later(self, seconds: float, vm: Vm, change: Callable[[], None]) -> None:
        """Finish a change later, unless another one began or the VM went away meanwhile."""
        revision = vm.power_changed_at

        def finish() -> None:
            if vm.power_changed_at == revision and self._vms.get(vm.key) is vm:
                change()

        self._after(seconds, finish)

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(self.stage.clock.latency(seconds), act)

    def _record(self, operation: str, vm: Vm, note: str) -> None:
        self.stage.ledger.append("azure", operation, changed=(vm.vm_id, vm.name), note=note)


def _rendered(vm: Vm, kind: Kind) -> str:
    match kind:
        case "vms":
            return json.dumps(render.vm(vm))
        case "statuses":
            return json.dumps(render.vm_status(vm))
        case "nics":
            return ",".join(json.dumps(nic) for nic in render.nics(vm))
    assert_never(kind)


def _hidden(vm: Vm) -> bool:
    """Members of uniform scale sets are no resources of the type virtualMachines."""
    return vm.scale_set is not None and vm.scale_set.uniform
