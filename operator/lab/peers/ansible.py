"""A tuned playbook, run by the real Ansible with the vendor's own collection, in an environment of its own.

Ansible, check_point.mgmt and what they need are pinned with hashes in `requirements/peers.txt` and installed below
.bench/, never beside the project's own packages. The collection illumio.core is at no package registry, and has no
module for workloads; the requests that its modules for labels and pairing keys would make are made by `uri`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import requests

from lab.cluster import ROOT
from lab.peers.flow import SCRIPT
from lab.peers.wanted import PACKAGE, Wanted
from lab.processes import ProcessFailed, run_program
from lab.worlds import Worlds
from simulators.certificates import write_file

_PINS = ROOT / "requirements" / "peers.txt"
_PLAYBOOK = Path(__file__).parent / "playbook"
_COLLECTIONS = ("check_point/mgmt", "ansible/netcommon", "ansible/utils")
_UNPACKED = "ansible-[0-9]*.whl"
"""The package of collections: thousands of files, of which three folders are needed."""
_PROFILE = "fleet"
_PAUSE = 30.0
"""Seconds between two looks for workloads."""
_FORKS = 10


class Ansible:
    """An installed Ansible: `install` makes it once."""

    def __init__(self, folder: Path) -> None:
        """Use what `install` made in `folder`."""
        self.folder = folder

    @classmethod
    def install(cls, folder: Path) -> Ansible:
        """Install the pinned packages in `folder`, unless they are there. Raises ProcessFailed without a registry."""
        done = folder / "pins.txt"
        if not done.exists() or done.read_bytes() != _PINS.read_bytes():
            python, wheels = folder / "venv" / "bin" / "python", folder / "wheels"
            run_program([sys.executable, "-m", "venv", "--clear", folder / "venv"])
            pip: list[str | Path] = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
            run_program([*pip, "download", "--require-hashes", "--no-deps", "--dest", wheels, "--requirement", _PINS])
            (collections,) = wheels.glob(_UNPACKED)
            others = [each for each in wheels.iterdir() if each != collections]
            run_program([*pip, "install", "--no-index", "--no-deps", *others])
            _unpack(collections, folder / "collections")
            done.write_bytes(_PINS.read_bytes())
        return cls(folder)

    def run(self, worlds: Worlds, scale: float, profile: str, rows: Sequence[Wanted], folder: Path) -> str:
        """Run the playbook to its end and return its recap. `profile`: HREF of the pairing profile.

        Raises ProcessFailed with the end of its output.
        """
        folder.mkdir(parents=True, exist_ok=True)
        settings = folder / "settings.json"
        write_file(settings, json.dumps(_settings(worlds, scale, profile, rows)).encode())
        inventory = folder / "inventory.json"
        write_file(inventory, json.dumps(_inventory(worlds)).encode())
        program = self.folder / "venv" / "bin" / "ansible-playbook"
        argv: list[str | Path] = [
            program,
            "--inventory",
            inventory,
            "--extra-vars",
            f"@{settings}",
            _PLAYBOOK / "site.yml",
        ]
        done = subprocess.run(argv, env=self._environment(folder), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ProcessFailed(f"the playbook failed:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
        return done.stdout[done.stdout.find("PLAY RECAP") :]

    def _environment(self, folder: Path) -> dict[str, str]:
        """Return its environment: of ours only PATH."""
        return {
            "PATH": f"{self.folder / 'venv' / 'bin'}:{os.environ.get('PATH', '')}",
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
            "ANSIBLE_FORKS": str(_FORKS),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_DEPRECATION_WARNINGS": "false",
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_PERSISTENT_COMMAND_TIMEOUT": "120",
        }


def make_profile(worlds: Worlds) -> str:
    """Make a pairing profile whose keys may be used by any number of VMs, as an administrator does; return its HREF."""
    illumio = worlds.described["illumio"]
    answer = requests.post(
        f"{illumio['url']}/api/v2/orgs/{illumio['orgId']}/pairing_profiles",
        json={"name": _PROFILE, "enabled": True, "allowed_uses_per_key": "unlimited", "key_lifespan": "unlimited"},
        auth=(str(illumio["apiUser"]), Path(illumio["keyFile"]).read_text(encoding="utf-8")),
        verify=str(worlds.ca_file),
        timeout=30.0,
    )
    answer.raise_for_status()
    return str(answer.json()["href"])


def _unpack(package: Path, folder: Path) -> None:
    """Unpack the collections that the playbook uses."""
    wanted = tuple(f"ansible_collections/{name}/" for name in _COLLECTIONS)
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(wanted)])


def _settings(worlds: Worlds, scale: float, profile: str, rows: Sequence[Wanted]) -> dict[str, object]:
    azure, illumio = worlds.described["azure"], worlds.described["illumio"]
    base = f"{illumio['url']}/api/v2"
    return {
        "azure": azure,
        "azure_secret": Path(azure["clientSecretFile"]).read_text(encoding="utf-8"),
        "illumio": illumio,
        "illumio_secret": Path(illumio["keyFile"]).read_text(encoding="utf-8"),
        "pce_base": base,
        "pce": f"{base}/orgs/{illumio['orgId']}",
        "pce_endpoint": worlds.pce,
        "profile": profile,
        "ca_file": str(worlds.ca_file),
        "script": SCRIPT,
        "not_after": str(int(time.time()) + 1800),
        "package": PACKAGE,
        "pause": max(1, round(_PAUSE / scale)),
        "table": [asdict(row) for row in rows],
    }


def _inventory(worlds: Worlds) -> dict[str, object]:
    checkpoint = worlds.described["checkpoint"]
    address = urlsplit(str(checkpoint["url"]))
    management = {
        "ansible_connection": "ansible.netcommon.httpapi",
        "ansible_network_os": "check_point.mgmt.checkpoint",
        "ansible_host": address.hostname,
        "ansible_httpapi_port": address.port,
        "ansible_httpapi_use_ssl": True,
        "ansible_httpapi_validate_certs": True,
        "ansible_httpapi_ca_path": str(worlds.ca_file),
        "ansible_api_key": Path(checkpoint["apiKeyFile"]).read_text(encoding="utf-8"),
    }
    return {"all": {"hosts": {"checkpoint": management}}}
