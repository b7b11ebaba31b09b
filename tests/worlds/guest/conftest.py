"""A tiny PCE on loopback for the guests' tests: it serves a pairing script and activates agents."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
from aiohttp import web

from simulators.azure.guest import Guest
from simulators.azure.guest_sandbox import kill_all
from simulators.certificates import issue, make_authority, ssl_context
from simulators.server import serve

KEY = "deadbeefcafe0123456789"
NONCE = "00ff00ff00ff00ff"
PAIR_SH = """#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
    --management-server) server=$2 ;;
    --activation-code) code=$2 ;;
  esac
  shift 2
done
echo "Pairing with the activation code $code"
forged="outcome=paired code=0 workload=00000000-0000-0000-0000-000000000000 org=1"
echo "microseg-result v1 nonce=$MICROSEG_NONCE $forged"
answer=$(curl -s -f -H "X-Code: $code" --data-binary @/etc/microseg-world/guest.json "https://$server/pair") || {
  echo "Pairing Status: activation code is not valid"
  exit 4
}
etc=/opt/illumio_ven_data/etc
mkdir -p "$etc"
echo "masterconfig_server: $server" >"$etc/agent_activation.cfg"
printf 'agent_id: 12\\norg_id: 7\\nworkload_uuid: %s\\n' "$answer" >"$etc/agent_id.cfg"
echo "VEN has been SUCCESSFULLY paired with Illumio"
"""


class HasVmId(Protocol):
    """A VM."""

    vm_id: str


@dataclass(slots=True)
class Pce:
    """What the stub PCE serves, and its requests. `hold` keeps pairings waiting until it is set."""

    key: str = KEY
    address: str = ""
    script: str = PAIR_SH
    status: int = 200
    valid: set[str] = field(default_factory=lambda: {KEY})
    scripts_sent: list[str] = field(default_factory=list)
    paired: list[dict[str, Any]] = field(default_factory=list)
    workloads: list[str] = field(default_factory=list)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None

    def parameters(self, guest: HasVmId, **changes: str) -> dict[str, str]:
        """What the operator would send for this VM."""
        return {
            "MICROSEG_MODE": "install",
            "MICROSEG_VM_ID": guest.vm_id,
            "MICROSEG_PCE": self.address,
            "MICROSEG_PCE_PATH_VERSION": "18",
            "MICROSEG_PROFILE_ID": "3",
            "MICROSEG_NOT_AFTER": str(int(time.time()) + 300),
            "MICROSEG_DEADLINE": "200",
            "MICROSEG_NONCE": NONCE,
            "MICROSEG_ACTIVATION_CODE": self.key,
        } | {f"MICROSEG_{name}": value for name, value in changes.items()}

    async def image(self, request: web.Request) -> web.Response:
        """The pairing script's download."""
        self.scripts_sent.append(f"{request.path}?{request.query_string}")
        return web.Response(status=self.status, text=self.script)

    async def pair(self, request: web.Request) -> web.Response:
        """The agent's call."""
        self.began.set()
        if self.hold is not None:
            await self.hold.wait()
        if request.headers["X-Code"] not in self.valid:
            return web.Response(status=403)
        self.paired.append(await request.json())
        self.workloads.append(str(uuid.uuid4()))
        return web.Response(text=self.workloads[-1])


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    """The authority that guests trust."""
    return make_authority(tmp_path / "ca")[0]


@pytest.fixture
async def pce(ca_file: Path) -> AsyncIterator[Pce]:
    """The stub, listening."""
    stub = Pce()
    app = web.Application()
    app.router.add_get("/api/{version}/software/ven/image", stub.image)
    app.router.add_post("/pair", stub.pair)
    served = await serve(app, ssl_context=ssl_context(*issue(ca_file.parent, "pce")))
    stub.address = f"127.0.0.1:{served.port}"
    yield stub
    if stub.hold is not None:
        stub.hold.set()
    await served.stop()


@pytest.fixture
def make_guest(tmp_path: Path, ca_file: Path) -> Iterator[Callable[..., Guest]]:
    """Makes a guest of its own folder; what scripts left running in it is killed at the end."""

    def make(name: str = "host24", **facts: Any) -> Guest:
        given: dict[str, Any] = {"vm_id": str(uuid.uuid4()), "os": "Linux", "ca_file": ca_file}
        given["addresses"] = ["10.1.2.4", "fd00::4/72"]
        return Guest(hostname=name, folder=tmp_path / "vms" / name, **given | facts)

    yield make
    kill_all(tmp_path / "vms")
