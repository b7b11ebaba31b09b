"""Guest operating systems that execute nothing, so that fleets of 10,000 VMs can be paired on two cores.

`--guests fast` uses them instead of `simulators.azure.guests`. They do NOT run the script of a run-command: they read
its parameters, do in Python what the script would do, activate the VM in the PCE simulator of the same process (which
takes the vendor's pairing time), and print the script's result line. Mistakes in the script are therefore invisible
here, and faults for `software.image` and `agents.activate` have no effect (those of `POST /illumio/pairing` have).
Tests of scripts need `--guests bash`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from simulators.azure.execution import Execution
from simulators.azure.guest import GuestResult
from simulators.azure.guest_windows import exit_code
from simulators.azure.handler import SIGNALLED
from simulators.azure.machine import Vm
from simulators.illumio.bodies import Guest as Machine
from simulators.illumio.bodies import InterfaceBody
from simulators.illumio.errors import PceError
from simulators.illumio.pairing import PairingFault
from simulators.illumio.world import World

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
    """The guest of one VM: whether it has a VEN, and whose. A re-created VM has a new guest."""

    __slots__ = ("hidden", "machine", "metadata_answers", "pairing", "ven", "vm_id")

    def __init__(self, vm_id: str) -> None:
        self.vm_id = vm_id
        self.ven: _Ven | None = None
        self.pairing: asyncio.Task[_End] | None = None
        self.machine = _MACHINES[0]
        self.hidden: set[str] = set()
        self.metadata_answers = True

    def preload_paired(self, workload_uuid: str, org_id: int, pce: str) -> None:
        """Make it paired with the PCE `pce` ("host:port")."""
        self.ven = _Ven(workload_uuid, org_id, pce)

    def pretend_machine(self, machine: str) -> None:
        """Make it report another machine type, until it is re-imaged."""
        self.machine = machine

    def hide_program(self, program: str) -> None:
        """Take a program away, until it is re-imaged."""
        self.hidden.add(program)

    def wipe(self) -> None:
        """Forget everything: the VM was re-imaged."""
        self.hidden.clear()
        self.ven, self.machine = None, _MACHINES[0]


class FastGuests:
    """Emulates the scripts of all VMs against one PCE; see `simulators.azure.handler.ScriptRunner`."""

    def __init__(self, pce: World) -> None:
        self._pce = pce
        self._guests: dict[str, FastGuest] = {}

    def guest_of(self, vm: Vm) -> FastGuest:
        """Return the guest of a VM."""
        guest = self._guests.get(vm.vm_id)
        if guest is None:
            guest = self._guests[vm.vm_id] = FastGuest(vm.vm_id)
        return guest

    def workload_of(self, vm: Vm) -> str:
        """Return the uuid of the workload whose VEN is in the VM; empty: none."""
        guest = self._guests.get(vm.vm_id)
        return guest.ven.workload if guest is not None and guest.ven is not None else ""

    def forget_ven(self, hostname: str, workload_uuid: str) -> None:  # noqa: ARG002 - the other guests go by it
        """Remove the VEN of an unpaired workload from its VM."""
        for guest in self._guests.values():
            if guest.ven is not None and guest.ven.workload == workload_uuid:
                guest.ven = None
                return

    async def run(self, vm: Vm, execution: Execution) -> GuestResult:
        """Do what the operator's script would do with these parameters; the script itself is ignored.

        When its time is over, or it is killed, the pairing goes on, as on a VM.
        """
        guest, parameters = self.guest_of(vm), execution.environment
        if guest.pairing is not None and not guest.pairing.done():
            return _printed(_End("busy"), parameters)
        loop = asyncio.get_running_loop()
        pairing = guest.pairing = loop.create_task(self._perform(vm, guest, parameters))
        killed = loop.create_task(execution.killed.wait())
        try:
            await asyncio.wait((pairing, killed), timeout=execution.timeout, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pairing.cancel()
            raise
        finally:
            killed.cancel()
        if pairing.done():
            return _printed(pairing.result(), parameters)
        return GuestResult(SIGNALLED, "", "", timed_out=not execution.killed.is_set())

    def power_off(self, vm: Vm) -> None:
        """End what runs in a VM."""
        guest = self._guests.get(vm.vm_id)
        if guest is not None and guest.pairing is not None:
            guest.pairing.cancel()

    def close(self) -> None:
        """End what runs in all VMs."""
        for guest in self._guests.values():
            if guest.pairing is not None:
                guest.pairing.cancel()

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
        if guest.machine not in _MACHINES or "curl" in guest.hidden:
            return _End("unsupported-os", 623 if guest.machine in _MACHINES else 622)
        key = parameters.get("MICROSEG_ACTIVATION_CODE", "")
        if not key:
            return _End("script-failed", 602)
        if pce != self._pce.context.host:
            return _End("pce-unreachable", _NO_ROUTE)
        return await self._pair(vm, guest, key)

    async def _pair(self, vm: Vm, guest: FastGuest, key: str) -> _End:
        pce, started = self._pce, time.perf_counter()
        fault = pce.pairing.take_fault(vm.computer_name)
        if fault is not None:
            return await _failed(fault)
        machine = Machine(activation_code=key, hostname=vm.computer_name, os=vm.os.lower(), interfaces=_interfaces(vm))
        try:
            profile = pce.pairing.admit(machine)
        except PceError as error:
            self._record(vm, error.status, started, "")
            return _End("key-refused", _REFUSED)
        await pce.context.environment.clock.sleep(pce.traits.pairing_seconds)
        workload = pce.pairing.enrol(machine, profile)
        self._record(vm, 201, started, workload.uuid)
        guest.ven = _Ven(workload.uuid, pce.org_id, pce.context.host)
        return _End("paired", ven=guest.ven)

    def _record(self, vm: Vm, status: int, started: float, workload: str) -> None:
        """Add the ledger entry that a VEN's request would add."""
        self._pce.context.environment.ledger.append(
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
    return GuestResult(exit_code(end.outcome), line, "")
