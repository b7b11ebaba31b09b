"""System actions of Azure for faults: tokens expire, lists are stale, operations fail, people change VMs.

`create` in the package's `__init__` registers them; `fault_injection` calls them.
"""

from __future__ import annotations

from typing import Any, cast

from aiohttp import web

from simulators.azure.control import ACTIONS, apply_action
from simulators.azure.errors import ArmError, SignInError
from simulators.azure.world import World
from simulators.faults import ON_NEXT, Fault, SystemAction

_LONG = ("commands.put", "commands.delete", "*")
_SIGN_IN = ("token", "openid-configuration")


class AzureActions:
    """See `simulators.environment.SystemActions`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def refusal(self, fault: Fault) -> str:
        """Return why Azure cannot do it, or ""."""
        if fault.action == "bulk-partial":
            return "the Azure simulator has no bulk operation"
        if fault.action in ON_NEXT and fault.operation not in _LONG:
            return f"only {_LONG[0]} and {_LONG[1]} start operations, not {fault.operation!r}"
        if fault.action == "human-edit" and not (isinstance(fault.body, dict) and {"vm", "do"} <= fault.body.keys()):
            return f"'human-edit' needs 'body': {{vm, do: {'|'.join(ACTIONS)}, ...}}"
        return ""

    async def perform(self, fault: Fault, request: web.Request) -> None:  # noqa: ARG002 - others look at the request
        """Do it."""
        match cast("SystemAction", fault.action):
            case "expire":
                self._world.directory.revoke()
            case "stale":
                self._world.lists.freeze(fault.seconds)
            case "operation-lost" | "task-fails" | "task-half" | "task-endless":
                self._world.run_commands.order(ON_NEXT[fault.action])
            case "foreign-lock":
                self._world.group_locks[fault.target.lower()] = self._world.environment.clock.now() + fault.seconds
                self._world.environment.ledger.append("azure", "world.group-locked", changed=(fault.target,))
            case "human-edit":
                body = cast("dict[str, Any]", fault.body)
                apply_action(self._world, self._world.named(str(body["vm"])), str(body["do"]), body)
            case "bulk-partial":
                raise ValueError(self.refusal(fault))

    def throttled(self, operation: str) -> object:
        """Return ARM's 429, or the sign-in service's."""
        if operation in _SIGN_IN:
            return SignInError(429, "temporarily_unavailable", 90055, "There are too many incoming requests.").body()
        text = "The request limit for the subscription is reached. Please try again later."
        return ArmError(429, "SubscriptionRequestsThrottled", text).envelope()
