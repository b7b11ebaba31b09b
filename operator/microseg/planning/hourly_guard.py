"""How many hosts may change within an hour without a change of rules that a person saw: by tags, addresses, NICs (S6).

The hour is counted from the records, which say when each host changed last, so a restart forgets nothing: what was let
through and is not recorded yet still differs from the record. `engine.mapping.hourly_changes` asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.host import ManagedHost
from microseg.planning.guard import PlanHold, hold_of

HOUR = timedelta(hours=1)
AT_LEAST = 5
"""Hosts whose change within an hour is let through in an estate of any size."""
PAIRED_ANEW = "workload: gone from the PCE, paired anew"


def moved(host: ManagedHost, addresses: frozenset[str] | None) -> frozenset[str]:
    """The kinds of change of a host's published addresses; None: it needs no objects, which `difference` tells."""
    recorded = {item.address for item in (host.status.check_point or CheckPointRecord()).hosts}
    if addresses is None or not recorded or recorded <= addresses:
        return frozenset()
    if not addresses:
        return frozenset({"object: no address any more"})
    return frozenset({"object: fewer addresses" if addresses < recorded else "object: another address"})


def judge(
    changing: Mapping[str, frozenset[str]], counted: Collection[str], *, commissioned: int, percent: int
) -> PlanHold | None:
    """Hold these changes where, with the hosts `counted` within the hour, they are too many (S6).

    Too many: more than five, and more than `percent` of the commissioned hosts. A host counts once in an hour.
    """
    fresh = {vm_id: kinds for vm_id, kinds in changing.items() if vm_id not in counted}
    total = len(fresh) + len(counted)
    if not fresh or total <= AT_LEAST or total * 100 <= percent * commissioned:
        return None
    return hold_of("", fresh)


def within_hour(changed: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """VmId -> when it changed, of those within the hour.

    A time that is yet to come, because a clock was set back or a record was altered, is now: it counts for an hour.
    """
    return {vm_id: min(at, now.replace(microsecond=0)) for vm_id, at in changed.items() if now - at < HOUR}


def recorded(hosts: Iterable[ManagedHost]) -> dict[str, datetime]:
    """VmId -> when it changed last without an approval, as its record says."""
    return {
        host.spec.vm_id: at
        for host in hosts
        if host.status.timeline is not None and (at := host.status.timeline.changed_at) is not None
    }


def covers(approved: frozenset[str], kinds: frozenset[str]) -> bool:
    """Whether a person who saw the changes `approved` of a host saw these: all, or all that one system has left to do.

    Half of the memberships alone, such as only the group that it leaves, is another change.
    """
    if not kinds <= approved:
        return False
    begun = {kind.split(" ")[0] for kind in kinds}
    return kinds == {kind for kind in approved if kind.split(" ")[0] in begun}
