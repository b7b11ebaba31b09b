"""The control port's routes for the PCE: read it, and change it as people and machines do.

`simulators.__main__` and tests call `add_control`. Answers and bodies are JSON; an invalid request is a 400 with a
sentence, an unknown workload a 404.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Literal

import msgspec
from aiohttp import web

from simulators.control import BadControlRequestError, read_json, read_object
from simulators.illumio.bodies import Href, InterfaceBody, LabelCreate, SetLabels, VenBody, WorkloadBody
from simulators.illumio.context import Caller, caller
from simulators.illumio.errors import PceError
from simulators.illumio.pairing import How, PairingFault
from simulators.illumio.records import Workload
from simulators.illumio.world import World

PERSON = "/users/7"
Act = Callable[[World, web.Request], Awaitable[web.Response]]
Order = Callable[[World, Workload, dict[str, object]], None]


class Preloaded(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A machine that is already paired. `profile`: HREF of the profile that gives labels and enforcement."""

    hostname: str
    interfaces: list[InterfaceBody] = []
    os: str = "linux"
    profile: str | None = None


class PairingOrder(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The next `refuse` pairings of `hostname` ("*": of any) fail, `how`: refuse, error, html or hang."""

    hostname: str = "*"
    refuse: int = 1
    how: How = "refuse"
    token: str = "activation_code_invalid"  # noqa: S105 - an error's name
    seconds: float = 600.0


def add_control(target: web.Application | web.UrlDispatcher, world: World) -> None:
    """Add the PCE's control routes."""
    router = target.router if isinstance(target, web.Application) else target
    for method, path, act in (
        ("GET", "/illumio/workloads", _show),
        ("POST", "/illumio/workloads/{key}/{order}", _carry_out),
        ("POST", "/illumio/pairing", _fail_pairings),
        ("POST", "/illumio/preloaded", _preload),
        ("POST", "/illumio/traits", _set_traits),
        ("POST", "/illumio/key", _set_key),
    ):
        router.add_route(method, path, _as_person(world, act))


def _as_person(world: World, act: Act) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a handler that acts as a person, not as the API's user."""

    async def handler(request: web.Request) -> web.Response:
        world.context.advance()
        token = caller.set(Caller(PERSON))
        try:
            return await act(world, request)
        except PceError as error:
            return web.json_response({"error": error.message}, status=404 if error.status == 404 else 400)
        except msgspec.ValidationError as error:
            return web.json_response({"error": str(error)}, status=400)
        finally:
            caller.reset(token)

    return handler


async def _show(world: World, _: web.Request) -> web.Response:
    return web.json_response({"workloads": [_row(workload) for workload in world.workloads.all()]})


async def _carry_out(world: World, request: web.Request) -> web.Response:
    order = {"workload": request.match_info["key"], "do": request.match_info["order"]}
    workload = carry_out(world, await read_object(request) | order)
    world.context.advance()
    return web.json_response(_row(workload))


def carry_out(world: World, order: dict[str, object]) -> Workload:
    """Act as a person or a machine: `workload` (uuid or hostname), `do`, and the action's own fields."""
    more = dict(order)
    key, name = str(more.pop("workload")), str(more.pop("do"))
    act = ORDERS.get(name)
    if act is None:
        message = f"unknown order {name!r}; there are {', '.join(sorted(ORDERS))}"
        raise BadControlRequestError(message)
    workload = world.pairing.find(key)
    act(world, workload, more)
    return workload


async def _fail_pairings(world: World, request: web.Request) -> web.Response:
    wanted = msgspec.convert(await read_object(request), PairingOrder)
    world.pairing.order(wanted.hostname, PairingFault(wanted.refuse, wanted.how, wanted.token, wanted.seconds))
    return web.json_response({}, status=201)


async def _preload(world: World, request: web.Request) -> web.Response:
    """One machine, or a list of them."""
    body = await read_json(request)
    machines = msgspec.convert(body if isinstance(body, list) else [body], list[Preloaded])
    made = [
        _row(world.pairing.preload(machine.hostname, machine.interfaces, machine.os, machine.profile))
        | {"org_id": world.org_id}
        for machine in machines
    ]
    return web.json_response({"workloads": made} if isinstance(body, list) else made[0], status=201)


async def _set_traits(world: World, request: web.Request) -> web.Response:
    values = await read_object(request)
    world.traits.change(values)
    world.context.changed(f"traits switched: {', '.join(sorted(values))}", "world.switched")
    for workload in world.workloads.all():
        world.workloads.touch(workload)
    return web.json_response(asdict(world.traits))


async def _set_key(world: World, request: web.Request) -> web.Response:
    """{alive?: bool, secret?}: make the API key invalid or valid; replace its secret."""
    order = await read_object(request)
    if "secret" in order:
        world.change_secret(str(order["secret"]))
    if order.get("alive", True):
        world.revive_key()
    else:
        world.expire_key(0.0)
    return web.json_response({"alive": world.key_dead_until == 0.0})


def _offline(world: World, workload: Workload, _: dict[str, object]) -> None:
    world.vens.set_online(workload, online=False)


def _online(world: World, workload: Workload, _: dict[str, object]) -> None:
    world.vens.set_online(workload, online=True)


def _goodbye(world: World, workload: Workload, _: dict[str, object]) -> None:
    world.vens.goodbye(workload)


def _unpair(world: World, workload: Workload, _: dict[str, object]) -> None:
    world.vens.unpair_at_once(workload)


def _relabel(world: World, workload: Workload, wanted: dict[str, object]) -> None:
    """Change labels as a person: {key: value}, null removes; missing labels are created."""
    hrefs: list[Href] = []
    for key, value in wanted.items():
        if value is not None:
            found = world.labels.find(key, str(value)) or world.labels.create(LabelCreate(key=key, value=str(value)))
            hrefs.append(Href(href=found.href))
    gone = [key for key, value in wanted.items() if value is None]
    order = SetLabels(workloads=[Href(href=workload.href)], labels=hrefs, delete_existing_keys=gone)
    world.workloads.set_labels(order)


def _enforce(world: World, workload: Workload, wanted: dict[str, object]) -> None:
    """{mode}: change the enforcement mode as a person."""
    world.workloads.update(workload.href, msgspec.convert({"enforcement_mode": wanted["mode"]}, WorkloadBody))


def _change(world: World, workload: Workload, wanted: dict[str, object]) -> None:
    """Change attributes as a person: {name: value} as in a PUT."""
    world.workloads.update(workload.href, msgspec.convert(wanted, WorkloadBody))


def _suspend(world: World, workload: Workload, _: dict[str, object]) -> None:
    _mark_ven(world, workload, "suspended")


def _resume(world: World, workload: Workload, _: dict[str, object]) -> None:
    _mark_ven(world, workload, "active")


def _mark_ven(world: World, workload: Workload, status: Literal["active", "suspended"]) -> None:
    world.vens.update(workload.href.replace("/workloads/", "/vens/"), VenBody(status=status))


ORDERS: dict[str, Order] = {
    "change": _change,
    "suspend": _suspend,
    "resume": _resume,
    "enforce": _enforce,
    "offline": _offline,
    "online": _online,
    "goodbye": _goodbye,
    "unpair": _unpair,
    "relabel": _relabel,
}


def _row(workload: Workload) -> dict[str, object]:
    return {
        "uuid": workload.uuid,
        "href": workload.href,
        "hostname": workload.hostname,
        "online": workload.online,
        "managed": workload.ven is not None,
        "deleted": workload.deleted_at is not None,
        "enforcement_mode": workload.enforcement_mode,
        "labels": {key: label.value for key, label in workload.labels.items()},
        "external_data_reference": workload.external_data_reference,
    }
