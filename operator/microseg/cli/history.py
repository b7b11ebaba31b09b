"""`microseg history`: what was changed outside, when, from what to what, and why; for a host, or for a system.

The lines come from where they last: each host's record keeps the latest 32 different ones, a retired host's tombstone
says when and why it went, and the Estate keeps its latest 64 approvals, publishes and installs. A log is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from microseg.cli.cluster import Cluster, Leadership, Live
from microseg.cli.errors import CommandError
from microseg.cli.find_host import find
from microseg.cli.output import Lines, Report, Table, show
from microseg.cli.spans import moment
from microseg.cli.target import ClusterOptions
from microseg.kube.tombstones import Tombstone
from microseg.model.fields import seconds
from microseg.model.host import ManagedHost
from microseg.model.shown import DIGITS

_REVISION = re.compile(r"\bmapping [0-9a-f]{64}\b")


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One change outside."""

    at: datetime
    system: str
    host: str
    what: str
    cause: str = ""
    times: int = 1


@dataclass(frozen=True, slots=True)
class Wish:
    """What of the history a person asked for."""

    host: str = ""
    system: str = ""
    since: str = ""


def history(where: ClusterOptions, wish: Wish, output: str) -> int:
    """Show the changes, the oldest first."""
    with Cluster(where) as cluster:
        live, leadership = cluster.live(), cluster.leadership()
    show(report(live, leadership, wish), output)
    return 0


def report(live: Live, leadership: Leadership, wish: Wish) -> Report:
    """The lines that a person asked for."""
    lines = of_host(live, leadership, wish.host) if wish.host else list(_all(live, leadership))
    if wish.system:
        lines = [line for line in lines if line.system in {wish.system, ""}]
    begin = _begin(live, wish.since)
    lines = sorted((line for line in lines if begin is None or line.at >= begin), key=lambda line: (line.at, line.host))
    rows = [(moment(each.at) or "", each.system or "-", each.host, _what(each), _brief(each.cause)) for each in lines]
    nothing = [] if rows else ["Nothing was changed outside, as far as the records reach."]
    data = {
        "estate": live.key,
        "since": moment(begin),
        "changes": [
            {"at": moment(each.at), "system": each.system, "host": each.host, "what": each.what, "cause": each.cause,
             "times": each.times}
            for each in lines
        ],
    }  # fmt: skip
    return Report(data, (Lines("", nothing), Table("", ("at", "system", "host", "what", "cause"), rows)))


def _brief(cause: str) -> str:
    """With the digits of a revision that people see; programs get them all."""
    return _REVISION.sub(lambda found: found[0][: len("mapping ") + DIGITS], cause)


def _what(line: AuditLine) -> str:
    return f"{line.what} ({line.times} times)" if line.times > 1 else line.what


def _begin(live: Live, since: str) -> datetime | None:
    """The time from which lines are shown. Raises CommandError for a text that is neither a duration nor a time."""
    if not since:
        return None
    try:
        return live.now - timedelta(seconds=seconds(since))
    except ValueError:
        return as_time(since)


def as_time(text: str) -> datetime:
    """An RFC 3339 date or time. Raises CommandError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is neither a duration such as 24h nor a time such as 2026-11-28T12:00Z") from None
    if at.tzinfo is None:
        raise CommandError(f"{text!r} has no time zone: write for example {text}{'T00:00' if 'T' not in text else ''}Z")
    return at


def of_host(live: Live, leadership: Leadership, name: str) -> list[AuditLine]:
    """The lines of one host, also of one that was retired. Raises CommandError where there is none."""
    buried = [stone for stone in leadership.stones if name.lower() in {stone.host, stone.vm.lower(), stone.vm_id}]
    lines = [line for stone in buried for line in _of_stone(stone)]
    try:
        return [*_of_record(find(live, name)), *lines]
    except CommandError:
        if lines:
            return lines
        raise


def _all(live: Live, leadership: Leadership) -> Iterator[AuditLine]:
    for host in live.hosts:
        yield from _of_record(host)
    for stone in leadership.stones:
        yield from _of_stone(stone)
    yield from _of_estate(live)


def _of_record(host: ManagedHost) -> Iterator[AuditLine]:
    for line in host.status.history:
        yield AuditLine(line.at, line.system, host.name, line.what, line.cause, max(line.times, 1))


def _of_stone(stone: Tombstone) -> Iterator[AuditLine]:
    cause = f"retirement, proven by {stone.proof}"
    yield AuditLine(stone.at, "", stone.host, "Retirement began", cause)
    if stone.ended_at is not None:
        groups = f"; it was in {', '.join(stone.groups)}" if stone.groups else ""
        yield AuditLine(stone.ended_at, "", stone.host, f"Retired: its last trace is removed{groups}", cause)


def _of_estate(live: Live) -> Iterator[AuditLine]:
    """What concerns no single host: approvals, publishes, installs."""
    for line in live.estate.status.history:
        yield AuditLine(line.at, line.system, "-", line.what, line.cause, max(line.times, 1))
