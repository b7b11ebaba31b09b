"""Labels and label dimensions over HTTP.

Paths and parameters: the vendor's REST manual 23.2 and 23.5, the Terraform provider illumio-core (label dimensions
from 22.5 on), illumio-pylo (`includeDeleted`).
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from simulators.illumio import query as q
from simulators.illumio.bodies import DimensionBody, LabelCreate, LabelUpdate
from simulators.illumio.errors import PceError
from simulators.illumio.labels import Dimension, Label
from simulators.illumio.middleware import WORLD, answer, body, done, encoded, href, listing
from simulators.illumio.world import World

_LABELS = "/api/v2/orgs/{org}/labels"
_DIMENSIONS = "/api/v2/orgs/{org}/label_dimensions"


def routes() -> list[web.RouteDef]:
    """Return the routes, named for the ledger and the fault plan."""
    return [
        web.get(_LABELS, list_labels, name="labels.list"),
        web.post(_LABELS, create_label, name="labels.create"),
        web.get(_LABELS + "/{id}", get_label, name="labels.get"),
        web.put(_LABELS + "/{id}", update_label, name="labels.update"),
        web.delete(_LABELS + "/{id}", delete_label, name="labels.delete"),
        web.get(_DIMENSIONS, list_dimensions, name="label_dimensions.list"),
        web.post(_DIMENSIONS, create_dimension, name="label_dimensions.create"),
        web.get(_DIMENSIONS + "/{id}", get_dimension, name="label_dimensions.get"),
        web.put(_DIMENSIONS + "/{id}", update_dimension, name="label_dimensions.update"),
        web.delete(_DIMENSIONS + "/{id}", delete_dimension, name="label_dimensions.delete"),
    ]


async def list_labels(request: web.Request) -> web.StreamResponse:
    """Labels; `value` matches in part, `usage=true` adds who uses them."""
    world, query = request.app[WORLD], request.query
    with_deleted = q.flag(query.get("include_deleted", query.get("includeDeleted", "false")))
    rows = [label for label in world.labels.all() if with_deleted or not label.deleted]
    found = q.select(rows, query, _LABEL_MAKERS)
    usage = q.flag(query.get("usage", "false"))

    def shown(labels: list[Label]) -> list[bytes]:
        return encoded([label_row(label) | ({"usage": world.labels.usage(label)} if usage else {}) for label in labels])

    if prefers_async(request):
        return accepted(world, shown(found))
    return listing(shown(found[: q.most(query, world.traits.collection_cap)]), len(found))


async def create_label(request: web.Request) -> web.Response:
    """201 with the label."""
    return answer(label_row(request.app[WORLD].labels.create(await body(request, LabelCreate))), status=201)


async def get_label(request: web.Request) -> web.Response:
    """One label, deleted or not."""
    return answer(label_row(request.app[WORLD].labels.get(href(request))))


async def update_label(request: web.Request) -> web.Response:
    """Change a label's value or reference."""
    request.app[WORLD].labels.update(href(request), await body(request, LabelUpdate))
    return done()


async def delete_label(request: web.Request) -> web.Response:
    """Delete a label that is not in use."""
    request.app[WORLD].labels.delete(href(request))
    return done()


async def list_dimensions(request: web.Request) -> web.Response:
    """Return the label keys."""
    world = _with_dimensions(request)
    rows = [item for item in world.labels.dimensions.values() if not item.deleted]
    found = q.select(rows, request.query, _DIMENSION_MAKERS)
    shown = found[: q.most(request.query, world.traits.collection_cap)]
    return listing(encoded([_dimension_row(item) for item in shown]), len(found))


async def create_dimension(request: web.Request) -> web.Response:
    """201 with the dimension."""
    world = _with_dimensions(request)
    return answer(_dimension_row(world.labels.create_dimension(await body(request, DimensionBody))), status=201)


async def get_dimension(request: web.Request) -> web.Response:
    """One dimension."""
    return answer(_dimension_row(_with_dimensions(request).labels.dimension(href(request))))


async def update_dimension(request: web.Request) -> web.Response:
    """Change how a dimension is shown."""
    _with_dimensions(request).labels.update_dimension(href(request), await body(request, DimensionBody))
    return done()


async def delete_dimension(request: web.Request) -> web.Response:
    """Delete a dimension without labels."""
    _with_dimensions(request).labels.delete_dimension(href(request))
    return done()


def prefers_async(request: web.Request) -> bool:
    """Return whether the caller prefers a job to rows."""
    return "respond-async" in request.headers.get("Prefer", "")


def accepted(world: World, rows: list[bytes]) -> web.Response:
    """Return 202 with the job's Location and an empty body."""
    job, wait = world.jobs.start(rows)
    location = f"https://{world.context.host}/api/v2{job}" if world.traits.absolute_location else job
    return web.Response(status=202, headers={"Location": location, "Retry-After": str(wait)})


def label_row(label: Label) -> dict[str, object]:
    """Return a label as the PCE shows it."""
    row: dict[str, object] = {
        "href": label.href,
        "key": label.key,
        "value": label.value,
        "deleted": label.deleted,
        "created_at": label.created_at,
        "updated_at": label.updated_at,
        "created_by": {"href": label.created_by},
        "updated_by": {"href": label.updated_by},
    }
    return row | _reference(label)


def _dimension_row(item: Dimension) -> dict[str, object]:
    row: dict[str, object] = {
        "href": item.href,
        "key": item.key,
        "display_name": item.display_name,
        "display_info": item.display_info,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "deleted": item.deleted,
        "caps": ["write", "delete"],
    }
    return row | _reference(item)


def _reference(item: Label | Dimension) -> dict[str, object]:
    if item.external_data_set is None:
        return {}
    return {"external_data_set": item.external_data_set, "external_data_reference": item.external_data_reference}


def _with_dimensions(request: web.Request) -> World:
    """404 if the PCE is older than label dimensions."""
    world = request.app[WORLD]
    if not world.traits.has_label_dimensions:
        raise PceError(404, "invalid_uri", f"no such resource: {request.path}")
    return world


_LABEL_MAKERS: dict[str, Callable[[str], q.Test[Label]]] = {
    "key": q.same(lambda label: label.key),
    "value": q.part(lambda label: label.value),
    "external_data_set": q.same(lambda label: label.external_data_set),
    "external_data_reference": q.same(lambda label: label.external_data_reference),
    "usage": q.anything,
    "include_deleted": q.anything,
    "includeDeleted": q.anything,
}
_DIMENSION_MAKERS: dict[str, Callable[[str], q.Test[Dimension]]] = {
    "key": q.same(lambda item: item.key),
    "display_name": q.part(lambda item: item.display_name),
}
