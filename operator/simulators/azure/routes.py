"""What each ARM and sign-in request does. `front.py` names, admits and dispatches them.

Every handler takes the world, the request and the path's parts; it returns the answer or raises ArmError.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from simulators.azure import errors, render, render_commands
from simulators.azure.bodies import read_order
from simulators.azure.command import Operation
from simulators.azure.machine import Vm
from simulators.azure.throttle import Policy
from simulators.azure.world import Kind, World
from simulators.server import changed

Parts = dict[str, str]
Answer = Callable[[World, web.Request, Parts], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One request of Azure: how it is recognised, named in the ledger and throttled."""

    name: str
    method: str
    path: re.Pattern[str]
    answer: Answer
    policy: Policy | None = None


def base_url(request: web.Request) -> str:
    """What this server is called by the caller."""
    return f"https://{request.host}"


async def list_vms(world: World, request: web.Request, parts: Parts) -> web.Response:
    """List-all; with `statusOnly=true` power states instead of everything else."""
    if request.query.get("$filter") or request.query.get("$expand"):
        raise errors.invalid("$filter", "The $filter or $expand expression is not supported for this list.")
    status_only = request.query.get("statusOnly", "").lower() == "true"
    return _page(world, request, parts, "statuses" if status_only else "vms")


async def list_nics(world: World, request: web.Request, parts: Parts) -> web.Response:
    """List-all of network interfaces."""
    return _page(world, request, parts, "nics")


async def list_scale_sets(world: World, _: web.Request, parts: Parts) -> web.Response:
    """List-all of scale sets."""
    return web.json_response({"value": world.scale_sets(parts["sub"])})


async def get_vm(world: World, request: web.Request, parts: Parts) -> web.Response:
    """A VM, with its instance view where asked for."""
    vm = _vm(world, parts)
    body = render.vm(vm)
    expand = request.query.get("$expand")
    if expand is not None and expand.lower() not in ("instanceview", "userdata", "resiliencyview"):
        raise errors.invalid("$expand", f"The value '{expand}' of the query parameter $expand is not supported.")
    if expand is not None and expand.lower() == "instanceview":
        body["properties"]["instanceView"] = render.instance_view(vm, world.stage.clock.now())
    return web.json_response(body)


async def get_instance_view(world: World, _: web.Request, parts: Parts) -> web.Response:
    """The instance view alone."""
    return web.json_response(render.instance_view(_vm(world, parts), world.stage.clock.now()))


async def put_command(world: World, request: web.Request, parts: Parts) -> web.Response:
    """Create or update a run-command: 201 or 200 with the operation's URL."""
    try:
        vm = _vm(world, parts)
    except errors.ArmError as error:
        if error.code == "ResourceNotFound":
            raise errors.parent_not_found(parts["vm"]) from error
        raise
    world.check_lock(parts["group"])
    order = read_order(await request.text())
    if order.location.lower() != vm.location.lower():
        message = f"The location '{order.location}' differs from the parent resource's location '{vm.location}'."
        raise errors.invalid("location", message, "InvalidResourceLocation")
    before = vm.commands.get(parts["name"].lower())
    command, new = world.desk.put(vm, parts["name"], order)
    if command is not before:
        changed(request, f"run-command {command.name} of {vm.vm_id}")
    headers = _operation_headers(request, command.operation)
    return web.json_response(
        render_commands.command(vm, command, expand=False), status=201 if new else 200, headers=headers
    )


async def get_command(world: World, request: web.Request, parts: Parts) -> web.Response:
    """A run-command, with its instance view where asked for."""
    vm = _vm(world, parts)
    command = vm.commands.get(parts["name"].lower())
    if command is None:
        raise errors.command_not_found(parts["name"])
    return web.json_response(render_commands.command(vm, command, expand=_expand(request)))


async def list_commands(world: World, request: web.Request, parts: Parts) -> web.Response:
    """All run-commands of a VM."""
    vm, expand = _vm(world, parts), _expand(request)
    return web.json_response(
        {"value": [render_commands.command(vm, each, expand=expand) for each in vm.commands.values()]}
    )


async def delete_command(world: World, request: web.Request, parts: Parts) -> web.Response:
    """Delete a run-command: 202 with the operation's URL, 204 where there is none."""
    vm = _vm(world, parts)
    world.check_lock(parts["group"])
    operation = world.desk.delete(vm, parts["name"])
    if operation is None:
        return web.Response(status=204)
    changed(request, f"deletes run-command {parts['name']} of {vm.vm_id}")
    headers = _operation_headers(request, operation)
    headers["Location"] = f"{headers['Azure-AsyncOperation']}&monitor=true"
    return web.Response(status=202, headers=headers)


