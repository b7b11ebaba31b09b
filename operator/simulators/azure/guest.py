"""The guest operating system of one VM: it really runs the script of a managed run-command.

`guests.Guests` makes a `Guest` per VM and calls `run` for every run-command. bash runs a Linux script in the VM's own
namespaces (`guest_sandbox`), as the handler on a VM does (Azure/run-command-handler-linux, internal/exec/exec.go and
internal/files/files.go): from a file without repairs, in its folder, with named parameters as environment variables and
nameless ones behind the file's name, without HOME and USER. A Windows script is not executed; `guest_windows` does in
Python what it says.

Inside, /etc/microseg-world/guest.json gives the PCE simulator's own pair.sh what a VEN would find out about the VM:
`{"hostname", "os", "interfaces": [{"name", "address", "cidr_block"}]}`.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import os
import re
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from simulators.azure import guest_sandbox, guest_windows
from simulators.azure.execution import Execution
from simulators.azure.guest_metadata import MetadataService
from simulators.azure.handler import ENDS, OUTPUT_LIMIT, SIGNALLED, tail

System = Literal["Linux", "Windows"]

RUNS_AT_ONCE = 24
"""Scripts that run in parallel in one process, over all VMs; the others wait."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_METADATA_HOST = "169.254.169.254:80"
_TRUST_STORES = ("ssl/certs/ca-certificates.crt", "pki/tls/certs/ca-bundle.crt", "ssl/cert.pem")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_MACHINE = re.compile(r"[a-z0-9_]{1,16}")
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
_PREFIX = {4: 24, 6: 64}
_slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class GuestResult:
    """A script's result: see `execution.ScriptResult`."""

    exit_code: int
    stdout: str
    stderr: str
    failure: str = ""
    timed_out: bool = False


