"""What can go wrong in a life, and where: every point that the sweep covers, in a fixed order, with a name.

`recording.py` says which messages a life has; `trial.py` carries out one point.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

FIRST_READS = 3
"""Of each read in a life so many are points; the later ones are polls, whose number differs from run to run."""
LASTING = 1_000_000
"""Hits of a fault that lasts until it is taken away."""
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
"""What begins the names of operations that change something outside."""


@dataclass(frozen=True, slots=True)
class Message:
    """The `nth` request of an operation since the life began."""

    life: str
    system: str
    operation: str
    nth: int


@dataclass(frozen=True, slots=True)
class Wrong:
    """One way of going wrong: the fault that is ordered of a world, and whether the operator is killed when it is met.

    `order` is JSON for the control port beside system, operation and nth.
    """

    name: str
    order: Mapping[str, object]
    kills: bool = False


KILLS = (
    Wrong("killed-before-effect", {"phase": "before", "action": "hang"}, kills=True),
    Wrong("killed-after-effect", {"phase": "after", "action": "hang"}, kills=True),
    Wrong("killed-after-answer", {"phase": "after", "action": "delay", "seconds": 0.0}, kills=True),
)
"""Once for each message. The hanging request ends with the process that waits for it."""
FAULTS = (
    *(
        Wrong(str(status), {"action": "status", "status": status, "count": LASTING})
        for status in (401, 403, 404, 409, 500, 503)
    ),
    Wrong("429", {"action": "throttle", "retry_after": "1", "count": LASTING}),
    Wrong("html", {"action": "html", "status": 200, "count": LASTING}),
    Wrong("truncated", {"phase": "after", "action": "truncate", "count": LASTING}),
    Wrong("hang", {"action": "hang", "count": 2}),
    Wrong("cut-after-effect", {"phase": "after", "action": "cut", "count": 2}),
)
"""Once for each operation, from its first request in a life on."""


@dataclass(frozen=True, slots=True)
class Point:
    """One run of a life in which one thing goes wrong."""

    message: Message
    wrong: Wrong

    @property
    def name(self) -> str:
        """Its name: `golden/azure/commands.put/1/killed-before-effect`."""
        it = self.message
        return f"{it.life}/{it.system}/{it.operation}/{it.nth}/{self.wrong.name}"

    def order(self) -> dict[str, object]:
        """The fault as the control port takes it."""
        it = self.message
        return {"system": it.system, "operation": it.operation, "nth": it.nth, **self.wrong.order}


def is_effect(operation: str) -> bool:
    """Whether an operation changes something outside."""
    return operation.startswith(_EFFECTS)


def worth(messages: Iterable[Message]) -> list[Message]:
    """All effects, and the first few of each read."""
    return [message for message in messages if is_effect(message.operation) or message.nth <= FIRST_READS]


def every_point(messages: Iterable[Message]) -> list[Point]:
    """All points of these messages, in a fixed order: lives in order, kills before faults."""
    wanted = worth(messages)
    return [*_kills(wanted), *_faults(wanted)]


def _kills(messages: Iterable[Message]) -> Iterator[Point]:
    for message in messages:
        yield from (Point(message, wrong) for wrong in KILLS)


def _faults(messages: Iterable[Message]) -> Iterator[Point]:
    """Each operation in the first life that has it."""
    seen: set[tuple[str, str]] = set()
    for message in messages:
        if (message.system, message.operation) not in seen:
            seen.add((message.system, message.operation))
            yield from (Point(Message(message.life, message.system, message.operation, 1), wrong) for wrong in FAULTS)


def chosen(points: Iterable[Point], *, only: Iterable[str] = (), begin: str = "") -> list[Point]:
    """The points whose names fit one of the patterns (or begin so), from the point named `begin` on.

    LookupError where no point has that name.
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
    """`system/operation` means it in every life; anything else is a pattern of the whole name, or its beginning."""
    _, _, without_life = name.partition("/")
    return fnmatchcase(name, pattern) or name.startswith(pattern + "/") or without_life.startswith(pattern + "/")


def parse(name: str) -> Point:
    """The point of a name; ValueError where it can be none."""
    parts = name.split("/")
    wrongs = {wrong.name: wrong for wrong in (*KILLS, *FAULTS)}
    if len(parts) != 5 or parts[4] not in wrongs or not parts[3].isdigit():
        raise ValueError(f"{name!r} is no point; a point is LIFE/SYSTEM/OPERATION/NTH/WHAT")
    life, system, operation, nth, what = parts
    return Point(Message(life, system, operation, int(nth)), wrongs[what])
