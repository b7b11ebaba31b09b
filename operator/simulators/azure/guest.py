"""The inside of one VM: what Azure's managed run-command does there, done for real.

The Azure world makes a `Guest` for every VM and calls `run` for every run-command that starts. A Linux script is run
by bash in the VM's own namespaces (`guest_sandbox`), the way the handler on a VM does it: from a file, parameters as
environment variables (Azure/run-command-handler-linux, internal/exec/exec.go). A Windows script is not run by anything
here; `guest_windows` does in Python what it says.

Inside, /etc/microseg-world/guest.json tells the PCE world's own pair.sh what a VEN would find out about the VM:
`{"hostname", "os", "interfaces": [{"name", "address", "cidr_block"}]}`.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import re
import shutil
import uuid
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simulators.azure import guest_sandbox, guest_windows
from simulators.azure.guest_metadata import MetadataService

System = Literal["Linux", "Windows"]

RUNS_AT_ONCE = 24
"""Scripts that run at the same time in one process, all VMs together; the others wait their turn."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_METADATA_HOST = "169.254.169.254:80"
_TRUST_STORES = ("ssl/certs/ca-certificates.crt", "pki/tls/certs/ca-bundle.crt", "ssl/cert.pem")
_PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MACHINE = re.compile(r"[a-z0-9_]{1,16}")
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
_PREFIX = {4: 24, 6: 64}
_slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class GuestResult:
    """What a run left behind: the last 64 KiB of each stream. Minus a signal's number where a signal ended it."""

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool = False


class Guest:
    """One VM's inside, in one folder that outlives its runs. A re-created VM is a new Guest in a new folder.

    `addresses` are the private ones, each with or without a prefix length ("10.0.0.4", "10.0.0.4/26"); they and
    `hostname` may be replaced between runs. Raises ValueError for a folder or host name with unusual characters.
    """

    def __init__(
        self, *, vm_id: str, hostname: str, os: System, addresses: Sequence[str], folder: Path, ca_file: Path
    ) -> None:
        if not _HOSTNAME.fullmatch(hostname):
            message = f"not a host name: {hostname!r}"
            raise ValueError(message)
        self.vm_id = str(uuid.UUID(vm_id))
        self.hostname = hostname
        self.os: System = os
        self.addresses = tuple(addresses)
        self.folder = folder.resolve()
        self.metadata_answers = True
        """Whether the instance metadata service can be reached from inside; else only the firmware tells the vmId."""
        self._ca_file = ca_file
        self._metadata = MetadataService(self.vm_id)
        self._lay_out()

    async def run(self, script: str, parameters: Mapping[str, str], timeout: float) -> GuestResult:  # noqa: ASYNC109 - as Azure names it
        """Run a script with named parameters, for at most `timeout` seconds from when its turn comes.

        May run several at once, as Azure does. Cancelling it kills the script, as deleting a run-command does.
        Raises SandboxUnavailableError where this machine cannot run guests, ValueError for a parameter's odd name.
        """
        for name in parameters:
            if not _PARAMETER_NAME.fullmatch(name):
                message = f"not a parameter's name: {name!r}"
                raise ValueError(message)
        async with _slot():
            port = await self._metadata.open()
            try:
                self._refresh(port)
                match self.os:
                    case "Linux":
                        return await self._run_linux(script, parameters, timeout)
                    case "Windows":
                        return await self._run_windows(script, parameters, timeout)
            finally:
                await self._metadata.close()

    def preload_paired(self, workload_uuid: str, org_id: int, pce: str) -> None:
        """Leave the files of a VEN that is paired with the PCE `pce` ("host:port")."""
        guest_windows.write_ven(self.folder, workload_uuid, org_id, pce)

    def forget_ven(self, workload_uuid: str) -> bool:
        """The VEN of that workload was uninstalled: remove its files; whether there was one."""
        return guest_windows.remove_ven(self.folder, workload_uuid)

    def pretend_machine(self, machine: str) -> None:
        """Let `uname -m` in a Linux VM say something else, until it is re-imaged. ValueError: not a machine's name."""
        if not _MACHINE.fullmatch(machine):
            message = f"not a machine's name: {machine!r}"
            raise ValueError(message)
        text = f'#!/bin/sh\n[ "$1" = -m ] && echo {machine} || echo Linux\n'
        _write(self.folder / "uname", text.encode(), 0o755)
        guest_sandbox.cover(self.folder, self.folder / "uname", "uname")

    def wipe(self) -> None:
        """The VM was re-imaged: the same VM with nothing on its disk."""
        for name in (*guest_sandbox.COVERED, "etc"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self._lay_out()

    async def _run_linux(self, script: str, parameters: Mapping[str, str], seconds: float) -> GuestResult:
        content = script.encode()
        name = f"run-command-{hashlib.sha256(content).hexdigest()[:12]}.sh"
        _write(self.folder / "root" / name, content, 0o500)
        environment = {"PATH": _PATH, "HOME": "/root", "LANG": "C.UTF-8"}
        environment |= {key: value for key, value in parameters.items() if value}
        ended = await self._execute(("/bin/bash", "-c", f"/root/{name}"), environment, seconds)
        return GuestResult(ended.exit_code, ended.stdout, ended.stderr, ended.timed_out)

    async def _run_windows(self, script: str, parameters: Mapping[str, str], seconds: float) -> GuestResult:
        async def pair(arguments: Sequence[str]) -> guest_sandbox.Ended:
            return await self._execute(("/bin/bash", *arguments), {"PATH": _PATH, "HOME": "/root"}, seconds)

        stand_in = guest_windows.StandIn(vm_id=self.vm_id, folder=self.folder, ca_file=self._ca_file, pair=pair)
        try:
            exit_code, stdout, stderr = await asyncio.wait_for(stand_in.run(script, parameters), seconds)
        except TimeoutError:
            return GuestResult(-9, "", "", timed_out=True)
        return GuestResult(exit_code, stdout, stderr)

    async def _execute(
        self, command: Sequence[str], environment: Mapping[str, str], seconds: float
    ) -> guest_sandbox.Ended:
        return await guest_sandbox.execute(self.folder, self.hostname, command, environment, seconds)

    def _lay_out(self) -> None:
        guest_sandbox.lay_out(self.folder)
        authority = self._ca_file.read_bytes()
        for store in _TRUST_STORES:
            _write(self.folder / "etc" / store, authority, 0o644)
        _write(self.folder / "sys" / "dmi" / "id" / "product_uuid", f"{self.vm_id}\n".encode(), 0o400)

    def _refresh(self, metadata_port: int) -> None:
        """Bring the files up to date that say what may have changed since the last run."""
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


def _slot() -> asyncio.Semaphore:
    loop = asyncio.get_running_loop()
    if loop not in _slots:
        _slots[loop] = asyncio.Semaphore(RUNS_AT_ONCE)
    return _slots[loop]


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replace the file at once where its content differs."""
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    fresh.write_bytes(content)
    fresh.chmod(mode)
    fresh.replace(path)
