"""How much may be asked of the systems that count calls. Whoever calls them one host at a time waits for its turn here.

Resource Manager counts by subscription and caller, so each subscription has a budget; the PCE counts by API key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from microseg.gateways.transport import RateLimiter

_READS, _WRITES = 20.0, 8.0
"""A second: below what Resource Manager refills for a subscription and principal, 25 reads and 10 writes.

Source: learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling."""
_READS_AT_ONCE, _WRITES_AT_ONCE = 150.0, 120.0
"""Saved up while nothing happens: less than Resource Manager saves, 250 and 200, and more slowly."""
_PCE_CALLS, _PCE_AT_ONCE = 7.5, 20.0
"""A second, and saved up: 470 in any minute. The PCE takes 500 a minute of an API key, and a long list takes a few
calls more than it is counted for. Source: the vendor's REST API guide, rate limits."""


def resource_manager() -> Budget:
    """A fresh budget for one subscription."""
    return Budget(RateLimiter(_READS, _READS_AT_ONCE), RateLimiter(_WRITES, _WRITES_AT_ONCE))


def pce() -> RateLimiter:
    """A fresh budget for one PCE organisation."""
    return RateLimiter(_PCE_CALLS, _PCE_AT_ONCE)


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