async def get_operation(world: World, request: web.Request, parts: Parts) -> web.Response:
    """The status of an operation; as its monitor: 202 while it lasts, then 200."""
    operation = world.desk.operation(parts["sub"], parts["location"], parts["id"])
    if operation is None:
        raise errors.ArmError(404, "NotFound", f"The operation '{parts['id']}' was not found.")
    if request.query.get("monitor", "").lower() == "true":
        headers = _operation_headers(request, operation)
        going = operation.ended is None
        return web.Response(
            status=202 if going else 200, headers={"Location": str(request.url), **headers} if going else {}
        )
    return web.json_response(render_commands.operation(operation))


def _vm_path(rest: str) -> str:
    group = "/subscriptions/(?P<sub>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    return f"{group}/providers/Microsoft.Compute/virtualMachines/(?P<vm>[^/]+){rest}"


def _route(name: str, method: str, path: str, answer: Answer, policy: Policy | None) -> Route:
    return Route(name, method, re.compile(path + "/?", re.IGNORECASE), answer, policy)


_SUBSCRIPTION = "/subscriptions/(?P<sub>[^/]+)/providers"
ROUTES = (
    _route("vms.list", "GET", f"{_SUBSCRIPTION}/Microsoft.Compute/virtualMachines", list_vms, "HighCostGet"),
    _route("nics.list", "GET", f"{_SUBSCRIPTION}/Microsoft.Network/networkInterfaces", list_nics, "NetworkGet"),
    _route(
        "scale-sets.list",
        "GET",
        f"{_SUBSCRIPTION}/Microsoft.Compute/virtualMachineScaleSets",
        list_scale_sets,
        "HighCostGet",
    ),
    _route(
        "operations.get",
        "GET",
        f"{_SUBSCRIPTION}/Microsoft.Compute/locations/(?P<location>[^/]+)/operations/(?P<id>[^/]+)",
        get_operation,
        "GetOperation",
    ),
    _route("vms.get", "GET", _vm_path(""), get_vm, "LowCostGet"),
    _route("vms.instance-view", "GET", _vm_path("/instanceView"), get_instance_view, "LowCostGet"),
    _route("commands.list", "GET", _vm_path("/runCommands"), list_commands, "LowCostGet"),
    _route("commands.get", "GET", _vm_path("/runCommands/(?P<name>[^/]+)"), get_command, "LowCostGet"),
    _route("commands.put", "PUT", _vm_path("/runCommands/(?P<name>[^/]+)"), put_command, "UpdateVM"),
    _route("commands.delete", "DELETE", _vm_path("/runCommands/(?P<name>[^/]+)"), delete_command, "UpdateVM"),
)


def _vm(world: World, parts: Parts) -> Vm:
    return world.vm(parts["sub"], parts["group"], parts["vm"])


def _expand(request: web.Request) -> bool:
    expand = request.query.get("$expand")
    if expand is None:
        return False
    if expand.lower() != "instanceview":
        raise errors.invalid("$expand", f"The value '{expand}' of the query parameter $expand is not supported.")
    return True


def _operation_headers(request: web.Request, operation: Operation) -> dict[str, str]:
    scope = f"{base_url(request)}/subscriptions/{operation.subscription}/providers/Microsoft.Compute"
    query = f"p={uuid.uuid5(uuid.NAMESPACE_URL, operation.id)}&api-version={request.query['api-version']}"
    return {
        "Azure-AsyncOperation": f"{scope}/locations/{operation.location}/operations/{operation.id}?{query}",
        "Azure-AsyncNotification": "Enabled",
    }


def _page(world: World, request: web.Request, parts: Parts, kind: Kind) -> web.Response:
    after, number = _read_token(request.query.get("$skiptoken", ""), kind)
    page = world.page(parts["sub"], kind, after, number)
    body = b'{"value":[' + b",".join(page.values) + b"]"
    if page.after is not None:
        token = _write_token(kind, page.after, number + 1)
        extra = "&statusOnly=true" if kind == "statuses" else ""
        version = quote(request.query["api-version"])
        link = f"{base_url(request)}{request.path}?api-version={version}{extra}&$skiptoken={token}"
        body += b',"nextLink":' + json.dumps(link).encode()
    return web.Response(body=body + b"}", content_type="application/json", charset="utf-8")


def _write_token(kind: Kind, after: int, number: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([kind, after, number]).encode()).decode().rstrip("=")


def _read_token(token: str, kind: Kind) -> tuple[int, int]:
    if not token:
        return 0, 0
    try:
        of, after, number = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError, TypeError) as error:
        raise errors.invalid("$skiptoken", "The skip token is not valid.", "InvalidSkipToken") from error
    if of != kind or not isinstance(after, int) or not isinstance(number, int):
        raise errors.invalid("$skiptoken", "The skip token is not valid.", "InvalidSkipToken")
    return after, number
