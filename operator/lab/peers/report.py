"""The comparison: what each peer took, in times of the operator. Called by `lab.peers.__main__`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.peers.costs import Pass, Result


def compare(results: Sequence[Result], hosts: int, scale: float) -> dict[str, Any]:
    """Return the peers' figures for `hosts` hosts, divided by the operator's; each may have been measured with fewer.

    `worldSeconds`: by the clock times the scale. Of a pass with nothing to do the seconds are not compared: the
    operator's are its pause between two polls.
    """
    ours = next(result for result in results if result.name == "operator")
    return {
        result.name: {
            "worldSeconds": _for(result.first, hosts).seconds * scale,
            "first": _times(_for(result.first, hosts), ours.first),
            "again": {name: times for name, times in _times(result.again, ours.again).items() if name != "seconds"},
        }
        for result in results
    }


def _for(measured: Pass, hosts: int) -> Pass:
    """The figures for a fleet, by the number of hosts: of a peer that takes one host after the other."""
    if measured.hosts == hosts:
        return measured
    times = hosts / measured.hosts
    calls = {system: round(number * times) for system, number in measured.calls.items()}
    return Pass(hosts, measured.seconds * times, measured.cpu * times, calls)


def _times(peer: Pass, ours: Pass) -> dict[str, float]:
    return {
        "seconds": peer.seconds / ours.seconds,
        "cpu": peer.cpu / max(ours.cpu, 0.01),
        "requests": peer.requests / max(ours.requests, 1),
    }


def text(results: Sequence[Result], comparison: dict[str, Any], hosts: int) -> str:
    """Return the table for people."""
    lines = [f"{hosts} hosts; in times of the operator: seconds, CPU seconds, requests; nothing to do: CPU s, requests"]
    for result in results:
        found = comparison[result.name]
        first, again = (", ".join(f"x {number:.1f}" for number in found[each].values()) for each in ("first", "again"))
        by_hand = "" if result.first.hosts == hosts else f" (from {result.first.hosts} hosts, in proportion)"
        lines.append(f"{result.name:9} {found['worldSeconds']:8.0f} world s{by_hand}: {first}; nothing to do: {again}")
    return "\n".join(lines)


def line(name: str, measured: Pass) -> str:
    """Return one pass in one line."""
    calls = ", ".join(f"{system} {number / measured.hosts:.2f}" for system, number in sorted(measured.calls.items()))
    return (
        f"{name}: {measured.hosts} hosts, {measured.seconds:.1f} s by the clock, {measured.cpu:.2f} CPU s,"
        f" {measured.requests} requests; per host: {calls}"
    )
