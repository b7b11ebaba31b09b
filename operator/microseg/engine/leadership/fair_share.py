"""Which replica takes a free Lease first, where several serve several estates: the one that holds the fewest.

Replicas know of one another what the Leases say, which each reads while it waits for them. Whoever holds more than
another lets one look pass, and then takes the Lease all the same: an estate without a holder is worse than an uneven
share. What is held is never given back for balance's sake. `elector` asks.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FairShare:
    """One for the process: its electors share it."""

    def __init__(self, identity: str, pause: float = 0.2) -> None:
        """`pause`: seconds between two takes, in which replicas that start together get theirs."""
        self._identity, self._pause = identity, pause
        self._holders: dict[str, str] = {}
        """Lease as namespace/name -> its holder, as last read; without those that nobody holds."""
        self._let_pass: set[str] = set()
        """Free Leases that were left to others for one look."""
        self._taking = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Take one Lease after another. Yields whether it had to wait, so that what was read before is old."""
        waited = self._taking.locked()
        await self._taking.acquire()
        before = self._held()[self._identity]
        try:
            yield waited
        finally:
            pause = self._pause if self._held()[self._identity] > before else 0.0
            asyncio.get_running_loop().call_later(pause, self._taking.release)

    def saw(self, lease: str, holder: str) -> None:
        """Who holds a Lease now; empty: nobody."""
        if holder:
            self._holders[lease] = holder
        else:
            self._holders.pop(lease, None)

    def is_taken(self, lease: str) -> None:
        """Somebody holds it, and renews it: once it is free again, it may be left to others again."""
        self._let_pass.discard(lease)

    def is_for_others(self, lease: str, former: str = "") -> bool:
        """Whether a replica that holds fewer may take this free Lease first. `former`: who let it run out, if so."""
        held = self._held()
        others = [number for holder, number in held.items() if holder not in {self._identity, former}]
        if lease in self._let_pass or not others or held[self._identity] <= min(others):
            return False
        self._let_pass.add(lease)
        return True

    def _held(self) -> Counter[str]:
        """Replica -> how many Leases it holds."""
        return Counter(self._holders.values())
