"""The Azure simulator's routes on the control port: create VMs, change them, and switch traits and latencies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, cast, get_args

from aiohttp import web

from simulators.azure import incidents, render
from simulators.azure.machine import PowerOff, Vm
from simulators.azure.world import World
from simulators.control import BadControlRequestError, read_json, read_object


def add_control(router: web.UrlDispatcher, world: World) -> None:
    """Add `/azure/...` to the control port's router."""
    _add_vm_routes(router, world)
    _add_switches(router, world)
    _add_identity_routes(router, world)


def _add_vm_routes(router: web.UrlDispatcher, world: World) -> None:
    async def add(request: web.Request) -> web.Response:
        body = await read_json(request)
        added = [world.add(_spec(each)) for each in (body if isinstance(body, list) else [body])]
        return web.json_response({"vms": [summary(vm) for vm in added]}, status=201)

    async def listing(_: web.Request) -> web.Response:
        return web.json_response({"vms": [summary(vm) for vm in world.all()]})

    async def change(request: web.Request) -> web.Response:
        vm = world.named(request.match_info["name"])
        action = request.match_info["action"]
        return web.json_response(summary(apply_action(world, vm, action, await read_object(request))))

    router.add_get("/azure/vms", listing)
    router.add_post("/azure/vms", add)
    router.add_post(f"/azure/vms/{{name}}/{{action:{'|'.join(ACTIONS)}}}", change)


def _add_switches(router: web.UrlDispatcher, world: World) -> None:
    async def traits(request: web.Request) -> web.Response:
        if request.method == "POST":
            values = await read_object(request)
            world.traits.change(values)
            world.environment.ledger.append("azure", "world.switched", changed=tuple(sorted(values)))
        return web.json_response(world.traits.as_json())

    async def timing(request: web.Request) -> web.Response:
        if request.method == "POST":
            values = await read_object(request)
            world.timing.change(values)
            world.environment.ledger.append("azure", "world.switched", changed=tuple(sorted(values)))
        return web.json_response(asdict(world.timing))

    router.add_get("/azure/traits", traits)
    router.add_post("/azure/traits", traits)
    router.add_get("/azure/timing", timing)
    router.add_post("/azure/timing", timing)


def _add_identity_routes(router: web.UrlDispatcher, world: World) -> None:
    async def revoke(_: web.Request) -> web.Response:
        return web.json_response({"revoked": world.directory.revoke()})

    async def secret(request: web.Request) -> web.Response:
        """{secret}: replace the application's secret; the old one and its tokens are no longer valid."""
        world.directory.change_secret(str((await read_object(request))["secret"]))
        return web.json_response({})

    router.add_post("/azure/tokens/revoke", revoke)
    router.add_post("/azure/secret", secret)


def _spec(each: object) -> dict[str, Any]:
    if not isinstance(each, dict):
        message = "a VM must be a JSON object"
        raise BadControlRequestError(message)
    return each


def apply_action(world: World, vm: Vm, action: str, body: dict[str, Any]) -> Vm:
    """Apply a person's action to a VM; return it, or the VM in its place. Raises ValueError for an impossible one."""
    act = ACTIONS.get(action)
    if act is None:
        message = f"unknown action {action!r}; there are {', '.join(ACTIONS)}"
        raise BadControlRequestError(message)
    return act(world, vm, body) or vm


def _start(world: World, vm: Vm, body: dict[str, Any]) -> None:
    if "agentDelay" in body:  # its agent was repaired meanwhile
        vm.agent_delay = float(body["agentDelay"])
    world.start(vm)


def _delete(world: World, vm: Vm, body: dict[str, Any]) -> None:
    if body.get("at_once"):
        world.delete(vm)
    else:
        world.remove(vm)


ACTIONS: dict[str, Callable[[World, Vm, dict[str, Any]], Vm | None]] = {
    "stop": lambda world, vm, body: world.stop(vm, _power_off(body)),
    "start": _start,
    "retag": lambda world, vm, body: world.retag(vm, body.get("tags") or {}),
    "recreate": lambda world, vm, _: world.recreate(vm),
    "delete": _delete,
    "readdress": lambda world, vm, body: world.readdress(vm, body.get("addresses") or ()),
    "attach": lambda world, vm, body: world.attach(vm, body.get("addresses") or ()),
    "resize": lambda world, vm, body: world.resize(vm, str(body["size"])),
    "rename": lambda world, vm, body: world.rename(vm, str(body["computerName"])),
    "reboot": lambda world, vm, _: incidents.reboot(world, vm),
    "restart-handler": lambda world, vm, _: incidents.restart_handler(world, vm),
    "upgrade-handler": lambda world, vm, _: incidents.upgrade_handler(world, vm),
    "kill-scripts": lambda world, vm, _: incidents.kill_scripts(world, vm),
    "obstruct": incidents.obstruct,
    "delete-commands": lambda world, vm, _: incidents.delete_commands(world, vm),
    "move": lambda world, vm, body: world.move(vm, str(body["resourceGroup"]), str(body.get("subscription", ""))),
}
"""Action -> what it does with a VM and the fields of the request's body."""


def _power_off(body: dict[str, Any]) -> PowerOff:
    state = body.get("state", "deallocated")
    if state not in get_args(PowerOff):
        message = f"'state' must be stopped or deallocated, not {state!r}"
        raise BadControlRequestError(message)
    return cast("PowerOff", state)


def summary(vm: Vm) -> dict[str, Any]:
    """Return a VM as the control port shows it."""
    return {
        "name": vm.name,
        "id": render.vm_id(vm),
        "vmId": vm.vm_id,
        "subscription": vm.subscription,
        "resourceGroup": vm.group,
        "os": vm.os.lower(),
        "power": vm.power,
        "tags": vm.tags,
        "computerName": vm.computer_name,
        "addresses": [address.ip for nic in vm.nics for address in nic.addresses],
        "runCommands": {
            command.name: {"state": command.report.state, "exitCode": command.report.exit_code}
            for command in vm.commands.values()
        },
    }
