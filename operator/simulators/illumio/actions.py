"""System actions of the PCE for faults: the API key expires, lists are stale, jobs and bulk operations fail.

`create` in the package's `__init__` registers them; `fault_injection` calls them.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from aiohttp import web

from simulators.environment import ActionFailed
from simulators.faults import ON_NEXT, Fault, SystemAction
from simulators.illumio.context import Caller, caller
from simulators.illumio.control import ORDERS, PERSON, carry_out
from simulators.illumio.errors import PceError
from simulators.illumio.world import World


class IllumioActions:
    """See `simulators.environment.SystemActions`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def refusal(self, fault: Fault) -> str:
        """Return why the PCE cannot do it, or ""."""
        match fault.action:
            case "foreign-lock":
                return "a PCE locks nothing"
            case "link-missing" | "link-to-itself" | "link-elsewhere":
                return "a PCE's lists have no links"
            case "bulk-partial" if not fault.operation.startswith(("workloads.bulk_", "*")):
                return f"only bulk operations succeed in part, not {fault.operation!r}"
            case "human-edit" if not (isinstance(fault.body, dict) and {"workload", "do"} <= fault.body.keys()):
                return f"'human-edit' needs 'body': {{workload, do: {'|'.join(sorted(ORDERS))}, ...}}"
        return ""

    async def perform(self, fault: Fault, request: web.Request) -> None:  # noqa: ARG002 - others look at the request
        """Do it. An expired API key is invalid for `seconds`, or until the control port makes it valid."""
        world = self._world
        match cast("SystemAction", fault.action):
            case "expire":
                world.expire_key(fault.seconds)
            case "stale":
                world.replica.freeze(fault.seconds)
            case "operation-lost" | "task-fails" | "task-half" | "task-endless":
                world.jobs.order(ON_NEXT[fault.action])
            case "bulk-partial":
                world.workloads.fail_half_of_next_bulk()
            case "human-edit":
                token = caller.set(Caller(PERSON))
                try:
                    carry_out(world, cast("dict[str, Any]", fault.body))
                except (PceError, msgspec.ValidationError) as refusal:
                    raise ActionFailed(str(refusal)) from refusal
                finally:
                    caller.reset(token)
            case "foreign-lock":
                raise ValueError(self.refusal(fault))

    def throttled(self, operation: str) -> object:  # noqa: ARG002 - all alike
        """Return the PCE's 429."""
        return [{"token": "too_many_requests_error", "message": "more than 500 calls in a minute"}]
