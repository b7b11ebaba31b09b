"""What the worlds of one run share: ledger, clock, ordered failures, whether limits hold.

Whoever starts worlds makes one `Stage`; each world says by its `Deeds` what failures it can play beyond bent answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from simulators.clock import Clock
from simulators.faults import Fault, FaultPlan
from simulators.ledger import Ledger


class Impossible(Exception):
    """A deed that could not be done when its time came: a VM that is gone, an object that somebody holds."""


class Deeds(Protocol):
    """What a world does when a fault asks for more than a bent answer, and how it says 429."""

    def refusal(self, fault: Fault) -> str:
        """Why this world cannot do it; "" where it can."""
        ...

    async def perform(self, fault: Fault, request: web.Request) -> None:
        """Do it; the request goes on (before its effect), or its answer goes out (after).

        Impossible, LookupError and ValueError say why it could not be done: the ledger tells, the caller is not told.
        """
        ...

    def throttled(self, operation: str) -> object:
        """The JSON body of this vendor's 429 to an operation."""
        ...


@dataclass(slots=True)
class Stage:
    """What the worlds of one run share.

    `limits`: whether the vendors' rate limits and quotas are enforced; may be switched during a run.
    `deeds`: by system.
    """

    ledger: Ledger = field(default_factory=Ledger)
    clock: Clock = field(default_factory=Clock)
    faults: FaultPlan = field(default_factory=FaultPlan)
    limits: bool = False
    deeds: dict[str, Deeds] = field(default_factory=dict)

    def enact(self, system: str, deeds: Deeds) -> None:
        """Let a world do what faults order, and refuse orders that it cannot carry out."""
        self.deeds[system] = deeds
        self.faults.checks[system] = deeds.refusal
