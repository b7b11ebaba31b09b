"""How much may be asked of Resource Manager. It counts by subscription and caller, and so do we.

Source: learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling. `attempts.py` waits
for its turn here before each call; the composition root says how much there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from microseg.gateways.transport import RateLimiter


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be asked in one subscription; both start empty, so a restart never doubles a budget (S13)."""

    reads: RateLimiter
    writes: RateLimiter


class Budgets:
    """A budget for each subscription, so that one that is busy does not hold up the others."""

    def __init__(self, make: Callable[[], Budget], subscriptions: Iterable[str] = ()) -> None:
        """The budgets of `subscriptions` begin to fill now; another's at its first use."""
        self._make = make
        self._budgets = {each.lower(): make() for each in subscriptions}

    def of(self, resource_id: str) -> Budget:
        """The budget of an ARM id's subscription."""
        parts = resource_id.split("/")
        subscription = parts[2].lower() if len(parts) > 2 else ""
        if subscription not in self._budgets:
            self._budgets[subscription] = self._make()
        return self._budgets[subscription]
