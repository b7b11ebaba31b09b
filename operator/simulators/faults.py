"""Failures ordered in advance: "the 2nd login from now on is cut off after it took effect".

Tests and the demo add them (directly or by the control port); the server's middleware takes them.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

Phase = Literal["before", "after"]
Action = Literal["status", "delay", "cut", "hang", "html", "truncate"]


@dataclass(slots=True)
class Fault:
    """One ordered failure.

    `operation` is an operation's name or "*"; hits are counted from the moment of adding: `nth` 1 is the next one and
    `count` hits from there on fail. `phase` says whether the operation's effect happens ("after") or not ("before").
    Actions: `status` answers `status`, `body` (JSON, or text if it is a str) and `headers`; `delay` goes on after
    `seconds`; `cut` resets the connection; `hang` says nothing for `seconds` (0: for ever), then resets; `html`
    answers a proxy's HTML page with `status`; `truncate` answers half of the JSON. `seconds` are real, not scaled: they
    meet the client's timeouts, which are real too.
    """

    system: str
    operation: str = "*"
    nth: int = 1
    count: int = 1
    phase: Phase = "before"
    action: Action = "status"
    status: int = 503
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class FaultPlan:
    """The ordered failures and how often each was met. Safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._faults: dict[int, Fault] = {}
        self._hits: dict[int, int] = {}

    def add(self, fault: Fault) -> int:
        """Order a failure; returns its id."""
        with self._lock:
            number = next(self._ids)
            self._faults[number] = fault
            self._hits[number] = 0
            return number

    def clear(self) -> None:
        """Forget every ordered failure."""
        with self._lock:
            self._faults.clear()
            self._hits.clear()

    def take(self, system: str, operation: str, phase: Phase) -> Fault | None:
        """Count one hit of every failure that matches; returns the oldest one that is due, or None."""
        due: Fault | None = None
        with self._lock:
            for number, fault in list(self._faults.items()):
                if fault.system != system or fault.phase != phase or fault.operation not in ("*", operation):
                    continue
                self._hits[number] += 1
                if self._hits[number] < fault.nth:
                    continue
                if self._hits[number] >= fault.nth + fault.count - 1:
                    del self._faults[number], self._hits[number]
                due = due or fault
        return due


def fault_from_json(data: object) -> Fault:
    """Read a failure from the control port's JSON (the field names of `Fault`); ValueError names what is wrong."""
    if not isinstance(data, Mapping):
        message = "a fault must be a JSON object"
        raise ValueError(message)  # noqa: TRY004 - what the caller sent is a bad value, whatever its type
    known = set(Fault.__dataclass_fields__)
    unknown = sorted(set(data) - known)
    if unknown:
        message = f"unknown field {unknown[0]!r}; a fault has {', '.join(sorted(known))}"
        raise ValueError(message)
    _one_of("action", data.get("action", "status"), get_args(Action))
    _one_of("phase", data.get("phase", "before"), get_args(Phase))
    system = data.get("system")
    if not isinstance(system, str) or not system:
        message = "a fault needs 'system': azure, illumio or checkpoint"
        raise ValueError(message)
    headers = data.get("headers") or {}
    if not isinstance(headers, Mapping):
        message = "'headers' must be an object"
        raise ValueError(message)  # noqa: TRY004
    return Fault(
        system=system,
        operation=str(data.get("operation", "*")),
        nth=_whole(data, "nth", 1),
        count=_whole(data, "count", 1),
        phase=cast("Phase", data.get("phase", "before")),
        action=cast("Action", data.get("action", "status")),
        status=_whole(data, "status", 503),
        body=data.get("body"),
        headers={str(name): str(value) for name, value in headers.items()},
        seconds=float(str(data.get("seconds", 0.0))),
    )


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        message = f"'{name}' must be one of {', '.join(allowed)}, not {value!r}"
        raise ValueError(message)


def _whole(data: Mapping[str, object], name: str, default: int) -> int:
    value = data.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        message = f"'{name}' must be a whole number from 1, not {value!r}"
        raise ValueError(message)
    return value
