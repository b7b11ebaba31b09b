"""Faults that are planned in advance, such as "reset the connection of the 2nd login after its effect".

Tests, the demo and people add them (directly or by the control port), before and during a run; `fault_injection`
applies them. What only one system can do (end a session, lose a task) is in its `environment.SystemActions`.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, cast, get_args

Phase = Literal["before", "after"]
HttpFault = Literal["status", "throttle", "delay", "cut", "hang", "html", "truncate"]
ListFault = Literal[
    "item-duplicated", "page-missing", "page-repeated", "link-missing", "link-to-itself", "link-elsewhere"
]
SystemAction = Literal[
    "expire",
    "stale",
    "operation-lost",
    "task-fails",
    "task-half",
    "task-endless",
    "bulk-partial",
    "foreign-lock",
    "human-edit",
]
Action = Literal[HttpFault, ListFault, SystemAction]
Outcome = Literal["lost", "failed", "half", "endless"]
"""How a fault makes a long operation end."""

ON_NEXT: dict[Action, Outcome] = {
    "operation-lost": "lost",
    "task-fails": "failed",
    "task-half": "half",
    "task-endless": "endless",
}
"""Actions that decide how the long operation ends which the same request starts."""

HTTP_FAULTS, LIST_FAULTS, SYSTEM_ACTIONS = (
    frozenset[str](get_args(family)) for family in (HttpFault, ListFault, SystemAction)
)
_BEFORE_ONLY = frozenset({*ON_NEXT, "bulk-partial"})


@dataclass(slots=True)
class Fault:
    """One planned fault; `docs/worlds.md` lists what each action does in each system.

    `operation` is an operation's name or "*". Hits count from the moment of adding: `nth` 1 is the next request, and
    `count` requests from there on fail. In phase "before" the operation has no effect, in phase "after" it has.
    HTTP faults: `status` answers `status`, `body` (JSON, or text if it is a str) and `headers`; `throttle` answers the
    vendor's 429 with header `retry_after` ("": none; "soon" and "999999999" are valid); `cut` resets the connection;
    `hang` sends nothing for `seconds` (0: for ever), then resets. List faults alter the answer in either phase;
    `link-elsewhere` links to `target`, another origin. System actions change the system, and the request continues:
    `foreign-lock` and `human-edit` take `target` and `body`. `seconds` are real, not scaled, like clients' time-outs.
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
    retry_after: str = ""
    target: str = ""


Check = Callable[[Fault], str]
"""Returns why a system cannot carry out a fault, or "" if it can."""


class FaultPlan:
    """The planned faults, and how often each was met. Thread-safe.

    `checks`: system -> its check of a new fault.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._faults: dict[int, Fault] = {}
        self._hits: dict[int, int] = {}
        self.checks: dict[str, Check] = {}

    def add(self, fault: Fault) -> int:
        """Add a fault and return its id. Raises ValueError if the system cannot carry it out."""
        check = self.checks.get(fault.system)
        why = _impossible(fault) or (check(fault) if check else "")
        if why:
            raise ValueError(why)
        with self._lock:
            number = next(self._ids)
            self._faults[number] = fault
            self._hits[number] = 0
            return number

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()
            self._hits.clear()

    def listed(self) -> list[dict[str, object]]:
        """Return the faults with hits left, with their ids and hits so far."""
        with self._lock:
            return [
                {"id": number, "hits": self._hits[number], **asdict(fault)} for number, fault in self._faults.items()
            ]

    def is_waiting(self, number: int) -> bool:
        """Return whether the fault with this id has hits left."""
        return number in self._faults

    @property
    def waiting(self) -> bool:
        """Whether any fault has hits left."""
        return bool(self._faults)

    def take(self, system: str, operation: str, phase: Phase) -> Fault | None:
        """Count one hit for every matching fault; return the oldest one that is due, or None."""
        if not self._faults:
            return None
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


def _impossible(fault: Fault) -> str:
    if fault.action in _BEFORE_ONLY and fault.phase == "after":
        return f"{fault.action!r} decides what the request will do: its phase is 'before'"
    if fault.action == "stale" and fault.seconds <= 0:
        return "'stale' needs 'seconds'"
    if fault.action == "foreign-lock" and not (fault.target and fault.seconds > 0):
        return "'foreign-lock' needs 'target' and 'seconds'"
    return ""


def fault_from_json(data: object) -> Fault:
    """Read a fault from the control port's JSON (fields as in `Fault`); raises ValueError that names the mistake."""
    if not isinstance(data, Mapping):
        message = "a fault must be a JSON object"
        raise ValueError(message)  # noqa: TRY004 - what the caller sent is a bad value, whatever its type
    known = set(Fault.__dataclass_fields__)
    unknown = sorted(set(data) - known)
    if unknown:
        message = f"unknown field {unknown[0]!r}; a fault has {', '.join(sorted(known))}"
        raise ValueError(message)
    _one_of(
        "action", data.get("action", "status"), (*get_args(HttpFault), *get_args(ListFault), *get_args(SystemAction))
    )
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
        retry_after=str(data.get("retry_after", "")),
        target=str(data.get("target", "")),
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
