"""The hosts that count for the guard's hour; at first from the records and from the Estate's status (S6).

Whoever deletes ManagedHosts deletes when they changed; the Estate's status still counts them. A host is counted there
before its change is let through, so that no moment is left in between. `engine.mapping.hourly_changes` asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from microseg.engine.state.host_table import HostTable
from microseg.model.estate_status import ChangedHosts
from microseg.planning import hourly_guard


class CountedHour:
    """Keeps when each host of the hour was let through last, by its identity: some have no record any more."""

    def __init__(self, table: HostTable) -> None:
        """Nothing is read before `counted`, when all records are known."""
        self._table = table
        self._at: dict[str, datetime] = {}
        self._read = False

    def counted(self, written: Sequence[ChangedHosts], now: datetime) -> dict[str, datetime]:
        """Identity -> when it changed, of the hour. `written`: what the Estate's status counts."""
        if not self._read:
            self._read = True
            self._at = hourly_guard.remembered(written, now) | hourly_guard.within_hour(self._recorded(), now)
        self._at = hourly_guard.within_hour(self._at, now)
        return self._at

    def at(self, vm_id: str) -> datetime | None:
        """When a change of the host was let through that nobody approved; None: not within the hour."""
        return self._at.get(hourly_guard.identity(vm_id))

    def count(self, vm_ids: Iterable[str], now: datetime) -> None:
        """These hosts change now; the Estate's status counts them already."""
        self._at |= dict.fromkeys(map(hourly_guard.identity, vm_ids), now.replace(microsecond=0))

    def _recorded(self) -> dict[str, datetime]:
        """As the records say."""
        recorded = hourly_guard.recorded(each.record for each in self._table.hosts.values())
        return {hourly_guard.identity(vm_id): at for vm_id, at in recorded.items()}
