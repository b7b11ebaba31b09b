"""What ARM itself answers: addresses, subscriptions, resource groups, versions of types, and the caller's own rights.

`az` asks for these before it asks for a VM. Shapes: Azure/azure-rest-api-specs, specification/resources/
resource-manager/Microsoft.Resources (subscriptions.json, resources.json) and specification/authorization/
resource-manager/Microsoft.Authorization (Permissions_ListForResourceGroup).
"""

from __future__ import annotations

import uuid

from aiohttp import web

from simulators.azure import errors
from simulators.azure.rights import PERMISSIONS_READ
from simulators.azure.world import World

_TYPES: dict[str, tuple[str, ...]] = {
    "Microsoft.Compute": (
        "virtualMachines",
        "virtualMachines/runCommands",
        "virtualMachineScaleSets",
        "locations/operations",
    ),
    "Microsoft.Network": ("networkInterfaces",),
}
_VERSIONS: dict[str, tuple[str, ...]] = {
    "Microsoft.Compute": ("2024-07-01", "2024-03-01", "2023-03-01", "2021-03-01"),
    "Microsoft.Network": ("2024-05-01", "2023-05-01", "2018-10-01"),
}
_ROLE = (
    "Microsoft.Compute/virtualMachines/read",
    "Microsoft.Compute/virtualMachines/instanceView/read",
    "Microsoft.Network/networkInterfaces/read",
    "Microsoft.Compute/virtualMachineScaleSets/read",
    "Microsoft.Compute/virtualMachines/runCommands/read",
    "Microsoft.Compute/virtualMachines/runCommands/write",
    "Microsoft.Compute/virtualMachines/runCommands/delete",
    "Microsoft.ResourceGraph/resources/read",
    PERMISSIONS_READ,
)
"""The actions of the caller's role, which is assigned at the subscription."""

Parts = dict[str, str]


def endpoints(url: str) -> dict[str, object]:
    """Return the addresses of a cloud, which ARM gives to everybody: `az cloud register` asks before it signs in."""
    return {
        "name": "simulated",
        "resourceManager": url,
        "authentication": {
            "loginEndpoint": url,
            "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "suffixes": {},
    }


async def list_subscriptions(world: World, _: web.Request, parts: Parts) -> web.Response:  # noqa: ARG001
    """List the tenant's subscriptions."""
    return web.json_response({"value": [_subscription(world, each) for each in world.subscriptions]})


async def get_subscription(world: World, _: web.Request, parts: Parts) -> web.Response:
    """Get a subscription."""
    return web.json_response(_subscription(world, parts["sub"]))


async def list_tenants(world: World, _: web.Request, parts: Parts) -> web.Response:  # noqa: ARG001
    """List the caller's tenants: there is one."""
    tenant = world.directory.tenant
    return web.json_response({"value": [{"id": f"/tenants/{tenant}", "tenantId": tenant, "displayName": "simulated"}]})


async def list_groups(world: World, _: web.Request, parts: Parts) -> web.Response:
    """List the resource groups of a subscription that the caller may read."""
    found = _groups(world, parts["sub"])
    return web.json_response({"value": [_group(parts["sub"], *each) for each in found.items()]})


async def get_group(world: World, _: web.Request, parts: Parts) -> web.Response:
    """Get a resource group."""
    for name, location in _groups(world, parts["sub"]).items():
        if name.lower() == parts["group"].lower():
            return web.json_response(_group(parts["sub"], name, location))
    text = f"Resource group '{parts['group']}' could not be found."
    raise errors.ArmError(404, "ResourceGroupNotFound", text)


async def list_permissions(world: World, _: web.Request, parts: Parts) -> web.Response:
    """List what the caller may do in a resource group: one entry per role that is assigned to it."""
    if parts["group"].lower() in world.traits.denied:
        raise errors.forbidden(world.directory.client_id, PERMISSIONS_READ)
    actions = [each for each in _ROLE if each.lower() not in world.traits.lacking]
    nothing: list[str] = []
    entry = {"actions": actions, "notActions": nothing, "dataActions": nothing, "notDataActions": nothing}
    return web.json_response({"value": [entry]})


async def list_providers(world: World, _: web.Request, parts: Parts) -> web.Response:  # noqa: ARG001
    """List the resource providers."""
    return web.json_response({"value": [_provider(parts["sub"], name) for name in _TYPES]})


async def get_provider(world: World, _: web.Request, parts: Parts) -> web.Response:  # noqa: ARG001
    """Get a resource provider with its types and their versions."""
    for name in _TYPES:
        if name.lower() == parts["provider"].lower():
            return web.json_response(_provider(parts["sub"], name))
    text = f"The resource namespace '{parts['provider']}' is invalid."
    raise errors.ArmError(404, "InvalidResourceNamespace", text)


def _groups(world: World, subscription: str) -> dict[str, str]:
    """Name -> location of the groups that have VMs. ARM compares names ignoring case."""
    found: dict[str, tuple[str, str]] = {}
    for vm in world.fleet(subscription).vms:
        if vm.group.lower() not in world.traits.denied:
            found.setdefault(vm.group.lower(), (vm.group, vm.location))
    return dict(found.values())


def _subscription(world: World, subscription: str) -> dict[str, object]:
    number = next(n for n, each in enumerate(world.subscriptions) if each.lower() == subscription.lower())
    return {
        "id": f"/subscriptions/{subscription}",
        "subscriptionId": subscription,
        "tenantId": world.directory.tenant,
        "displayName": f"simulated {number + 1}",
        "state": "Enabled",
        "subscriptionPolicies": {"quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off"},
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
    }


def _group(subscription: str, name: str, location: str) -> dict[str, object]:
    return {
        "id": f"/subscriptions/{subscription}/resourceGroups/{name}",
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": location,
        "properties": {"provisioningState": "Succeeded"},
    }


def _provider(subscription: str, name: str) -> dict[str, object]:
    return {
        "id": f"/subscriptions/{subscription}/providers/{name}",
        "namespace": name,
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationRequired",
        "authorizations": [{"applicationId": str(uuid.uuid5(uuid.NAMESPACE_DNS, name))}],
        "resourceTypes": [
            {"resourceType": each, "locations": ["West Europe"], "apiVersions": list(_VERSIONS[name])}
            for each in _TYPES[name]
        ],
    }
