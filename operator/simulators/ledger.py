"""Append-only record of every request to a simulated system and of every change in it.

The servers' middleware and the systems write it. Tests, the demo and the benchmarks read it (directly, by the control
port, or as a file of JSON lines) to count what the operator really did.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypedDict, Unpack


@dataclass(frozen=True, slots=True)
class Entry:
    """One request, or one change in a system (then `operation` begins with "world.").

    `at` is epoch seconds when it ended, `seconds` how long it took, `size` bytes of the answer's body,
    `status` the HTTP status (0: no answer was sent, or not a request).
    """

    seq: int
    at: float
    system: str
    operation: str
    who: str
    status: int
    seconds: float
    size: int
    changed: tuple[str, ...]
    note: str

    def as_json(self) -> dict[str, object]:
        """Return the entry as a JSON object, for the control port."""
        return asdict(self)

    @property
    def is_change(self) -> bool:
        """Whether it is a change in a system, or a request that changed something."""
        return self.operation.startswith("world.") or bool(self.changed)

    def line(self) -> str:
        """Return the entry as a line of JSON."""
        return json.dumps(self.as_json()) + "\n"


class Details(TypedDict, total=False):
    """The optional parts of an entry."""

    who: str
    status: int
    seconds: float
    size: int
    changed: tuple[str, ...] | list[str]
    note: str


class Ledger:
    """All entries of one run, and the secret values that must appear nowhere else. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._listeners: list[Callable[[Entry], None]] = []
        self.secrets: set[str] = set()

    def listen(self, listener: Callable[[Entry], None]) -> None:
        """Call `listener` for every new entry, in order; it must be quick."""
        self._listeners.append(listener)

    def append(self, system: str, operation: str, **details: Unpack[Details]) -> Entry:
        """Record one request or change; return the entry with its sequence number (from 1, no gaps)."""
        with self._lock:
            entry = Entry(
                seq=len(self._entries) + 1,
                at=time.time(),
                system=system,
                operation=operation,
                who=details.get("who", ""),
                status=details.get("status", 0),
                seconds=details.get("seconds", 0.0),
                size=details.get("size", 0),
                changed=tuple(details.get("changed", ())),
                note=details.get("note", ""),
            )
            self._entries.append(entry)
            self._counts[system][operation] += 1
            for listener in self._listeners:
                listener(entry)
            return entry

    def entries(self, system: str | None = None, operation: str | None = None, since: int = 0) -> list[Entry]:
        """Return entries with `seq > since`, oldest first, optionally of one system and one operation.

        An operation that ends in "*" is a prefix: `world.*` are the changes that no request made.
        """
        with self._lock:
            later = self._entries[max(since, 0) :]
        return [
            entry
            for entry in later
            if (system is None or entry.system == system) and (operation is None or _fits(entry.operation, operation))
        ]

    def tail(self, most: int) -> list[Entry]:
        """Return the `most` newest entries, oldest first."""
        with self._lock:
            return self._entries[-most:]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the numbers of entries: system -> operation -> number."""
        with self._lock:
            return {system: dict(operations) for system, operations in self._counts.items()}

    def add_secret(self, value: str) -> str:
        """Mark a value as secret, so that a test can search for it everywhere; return it unchanged."""
        if value:
            self.secrets.add(value)
        return value


def _fits(operation: str, wanted: str) -> bool:
    return operation.startswith(wanted[:-1]) if wanted.endswith("*") else operation == wanted
