"""Pairing profiles and keys over HTTP.

Paths and fields: the Terraform provider illumio-core, the `illumio` SDK 1.1.3 (`generate_pairing_key`).
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from simulators.illumio import query as q
from simulators.illumio.bodies import EmptyBody, ProfileBody
from simulators.illumio.context import Context
from simulators.illumio.middleware import WORLD, answer, body, done, encoded, href, listing, parent
from simulators.illumio.profiles import Profile
from simulators.illumio.records import worn

_PATH = "/api/v2/orgs/{org}/pairing_profiles"


def routes() -> list[web.RouteDef]:
    """Return the routes, named for the ledger and the fault plan."""
    return [
        web.get(_PATH, list_profiles, name="pairing_profiles.list"),
        web.post(_PATH, create_profile, name="pairing_profiles.create"),
        web.get(_PATH + "/{id}", get_profile, name="pairing_profiles.get"),
        web.put(_PATH + "/{id}", update_profile, name="pairing_profiles.update"),
        web.delete(_PATH + "/{id}", delete_profile, name="pairing_profiles.delete"),
        web.post(_PATH + "/{id}/pairing_key", make_key, name="pairing_keys.create"),
        web.delete(_PATH + "/{id}/pairing_keys", revoke_keys, name="pairing_keys.delete"),
    ]


async def list_profiles(request: web.Request) -> web.Response:
    """Profiles; `name` matches in part."""
    world = request.app[WORLD]
    found = q.select(world.profiles.all(), request.query, _MAKERS)
    shown = found[: q.most(request.query, world.traits.collection_cap)]
    return listing(encoded([profile_row(item, world.context) for item in shown]), len(found))


async def create_profile(request: web.Request) -> web.Response:
    """201 with the profile."""
    world = request.app[WORLD]
    return answer(profile_row(world.profiles.create(await body(request, ProfileBody)), world.context), status=201)


async def get_profile(request: web.Request) -> web.Response:
    """One profile."""
    world = request.app[WORLD]
    return answer(profile_row(world.profiles.get(href(request)), world.context))


async def update_profile(request: web.Request) -> web.Response:
    """Change a profile."""
    request.app[WORLD].profiles.update(href(request), await body(request, ProfileBody))
    return done()


async def delete_profile(request: web.Request) -> web.Response:
    """Delete a profile and its keys."""
    request.app[WORLD].profiles.delete(href(request))
    return done()


async def make_key(request: web.Request) -> web.Response:
    """201 with an activation code that is never shown again."""
    await body(request, EmptyBody)
    return answer({"activation_code": request.app[WORLD].profiles.make_key(parent(request))}, status=201)


async def revoke_keys(request: web.Request) -> web.Response:
    """Revoke all keys of a profile."""
    request.app[WORLD].profiles.revoke_keys(parent(request))
    return done()


_SHOWN = (
    "name",
    "enabled",
    "is_default",
    "enforcement_mode",
    "enforcement_mode_lock",
    "visibility_level",
    "visibility_level_lock",
    "allowed_uses_per_key",
    "key_lifespan",
    "role_label_lock",
    "app_label_lock",
    "env_label_lock",
    "loc_label_lock",
    "log_traffic",
    "log_traffic_lock",
    "ven_type",
    "total_use_count",
    "created_at",
    "updated_at",
)
_OPTIONAL = ("description", "last_pairing_at", "external_data_set", "external_data_reference")


def profile_row(profile: Profile, context: Context) -> dict[str, object]:
    """Return a profile as the PCE shows it.

    An unset release shows the default's name, which a client must not send back.
    """
    row: dict[str, object] = {"href": profile.href}
    row |= {name: getattr(profile, name) for name in _SHOWN}
    row |= {name: getattr(profile, name) for name in _OPTIONAL if getattr(profile, name) is not None}
    return row | {
        "labels": worn(profile.labels, context),
        "agent_software_release": profile.agent_software_release or f"Default ({context.traits.version})",
        "created_by": {"href": profile.created_by},
        "updated_by": {"href": profile.updated_by},
        "caps": ["write", "generate_pairing_key"],
    }


_MAKERS: dict[str, Callable[[str], q.Test[Profile]]] = {
    "name": q.part(lambda item: item.name),
    "description": q.part(lambda item: item.description),
    "external_data_set": q.same(lambda item: item.external_data_set),
    "external_data_reference": q.same(lambda item: item.external_data_reference),
    "agent_software_release": q.same(lambda item: item.agent_software_release),
    "ven_type": q.same(lambda item: item.ven_type),
}
