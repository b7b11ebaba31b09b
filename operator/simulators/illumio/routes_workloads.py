"""Workloads and VENs over HTTP.

Paths, parameters and answers: the `illumio` SDK 1.1.3, the Terraform provider illumio-core, illumio-pylo,
`boons1215/auto-label` (set_labels, remove_labels; their answers' bodies are not publicly known: here an empty list).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from simulators.illumio import query as q
from simulators.illumio.bodies import (
    Href,
    RemoveLabels,
    SetLabels,
    UnpairVens,
    UnpairWorkloads,
    VenBody,
    WorkloadBody,
)
from simulators.illumio.errors import PceError
from simulators.illumio.middleware import WORLD, answer, body, done, encoded, href, listing
from simulators.illumio.records import Workload, ven_row, workload_row
from simulators.illumio.routes_labels import accepted, prefers_async
from simulators.illumio.workloads import BULK_MOST
from simulators.illumio.world import World

_PATH = "/api/v2/orgs/{org}/workloads"
_VENS = "/api/v2/orgs/{org}/vens"
_Items = Annotated[list[msgspec.Raw], Meta(max_length=BULK_MOST)]
_Hrefs = Annotated[list[Href], Meta(max_length=BULK_MOST)]


def routes() -> list[web.RouteDef]:
    """Return the routes, named for the ledger and the fault plan; the fixed names come before `{id}`."""
    return [
        web.get(_PATH, list_workloads, name="workloads.list"),
        web.post(_PATH, create_workload, name="workloads.create"),
        web.put(_PATH + "/bulk_create", bulk_create, name="workloads.bulk_create"),
        web.put(_PATH + "/bulk_update", bulk_update, name="workloads.bulk_update"),
        web.put(_PATH + "/bulk_delete", bulk_delete, name="workloads.bulk_delete"),
        web.put(_PATH + "/set_labels", set_labels, name="workloads.set_labels"),
        web.put(_PATH + "/remove_labels", remove_labels, name="workloads.remove_labels"),
        web.put(_PATH + "/unpair", unpair_workloads, name="workloads.unpair"),
        web.get(_PATH + "/{id}", get_workload, name="workloads.get"),
        web.put(_PATH + "/{id}", update_workload, name="workloads.update"),
        web.delete(_PATH + "/{id}", delete_workload, name="workloads.delete"),
        web.get(_VENS, list_vens, name="vens.list"),
        web.put(_VENS + "/unpair", unpair_vens, name="vens.unpair"),
        web.get(_VENS + "/{id}", get_ven, name="vens.get"),
        web.put(_VENS + "/{id}", update_ven, name="vens.update"),
    ]


async def list_workloads(request: web.Request) -> web.StreamResponse:
    """Workloads from their serialised rows; a job where the caller prefers one."""
    world = request.app[WORLD]
    found = q.select(
        _candidates(world, request), request.query, q.workload_makers(world.context.org, world.labels.keys)
    )
    if prefers_async(request):
        return accepted(world, [workload.serialised(world.context) for workload in found])
    shown = found[: q.most(request.query, world.traits.collection_cap)]
    everything = world.traits.unfiltered_total
    total = sum(row.deleted_at is None for row in world.workloads.all()) if everything else len(found)
    return listing([workload.serialised(world.context) for workload in shown], total)


async def create_workload(request: web.Request) -> web.Response:
    """201 with the unmanaged workload."""
    world = request.app[WORLD]
    workload = world.workloads.create(await body(request, WorkloadBody))
    return answer(workload_row(workload, world.context), status=201)


async def get_workload(request: web.Request) -> web.Response:
    """One workload, deleted or not, with its services."""
    world = request.app[WORLD]
    workload = world.workloads.get(href(request))
    services = {"services": {"uptime_seconds": 600, "open_service_ports": []}}
    return answer(workload_row(workload, world.context) | services)


async def update_workload(request: web.Request) -> web.Response:
    """Change what was sent."""
    request.app[WORLD].workloads.update(href(request), await body(request, WorkloadBody))
    return done()


async def delete_workload(request: web.Request) -> web.Response:
    """Delete an unmanaged workload."""
    request.app[WORLD].workloads.delete(href(request))
    return done()


async def bulk_create(request: web.Request) -> web.Response:
    """Make up to 1000."""
    world, items = request.app[WORLD], await body(request, _Items)
    with world.limits.bulk():
        await _take_time(world)
        return answer(world.workloads.bulk_create(items))


async def bulk_update(request: web.Request) -> web.Response:
    """Change up to 1000."""
    world, items = request.app[WORLD], await body(request, _Items)
    with world.limits.bulk():
        await _take_time(world)
        return answer(world.workloads.bulk_update(items))


async def bulk_delete(request: web.Request) -> web.Response:
    """Delete up to 1000."""
    world, items = request.app[WORLD], await body(request, _Hrefs)
    with world.limits.bulk():
        await _take_time(world)
        return answer(world.workloads.bulk_delete(items))


async def set_labels(request: web.Request) -> web.Response:
    """Set labels per key."""
    _with_set_labels(request).workloads.set_labels(await body(request, SetLabels))
    return answer([])


async def remove_labels(request: web.Request) -> web.Response:
    """Remove labels per key."""
    _with_set_labels(request).workloads.remove_labels(await body(request, RemoveLabels))
    return answer([])


async def unpair_workloads(request: web.Request) -> web.Response:
    """Unpair by workload, the older call."""
    world = request.app[WORLD]
    world.limits.unpair(world.api_user)
    world.vens.unpair_workloads(await body(request, UnpairWorkloads))
    return done()


async def list_vens(request: web.Request) -> web.StreamResponse:
    """VENs."""
    world, query = request.app[WORLD], request.query
    managed = (row for row in _candidates(world, request) if row.ven is not None)
    found = q.select(managed, query, q.ven_makers(world.context.org, world.labels.keys))
    if prefers_async(request):
        return accepted(world, _ven_rows(world, found))
    shown = found[: q.most(query, world.traits.collection_cap)]
    return listing(_ven_rows(world, shown), len(found))


async def unpair_vens(request: web.Request) -> web.Response:
    """Accept unpairs; what can't be unpaired is in `errors`."""
    world = request.app[WORLD]
    world.limits.unpair(world.api_user)
    return answer({"errors": world.vens.unpair(await body(request, UnpairVens))})


