"""`microseg status`: is it healthy, who leads, which system is slow, what is stuck by reason and since when.

Everything is read from three places: the estate's Lease, which carries what its holder says of itself; the Estate; and
the hosts' records. So a stopped operator never looks well: nobody renews its Lease.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from microseg.cli.calls import calls
from microseg.cli.cluster import Cluster, Leadership, Live
from microseg.cli.output import Lines, Report, Section, Table, show
from microseg.cli.retiring import retiring
from microseg.cli.spans import ago, moment
from microseg.cli.target import ClusterOptions
from microseg.model.approval import ApprovalAction, command
from microseg.model.condition import ConditionType, find
from microseg.model.estate_spec import Mode
from microseg.model.host import ManagedHost
from microseg.model.operator_report import SystemReport
from microseg.model.shown import DIGITS
from microseg.planning import retirement_times

_EVERY = 2.0
"""Seconds between two looks of --watch."""
_DONE = "Commissioned"
_COLUMNS = ("system", "read", "typical", "slow", "budget", "errors")


@dataclass(frozen=True, slots=True)
class Wish:
    """What of the status a person asked for."""

    retiring: bool = False
    calls: bool = False
    watch: bool = False


def status(where: ClusterOptions, wish: Wish, output: str) -> int:
    """Show how the estate stands; with `watch` again and again, until interrupted."""
    with Cluster(where) as cluster:
        while True:
            live, leadership = cluster.live(hosts=not wish.calls), cluster.leadership()
            if wish.watch:
                from microseg.cli import terminal  # noqa: PLC0415 - slow to load for a single look

                terminal.clear()
            _show(live, leadership, wish, output)
            if not wish.watch:
                return 0
            time.sleep(_EVERY)


def _show(live: Live, leadership: Leadership, wish: Wish, output: str) -> None:
    if output == "prom":
        from microseg.cli.exposition import exposition  # noqa: PLC0415 - slow to load for any other output

        print(exposition(live, leadership), end="")
    elif wish.retiring:
        show(retiring(live, leadership), output)
    elif wish.calls:
        show(calls(live, leadership), output)
    else:
        show(report(live, leadership), output)


def report(live: Live, leadership: Leadership) -> Report:
    """The whole status."""
    groups = stuck(live.hosts)
    head, leader = list(_head(live)), leader_line(live, leadership)
    notes, alarms = list(_notes(live, leadership)), list(_alarms(live, leadership))
    systems = leadership.report.systems if leadership.report is not None else ()
    rows = [
        (each.stage, each.reason, str(each.hosts), f"{each.oldest}, {ago(each.since, live.now)}") for each in groups
    ]
    sections: tuple[Section, ...] = (
        Lines("", [*head, leader]),
        Lines("Needs a person", alarms, loud=True),
        Table("Systems", _COLUMNS, [_system(each, live) for each in systems]),
        Lines("", [f"{each.system}: {each.message}" for each in systems if each.readable is False]),
        Table("Hosts", ("stage", "reason", "hosts", "oldest, since"), rows),
        Lines("", notes),
    )
    return Report(_data(live, leadership, groups, [*alarms, *notes]), sections)


@dataclass(frozen=True, slots=True)
class Stuck:
    """Hosts that stand at one stage for one reason."""

    stage: str
    reason: str
    hosts: int
    oldest: str
    """Name of the ManagedHost that stands there longest."""
    since: datetime | None


def stuck(hosts: Sequence[ManagedHost]) -> list[Stuck]:
    """Stage by reason, what is not done first, then the longest first."""
    groups: dict[tuple[str, str], list[ManagedHost]] = {}
    for host in hosts:
        key = (host.status.stage or "None", host.status.reason or "NeverDecided")
        groups.setdefault(key, []).append(host)
    found = [_group(*key, members) for key, members in groups.items()]
    return sorted(found, key=lambda each: (each.stage == _DONE, each.since.timestamp() if each.since else 0.0))


def _group(stage: str, reason: str, members: Sequence[ManagedHost]) -> Stuck:
    oldest = min(members, key=lambda host: (_since(host) or _since_never).timestamp())
    return Stuck(stage, reason, len(members), oldest.name, _since(oldest))


_since_never = datetime.fromisoformat("9999-01-01T00:00:00+00:00")


def _since(host: ManagedHost) -> datetime | None:
    """Since when it is as ready as it is, or not."""
    ready = find(host.status.conditions, ConditionType.READY)
    return ready.last_transition_time if ready is not None else host.created_at


def leader_line(live: Live, leadership: Leadership) -> str:
    """Who leads, or that nobody does."""
    lease = leadership.lease
    if lease is None:
        return f"NOBODY LEADS: {leadership.fault or 'there is no Lease; no operator has ever run here'}."
    renewed = ago(lease.renewed_at, live.now)
    if not lease.holder:
        return f"NOBODY LEADS: the Lease was released {renewed} ago. Is the Deployment scaled to 0?"
    if not leadership.alive(live.now):
        return f"NOBODY LEADS: {lease.holder} renewed the Lease last {renewed} ago; it lasts {lease.duration} s."
    started = leadership.report.started_at if leadership.report is not None else None
    since, runs = ago(lease.acquired_at, live.now), ago(started, live.now)
    return f"{lease.holder} leads for {since}; it renewed the Lease {renewed} ago and runs for {runs}."


def _head(live: Live) -> Iterator[str]:
    estate = live.estate
    modes: dict[str, str] = {Mode.ENFORCE: "enforces", Mode.ADOPT: "adopts: nothing is run on VMs"}
    mode = modes.get(estate.spec.mode, "observes: nothing is changed outside")
    stopped = "SUSPENDED: nothing is changed outside" if estate.spec.suspend else mode
    ready, reason = estate.status.ready or "Unknown", estate.status.reason or "never looked at"
    rules = f"mapping {live.in_force[:DIGITS]}" if live.in_force else "no mapping"
    yield f"Estate {live.key} {stopped}; Ready {ready} ({reason}); {rules} is in force."


def _system(each: SystemReport, live: Live) -> tuple[str, ...]:
    read = f"{ago(each.read_at, live.now)} ago" if each.read_at is not None else "never"
    budget = " ".join(f"{name} {left:.0f}" for name, left in sorted(each.budgets.items())) or "-"
    state = read if each.readable else f"{read} (!)"
    return (
        each.system, state, f"{each.median:.2f} s", f"{each.slow:.2f} s", budget, f"{each.failed} of {each.requests}",
    )  # fmt: skip


def _alarms(live: Live, leadership: Leadership) -> Iterator[str]:
    """What somebody must not overlook."""
    for condition in live.estate.status.conditions:
        if condition.type == ConditionType.STALLED and condition.status.value == "True":
            yield f"Stalled ({condition.reason}): {condition.message}"
        if condition.type == ConditionType.MAPPING_VALID and condition.status.value == "False":
            yield f"MappingValid ({condition.reason}): {condition.message}"
    for plan in live.estate.status.held:
        yield (
            f"Held for {ago(plan.since, live.now)}: {plan.kind}, {plan.hosts} hosts. Approve with "
            f"{command(_action(plan.kind), f'{plan.digest}:{plan.hosts}')} -n {live.estate.namespace} --reason WHY"
        )
    if leadership.report is None and leadership.alive(live.now):
        yield "The holder of the Lease says nothing of itself: it is of an earlier version, or has only just begun."


def _action(kind: str) -> ApprovalAction:
    return ApprovalAction.RETIREMENT if kind == "retirement" else ApprovalAction.PLAN


def _notes(live: Live, leadership: Leadership) -> Iterator[str]:
    """What is stopped, and what goes."""
    suspended = [host.name for host in live.hosts if host.spec.suspend]
    if suspended:
        yield f"Suspended hosts: {len(suspended)} ({', '.join(suspended[:3])}{', …' if len(suspended) > 3 else ''})."
    gone = [host for host in live.hosts if host.status.missing_since is not None]
    most = retirement_times.cap(live.estate, commissioned(live))
    used = retirement_times.used(leadership.began, live.now)
    yield f"Missing or retiring: {len(gone)} hosts; begun in the last hour: {used} of at most {most}."
    unsupported = live.estate.status.hosts.unsupported if live.estate.status.hosts is not None else 0
    if unsupported:
        yield f"VMs that cannot be protected: {unsupported}; status.unsupported of the Estate says why."


def commissioned(live: Live) -> int:
    """Hosts that were commissioned once: what the hourly cap is a share of."""
    return sum(1 for host in live.hosts if host.status.timeline and host.status.timeline.commissioned_at)


def _data(live: Live, leadership: Leadership, groups: Sequence[Stuck], notes: Sequence[str]) -> dict[str, Any]:
    estate, lease = live.estate, leadership.lease
    systems = leadership.report.systems if leadership.report is not None else ()
    return {
        "estate": live.key,
        "ready": estate.status.ready,
        "reason": estate.status.reason,
        "mode": str(estate.spec.mode),
        "suspended": estate.spec.suspend,
        "leader": {
            "alive": leadership.alive(live.now),
            "holder": lease.holder if lease is not None else None,
            "renewedAt": moment(lease.renewed_at) if lease is not None else None,
            "age": _age(lease.renewed_at, live.now) if lease is not None else None,
        },
        "systems": [
            msgspec.to_builtins(each) | {"readAt": moment(each.read_at), "age": _age(each.read_at, live.now)}
            for each in systems
        ],
        "hosts": [_stuck_data(each) for each in groups],
        "held": [{"kind": plan.kind, "hosts": plan.hosts, "since": moment(plan.since)} for plan in estate.status.held],
        "suspendedHosts": [host.name for host in live.hosts if host.spec.suspend],
        "retirement": {
            "missing": sum(1 for host in live.hosts if host.status.missing_since is not None),
            "begunInTheLastHour": retirement_times.used(leadership.began, live.now),
            "mostPerHour": retirement_times.cap(estate, commissioned(live)),
        },
        "notes": list(notes),
    }


def _stuck_data(each: Stuck) -> dict[str, Any]:
    return {
        "stage": each.stage, "reason": each.reason, "hosts": each.hosts, "oldest": each.oldest,
        "since": moment(each.since),
    }  # fmt: skip


def _age(at: datetime | None, now: datetime) -> float | None:
    return None if at is None else max((now - at) / timedelta(seconds=1), 0.0)
