"""The handlers of ARM requests. `front.py` matches, names and admits requests and calls these.

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

from simulators.azure import errors, render, render_commands, routes_resources
from simulators.azure.bodies import read_run_command
from simulators.azure.command import Operation
from simulators.azure.lists import Kind, is_hidden, page, scale_sets
from simulators.azure.machine import Vm, vm_key
from simulators.azure.throttle import Policy
from simulators.azure.world import World
from simulators.server import changed

GRAPH = "graph.query"
"""The operation with a limit of its own."""
Parts = dict[str, str]
Answer = Callable[[World, web.Request, Parts], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One kind of request: its path, its name in the ledger and its throttling policy."""

    name: str
    method: str
    path: re.Pattern[str]
    answer: Answer
    policy: Policy | None = None


def base_url(request: web.Request) -> str:
    """Return this server's URL as the caller sees it."""
    return f"https://{request.host}"


async def list_vms(world: World, request: web.Request, parts: Parts) -> web.Response:
    """List all VMs; with `statusOnly=true` only their power states."""
    if request.query.get("$filter") or request.query.get("$expand"):
        raise errors.invalid("$filter", "The $filter or $expand expression is not supported for this list.")
    status_only = request.query.get("statusOnly", "").lower() == "true"
    return _page(world, request, parts, "statuses" if status_only else "vms")


async def list_nics(world: World, request: web.Request, parts: Parts) -> web.Response:
    """List all network interfaces."""
    return _page(world, request, parts, "nics")


async def get_nic(world: World, _: web.Request, parts: Parts) -> web.Response:
    """Get a network interface, which may lie in another resource group than its VM."""
    if {parts["group"].lower(), parts["nic"].lower()} & world.traits.denied:
        raise errors.forbidden(world.directory.client_id, "Microsoft.Network/networkInterfaces/read")
    wanted = vm_key(parts["sub"], parts["group"], parts["nic"])
    for vm in world.all():
        for number, nic in enumerate(() if is_hidden(vm) else vm.nics):
            if vm_key(vm.subscription, nic.group or vm.group, nic.name) == wanted:
                return web.json_response(render.nics(vm)[number])
    raise errors.nic_not_found(parts["group"], parts["nic"])


async def list_scale_sets(world: World, _: web.Request, parts: Parts) -> web.Response:
    """List all scale sets."""
    found = scale_sets(world.fleet(parts["sub"]), world.traits)
    return web.json_response({"value": [render.scale_set(members) for members in found]})


async def query_graph(world: World, request: web.Request, _: Parts) -> web.Response:
    """Answer a query of Resource Graph."""
    return web.json_response(world.graph.answer(await request.text()))


async def get_vm(world: World, request: web.Request, parts: Parts) -> web.Response:
    """Get a VM, on request with its instance view."""
    vm = _vm(world, parts)
    body = render.vm(vm)
    expand = request.query.get("$expand")
    if expand is not None and expand.lower() not in ("instanceview", "userdata", "resiliencyview"):
        raise errors.invalid("$expand", f"The value '{expand}' of the query parameter $expand is not supported.")
    if expand is not None and expand.lower() == "instanceview":
        body["properties"]["instanceView"] = render.instance_view(vm, world.environment.clock.now())
    return web.json_response(body)


async def get_instance_view(world: World, _: web.Request, parts: Parts) -> web.Response:
    """Get only the instance view."""
    return web.json_response(render.instance_view(_vm(world, parts), world.environment.clock.now()))


async def put_command(world: World, request: web.Request, parts: Parts) -> web.Response:
    """Create or update a run-command: 201 or 200 with the operation's URL."""
    try:
        vm = _vm(world, parts)
    except errors.ArmError as error:
        if error.code == "ResourceNotFound":
            raise errors.parent_not_found(parts["vm"]) from error
        raise
    world.check_lock(parts["group"])
    order = read_run_command(await request.text())
    if order.location.lower() != vm.location.lower():
        message = f"The location '{order.location}' differs from the parent resource's location '{vm.location}'."
        raise errors.invalid("location", message, "InvalidResourceLocation")
    tags = {name.lower() for name in order.tags}
    for demanded in world.traits.demanded_tags.get(vm.group.lower(), ()):
        if demanded.lower() not in tags:
            raise errors.disallowed_by_policy(parts["name"], vm.subscription, demanded)
    before = vm.commands.get(parts["name"].lower())
    command, new = world.run_commands.put(vm, parts["name"], order)
    if command is not before:
        changed(request, f"run-command {command.name} of {vm.vm_id}")
    headers = _operation_headers(request, command.operation)
    return web.json_response(
        render_commands.command(vm, command, expand=False), status=201 if new else 200, headers=headers
    )


