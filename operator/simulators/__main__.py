"""`python -m simulators --dir DIR`: the three worlds and their control port on free loopback ports, until SIGTERM.

The demo and the tests of the whole system start it as a process and read DIR/worlds.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import secrets
import signal
import ssl
import sys
import uuid
from pathlib import Path
from typing import Any

from aiohttp import web

from simulators import certificates
from simulators.azure import add_control as add_azure_control
from simulators.azure import create as create_azure
from simulators.azure.guests import Guests, add_guest_control
from simulators.checkpoint import create as create_checkpoint
from simulators.checkpoint.control import add_control as add_checkpoint_control
from simulators.clock import Clock
from simulators.control import build_control
from simulators.illumio import add_control as add_illumio_control
from simulators.illumio import create as create_illumio
from simulators.server import Served, Stage, serve

READY = "worlds ready"
_ORG = 50
_SUBSCRIPTIONS = 2
_WORKLOAD_IDENTITY = "system:serviceaccount:microseg:microseg"


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m simulators", description="The outside worlds on loopback.")
    parser.add_argument("--dir", type=Path, required=True, help="where certificates, keys and worlds.json go")
    parser.add_argument("--scale", type=float, default=1.0, help="divide the vendors' latencies by this (default 1)")
    parser.add_argument("--limits", action="store_true", help="enforce the vendors' rate limits")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    asyncio.run(_run(options.dir.resolve(), Stage(clock=Clock(options.scale), limits=options.limits)))


async def _run(folder: Path, stage: Stage) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    (folder / "worlds.json").unlink(missing_ok=True)
    authority, _ = certificates.make_authority(folder)
    tls = certificates.ssl_context(*certificates.issue(folder, "worlds"))
    control = build_control(stage)
    served: list[Served] = []
    try:
        worlds = {
            "azure": await _azure(folder, stage, tls, control, served),
            "illumio": await _illumio(folder, stage, tls, control, served),
            "checkpoint": await _checkpoint(folder, stage, tls, control, served),
        }
        served.append(await serve(control, ssl_context=None))
        description = {**worlds, "control": {"url": served[-1].url}, "caFile": str(authority)}
        write_private(folder / "worlds.json", json.dumps(description, indent=2) + "\n")
        sys.stdout.write(f"{READY}\n")  # who started the process waits for this line
        sys.stdout.flush()
        await stop.wait()
    finally:
        await asyncio.gather(*(each.stop() for each in served))


async def _azure(
    folder: Path, stage: Stage, tls: ssl.SSLContext, control: web.Application, served: list[Served]
) -> dict[str, Any]:
    guests = Guests(folder / "vms", folder / "ca.pem")
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
    served.append(await serve(app, ssl_context=tls))
    write_private(folder / "azure-client-secret", secret)
    return {
        "url": served[-1].url,
        "authority": served[-1].url,
        "tenant": tenant,
        "clientId": client,
        "clientSecretFile": str(folder / "azure-client-secret"),
        "subscriptions": subscriptions,
    }


async def _illumio(
    folder: Path, stage: Stage, tls: ssl.SSLContext, control: web.Application, served: list[Served]
) -> dict[str, Any]:
    world, app = create_illumio(stage, org_id=_ORG)
    add_illumio_control(control.router, world)
    served.append(await serve(app, ssl_context=tls))
    world.reached_at(served[-1].url)
    write_private(folder / "illumio-api-key", world.api_secret)
    return {
        "url": served[-1].url,
        "orgId": world.org_id,
        "apiUser": world.api_user,
        "keyFile": str(folder / "illumio-api-key"),
    }


async def _checkpoint(
    folder: Path, stage: Stage, tls: ssl.SSLContext, control: web.Application, served: list[Served]
) -> dict[str, Any]:
    key = secrets.token_urlsafe(24)
    world, app = create_checkpoint(stage, api_key=key)
    add_checkpoint_control(control.router, world)
    served.append(await serve(app, ssl_context=tls))
    write_private(folder / "checkpoint-api-key", key)
    return {"url": served[-1].url, "apiKeyFile": str(folder / "checkpoint-api-key")}


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


if __name__ == "__main__":
    main()
