"""What a fault may let happen to Azure beyond a bent answer: tokens end, lists lag, operations go wrong, people act.

`create` in the package's `__init__` gives one to the stage; the server's middleware calls it.
"""

from __future__ import annotations

from typing import Any, cast

from aiohttp import web

from simulators.azure.control import ACTIONS, carry_out
from simulators.azure.errors import ArmError, SignInError
from simulators.azure.world import World
from simulators.faults import ON_NEXT, Deed, Fault

_LONG = ("commands.put", "commands.delete", "*")
_SIGN_IN = ("token", "openid-configuration")


class AzureDeeds:
    """See `simulators.stage.Deeds`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def refusal(self, fault: Fault) -> str:
        """Why this world cannot do it."""
        if fault.action == "bulk-partial":
            return "Azure has no bulk operation among those of this world"
        if fault.action in ON_NEXT and fault.operation not in _LONG:
            return f"only {_LONG[0]} and {_LONG[1]} begin operations, not {fault.operation!r}"
        if fault.action == "human-edit" and not (isinstance(fault.body, dict) and {"vm", "do"} <= fault.body.keys()):
            return f"'human-edit' needs 'body': {{vm, do: {'|'.join(ACTIONS)}, ...}}"
        return ""

    async def perform(self, fault: Fault, request: web.Request) -> None:  # noqa: ARG002 - others look at the request
        """Do it."""
        match cast("Deed", fault.action):
            case "expire":
                self._world.directory.revoke()
            case "stale":
                self._world.lists.freeze(fault.seconds)
            case "operation-lost" | "task-fails" | "task-half" | "task-endless":
                self._world.desk.order(ON_NEXT[fault.action])
            case "foreign-lock":
                self._world.group_locks[fault.target.lower()] = self._world.stage.clock.now() + fault.seconds
                self._world.stage.ledger.append("azure", "world.group-locked", changed=(fault.target,))
            case "human-edit":
                body = cast("dict[str, Any]", fault.body)
                carry_out(self._world, self._world.named(str(body["vm"])), str(body["do"]), body)
            case "bulk-partial":
                raise ValueError(self.refusal(fault))

    def throttled(self, operation: str) -> object:
        """ARM's 429, or the sign-in service's."""
        if operation in _SIGN_IN:
            return SignInError(429, "temporarily_unavailable", 90055, "There are too many incoming requests.").body()
        text = "The request limit for the subscription is reached. Please try again later."
        return ArmError(429, "SubscriptionRequestsThrottled", text).envelope()
