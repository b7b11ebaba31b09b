"""What the simulated systems of one run share: the ledger, the clock, the injected faults, whether limits are enforced.

Whoever starts simulators makes one `Environment`; each system registers its `SystemActions`: the faults that it can
produce beyond a failed request or an altered answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from simulators.clock import Clock
from simulators.faults import Fault, FaultPlan
from simulators.ledger import Ledger


class ActionFailed(Exception):
    """An action that was not possible when its time came: the VM is gone, another session locks the object."""


class SystemActions(Protocol):
    """What one system does when a fault asks for more than a failed request, and the body of its 429."""

    def refusal(self, fault: Fault) -> str:
        """Return why this system cannot do it, or "" if it can."""
        ...

    async def perform(self, fault: Fault, request: web.Request) -> None:
        """Do it. The request continues (phase "before") or its answer is sent (phase "after") in any case.

        ActionFailed, LookupError and ValueError say why it was not possible: the ledger notes it, the caller does not.
        """
        ...

    def throttled(self, operation: str) -> object:
        """Return the JSON body of this vendor's 429 for an operation."""
        ...


@dataclass(slots=True)
class Environment:
    """What the simulated systems of one run share.

    `limits`: whether the vendors' rate limits and quotas are enforced; may be switched during a run.
    `actions`: system -> what it can do for a fault.
    """

    ledger: Ledger = field(default_factory=Ledger)
    clock: Clock = field(default_factory=Clock)
    faults: FaultPlan = field(default_factory=FaultPlan)
    limits: bool = False
    actions: dict[str, SystemActions] = field(default_factory=dict)

    def register_actions(self, system: str, actions: SystemActions) -> None:
        """Let a system carry out its faults, and refuse those that it cannot carry out when they are added."""
        self.actions[system] = actions
        self.faults.checks[system] = actions.refusal
