"""The insides of VMs where nothing is executed, so that fleets of ten thousand can be paired on two cores.

`--guests fast` uses them instead of `simulators.azure.guests`. They do NOT run the script that a run-command brings:
they read its parameters, do in Python what the script would have found out and done, activate the VM in the PCE's world
in the same process (which takes the vendor's pairing time), and print the script's result line. What the script itself
does wrong is therefore never seen here; faults ordered for `software.image` and `agents.activate` are not met either,
those of `POST /illumio/pairing` are. Anything about scripts is judged with `--guests bash`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from simulators.azure.guest import GuestResult
from simulators.azure.machine import Vm
from simulators.illumio.bodies import Guest as Machine
from simulators.illumio.bodies import InterfaceBody
from simulators.illumio.errors import PceError
from simulators.illumio.pairing import PairingFault
from simulators.illumio.world import World

_EXIT_CODES = {
    "paired": 0,
    "already-paired": 0,
    "not-paired": 0,
    "wrong-vm": 10,
    "too-late": 11,
    "busy": 12,
    "paired-elsewhere": 13,
    "key-refused": 14,
    "pce-unreachable": 15,
    "unsupported-os": 16,
}
_FAILED = 17
_PREFIX = 24
_REFUSED, _NO_ROUTE, _UNAVAILABLE = 1, 6, 22
_MACHINES = ("x86_64", "aarch64")


@dataclass(frozen=True, slots=True)
class _Ven:
    workload: str
    org: int
    pce: str


@dataclass(frozen=True, slots=True)
class _End:
    outcome: str
    code: int = 0
    ven: _Ven | None = None


class FastGuest:
    """One VM's inside: whether it has a VEN, and whose. A re-created VM is a new one."""

    __slots__ = ("busy", "machine", "metadata_answers", "ven", "vm_id")

    def __init__(self, vm_id: str) -> None:
        self.vm_id = vm_id
        self.ven: _Ven | None = None
        self.busy = False
        self.machine = _MACHINES[0]
        self.metadata_answers = True

    def preload_paired(self, workload_uuid: str, org_id: int, pce: str) -> None:
        """Let it be paired with the PCE `pce` ("host:port")."""
        self.ven = _Ven(workload_uuid, org_id, pce)

    def pretend_machine(self, machine: str) -> None:
        """Let it be another kind of machine, until it is re-imaged."""
        self.machine = machine

    def wipe(self) -> None:
        """The VM was re-imaged."""
        self.ven, self.machine = None, _MACHINES[0]


class FastGuests:
    """Plays the scripts of all VMs against one PCE; see `simulators.azure.commands.Runner`."""

    def __init__(self, pce: World) -> None:
        self._pce = pce
        self._guests: dict[str, FastGuest] = {}

    def inside(self, vm: Vm) -> FastGuest:
        """The VM's inside."""
        guest = self._guests.get(vm.vm_id)
        if guest is None:
            guest = self._guests[vm.vm_id] = FastGuest(vm.vm_id)
        return guest

    def forget_ven(self, hostname: str, workload_uuid: str) -> None:  # noqa: ARG002 - the other guests go by it
        """A workload was unpaired: its VM has no VEN any more."""
        for guest in self._guests.values():
            if guest.ven is not None and guest.ven.workload == workload_uuid:
                guest.ven = None
                return

    async def run(self, vm: Vm, script: str, parameters: dict[str, str], timeout: float) -> GuestResult:  # noqa: ARG002, ASYNC109
        """Do what the operator's script would do with these parameters; the script is not looked at."""
        guest = self.inside(vm)
        if guest.busy:
            return _printed(_End("busy"), parameters)
        guest.busy = True
        try:
            end = await asyncio.wait_for(self._perform(vm, guest, parameters), timeout)
        except TimeoutError:
            return GuestResult(-9, "", "", timed_out=True)
        finally:
            guest.busy = False
        return _printed(end, parameters)

    async def _perform(self, vm: Vm, guest: FastGuest, parameters: Mapping[str, str]) -> _End:
        if parameters.get("MICROSEG_VM_ID", "").lower() != vm.vm_id:
            return _End("wrong-vm", 611)
        if time.time() >= int(parameters.get("MICROSEG_NOT_AFTER", "0")):
            return _End("too-late")
        pce = parameters.get("MICROSEG_PCE", "")
        if guest.ven is not None:
            same = guest.ven.pce.lower() == pce.lower()
            return _End("already-paired", ven=guest.ven) if same else _End("paired-elsewhere")
        if parameters.get("MICROSEG_MODE") != "install":
            return _End("not-paired")
        if guest.machine not in _MACHINES:
            return _End("unsupported-os", 622)
        key = parameters.get("MICROSEG_ACTIVATION_CODE", "")
        if not key:
            return _End("script-failed", 602)
        if pce != self._pce.context.host:
            return _End("pce-unreachable", _NO_ROUTE)
        return await self._pair(vm, guest, key)

    async def _pair(self, vm: Vm, guest: FastGuest, key: str) -> _End:
        pce, started = self._pce, time.perf_counter()
        fault = pce.pairing.meet(vm.computer_name)
        if fault is not None:
            return await _failed(fault)
        machine = Machine(activation_code=key, hostname=vm.computer_name, os=vm.os.lower(), interfaces=_interfaces(vm))
        try:
            profile = pce.pairing.admit(machine)
        except PceError as error:
            self._record(vm, error.status, started, "")
            return _End("key-refused", _REFUSED)
        await pce.context.stage.clock.sleep(pce.traits.pairing_seconds)
        workload = pce.pairing.enrol(machine, profile)
        self._record(vm, 201, started, workload.uuid)
        guest.ven = _Ven(workload.uuid, pce.org_id, pce.context.host)
        return _End("paired", ven=guest.ven)

    def _record(self, vm: Vm, status: int, started: float, workload: str) -> None:
        """Leave in the ledger what a VEN's request would have left."""
        self._pce.context.stage.ledger.append(
            "illumio",
            "agents.activate",
            who=vm.computer_name,
            status=status,
            seconds=time.perf_counter() - started,
            changed=(workload,) if workload else (),
            note="fast guest: in process",
        )


def _interfaces(vm: Vm) -> list[InterfaceBody]:
    addresses = [address for nic in vm.nics for address in nic.addresses]
    return [
        InterfaceBody(name=f"eth{number}", address=address.ip, cidr_block=_PREFIX if address.version == "IPv4" else 64)
        for number, address in enumerate(addresses)
    ]


async def _failed(fault: PairingFault) -> _End:
    match fault.how:
        case "refuse":
            return _End("key-refused", _REFUSED)
        case "error" | "html":
            return _End("pce-unreachable", _UNAVAILABLE)
        case "hang":
            await asyncio.sleep(fault.seconds)
            return _End("pce-unreachable", _UNAVAILABLE)


def _printed(end: _End, parameters: Mapping[str, str]) -> GuestResult:
    workload, org = (end.ven.workload, str(end.ven.org)) if end.ven else ("-", "-")
    line = (
        f"microseg-result v1 nonce={parameters.get('MICROSEG_NONCE', '-')} outcome={end.outcome} code={end.code} "
        f"workload={workload} org={org}\n"
    )
    return GuestResult(_EXIT_CODES.get(end.outcome, _FAILED), line, "")
