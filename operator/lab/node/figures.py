"""What the end-to-end test measures, and how: from the systems' ledgers, the Lease and the kubelet."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from lab.node.installed import Installation
from lab.node.plane import NODE
from lab.worlds import Worlds


class Figures:
    """Name -> text, in the order in which they were measured."""

    def __init__(self) -> None:
        """Empty."""
        self._found: dict[str, str] = {}

    def add(self, name: str, text: str) -> None:
        """Add one and print it."""
        self._found[name] = text
        print(f"           {name}: {text}", flush=True)

    def table(self) -> str:
        """Return them as a table in Markdown."""
        rows = [f"| {name} | {text} |" for name, text in self._found.items()]
        return "\n".join(["| measured | figure |", "|---|---|", *rows])


class HolderWatch:
    """Samples who holds the Lease, and when it changes. A context manager."""

    def __init__(self, installation: Installation) -> None:
        """Not sampling yet."""
        self._installation = installation
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.changes: list[tuple[float, str]] = []
        """Monotonic time at which a holder was seen first, and who; empty: nobody."""

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(0.1):
            holder = self._installation.holder()
            if not self.changes or self.changes[-1][1] != holder:
                self.changes.append((time.monotonic(), holder))


def longest_silence(worlds: Worlds, *, since: float, until: float) -> float:
    """Return the longest time, in seconds, without any request of the operator to any system."""
    times = [entry.at for entry in worlds.ledger() if not entry.operation.startswith("world.")]
    inside = [since, *(at for at in times if since <= at <= until), until]
    return max(after - before for before, after in itertools.pairwise(inside))


def ready_after(pod: dict[str, Any]) -> float:
    """Return the seconds between the start of a Pod's container and its readiness, to whole seconds."""
    (status,) = pod["status"]["containerStatuses"]
    started = datetime.fromisoformat(status["state"]["running"]["startedAt"])
    condition = next(each for each in pod["status"]["conditions"] if each["type"] == "Ready")
    return (datetime.fromisoformat(condition["lastTransitionTime"]) - started).total_seconds()


def working_set(installation: Installation, pods: Sequence[str]) -> dict[str, int]:
    """Return Pod -> the bytes that the kubelet counts towards its memory limit."""
    stats = json.loads(installation.cluster.kubectl("get", "--raw", f"/api/v1/nodes/{NODE}/proxy/stats/summary"))
    return {
        each["podRef"]["name"]: int(each["memory"]["workingSetBytes"])
        for each in stats["pods"]
        if each["podRef"]["name"] in pods and "memory" in each
    }
