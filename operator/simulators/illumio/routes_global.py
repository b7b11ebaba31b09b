"""Small calls, with and without an organisation: health, version, login, settings, events, jobs, containers.

Shapes: illumio-pylo (product_version), the `illumio` SDK 1.1.3 (health, settings/workloads, events) and
`brian1917/illumioapi` (users/login; it lists container clusters and container workloads whether there are any or not).
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from simulators.illumio import query as q
from simulators.illumio.errors import refuse_invalid
from simulators.illumio.middleware import WORLD, answer, encoded, href, listing
from simulators.illumio.world import World

Event = dict[str, object]


def routes() -> list[web.RouteDef]:
    """Return the routes, named for the ledger and the fault plan."""
    return [
        web.get("/api/v2/health", health, name="health"),
        web.get("/api/v2/product_version", product_version, name="product_version"),
        web.get("/api/v2/users/login", login, name="users.login"),
        web.get("/api/v2/orgs/{org}/settings/workloads", settings, name="settings.workloads"),
        web.get("/api/v2/orgs/{org}/events", events, name="events.list"),
        web.get("/api/v2/orgs/{org}/container_clusters", no_containers, name="container_clusters.list"),
        web.get("/api/v2/orgs/{org}/container_workloads", no_containers, name="container_workloads.list"),
        web.get("/api/v2/orgs/{org}/jobs/{id}", job, name="jobs.get"),
        web.get("/api/v2/orgs/{org}/datafiles/{id}", datafile, name="datafiles.get"),
    ]


async def health(request: web.Request) -> web.Response:
    """Return the state of the PCE."""
    world = request.app[WORLD]
    return answer([{"status": "normal", "type": "standalone", "fqdn": world.context.fqdn, "available_seconds": 3600}])


async def product_version(request: web.Request) -> web.Response:
    """Return the version of the PCE."""
    return answer(_version(request.app[WORLD]))


async def login(request: web.Request) -> web.Response:
    """Return the user of the key and the organisations that it sees."""
    world = request.app[WORLD]
    org = {"href": world.context.org, "display_name": f"Organisation {world.org_id}", "org_id": world.org_id}
    return answer(
        {
            "href": world.user,
            "auth_username": world.api_user,
            "inactivity_expiration_minutes": 10,
            "orgs": [org],
            "product_version": _version(world),
        }
    )


async def settings(request: web.Request) -> web.Response:
    """Return after how long a silent VEN counts as offline."""
    return answer(
        {
            "href": href(request),
            "workload_disconnected_timeout_seconds": [{"scope": [], "value": 3600, "ven_type": "server"}],
            "workload_goodbye_timeout_seconds": [{"scope": [], "value": 900, "ven_type": "server"}],
        }
    )


async def events(request: web.Request) -> web.Response:
    """Return the audit trail, newest first."""
    world = request.app[WORLD]
    found = q.select(reversed(world.context.events), request.query, _MAKERS)
    return listing(encoded(found[: q.most(request.query, world.traits.collection_cap)]), len(found))


async def no_containers(request: web.Request) -> web.Response:  # noqa: ARG001
    """Return an empty list: this organisation has no containers."""
    return listing([], 0)


async def job(request: web.Request) -> web.Response:
    """Return the state of an asynchronous collection."""
    return answer(request.app[WORLD].jobs.status(href(request)))


async def datafile(request: web.Request) -> web.Response:
    """Return the rows of a finished asynchronous collection."""
    rows = request.app[WORLD].jobs.datafile(href(request))
    return listing(rows, len(rows))


def _version(world: World) -> dict[str, object]:
    traits = world.traits
    return {
        "version": traits.version,
        "build": traits.build,
        "long_display": f"{traits.version}-{traits.build}",
        "short_display": traits.version,
        "engineering_info": "",
        "release_info": "",
    }


def _text(name: str) -> Callable[[Event], str]:
    return lambda event: str(event[name])


def _type(value: str) -> q.Test[Event]:
    if not value:
        refuse_invalid("event_type is empty")
    return lambda event: event["event_type"] == value


_MAKERS: dict[str, Callable[[str], q.Test[Event]]] = {
    "event_type": _type,
    "severity": q.same(_text("severity")),
    "status": q.same(_text("status")),
    "timestamp[gte]": q.at_least(_text("timestamp")),
    "timestamp[lte]": q.at_most(_text("timestamp")),
}