async def get_ven(request: web.Request) -> web.Response:
    """One VEN."""
    world = request.app[WORLD]
    workload, ven = world.vens.get(href(request))
    return answer(ven_row(workload, ven, world.context))


async def update_ven(request: web.Request) -> web.Response:
    """Change a VEN's name, description, mark or target PCE."""
    request.app[WORLD].vens.update(href(request), await body(request, VenBody))
    return done()


def _ven_rows(world: World, found: list[Workload]) -> list[bytes]:
    return encoded([ven_row(row, row.ven, world.context) for row in found if row.ven is not None])


def _candidates(world: World, request: web.Request) -> list[Workload]:
    """Return the rows that the list is made from: one by its reference, else all (deleted ones on request)."""
    query = request.query
    data_set, reference = query.get("external_data_set"), query.get("external_data_reference")
    deleted = q.flag(query.get("include_deleted", "false"))
    if data_set and reference and not deleted and not world.replica.lags:
        holder = world.workloads.find_reference(data_set, reference)
        return [] if holder is None else [world.workloads.get(holder)]
    return [row for row in world.replica.shown() if deleted or row.deleted_at is None]


async def _take_time(world: World) -> None:
    await world.context.environment.clock.sleep(world.traits.bulk_seconds)


def _with_set_labels(request: web.Request) -> World:
    """404 if the PCE does not have the call."""
    world = request.app[WORLD]
    if not world.traits.has_set_labels:
        raise PceError(404, "invalid_uri", f"no such resource: {request.path}")
    return world