class Guest:
    """The guest of one VM, in a folder that outlives its runs. A re-created VM has a new guest and folder.

    `addresses` are the private ones, each with or without a prefix length ("10.0.0.4", "10.0.0.4/26"); they and
    `hostname` may change between runs. Raises ValueError for a folder or host name with unusual characters.
    """

    def __init__(
        self, *, vm_id: str, hostname: str, os: System, addresses: Sequence[str], folder: Path, ca_file: Path
    ) -> None:
        if not _HOSTNAME.fullmatch(hostname):
            message = f"invalid host name: {hostname!r}"
            raise ValueError(message)
        self.vm_id = str(uuid.UUID(vm_id))
        self.hostname = hostname
        self.os: System = os
        self.addresses = tuple(addresses)
        self.folder = folder.resolve()
        self.metadata_answers = True
        """Whether the instance metadata service is reachable from inside; if not, only the firmware has the vmId."""
        self._ca_file = ca_file
        self._metadata = MetadataService(self.vm_id)
        self._lay_out()

    async def run(self, execution: Execution) -> GuestResult:
        """Run a script until its own process ends. What it started lives on, until `power_off`.

        Several may run at once, as in Azure. On cancellation everything that runs in this VM is killed.
        Raises SandboxUnavailableError if this machine cannot run guests, ValueError for a name that is no folder's.
        """
        if not _NAME.fullmatch(execution.name):
            message = f"invalid name of a run-command: {execution.name!r}"
            raise ValueError(message)
        async with _slot():
            port = await self._metadata.open()
            try:
                self.write_facts(port)
                match self.os:
                    case "Linux":
                        return await self._run_linux(execution)
                    case "Windows":
                        return await self._run_windows(execution)
            finally:
                await self._metadata.close()

    def power_off(self) -> None:
        """Kill everything that runs in this VM."""
        guest_sandbox.kill_all(self.folder)

    def preload_paired(self, workload_uuid: str, org_id: int, pce: str) -> None:
        """Write the files of a VEN that is paired with the PCE `pce` ("host:port")."""
        guest_windows.write_ven(self.folder, workload_uuid, org_id, pce)

    def forget_ven(self, workload_uuid: str) -> bool:
        """Remove the files of that workload's VEN; return whether there was one."""
        return guest_windows.remove_ven(self.folder, workload_uuid)

    def pretend_machine(self, machine: str) -> None:
        """Make `uname -m` in a Linux VM print `machine`, until it is re-imaged. ValueError: invalid name."""
        if not _MACHINE.fullmatch(machine):
            message = f"invalid machine type: {machine!r}"
            raise ValueError(message)
        text = f'#!/bin/sh\n[ "$1" = -m ] && echo {machine} || echo Linux\n'
        _write(self.folder / "uname", text.encode(), 0o755)
        guest_sandbox.cover(self.folder, self.folder / "uname", "uname")

    def hide_program(self, program: str) -> None:
        """Take a program away from a Linux VM, until it is re-imaged: minimal images lack curl. ValueError: no name."""
        if not _MACHINE.fullmatch(program):
            message = f"invalid program: {program!r}"
            raise ValueError(message)
        guest_sandbox.hide(self.folder, program)

    def wipe(self) -> None:
        """Empty the disk: the same VM was re-imaged."""
        for name in (*guest_sandbox.COVERED, "etc", "hidden"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self._lay_out()

    async def _run_linux(self, execution: Execution) -> GuestResult:
        place = f"run-command-handler/download/{execution.name}/{execution.sequence}"
        folder, inside = self.folder / "waagent" / place, f"{guest_sandbox.AGENT}/{place}"
        _write(folder / "script.sh", execution.script.encode(), 0o500)
        command = " ".join((f"{inside}/script.sh", *execution.arguments))
        environment = {
            "PATH": _PATH,
            "LANG": "C.UTF-8",
            "ConfigExtensionName": execution.name,
            "ConfigSequenceNumber": str(execution.sequence),
            **execution.environment,
        }
        with (folder / "stdout").open("w+b") as stdout, (folder / "stderr").open("w+b") as stderr:
            shell = ("/bin/bash", "-c", command)
            program = guest_sandbox.Program(shell, environment, inside, stdout, stderr, ignored="HUP INT")
            try:
                exit_code, timed_out = await self._follow(program, execution)
            except OSError as error:
                if error.errno != errno.E2BIG:
                    raise
                return GuestResult(0, "", "", failure=ENDS["arguments-too-long"].failure)
            return GuestResult(exit_code, _tail(stdout), _tail(stderr), timed_out=timed_out)

    async def _follow(self, program: guest_sandbox.Program, execution: Execution) -> tuple[int, bool]:
        """Run a program to its end, and show its output so far; return the exit code and whether its time was over."""
        loop = asyncio.get_running_loop()
        async with guest_sandbox.started(self.folder, self.hostname, program) as process:
            over = loop.time() + execution.timeout
            ended, killed = (loop.create_task(each) for each in (process.wait(), execution.killed.wait()))
            try:
                while not ended.done() and not killed.done() and loop.time() < over:
                    patience = min(execution.partial, max(over - loop.time(), 0.0))
                    await asyncio.wait((ended, killed), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                    if not ended.done():
                        execution.show(_tail(program.stdout), _tail(program.stderr))
                timed_out = not ended.done() and not killed.done()
                guest_sandbox.kill(process)
                exit_code = await ended
            finally:
                ended.cancel()
                killed.cancel()
        return max(exit_code, SIGNALLED), timed_out

    async def _run_windows(self, execution: Execution) -> GuestResult:
        async def pair(arguments: Sequence[str]) -> guest_windows.Paired:
            with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
                command = ("/bin/bash", *arguments)
                program = guest_sandbox.Program(command, {"PATH": _PATH, "HOME": "/root"}, "/", stdout, stderr)
                exit_code, _ = await self._follow(program, execution)
                return guest_windows.Paired(exit_code, _tail(stdout) + _tail(stderr))

        emulator = guest_windows.WindowsScriptEmulator(
            vm_id=self.vm_id, folder=self.folder, ca_file=self._ca_file, pair=pair
        )
        work = emulator.run(execution.script, execution.environment)
        try:
            exit_code, stdout, stderr = await asyncio.wait_for(work, execution.timeout)
        except TimeoutError:
            return GuestResult(SIGNALLED, "", "", timed_out=True)
        return GuestResult(exit_code, stdout, stderr)

    def _lay_out(self) -> None:
        guest_sandbox.lay_out(self.folder)
        authority = self._ca_file.read_bytes()
        for store in _TRUST_STORES:
            _write(self.folder / "etc" / store, authority, 0o644)
        _write(self.folder / "sys" / "dmi" / "id" / "product_uuid", f"{self.vm_id}\n".encode(), 0o400)

    def write_facts(self, metadata_port: int) -> None:
        """Write the files with facts that may have changed since the last run. `metadata_port`: on loopback."""
        facts = {"hostname": self.hostname, "os": self.os, "interfaces": self._interfaces()}
        _write(self.folder / "etc" / "microseg-world" / "guest.json", json.dumps(facts).encode(), 0o644)
        target = f"127.0.0.1:{metadata_port}" if self.metadata_answers else "127.0.0.1:1"
        config = f'cacert = "/etc/{_TRUST_STORES[0]}"\nconnect-to = "{_METADATA_HOST}:{target}"\n'
        _write(self.folder / "root" / ".curlrc", config.encode(), 0o600)

    def _interfaces(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        for number, text in enumerate(self.addresses):
            address = ipaddress.ip_address(text.partition("/")[0])
            length = int(text.partition("/")[2] or _PREFIX[address.version])
            name = f"eth{number}" if self.os == "Linux" else f"Ethernet {number + 1}"
            found.append({"name": name, "address": str(address), "cidr_block": length})
        return found


def _tail(file: IO[bytes]) -> str:
    size = os.fstat(file.fileno()).st_size
    return tail(os.pread(file.fileno(), OUTPUT_LIMIT, max(size - OUTPUT_LIMIT, 0)))


def _slot() -> asyncio.Semaphore:
    loop = asyncio.get_running_loop()
    if loop not in _slots:
        _slots[loop] = asyncio.Semaphore(RUNS_AT_ONCE)
    return _slots[loop]


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replace the file atomically if its content differs."""
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    fresh.write_bytes(content)
    fresh.chmod(mode)
    fresh.replace(path)
