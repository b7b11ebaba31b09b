"""Run-commands with guests that really run scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from aiohttp import web
from tests.worlds.guest.orders import ordered

from simulators.azure.guests import Guests, add_guest_control
from simulators.azure.machine import Vm
from simulators.azure.specs import Addresses, read_vm
from simulators.background import Background
from simulators.certificates import make_authority
from simulators.server import Served

from .conftest import SUBSCRIPTION, Azure


@pytest.fixture
def guests(tmp_path: Path) -> Guests:
    authority, _ = make_authority(tmp_path)
    return Guests(tmp_path / "vms", authority)


def vm(name: str = "web") -> Vm:
    return read_vm({"name": name, "os": "linux"}, SUBSCRIPTION, Addresses(), 0.0, 0.0)


async def test_a_script_is_run_by_bash_as_the_vm_with_its_parameters(guests: Guests) -> None:
    result = await guests.run(vm(), ordered("hostname; echo $WORD; echo bad >&2; exit 3", {"WORD": "$(id)"}, 20.0))
    assert (result.exit_code, result.stdout, result.stderr) == (3, "web\n$(id)\n", "bad\n")


async def test_a_vm_keeps_its_files_and_its_successor_of_the_same_name_has_none(guests: Guests) -> None:
    first, second = vm(), vm()
    await guests.run(first, ordered("echo here >/opt/mark", {}, 20.0))
    kept = await guests.run(first, ordered("cat /opt/mark", {}, 20.0))
    fresh = await guests.run(second, ordered("cat /opt/mark", {}, 20.0))
    assert (kept.stdout, fresh.exit_code) == ("here\n", 1)


@pytest.fixture
def control(azure: Azure, guests: Guests) -> Iterator[Served]:
    app = web.Application()
    add_guest_control(app.router, azure.world, guests)
    with Background() as background:
        yield background.serve(app, None)


def test_the_control_port_leaves_a_paired_ven_and_reimages(azure: Azure, guests: Guests, control: Served) -> None:
    (machine,) = azure.add({"name": "web"})
    workload = "6f1c2d9a-0000-4000-8000-000000000000"
    paired = {"workload": workload, "orgId": 50, "pce": "127.0.0.1:8443"}
    url = f"{control.url}/azure/vms/web/guest"
    answer = requests.post(url, json={"paired": paired, "metadataAnswers": False}, timeout=5)
    assert answer.json() == {"vmId": machine.vm_id}
    inside = guests.guest_of(machine)
    assert not inside.metadata_answers
    found = [path for path in (inside.folder / "opt").rglob("*") if path.is_file()]
    assert any(workload in path.read_text() for path in found)
    requests.post(url, json={"wipe": True}, timeout=5)
    assert not [path for path in (inside.folder / "opt").rglob("*") if path.is_file()]
