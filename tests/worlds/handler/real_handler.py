"""The real handler, Azure/run-command-handler-linux, in a VM of the sandbox, started as the VM's agent starts it.

The agent's part is that of Azure/WALinuxAgent a976115, azurelinuxagent/ga/exthandlers.py: `launch_command` (environment
and folder), `update_settings`, `create_handler_env`, `__remove_extension_state_files`, `handle_enable` and
`_update_extension_handler_and_return_if_failed`. Everything happens in mount namespaces of its own, which cover
/var/lib/waagent and /var/log. Nothing of the handler is in this tree: docs/worlds.md says how to build it.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import shutil
import signal
import tempfile
import uuid
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from tests.worlds.guest.conftest import Pce

from simulators.azure import guest_sandbox
from simulators.azure.guest import Guest

from .machine import NOTHING, Parameters, View, until

_NAME = "Microsoft.CPlat.Core.RunCommandHandlerLinux"
_VERSIONS = ("1.3.28", "1.3.29")
_THUMBPRINT = "A" * 40
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class RealMachine:
    """See `machine.Machine`. `binary`: run-command-handler, with run-command-shim beside it."""

    def __init__(self, folder: Path, authority: Path, pce: Pce, binary: Path) -> None:
        self.pce = pce
        self.vm_id = str(uuid.uuid4())
        self.folder = (folder / self.vm_id).resolve()
        self._authority = authority
        self._binary = binary
        self._version = _VERSIONS[0]
        self._orders: dict[str, dict[str, Any]] = {}
        self._sequences: dict[str, int] = {}
        self._lay_out()

    async def close(self) -> None:
        """Kill everything."""
        guest_sandbox.kill_all(self.folder)

    async def put(
        self, name: str, script: str, *, parameters: Parameters = (), protected: Parameters = (), seconds: int = 60
    ) -> None:
        self._sequences[name] = self._sequences.get(name, -1) + 1
        self._orders[name] = {
            "source": {"script": script},
            "parameters": [{"name": each, "value": value} for each, value in parameters],
            "protected": [{"name": each, "value": value} for each, value in protected],
            "timeoutInSeconds": seconds,
        }
        await self.repeat(name)

    async def repeat(self, name: str) -> None:
        self._write_settings(name)
        await self._launch("enable", name)

    async def delete(self, name: str) -> None:
        """As the agent: `disable`, then its own files of this run-command are removed; Azure counts from 0 again."""
        await self._launch("disable", name)
        for each in (*self._base.glob(f"config/{name}.*.settings"), *self._base.glob(f"status/{name}.*.status")):
            each.unlink()
        del self._orders[name], self._sequences[name]

    async def reboot(self) -> None:
        guest_sandbox.kill_all(self.folder)
        await self._start_agent()

    async def replace_handler(self) -> None:
        for pid in self._handlers():
            os.kill(pid, signal.SIGKILL)
        await until(lambda: not self._handlers(), "the handler's death")
        await self._start_agent()

    async def upgrade_handler(self) -> None:
        """As the agent: disable and uninstall the old one, update to the new one in between, enable everything."""
        old = {"AZURE_GUEST_AGENT_UPDATING_FROM_VERSION": self._version}
        for name in self._orders:
            await self._launch("disable", name)
        before, self._version = self._version, _VERSIONS[1]
        self._install()
        await self._launch("update", "", old | {"VERSION": self._version})
        self._version = before
        await self._launch("uninstall", "")
        shutil.rmtree(self._base)
        self._version = _VERSIONS[1]
        await self._launch("install", "")
        await self._start_agent()

    async def kill_scripts(self) -> None:
        for pid in self._scripts():
            os.kill(pid, signal.SIGKILL)

    async def replace_disk(self) -> None:
        guest_sandbox.kill_all(self.folder)
        shutil.rmtree(self.folder)
        self._lay_out()
        await self._start_agent()

    async def obstruct(self, why: str) -> None:
        place = f"{guest_sandbox.AGENT}/run-command-handler"
        match why:
            case "disk-full":
                self._mount(f"tmpfs {place} tmpfs size=16k 0 0")
            case "no-inodes":
                self._mount(f"tmpfs {place} tmpfs nr_inodes=1 0 0")
            case "no-number":
                (self._base / "one.mrseq").touch()
            case "no-exec":
                self._mount(f"{place} {place} none bind,noexec 0 0")
            case "no-certificate":
                for suffix in ("crt", "prv"):
                    (self.folder / "waagent" / f"{_THUMBPRINT}.{suffix}").unlink()
            case _:  # the other ends are the script's own
                pass

    def view(self, name: str) -> View:
        file = self._base / "status" / f"{name}.{self._sequences.get(name, 0)}.status"
        if not file.exists():
            return NOTHING
        shown = json.loads(json.loads(file.read_text())[0]["status"]["formattedMessage"]["message"])
        return View(
            shown["executionState"],
            shown["executionMessage"],
            shown["exitCode"],
            shown["output"],
            shown["error"],
            bool(shown["endTime"]),
        )

    @property
    def _base(self) -> Path:
        return self.folder / "waagent" / f"{_NAME}-{self._version}"

    def _lay_out(self) -> None:
        guest = Guest(
            vm_id=self.vm_id,
            hostname="web",
            os="Linux",
            addresses=["10.0.0.4"],
            folder=self.folder,
            ca_file=self._authority,
        )
        guest.write_facts(1)
        (self.folder / "log").mkdir()
        table = self.folder / "fstab"
        table.write_text(f"{self.folder}/log /var/log none bind 0 0\n{table.read_text()}")
        self._install()
        self._certificate = _make_certificate(self.folder / "waagent")

    def _install(self) -> None:
        for name in ("bin", "config", "status", "events"):
            (self._base / name).mkdir(parents=True)
        for program in (self._binary, self._binary.with_name("run-command-shim")):
            shutil.copy(program, self._base / "bin" / program.name)
            (self._base / "bin" / program.name).chmod(0o755)
        inside = f"{guest_sandbox.AGENT}/{_NAME}-{self._version}"
        folders = {
            "logFolder": "/var/log/azure",
            "configFolder": f"{inside}/config",
            "statusFolder": f"{inside}/status",
            "heartbeatFile": f"{inside}/heartbeat.log",
            "eventsFolder": f"{inside}/events",
            "eventsFolder_preview": f"{inside}/events",
        }
        described = [{"name": _NAME, "version": 1.0, "handlerEnvironment": folders}]
        (self._base / "HandlerEnvironment.json").write_text(json.dumps(described))

    def _mount(self, line: str) -> None:
        """Add a mount over the folder of scripts."""
        (self.folder / "waagent" / "run-command-handler").mkdir(exist_ok=True)
        table = self.folder / "fstab"
        table.write_text(f"{table.read_text()}{line}\n")

    def _write_settings(self, name: str) -> None:
        order = dict(self._orders[name])
        protected = json.dumps({"protectedParameters": order.pop("protected")}).encode()
        settings = {
            "publicSettings": order,
            "protectedSettings": base64.b64encode(_encrypted(protected, self._certificate)).decode(),
            "protectedSettingsCertThumbprint": _THUMBPRINT,
        }
        file = self._base / "config" / f"{name}.{self._sequences[name]}.settings"
        file.write_text(json.dumps({"runtimeSettings": [{"handlerSettings": settings}]}))

    async def _start_agent(self) -> None:
        for name in self._orders:
            await self.repeat(name)

    async def _launch(self, command: str, name: str, more: dict[str, str] | None = None) -> None:
        inside = f"{guest_sandbox.AGENT}/{_NAME}-{self._version}"
        environment = {
            "PATH": _PATH,
            "LANG": "C.UTF-8",
            "AZURE_GUEST_AGENT_EXTENSION_PATH": inside,
            "AZURE_GUEST_AGENT_EXTENSION_VERSION": self._version,
            "ConfigSequenceNumber": str(self._sequences.get(name, 0)),
            **({"ConfigExtensionName": name} if name else {}),
            **(more or {}),
        }
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            shim = (f"{inside}/bin/run-command-shim", command)
            program = guest_sandbox.Program(shim, environment, inside, stdout, stderr)
            async with guest_sandbox.started(self.folder, "web", program) as process:
                await process.wait()

    def _scripts(self) -> list[int]:
        """The children of the handlers; any thread of theirs may have started them."""
        tasks = [Path(f"/proc/{handler}/task") for handler in self._handlers()]
        return [int(pid) for task in tasks for file in task.glob("*/children") for pid in file.read_text().split()]

    def _handlers(self) -> list[int]:
        found = []
        for each in Path("/proc").iterdir():
            try:
                inside = each.name.isdigit() and os.readlink(each / "exe").endswith("/run-command-handler")  # noqa: PTH115
                mounts = (each / "mountinfo").read_text() if inside else ""
            except OSError:  # it ended
                continue
            if f" {self.folder}/" in mounts:
                found.append(int(each.name))
        return found


def _make_certificate(folder: Path) -> x509.Certificate:
    """Write certificate and key that protected settings are encrypted for, as the agent keeps them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tenant encryption")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (folder / f"{_THUMBPRINT}.crt").write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / f"{_THUMBPRINT}.prv").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return made


def _encrypted(data: bytes, certificate: x509.Certificate) -> bytes:
    options = [pkcs7.PKCS7Options.Binary]
    return (
        pkcs7.PKCS7EnvelopeBuilder()
        .set_data(data)
        .add_recipient(certificate)
        .encrypt(serialization.Encoding.DER, options)
    )
