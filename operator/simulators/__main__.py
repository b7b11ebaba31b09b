"""`python -m simulators`, or `microseg-worlds`: the three worlds and their control port on loopback, until SIGTERM.

The demo and the tests of the whole system start it as a process and read DIR/worlds.json; a person starts it with a
ready-made fleet (`--vms 200 --scale 60`) and looks at the page on the control port.
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
from simulators.fast_guests import FastGuests
from simulators.illumio import World as Illumio
from simulators.illumio import add_control as add_illumio_control
from simulators.illumio import create as create_illumio
from simulators.illumio.bodies import ProfileBody
from simulators.ledger import Entry
from simulators.overview import Worlds
from simulators.page import add_page
from simulators.server import Served, Stage, serve

READY = "worlds ready"
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


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="microseg-worlds", description="The outside worlds on loopback.")
    parser.add_argument("--dir", type=Path, help="where certificates, keys and worlds.json go (default: a new one)")
    parser.add_argument("--scale", type=float, default=1.0, help="divide the vendors' latencies by this (default 1)")
    parser.add_argument("--limits", action="store_true", help="enforce the vendors' rate limits from the start")
    parser.add_argument("--vms", type=int, default=0, help="begin with a ready-made fleet of so many VMs")
    parser.add_argument(
        "--guests", choices=("bash", "fast"), default="bash", help="bash: scripts really run; fast: they do not"
    )
    parser.add_argument("--profile", action="append", default=[], help="make a pairing profile (may be repeated)")
    parser.add_argument(
        "--control-port", type=int, default=0, help="the control port and its page (default: a free one)"
    )
    parser.add_argument("--ledger", type=Path, help="append every entry of the ledger to this file, as JSON lines")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    folder = (given.dir or Path(tempfile.mkdtemp(prefix="microseg-worlds-"))).resolve()
    options = Options(folder, given.vms, given.guests, tuple(given.profile), given.control_port, given.ledger)
    asyncio.run(_run(options, Stage(clock=Clock(given.scale), limits=given.limits)))


async def _run(options: Options, stage: Stage) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    folder = options.folder
    (folder / "worlds.json").unlink(missing_ok=True)
    authority, _ = certificates.make_authority(folder)
    tls = certificates.ssl_context(*certificates.issue(folder, rotation.SERVER))
    control = build_control(stage)
    served: list[Served] = []
    rotation.add_control(control.router, stage, folder, tls, served)
    with contextlib.ExitStack() as files:
        if options.ledger:
            file = files.enter_context(options.ledger.open("a", encoding="utf-8", buffering=1))
            stage.ledger.listen(partial(_append, file))
        try:
            illumio, pce = await _illumio(options, stage, tls, control, served)
            checkpoint, management = await _checkpoint(folder, stage, tls, control, served)
            azure, cloud = await _azure(options, stage, tls, control, served, illumio)
            add_page(control.router, Worlds(stage, azure, illumio, checkpoint))
            served.append(await serve(control, ssl_context=None, port=options.control_port))
            described = {"azure": cloud, "illumio": pce, "checkpoint": management, "control": {"url": served[-1].url}}
            write_private(folder / "worlds.json", json.dumps({**described, "caFile": str(authority)}, indent=2) + "\n")
            # Who started the process waits for the first line; the second one is for people.
            sys.stdout.write(f"{READY}\nlook at {served[-1].url}/, and into {folder / 'worlds.json'}\n")
            sys.stdout.flush()
            await stop.wait()
        finally:
            await asyncio.gather(*(each.stop() for each in served))


async def _azure(
    options: Options,
    stage: Stage,
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
        stage,
        tenant=tenant,
        client_id=client,
        client_secret=secret,
        subscriptions=subscriptions,
        runner=guests,
        subjects=[_WORKLOAD_IDENTITY],
    )
    add_azure_control(control.router, world)
    add_guest_control(control.router, world, guests)
    for order in fleet.orders(options.vms, subscriptions):
        world.add(order)
    served.append(await serve(app, ssl_context=tls))
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
    options: Options, stage: Stage, tls: ssl.SSLContext, control: web.Application, served: list[Served]
) -> tuple[Illumio, dict[str, Any]]:
    world, app = create_illumio(stage, org_id=_ORG)
    for name in options.profiles:
        world.profiles.create(
            ProfileBody(enabled=True, name=name, allowed_uses_per_key=1, key_lifespan=_KEY_LIFE_SECONDS)
        )
    add_illumio_control(control.router, world)
    served.append(await serve(app, ssl_context=tls))
    world.reached_at(served[-1].url)
    write_private(options.folder / "illumio-api-key", world.api_secret)
    return world, {
        "url": served[-1].url,
        "orgId": world.org_id,
        "apiUser": world.api_user,
        "keyFile": str(options.folder / "illumio-api-key"),
    }


async def _checkpoint(
    folder: Path, stage: Stage, tls: ssl.SSLContext, control: web.Application, served: list[Served]
) -> tuple[CheckPoint, dict[str, Any]]:
    key = secrets.token_urlsafe(24)
    world, app = create_checkpoint(stage, api_key=key)
    add_checkpoint_control(control.router, world)
    served.append(await serve(app, ssl_context=tls))
    write_private(folder / "checkpoint-api-key", key)
    return world, {"url": served[-1].url, "apiKeyFile": str(folder / "checkpoint-api-key")}


def _append(file: TextIO, entry: Entry) -> None:
    """One entry as a JSON line."""
    file.write(entry.line())


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


if __name__ == "__main__":
    main()
