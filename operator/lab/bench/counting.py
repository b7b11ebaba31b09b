"""Counters of the API server and of the simulated systems: read before and after, and subtracted.

The API server's metrics are used instead of its audit log, because writing that log would cost measured CPU time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from lab.operator_process import Usage
from lab.rig import Rig
from simulators.ledger import Entry

_WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})
_SERIES = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_OURS = frozenset({"managedhosts", "estates", "events", "configmaps", "controllerrevisions"})
"""Resources that the operator writes, without its Lease, which it renews for ever."""
_THROTTLED = 429


@dataclass(frozen=True, slots=True)
class Count:
    """All counters at one time."""

    writes: Counter[str]
    """"resource" or "resource/subresource" -> write requests, successful or not."""
    conflicts: int
    """Write requests that were refused with 409 Conflict."""
    calls: dict[str, Counter[str]]
    """system -> operation -> calls by the operator."""
    sequence: int
    """The number of the ledger's latest entry."""
    usage: Usage


def count(rig: Rig) -> Count:
    """Read all counters."""
    writes, conflicts = kubernetes_writes(rig.cluster.kubectl("get", "--raw", "/metrics"))
    calls = {system: Counter(numbers) for system, numbers in rig.worlds.operator_calls().items()}
    sequence = sum(sum(numbers.values()) for numbers in rig.worlds.counts().values())
    return Count(writes, conflicts, calls, sequence, rig.operator.usage())


def kubernetes_writes(metrics: str) -> tuple[Counter[str], int]:
    """Return writes per resource, and conflicts, from an API server's /metrics."""
    writes: Counter[str] = Counter()
    conflicts = 0
    for series in _SERIES.finditer(metrics):
        labels = dict(_LABEL.findall(series["labels"]))
        if labels.get("verb") not in _WRITES or labels.get("resource") not in _OURS:
            continue
        number = int(float(series["value"]))
        name = "/".join(filter(None, (labels["resource"], labels.get("subresource", ""))))
        writes[name] += number
        conflicts += number if labels.get("code") == "409" else 0
    return writes, conflicts


def throttled(entries: Iterable[Entry]) -> Counter[str]:
    """Return the calls that a rate limit refused: "system operation" -> number."""
    return Counter(f"{entry.system} {entry.operation}" for entry in entries if entry.status == _THROTTLED)


def between(before: Count, after: Count) -> tuple[Counter[str], dict[str, Counter[str]]]:
    """Return writes and calls between two counts."""
    calls = {system: numbers - before.calls.get(system, Counter()) for system, numbers in after.calls.items()}
    return after.writes - before.writes, calls
