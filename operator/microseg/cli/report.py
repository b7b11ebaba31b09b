"""`microseg report --at DATE`: each VM with what protected it then, as evidence for an auditor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from microseg.cli.cluster import Cluster, Leadership, Live
from microseg.cli.history import as_time
from microseg.cli.output import Lines, Report, Table, show
from microseg.cli.spans import moment
from microseg.cli.target import ClusterOptions
from microseg.kube.tombstones import Tombstone
from microseg.model.host import ManagedHost
from microseg.model.shown import DIGITS
from microseg.planning.protection import Gap, gaps, protected_at

_CHANGES = ("Labels: ", "Groups: ")


def report(where: ClusterOptions, at: str, output: str) -> int:
    """Show the state at a time, by default now."""
    with Cluster(where) as cluster:
        live, leadership = cluster.live(), cluster.leadership()
    show(evidence(live, leadership, as_time(at) if at else live.now), output)
    return 0


def evidence(live: Live, leadership: Leadership, at: datetime) -> Report:
    """Every VM that the operator knew then: those with a record now, and those that were retired since."""
    rows = [_of_host(host, at) for host in live.hosts if _known(host, at)]
    rows += [_of_stone(stone) for stone in leadership.stones if stone.at > at]
    protected = sum(1 for row in rows if row["protected"])
    head = f"{live.key} at {moment(at)}: {protected} of {len(rows)} VMs protected. Read {moment(live.now)}."
    shown = [
        (
            row["vm"],
            "yes" if row["protected"] else "NO",
            row["since"] or "-",
            row["revision"][:DIGITS] or "-",
            _text(row),
        )
        for row in rows
    ]
    table = Table("", ("VM", "protected", "since", "mapping", "labels; groups; gaps"), shown)
    data = {"estate": live.key, "at": moment(at), "readAt": moment(live.now), "vms": rows}
    return Report(data, (Lines("", [head]), table))


def _known(host: ManagedHost, at: datetime) -> bool:
    return host.created_at is None or host.created_at <= at


def _of_host(host: ManagedHost, at: datetime) -> dict[str, Any]:
    status = host.status
    labels = {label.key: label.value for label in status.illumio.labels} if status.illumio is not None else {}
    later = [line.what for line in status.history if line.at > at and line.what.startswith(_CHANGES)]
    check_point = status.check_point
    return {
        "vm": status.azure.name if status.azure is not None else host.name,
        "vmId": host.spec.vm_id,
        "host": host.name,
        "protected": protected_at(status, at),
        "since": moment(status.timeline.commissioned_at if status.timeline is not None else None),
        "enforcement": status.illumio.enforcement_mode if status.illumio is not None else "",
        "revision": status.mapping.revision if status.mapping is not None else "",
        "labels": labels,
        "groups": list(check_point.groups) if check_point is not None else [],
        "published": check_point.published_revision if check_point is not None else "",
        "targets": [
            {"target": target.target, "installedAt": moment(target.at)}
            for target in (check_point.installed_at if check_point is not None else ())
        ],
        "gaps": [_gap(gap) for gap in gaps(status.history) if gap.began <= at],
        "changedSince": later,
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "began": moment(gap.began), "ended": moment(gap.ended), "reason": gap.reason, "times": gap.times,
        "first": moment(gap.first),
    }  # fmt: skip


def _of_stone(stone: Tombstone) -> dict[str, Any]:
    """A VM that was there then and is retired now: its record is gone, its tombstone says what it had."""
    return {
        "vm": stone.vm, "vmId": stone.vm_id, "host": stone.host, "protected": bool(stone.workload), "since": None,
        "enforcement": "", "revision": "", "labels": {}, "groups": list(stone.groups), "published": "", "targets": [],
        "gaps": [], "changedSince": [f"retired from {moment(stone.at)}, proven by {stone.proof}"],
    }  # fmt: skip


def _text(row: dict[str, Any]) -> str:
    return "; ".join(_parts(row))


def _parts(row: dict[str, Any]) -> Iterator[str]:
    if row["labels"]:
        yield ",".join(f"{key}={value}" for key, value in row["labels"].items())
    if row["groups"]:
        yield ",".join(row["groups"])
    for gap in row["gaps"]:
        yield f"gap {gap['began']} to {gap['ended'] or 'now'} ({gap['reason']})"
    if row["changedSince"]:
        yield f"changed since: {', '.join(row['changedSince'])}"
