"""The guests of all VMs: one `Guest` per VM for run-commands, and control routes that change guests.

`simulators.__main__` passes it to `create` as the runner; tests that need no real scripts pass their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from aiohttp import web

from simulators.azure import guest_sandbox, guest_windows, incidents
from simulators.azure.execution import Execution
from simulators.azure.guest import Guest, GuestResult
from simulators.azure.machine import Vm
from simulators.azure.world import World
from simulators.control import read_object


class ControllableGuest(Protocol):
    """A guest, as far as the control port changes it."""

    vm_id: str
    metadata_answers: bool

    def wipe(self) -> None: ...  # noqa: D102
    def pretend_machine(self, machine: str) -> None: ...  # noqa: D102
    def hide_program(self, program: str) -> None: ...  # noqa: D102
    def preload_paired(self, workload_uuid: str, org_id: int, pce: str) -> None: ...  # noqa: D102


class GuestProvider(Protocol):
    """Returns the guest of a VM."""

    def guest_of(self, vm: Vm) -> ControllableGuest: ...  # noqa: D102


class Guests:
    """Makes a VM's guest on first use, in a folder with the vmId as its name: a re-created VM has a new guest."""

    def __init__(self, folder: Path, ca_file: Path) -> None:
        self._folder = folder
        self._ca_file = ca_file
        self._guests: dict[str, Guest] = {}

    async def run(self, vm: Vm, execution: Execution) -> GuestResult:
        """Run a script inside a VM (see `simulators.azure.handler.ScriptRunner`)."""
        return await self.guest_of(vm).run(execution)

    def power_off(self, vm: Vm) -> None:
        """Kill everything that runs inside a VM."""
        if vm.vm_id in self._guests:
            self._guests[vm.vm_id].power_off()

    def close(self) -> None:
        """Kill everything that runs inside all VMs."""
        guest_sandbox.kill_all(self._folder)

    def guest_of(self, vm: Vm) -> Guest:
        """Return the VM's guest, with the VM's current name and addresses."""
        addresses = [address.ip for nic in vm.nics for address in nic.addresses]
        guest = self._guests.get(vm.vm_id)
        if guest is None:
            guest = self._guests[vm.vm_id] = Guest(
                vm_id=vm.vm_id,
                hostname=vm.computer_name,
                os=vm.os,
                addresses=addresses,
                folder=self._folder / vm.vm_id,
                ca_file=self._ca_file,
            )
        guest.addresses, guest.hostname = tuple(addresses), vm.computer_name
        return guest

    def workload_of(self, vm: Vm) -> str:
        """Return the uuid of the workload whose VEN is in the VM; empty: none."""
        return guest_windows.workload_of(self._folder / vm.vm_id)

    def forget_ven(self, hostname: str, workload_uuid: str) -> None:
        """Remove the VEN of an unpaired workload from its VM."""
        for guest in self._guests.values():
            if guest.hostname.lower() == hostname.lower() and guest.forget_ven(workload_uuid):
                return


def add_guest_control(router: web.UrlDispatcher, world: World, guests: GuestProvider) -> None:
    """Add `POST /azure/vms/{name}/guest`.

    Its body may have `paired: {workload, orgId, pce}` (write a paired VEN), `wipe: true` (fresh disk), `machine` (what
    `uname -m` prints), `without: [program]` (as on a minimal image), and `metadataAnswers: bool` (whether the instance
    metadata service is reachable).
    """

    async def change(request: web.Request) -> web.Response:
        guest, body = guests.guest_of(world.named(request.match_info["name"])), await read_object(request)
        if body.get("wipe"):
            incidents.replace_disk(world, world.named(request.match_info["name"]))
            guest.wipe()
        if "metadataAnswers" in body:
            guest.metadata_answers = bool(body["metadataAnswers"])
        if "machine" in body:
            guest.pretend_machine(str(body["machine"]))
        for program in _names(body.get("without")):
            guest.hide_program(str(program))
        paired = body.get("paired")
        if isinstance(paired, dict):
            guest.preload_paired(str(paired["workload"]), int(paired["orgId"]), str(paired["pce"]))
        return web.json_response({"vmId": guest.vm_id})

    router.add_post("/azure/vms/{name}/guest", change)


def _names(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []
