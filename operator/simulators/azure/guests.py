"""The insides of all VMs: gives the run-command desk one `Guest` a VM, and the control port a hand in it.

`simulators.__main__` makes it and passes it to `create` as the runner; tests that need no real scripts pass their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from aiohttp import web

from simulators.azure.guest import Guest, GuestResult
from simulators.azure.machine import Vm
from simulators.azure.world import World
from simulators.control import read_object


class Inside(Protocol):
    """A VM's inside, as far as people on the control port have a hand in it."""

    vm_id: str
    metadata_answers: bool

    def wipe(self) -> None: ...  # noqa: D102
    def pretend_machine(self, machine: str) -> None: ...  # noqa: D102
    def preload_paired(self, workload_uuid: str, org_id: int, pce: str) -> None: ...  # noqa: D102


class Insides(Protocol):
    """Knows the inside of every VM."""

    def inside(self, vm: Vm) -> Inside: ...  # noqa: D102


class Guests:
    """Makes a VM's inside when it is first needed, in a folder named by its vmId: a re-created VM has a new one."""

    def __init__(self, folder: Path, ca_file: Path) -> None:
        self._folder = folder
        self._ca_file = ca_file
        self._guests: dict[str, Guest] = {}

    async def run(self, vm: Vm, script: str, parameters: dict[str, str], timeout: float) -> GuestResult:  # noqa: ASYNC109
        """Run a script inside a VM (see `simulators.azure.commands.Runner`)."""
        return await self.inside(vm).run(script, parameters, timeout)

    def inside(self, vm: Vm) -> Guest:
        """The VM's inside, told its present name and addresses."""
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

    def forget_ven(self, hostname: str, workload_uuid: str) -> None:
        """A workload was unpaired: remove its VEN from the VM that has it."""
        for guest in self._guests.values():
            if guest.hostname.lower() == hostname.lower() and guest.forget_ven(workload_uuid):
                return


def add_guest_control(router: web.UrlDispatcher, world: World, guests: Insides) -> None:
    """Add `POST /azure/vms/{name}/guest`.

    Its body may have `paired: {workload, orgId, pce}` (leave a paired VEN), `wipe: true` (re-image), `machine` (what
    `uname -m` says) and `metadataAnswers: bool` (whether the instance metadata service can be reached).
    """

    async def change(request: web.Request) -> web.Response:
        guest, body = guests.inside(world.named(request.match_info["name"])), await read_object(request)
        if body.get("wipe"):
            guest.wipe()
        if "metadataAnswers" in body:
            guest.metadata_answers = bool(body["metadataAnswers"])
        if "machine" in body:
            guest.pretend_machine(str(body["machine"]))
        paired = body.get("paired")
        if isinstance(paired, dict):
            guest.preload_paired(str(paired["workload"]), int(paired["orgId"]), str(paired["pce"]))
        return web.json_response({"vmId": guest.vm_id})

    router.add_post("/azure/vms/{name}/guest", change)
