"""Which action of Azure's RBAC each request needs. `front` asks before it calls a route; the lab asks which there are.

Actions: learn.microsoft.com/azure/role-based-access-control/permissions/compute and /permissions/networking. The vendor
does not say whether `$expand=instanceView` on a VM needs the action of the instance view too; here it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from simulators.azure import errors

PERMISSIONS_READ = "Microsoft.Authorization/permissions/read"
_VM = "Microsoft.Compute/virtualMachines"
ACTIONS = {
    "vms.list": f"{_VM}/read",
    "vms.get": f"{_VM}/read",
    "vms.instance-view": f"{_VM}/instanceView/read",
    "nics.list": "Microsoft.Network/networkInterfaces/read",
    "nics.get": "Microsoft.Network/networkInterfaces/read",
    "scale-sets.list": "Microsoft.Compute/virtualMachineScaleSets/read",
    "operations.get": "Microsoft.Compute/locations/operations/read",
    "commands.list": f"{_VM}/runCommands/read",
    "commands.get": f"{_VM}/runCommands/read",
    "commands.put": f"{_VM}/runCommands/write",
    "commands.delete": f"{_VM}/runCommands/delete",
    "permissions.list": PERMISSIONS_READ,
    "graph.query": "Microsoft.ResourceGraph/resources/read",
}
"""Operation of the ledger -> action. What else ARM itself answers needs none here.

That a query of Resource Graph needs an action at all is assumed. The vendor lists it
(learn.microsoft.com/azure/role-based-access-control/permissions/management-and-governance) and demands only that the
caller may read what is shown (.../governance/resource-graph/overview, permissions).
"""


def check(operation: str, expand: str, lacking: AbstractSet[str], who: str, *, reads: bool = False) -> None:
    """Raise ArmError 403 with the first action that the caller lacks. `lacking`: lower case; `reads`: it only reads."""
    for action in _needed(operation, expand):
        if action.lower() in lacking or (reads and not action.endswith("/read")):
            raise errors.forbidden(who, action)


def _needed(operation: str, expand: str) -> Iterator[str]:
    if operation in ACTIONS:
        yield ACTIONS[operation]
    if operation == "vms.get" and expand.lower() == "instanceview":
        yield ACTIONS["vms.instance-view"]
