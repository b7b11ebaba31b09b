"""`python -m simulators`: simulators of Azure, Illumio and Check Point with a control port, on loopback, until SIGTERM.

The demo and the integration tests start it as a process and read DIR/worlds.json; a person starts it with an example
fleet (`--vms 200 --scale 60`) and opens the page on the control port.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import ssl
import sys
import tempfile
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from aiohttp import web

from simulators import certificates, fleet, rotation
from simulators.azure import add_control as add_azure_control
from simulators.azure import create as create_azure
from simulators.azure.guests import Guests, add_guest_control
from simulators.azure.world import World as Azure
from simulators.checkpoint import create as create_checkpoint
from simulators.checkpoint.control import add_control as add_checkpoint_control
from simulators.checkpoint.world import World as CheckPoint
from simulators.clock import Clock
from simulators.control import build_control
from simulators.environment import Environment
from simulators.fast_guests import FastGuests
from simulators.illumio import World as Illumio
from simulators.illumio import add_control as add_illumio_control
from simulators.illumio import create as create_illumio
from simulators.illumio.bodies import ProfileBody
from simulators.ledger import Entry
from simulators.overview import Worlds
from simulators.page import add_page
from simulators.server import Served, serve

READY = "simulators ready"
_ORG = 50
_SUBSCRIPTIONS = 2
_KEY_LIFE_SECONDS = 1800
_WORKLOAD_IDENTITY = "system:serviceaccount:microseg:microseg"


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    folder: Path
    vms: int
    guests: str
    profiles: tuple[str, ...]
    control_port: int
    ledger: Path | None
    address: str


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m simulators", description="Simulators of Azure, Illumio and Check Point on loopback."
    )
    parser.add_argument("--dir", type=Path, help="folder for certificates, keys and worlds.json (default: a new one)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="divide the vendors' latencies by this number (default 1)"
    )
    parser.add_argument("--limits", action="store_true", help="enforce the vendors' rate limits from the start")
    parser.add_argument("--vms", type=int, default=0, help="start with an example fleet of this many VMs")
    parser.add_argument(
        "--guests", choices=("bash", "fast"), default="bash", help="bash: run scripts; fast: emulate them"
    )
    parser.add_argument("--profile", action="append", default=[], help="create a pairing profile (may be repeated)")
    parser.add_argument(
        "--control-port", type=int, default=0, help="port of the control port and its page (default: a free one)"
    )
    parser.add_argument("--ledger", type=Path, help="append every ledger entry to this file, as JSON lines")
    parser.add_argument(
        "--address", default="127.0.0.1", help="address that the three systems listen on (default 127.0.0.1)"
    )
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    folder = (given.dir or Path(tempfile.mkdtemp(prefix="microseg-worlds-"))).resolve()
    options = Options(
        folder, given.vms, given.guests, tuple(given.profile), given.control_port, given.ledger, given.address
    )
    asyncio.run(_run(options, Environment(clock=Clock(given.scale), limits=given.limits)))


async def _run(options: Options, environment: Environment) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    folder = options.folder
    (folder / "worlds.json").unlink(missing_ok=True)
    authority, _ = certificates.make_authority(folder)
    hosts = tuple(dict.fromkeys([*certificates.LOOPBACK, options.address]))
    tls = certificates.ssl_context(*certificates.issue(folder, rotation.SERVER, hosts))
    control = build_control(environment)
    served: list[Served] = []
    rotation.add_control(control.router, environment, folder, tls, served, hosts=hosts)
    with contextlib.ExitStack() as files:
        if options.ledger:
            file = files.enter_context(options.ledger.open("a", encoding="utf-8", buffering=1))
            environment.ledger.listen(partial(_append, file))
        try:
            illumio, pce = await _illumio(options, environment, tls, control, served)
            checkpoint, management = await _checkpoint(options, environment, tls, control, served)
            azure, cloud = await _azure(options, environment, tls, control, served, illumio)
            add_page(control.router, Worlds(environment, azure, illumio, checkpoint))
            served.append(await serve(control, ssl_context=None, port=options.control_port))
            described = {"azure": cloud, "illumio": pce, "checkpoint": management, "control": {"url": served[-1].url}}
            write_private(folder / "worlds.json", json.dumps({**described, "caFile": str(authority)}, indent=2) + "\n")
            # The parent process waits for the first line; the second one is for people.
            sys.stdout.write(f"{READY}\nopen {served[-1].url}/; addresses and keys are in {folder / 'worlds.json'}\n")
            sys.stdout.flush()
            await stop.wait()
        finally:
            await asyncio.gather(*(each.stop() for each in served))


async def _azure(
    options: Options,
    environment: Environment,
    tls: ssl.SSLContext,
    control: web.Application,
    served: list[Served],
    illumio: Illumio,
) -> tuple[Azure, dict[str, Any]]:
    folder = options.folder
    guests = FastGuests(illumio) if options.guests == "fast" else Guests(folder / "vms", folder / "ca.pem")
    illumio.vens.unpaired.append(lambda workload: guests.forget_ven(workload.hostname or "", workload.uuid))
    secret = secrets.token_urlsafe(32)
    tenant, client = str(uuid.uuid4()), str(uuid.uuid4())
    subscriptions = [str(uuid.uuid4()) for _ in range(_SUBSCRIPTIONS)]
    world, app = create_azure(
        environment,
        tenant=tenant,
        client_id=client,
        client_secret=secret,
        subscriptions=subscriptions,
        runner=guests,
        subjects=[_WORKLOAD_IDENTITY],
    )
    world.machines.append(
        lambda vm, what: illumio.vens.machine(guests.workload_of(vm), runs=what == "started", goodbye=what == "stopped")
    )
    add_azure_control(control.router, world)
    add_guest_control(control.router, world, guests)
    for order in fleet.orders(options.vms, subscriptions):
        world.add(order)
    served.append(await serve(app, ssl_context=tls, address=options.address))
    write_private(folder / "azure-client-secret", secret)
    return world, {
        "url": served[-1].url,
        "authority": served[-1].url,
        "tenant": tenant,
        "clientId": client,
        "clientSecretFile": str(folder / "azure-client-secret"),
        "subscriptions": subscriptions,
    }


async def _illumio(
    options: Options, environment: Environment, tls: ssl.SSLContext, control: web.Application, served: list[Served]
) -> tuple[Illumio, dict[str, Any]]:
    world, app = create_illumio(environment, org_id=_ORG)
    for name in options.profiles:
        world.profiles.create(
            ProfileBody(enabled=True, name=name, allowed_uses_per_key=1, key_lifespan=_KEY_LIFE_SECONDS)
        )
    add_illumio_control(control.router, world)
    served.append(await serve(app, ssl_context=tls, address=options.address))
    world.reached_at(served[-1].url)
    write_private(options.folder / "illumio-api-key", world.api_secret)
    return world, {
        "url": served[-1].url,
        "orgId": world.org_id,
        "apiUser": world.api_user,
        "keyFile": str(options.folder / "illumio-api-key"),
    }


async def _checkpoint(
    options: Options, environment: Environment, tls: ssl.SSLContext, control: web.Application, served: list[Served]
) -> tuple[CheckPoint, dict[str, Any]]:
    key = secrets.token_urlsafe(24)
    world, app = create_checkpoint(environment, api_key=key)
    add_checkpoint_control(control.router, world)
    served.append(await serve(app, ssl_context=tls, address=options.address))
    write_private(options.folder / "checkpoint-api-key", key)
    return world, {"url": served[-1].url, "apiKeyFile": str(options.folder / "checkpoint-api-key")}


def _append(file: TextIO, entry: Entry) -> None:
    """Append one entry as a JSON line."""
    file.write(entry.line())


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically, readable by its owner only."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


if __name__ == "__main__":
    main()
