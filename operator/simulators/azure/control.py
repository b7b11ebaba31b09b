"""The Azure world's routes on the control port: order VMs and let things happen to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, cast, get_args

from aiohttp import web

from simulators.azure import render
from simulators.azure.machine import PowerOff, Vm
from simulators.azure.world import World
from simulators.control import BadOrderError, read_json, read_object


def add_control(router: web.UrlDispatcher, world: World) -> None:
    """Add `/azure/...` to the control port's router."""

    async def add(request: web.Request) -> web.Response:
        body = await read_json(request)
        added = [world.add(_order(each)) for each in (body if isinstance(body, list) else [body])]
        return web.json_response({"vms": [summary(vm) for vm in added]}, status=201)

    async def listing(_: web.Request) -> web.Response:
        return web.json_response({"vms": [summary(vm) for vm in world.all()]})

    async def change(request: web.Request) -> web.Response:
        vm = world.named(request.match_info["name"])
        action = request.match_info["action"]
        return web.json_response(summary(carry_out(world, vm, action, await read_object(request))))

    async def traits(request: web.Request) -> web.Response:
        if request.method == "POST":
            values = await read_object(request)
            world.traits.change(values)
            world.stage.ledger.append("azure", "world.switched", changed=tuple(sorted(values)))
        return web.json_response(world.traits.as_json())

    async def timing(request: web.Request) -> web.Response:
        if request.method == "POST":
            values = await read_object(request)
            world.timing.change(values)
            world.stage.ledger.append("azure", "world.switched", changed=tuple(sorted(values)))
        return web.json_response(asdict(world.timing))

    async def revoke(_: web.Request) -> web.Response:
        return web.json_response({"revoked": world.directory.revoke()})

    async def secret(request: web.Request) -> web.Response:
        """{secret}: the application has another one; the old one and its tokens are worth nothing."""
        world.directory.change_secret(str((await read_object(request))["secret"]))
        return web.json_response({})

    actions = "|".join(ACTIONS)
    router.add_get("/azure/vms", listing)
    router.add_post("/azure/vms", add)
    router.add_post(f"/azure/vms/{{name}}/{{action:{actions}}}", change)
    router.add_post("/azure/tokens/revoke", revoke)
    router.add_post("/azure/secret", secret)
    router.add_get("/azure/traits", traits)
    router.add_post("/azure/traits", traits)
    router.add_get("/azure/timing", timing)
    router.add_post("/azure/timing", timing)


def _order(each: object) -> dict[str, Any]:
    if not isinstance(each, dict):
        message = "an order for a VM must be a JSON object"
        raise BadOrderError(message)
    return each


def carry_out(world: World, vm: Vm, action: str, body: dict[str, Any]) -> Vm:
    """Let something happen to a VM; returns it, or the one in its place. ValueError for what makes no sense."""
    act = ACTIONS.get(action)
    if act is None:
        message = f"unknown action {action!r}; there are {', '.join(ACTIONS)}"
        raise BadOrderError(message)
    return act(world, vm, body) or vm


def _start(world: World, vm: Vm, body: dict[str, Any]) -> None:
    if "agentDelay" in body:  # its agent was mended meanwhile
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
    "move": lambda world, vm, body: world.move(vm, str(body["resourceGroup"]), str(body.get("subscription", ""))),
}
"""What may happen to a VM, and what it needs to be told."""


def _power_off(body: dict[str, Any]) -> PowerOff:
    state = body.get("state", "deallocated")
    if state not in get_args(PowerOff):
        message = f"'state' must be stopped or deallocated, not {state!r}"
        raise BadOrderError(message)
    return cast("PowerOff", state)


def summary(vm: Vm) -> dict[str, Any]:
    """A VM as the control port shows it: what a person or a test wants to know."""
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
            command.name: {"state": command.state, "exitCode": command.exit_code} for command in vm.commands.values()
        },
    }
