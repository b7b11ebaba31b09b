"""`microseg status --retiring`: what would be retired, and why not yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from microseg.cli.advice import advice
from microseg.cli.cluster import Leadership, Live
from microseg.cli.output import Lines, Report, Table
from microseg.cli.spans import ago, moment
from microseg.model.condition import Condition, ConditionType, Reason, find
from microseg.model.host import ManagedHost
from microseg.planning import retirement_times


def retiring(live: Live, leadership: Leadership) -> Report:
    """Every host that Azure does not show any more, the longest missing first."""
    gone = sorted(
        (host for host in live.hosts if host.status.missing_since is not None),
        key=lambda host: (host.status.missing_since or live.now, host.name),
    )
    once = sum(1 for host in live.hosts if host.status.timeline and host.status.timeline.commissioned_at)
    most, used = retirement_times.cap(live.estate, once), retirement_times.used(leadership.began, live.now)
    head = f"{len(gone)} hosts are missing or being retired; begun in the last hour: {used} of at most {most}."
    if not live.estate.spec.retirement.enabled:
        head += " Retirement is switched off (spec.retirement.enabled): nothing begins."
    rows = [
        (host.name, ago(host.status.missing_since, live.now), _reason(host), when(live, leadership.began, host))
        for host in gone
    ]
    data = {
        "estate": live.key,
        "mostPerHour": most,
        "begunInTheLastHour": used,
        "hosts": [
            {"host": name, "missingSince": moment(host.status.missing_since), "reason": reason, "notYet": not_yet}
            for host, (name, _, reason, not_yet) in zip(gone, rows, strict=True)
        ],
    }
    return Report(data, (Lines("", [head]), Table("", ("host", "missing", "reason", "why not yet"), rows)))


def _discovered(host: ManagedHost) -> Condition | None:
    return find(host.status.conditions, ConditionType.DISCOVERED)


def _reason(host: ManagedHost) -> str:
    condition = _discovered(host)
    return condition.reason if condition is not None else "NeverDecided"


def when(live: Live, began: Sequence[datetime], host: ManagedHost) -> str:
    """Why the host is not retired yet, and when that ends."""
    reason = _reason(host)
    if reason == Reason.NOT_SEEN.value and host.status.missing_since is not None:
        at = retirement_times.asked_at(live.estate, host.status.missing_since)
        return f"Azure is asked for it by its id from {moment(at)}"
    if reason == Reason.RETIREMENT_HELD.value:
        return hold(live, began)
    if host.status.retirement is not None:
        return f"began {moment(host.status.retirement.began_at)}; {advice(reason).next}"
    return advice(reason).next


def hold(live: Live, began: Sequence[datetime]) -> str:
    """When held retirements begin."""
    waiting = sum(1 for host in live.hosts if _reason(host) == Reason.RETIREMENT_HELD.value)
    once = sum(1 for host in live.hosts if host.status.timeline and host.status.timeline.commissioned_at)
    most = retirement_times.cap(live.estate, once)
    at = retirement_times.hold_ends(waiting, most, began, live.now)
    if at is None:
        return f"never by itself: {waiting} are gone at once, and {most} may begin in an hour; a person approves"
    return f"it begins by itself at {moment(at)}, when earlier ones leave the hour"
