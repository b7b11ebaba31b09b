"""Requests of machines, without an API key: pairing script, activation, deactivation.

The script's address and its two parameters: ANS `illumio/illumio.core` roles/ven and the vendor's manual 25.1.
`/agents/*` is the simulator's own protocol for its scripts.
"""

from __future__ import annotations

import asyncio
from importlib import resources

from aiohttp import web

from simulators.illumio.bodies import DeactivationBody, Guest
from simulators.illumio.errors import PceError, refuse_invalid
from simulators.illumio.middleware import WORLD, answer, body, done
from simulators.illumio.pairing import PairingFault

SCRIPTS = ("pair.sh", "pair.ps1")
_PATH_VERSIONS = range(6, 28)
_VERSION = r"/api/v{version:\d+}"


def routes() -> list[web.RouteDef]:
    """Return the routes, named for the ledger and the fault plan."""
    return [
        web.get(_VERSION + "/software/ven/image", image, name="software.image"),
        web.post(_VERSION + "/agents/activate", activate, name="agents.activate"),
        web.post(_VERSION + "/agents/deactivate", deactivate, name="agents.deactivate"),
    ]


async def image(request: web.Request) -> web.Response:
    """Return the pairing script of a profile."""
    world, version = request.app[WORLD], _path_version(request)
    name, profile = request.query.get("pair_script", ""), request.query.get("profile_id", "")
    if name not in SCRIPTS or not profile.isdigit():
        refuse_invalid("pair_script and profile_id are required")
    world.profiles.get(f"{world.context.org}/pairing_profiles/{profile}")
    text = script(name, version)
    return web.Response(body=text.encode(), content_type="application/octet-stream")


async def activate(request: web.Request) -> web.Response:
    """Check the code at once; create the workload a pairing time later, even if the caller is gone by then."""
    world = request.app[WORLD]
    _path_version(request)
    guest = await body(request, Guest)
    request["who"] = guest.hostname
    fault = world.pairing.take_fault(guest.hostname)
    if fault is not None:
        return await _fail(fault)
    profile = world.pairing.admit(guest)
    await world.context.environment.clock.sleep(world.traits.pairing_seconds)
    workload = world.pairing.enrol(guest, profile)
    number = workload.ven.agent_href.rpartition("/")[2] if workload.ven else "0"
    return answer({"agent_id": int(number), "org_id": world.org_id, "workload_uuid": workload.uuid}, status=201)


async def deactivate(request: web.Request) -> web.Response:
    """Record that an agent uninstalled itself."""
    world, leaving = request.app[WORLD], await body(request, DeactivationBody)
    world.vens.acknowledge(leaving.agent_id, leaving.workload_uuid)
    return done()


def script(name: str, version: int) -> str:
    """Return the text of a pairing script for one version of the path."""
    text = resources.files("simulators.illumio").joinpath(name).read_text(encoding="utf-8")
    return text.replace("@PATH_VERSION@", str(version))


def _path_version(request: web.Request) -> int:
    version = int(request.match_info["version"])
    if version not in _PATH_VERSIONS:
        raise PceError(404, "invalid_uri", f"no such resource: {request.path}")
    return version


async def _fail(fault: PairingFault) -> web.Response:
    match fault.how:
        case "refuse":
            raise PceError(403, fault.token, "the activation code was refused")
        case "error":
            raise PceError(500, "internal_error", "an internal error occurred")
        case "html":
            text = "<html><body><h1>503 Service Unavailable</h1></body></html>"
            return web.Response(status=503, text=text, content_type="text/html")
        case "hang":
            await asyncio.sleep(fault.seconds)
            raise PceError(503, "service_not_available", "the PCE is not available")
