"""The simulators as a process, and a client of their control port.

`lab.rig` starts it. The demo, the benchmarks and the tests change the simulated systems by it and read the ledger,
which records what really happened outside.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import requests

from lab.child import Begin, execute
from lab.processes import Process
from simulators.__main__ import READY
from simulators.azure.rights import ACTIONS
from simulators.ledger import Entry

_GETTING_STARTED = Path(__file__).parents[2] / "docs" / "getting-started.md"
_START_SECONDS = 30.0
_TIMEOUT = 30.0
_SOURCES = Path(__file__).parents[1]
LINUX_PROFILE, WINDOWS_PROFILE = "microseg-linux", "microseg-windows"
_KEY_LIFE = 1800
_MADE_BY_VMS = ("software.", "agents.")
"""PCE operations that scripts inside VMs call, not the operator."""


class ControlRequestFailed(RuntimeError):
    """The control port refused a request; the text is its error."""


class Worlds:
    """The running simulators. A context manager that stops them."""

    def __init__(self, folder: Path, process: Process) -> None:
        """Use a running process whose worlds.json is in `folder`; see `start`."""
        self.folder = folder
        self.process = process
        self.described: dict[str, Any] = json.loads((folder / "worlds.json").read_text(encoding="utf-8"))
        """worlds.json: addresses, ids and credential files of each system."""
        self._session = requests.Session()
        self._session.trust_env = False  # loopback: no proxies

    @classmethod
    def start(cls, folder: Path, *, scale: float = 1.0, options: Sequence[str] = (), begin: Begin = execute) -> Self:
        """Start the simulators in `folder`; return when all of them serve. `options`: such as `--limits`."""
        argv: list[str | Path] = [
            sys.executable,
            "-m",
            "simulators",
            "--dir",
            folder,
            "--scale",
            f"{scale:g}",
            *options,
        ]
        folder.mkdir(parents=True, exist_ok=True)
        process = Process(
            "worlds",
            argv,
            log=folder / "worlds.log",
            env=os.environ | {"PYTHONPATH": str(_SOURCES)},
            begin=begin,
        )
        try:
            process.wait_for_line(READY, seconds=_START_SECONDS)
            return cls(folder, process)
        except BaseException:
            process.kill()
            raise

    @property
    def control_url(self) -> str:
        """The control port's address."""
        return str(self.described["control"]["url"])

    @property
    def ca_file(self) -> Path:
        """The CA bundle for the simulators' certificates."""
        return Path(self.described["caFile"])

    @property
    def pce(self) -> str:
        """The PCE's `host:port`, as VENs name it."""
        return urlsplit(str(self.described["illumio"]["url"])).netloc

    def get(self, path: str, **query: str | int) -> Any:
        """GET a route of the control port."""
        return self._call("GET", path, params={name: str(value) for name, value in query.items()})

    def post(self, path: str, body: object = None) -> Any:
        """POST to a route of the control port, for example `post("/azure/vms", {"name": "web1"})`."""
        return self._call("POST", path, json={} if body is None else body)

    def delete(self, path: str) -> Any:
        """DELETE a route of the control port."""
        return self._call("DELETE", path)

    def ledger(self, system: str = "", operation: str = "", *, since: int = 0) -> list[Entry]:
        """Return entries with `seq > since`, oldest first, optionally of one system and one operation."""
        query = {name: value for name, value in (("system", system), ("operation", operation)) if value}
        entries = self.get("/ledger", since=since, **query)["entries"]
        return [Entry(**{**entry, "changed": tuple(entry["changed"])}) for entry in entries]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the numbers of ledger entries: system -> operation -> number."""
        counts: dict[str, dict[str, int]] = self.get("/ledger/counts")
        return counts

    def operator_calls(self) -> dict[str, dict[str, int]]:
        """Return the operator's calls, without those from inside VMs: system -> operation -> number."""
        return {
            system: {
                operation: number
                for operation, number in operations.items()
                if not operation.startswith(("world.", *(_MADE_BY_VMS if system == "illumio" else ())))
            }
            for system, operations in self.counts().items()
        }

    def scripts(self) -> list[ScriptRun]:
        """Return every script that started inside a VM, in order, without those that a fresh disk ran again."""
        runs = []
        for entry in self.ledger("azure", "world.script-started"):
            vm_id, command, mode = entry.changed
            if not entry.note:
                runs.append(ScriptRun(vm_id, command, mode, entry.at))
        return runs

    def secrets(self) -> tuple[str, ...]:
        """Return the secret values, to search for them where they must not be."""
        return tuple(self.get("/secrets")["secrets"])

    def grant_the_documented_role(self) -> None:
        """Leave the operator's identity at Azure the actions of docs/getting-started.md, and no other."""
        page = _GETTING_STARTED.read_text(encoding="utf-8")
        documents = map(json.loads, re.findall(r"```json\n(.*?)```", page, re.DOTALL))
        granted = {action for document in documents for action in document.get("Actions", ())}
        self.post("/azure/traits", {"lacking": sorted(set(ACTIONS.values()) - granted)})

    def make_pairing_profiles(self, *, key_life: int = _KEY_LIFE) -> None:
        """Create the operator's pairing profiles, as an administrator does: one use per key, `key_life` seconds."""
        illumio = self.described["illumio"]
        for name in (LINUX_PROFILE, WINDOWS_PROFILE):
            answer = self._session.post(
                f"{illumio['url']}/api/v2/orgs/{illumio['orgId']}/pairing_profiles",
                json={"name": name, "enabled": True, "allowed_uses_per_key": 1, "key_lifespan": key_life},
                auth=(str(illumio["apiUser"]), Path(illumio["keyFile"]).read_text(encoding="utf-8")),
                verify=str(self.ca_file),
                timeout=_TIMEOUT,
            )
            answer.raise_for_status()

    def adopt(self, vm: str) -> str:
        """Make a VM one that was paired long ago, with VEN and workload; return the workload's uuid."""
        found = next(each for each in self.get("/azure/vms")["vms"] if each["name"] == vm)
        interfaces = [{"name": f"eth{number}", "address": ip} for number, ip in enumerate(found["addresses"])]
        order = {"hostname": found["computerName"], "interfaces": interfaces, "os": found["os"]}
        workload = self.post("/illumio/preloaded", order)
        paired = {"workload": workload["uuid"], "orgId": workload["org_id"], "pce": self.pce}
        self.post(f"/azure/vms/{vm}/guest", {"paired": paired})
        return str(workload["uuid"])

    def stop(self) -> None:
        """Stop them."""
        self._session.close()
        self.process.terminate()

    def _call(self, method: str, path: str, **how: Any) -> Any:
        answer = self._session.request(method, f"{self.control_url}{path}", timeout=_TIMEOUT, **how)
        if answer.status_code >= 400:
            raise ControlRequestFailed(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """One script that started in a VM; `at` is epoch seconds."""

    vm_id: str
    command: str
    mode: str
    at: float