async def get_command(world: World, request: web.Request, parts: Parts) -> web.Response:
    """Get a run-command, on request with its instance view."""
    vm = _vm(world, parts)
    command = vm.commands.get(parts["name"].lower())
    if command is None:
        raise errors.command_not_found(parts["name"])
    return web.json_response(render_commands.command(vm, command, expand=_expand(request)))


async def list_commands(world: World, request: web.Request, parts: Parts) -> web.Response:
    """List all run-commands of a VM."""
    vm, expand = _vm(world, parts), _expand(request)
    return web.json_response(
        {"value": [render_commands.command(vm, each, expand=expand) for each in vm.commands.values()]}
    )


async def delete_command(world: World, request: web.Request, parts: Parts) -> web.Response:
    """Delete a run-command: 202 with the operation's URL, 204 if there is none."""
    vm = _vm(world, parts)
    world.check_lock(parts["group"])
    operation = world.run_commands.delete(vm, parts["name"])
    if operation is None:
        return web.Response(status=204)
    changed(request, f"deletes run-command {parts['name']} of {vm.vm_id}")
    headers = _operation_headers(request, operation)
    headers["Location"] = f"{headers['Azure-AsyncOperation']}&monitor=true"
    return web.Response(status=202, headers=headers)


async def get_operation(world: World, request: web.Request, parts: Parts) -> web.Response:
    """Get an operation's status; as its monitor: 202 while it runs, then 200."""
    operation = world.run_commands.operation(parts["sub"], parts["location"], parts["id"])
    if operation is None:
        raise errors.ArmError(404, "NotFound", f"The operation '{parts['id']}' was not found.")
    if request.query.get("monitor", "").lower() == "true":
        headers = _operation_headers(request, operation)
        going = operation.ended is None
        return web.Response(
            status=202 if going else 200, headers={"Location": str(request.url), **headers} if going else {}
        )
    return web.json_response(render_commands.operation(operation))


_GROUP = "/subscriptions/(?P<sub>[^/]+)/resourceGroups/(?P<group>[^/]+)/providers"


def _vm_path(rest: str) -> str:
    return f"{_GROUP}/Microsoft.Compute/virtualMachines/(?P<vm>[^/]+){rest}"


def _route(name: str, method: str, path: str, answer: Answer, policy: Policy | None) -> Route:
    return Route(name, method, re.compile(path + "/?", re.IGNORECASE), answer, policy)


_ONE = "/subscriptions/(?P<sub>[^/]+)"
_SUBSCRIPTION = f"{_ONE}/providers"
ROUTES = (
    _route("vms.list", "GET", f"{_SUBSCRIPTION}/Microsoft.Compute/virtualMachines", list_vms, "HighCostGet"),
    _route("nics.list", "GET", f"{_SUBSCRIPTION}/Microsoft.Network/networkInterfaces", list_nics, "NetworkGet"),
    _route(GRAPH, "POST", "/providers/Microsoft.ResourceGraph/resources", query_graph, None),
    _route(
        "nics.get",
        "GET",
        f"{_GROUP}/Microsoft.Network/networkInterfaces/(?P<nic>[^/]+)",
        get_nic,
        "NetworkGet",
    ),
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
    _route("subscriptions.list", "GET", "/subscriptions", routes_resources.list_subscriptions, None),
    _route("subscriptions.get", "GET", _ONE, routes_resources.get_subscription, None),
    _route("tenants.list", "GET", "/tenants", routes_resources.list_tenants, None),
    _route("groups.list", "GET", f"{_ONE}/resourceGroups", routes_resources.list_groups, None),
    _route("groups.get", "GET", f"{_ONE}/resourceGroups/(?P<group>[^/]+)", routes_resources.get_group, None),
    _route(
        "permissions.list",
        "GET",
        f"{_ONE}/resourceGroups/(?P<group>[^/]+)/providers/Microsoft.Authorization/permissions",
        routes_resources.list_permissions,
        None,
    ),
    _route("providers.list", "GET", _SUBSCRIPTION, routes_resources.list_providers, None),
    _route("providers.get", "GET", f"{_SUBSCRIPTION}/(?P<provider>[^/]+)", routes_resources.get_provider, None),
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
    size = max(1, int(world.traits.page_size))
    found = page(world.fleet(parts["sub"]), kind, after, number, size=size, traits=world.traits)
    body = b'{"value":[' + b",".join(found.values) + b"]"
    if found.after is not None:
        token = _write_token(kind, found.after, number + 1)
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
