"""Append-only record of every request to a world and of every change of a world.

The server's middleware and the worlds write it; tests, the demo and the bench read it (directly, over the control
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
    """One request, or one change of a world (then `operation` begins with "world.").

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
        """The entry as a JSON object, for the control port."""
        return asdict(self)

    @property
    def is_change(self) -> bool:
        """Whether it tells of a change of a world: by itself, or by a request that changed something."""
        return self.operation.startswith("world.") or bool(self.changed)

    def line(self) -> str:
        """The entry as a line of JSON."""
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
    """All entries of one run, and the secret values that must appear nowhere else. Safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._listeners: list[Callable[[Entry], None]] = []
        self.secrets: set[str] = set()

    def listen(self, listener: Callable[[Entry], None]) -> None:
        """Tell somebody of every entry from now on, in order; it must be quick."""
        self._listeners.append(listener)

    def append(self, system: str, operation: str, **details: Unpack[Details]) -> Entry:
        """Record one request or change; returns the entry with its sequence number (from 1, no gaps)."""
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
        """Entries with `seq > since`, oldest first, of one system and one operation where these are given.

        An operation that ends in "*" means all that begin so: `world.*` are the changes that no request made.
        """
        with self._lock:
            later = self._entries[max(since, 0) :]
        return [
            entry
            for entry in later
            if (system is None or entry.system == system) and (operation is None or _fits(entry.operation, operation))
        ]

    def tail(self, most: int) -> list[Entry]:
        """The newest entries, oldest of them first."""
        with self._lock:
            return self._entries[-most:]

    def counts(self) -> dict[str, dict[str, int]]:
        """How many entries there are: system -> operation -> number."""
        with self._lock:
            return {system: dict(operations) for system, operations in self._counts.items()}

    def add_secret(self, value: str) -> str:
        """Mark a value as secret, so that a test can search for it everywhere else; returns it unchanged."""
        if value:
            self.secrets.add(value)
        return value


def _fits(operation: str, wanted: str) -> bool:
    return operation.startswith(wanted[:-1]) if wanted.endswith("*") else operation == wanted
