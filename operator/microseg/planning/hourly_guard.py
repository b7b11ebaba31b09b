"""How many hosts may change within an hour without a change of rules that a person saw: by tags, addresses, NICs (S6).

Each host is counted in the Estate's status before its change is let through, and its record says when it changed last.
Either brings the hour back after a restart: nobody shortens it who deletes records, or an Estate, alone.
`engine.mapping.hourly_changes` and `engine.mapping.counted_hour` ask.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.estate_status import CHANGED_HOSTS, ChangedHosts
from microseg.model.host import ManagedHost
from microseg.planning.guard import PlanHold, hold_of

HOUR = timedelta(hours=1)
_SLICE = timedelta(minutes=5)
"""So coarse are the times in the Estate's status: a host that changes all the time is written so often, not oftener."""
_SLICES = 14
"""So many slices reach from the beginning of one an hour ago to the present one."""
_LENGTH = 6
"""Characters of an identity: 36 bits, so that hardly ever two hosts of one estate count as one."""
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

    `counted`: their identities. Too many: more than five, and more than `percent` of the commissioned hosts. A host
    counts once in an hour.
    """
    fresh = {vm_id: kinds for vm_id, kinds in changing.items() if identity(vm_id) not in counted}
    total = len(fresh) + len(counted)
    if not fresh or total <= AT_LEAST or total * 100 <= percent * commissioned:
        return None
    return hold_of("", fresh)


def within_hour(changed: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """Identity -> when it changed, of those within the hour.

    A time that is yet to come, because a clock was set back or a record was altered, is now: it counts for an hour.
    """
    return {key: min(at, now.replace(microsecond=0)) for key, at in changed.items() if now - at < HOUR}


def recorded(hosts: Iterable[ManagedHost]) -> dict[str, datetime]:
    """VmId -> when it changed last without an approval, as its record says."""
    return {
        host.spec.vm_id: at
        for host in hosts
        if host.status.timeline is not None and (at := host.status.timeline.changed_at) is not None
    }


def identity(vm_id: str) -> str:
    """What the Estate's status knows a host by: as many of them as change in an hour have room there."""
    return base64.urlsafe_b64encode(hashlib.sha256(vm_id.lower().encode()).digest())[:_LENGTH].decode()


def remembered(changed: Sequence[ChangedHosts], now: datetime) -> dict[str, datetime]:
    """Identity -> when it changed at the latest, of those that the Estate's status still counts."""
    return within_hour({key: each.until - HOUR for each in changed for key in _identities(each)}, now)


def unwritten(vm_ids: Collection[str], changed: Sequence[ChangedHosts], now: datetime) -> frozenset[str]:
    """Those that the Estate's status would not count for an hour from now, but for one slice."""
    if not vm_ids:
        return frozenset()
    written = {key for each in changed if each.until >= now + HOUR - _SLICE for key in _identities(each)}
    return frozenset(vm_id for vm_id in vm_ids if identity(vm_id) not in written)


def with_counted(changed: Sequence[ChangedHosts], vm_ids: Iterable[str], now: datetime) -> tuple[ChangedHosts, ...]:
    """The Estate's count with these hosts in the present slice, and without those whose hour is over."""
    until = _slice_end(now) + HOUR
    counted = {
        key: min(each.until, until)  # a clock was set back
        for each in sorted(changed, key=lambda each: each.until)
        for key in _identities(each)
        if each.until > now
    } | dict.fromkeys(map(identity, vm_ids), until)
    slices: dict[datetime, list[str]] = {}
    for key, end in counted.items():
        slices.setdefault(end, []).append(key)
    return tuple(
        ChangedHosts(until=end, hosts="".join(sorted(keys)[:CHANGED_HOSTS]))
        for end, keys in sorted(slices.items())[-_SLICES:]
    )


def _slice_end(now: datetime) -> datetime:
    """The end of the five minutes that `now` is in."""
    seconds = _SLICE.total_seconds()
    return datetime.fromtimestamp((now.timestamp() // seconds + 1) * seconds, UTC)


def _identities(changed: ChangedHosts) -> Iterable[str]:
    return (changed.hosts[at : at + _LENGTH] for at in range(0, len(changed.hosts), _LENGTH))


def covers(approved: frozenset[str], kinds: frozenset[str]) -> bool:
    """Whether a person who saw the changes `approved` of a host saw these: all, or all that one system has left to do.

    Half of the memberships alone, such as only the group that it leaves, is another change.
    """
    if not kinds <= approved:
        return False
    begun = {kind.split(" ")[0] for kind in kinds}
    return kinds == {kind for kind in approved if kind.split(" ")[0] in begun}
