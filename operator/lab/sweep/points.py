"""Every point that the sweep covers: one failure at one message of a scenario, in a fixed order, with a name.

`recording.py` lists the messages of a scenario; `trial.py` runs one point.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

FIRST_READS = 3
"""How many requests of each read are points; the later ones are polls, whose number differs between runs."""
LASTING = 1_000_000
"""Hits of a fault that lasts until it is removed."""
_EFFECTS = (
    "add-",
    "set-",
    "delete-",
    "publish",
    "install-policy",
    "discard",
    "commands.put",
    "commands.delete",
    "pairing_keys.create",
    "labels.create",
    "workloads.bulk_update",
    "workloads.set_labels",
    "workloads.remove_labels",
    "vens.unpair",
)
"""How names of operations begin that change something outside."""


@dataclass(frozen=True, slots=True)
class Message:
    """The `nth` request of an operation since the scenario began."""

    scenario: str
    system: str
    operation: str
    nth: int


@dataclass(frozen=True, slots=True)
class Failure:
    """One kind of failure: the injected fault, and whether the operator is killed when the fault is met.

    `fault`: JSON for the simulators' control port, without system, operation and nth.
    """

    name: str
    fault: Mapping[str, object]
    kills: bool = False


KILLS = (
    Failure("killed-before-effect", {"phase": "before", "action": "hang"}, kills=True),
    Failure("killed-after-effect", {"phase": "after", "action": "hang"}, kills=True),
    Failure("killed-after-answer", {"phase": "after", "action": "delay", "seconds": 0.0}, kills=True),
)
"""Once per message. The hanging request ends with the process that waits for it."""
FAULTS = (
    *(
        Failure(str(status), {"action": "status", "status": status, "count": LASTING})
        for status in (401, 403, 404, 409, 500, 503)
    ),
    Failure("429", {"action": "throttle", "retry_after": "1", "count": LASTING}),
    Failure("html", {"action": "html", "status": 200, "count": LASTING}),
    Failure("truncated", {"phase": "after", "action": "truncate", "count": LASTING}),
    Failure("hang", {"action": "hang", "count": 2}),
    Failure("cut-after-effect", {"phase": "after", "action": "cut", "count": 2}),
)
"""Once per operation, from its first request in a scenario on."""


@dataclass(frozen=True, slots=True)
class Point:
    """One run of a scenario with one failure."""

    message: Message
    failure: Failure

    @property
    def name(self) -> str:
        """Its name, such as `onboarding/azure/commands.put/1/killed-before-effect`."""
        it = self.message
        return f"{it.scenario}/{it.system}/{it.operation}/{it.nth}/{self.failure.name}"

    def fault_json(self) -> dict[str, object]:
        """Return the fault as the control port takes it."""
        it = self.message
        return {"system": it.system, "operation": it.operation, "nth": it.nth, **self.failure.fault}


def is_effect(operation: str) -> bool:
    """Return whether an operation changes something outside."""
    return operation.startswith(_EFFECTS)


def covered_messages(messages: Iterable[Message]) -> list[Message]:
    """Return all effects, and the first few requests of each read."""
    return [message for message in messages if is_effect(message.operation) or message.nth <= FIRST_READS]


def every_point(messages: Iterable[Message]) -> list[Point]:
    """Return all points of these messages in a fixed order: kills before faults, each in the order of the messages."""
    expected = covered_messages(messages)
    return [*_kills(expected), *_faults(expected)]


def _kills(messages: Iterable[Message]) -> Iterator[Point]:
    for message in messages:
        yield from (Point(message, failure) for failure in KILLS)


def _faults(messages: Iterable[Message]) -> Iterator[Point]:
    """Each operation, in the first scenario that has it."""
    seen: set[tuple[str, str]] = set()
    for message in messages:
        if (message.system, message.operation) not in seen:
            seen.add((message.system, message.operation))
            yield from (
                Point(Message(message.scenario, message.system, message.operation, 1), failure) for failure in FAULTS
            )


def chosen(points: Iterable[Point], *, only: Iterable[str] = (), begin: str = "") -> list[Point]:
    """Return the points that match one of the patterns (or begin with it), from the point named `begin` on.

    Raises LookupError if no point has that name.
    """
    patterns = tuple(only)
    found = [point for point in points if not patterns or any(_fits(point.name, pattern) for pattern in patterns)]
    if not begin:
        return found
    names = [point.name for point in found]
    if begin not in names:
        raise LookupError(begin)
    return found[names.index(begin) :]


def _fits(name: str, pattern: str) -> bool:
    """`system/operation` matches in every scenario; anything else is a pattern for the whole name, or its beginning."""
    _, _, without_scenario = name.partition("/")
    return fnmatchcase(name, pattern) or name.startswith(pattern + "/") or without_scenario.startswith(pattern + "/")


def parse(name: str) -> Point:
    """Return the point with a name; raises ValueError if it is not the name of a point."""
    parts = name.split("/")
    failures = {failure.name: failure for failure in (*KILLS, *FAULTS)}
    if len(parts) != 5 or parts[4] not in failures or not parts[3].isdigit():
        raise ValueError(f"{name!r} is not a point; a point is SCENARIO/SYSTEM/OPERATION/NTH/FAILURE")
    scenario, system, operation, nth, what = parts
    return Point(Message(scenario, system, operation, int(nth)), failures[what])
