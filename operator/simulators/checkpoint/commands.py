"""What a command is: its parameters, whether it writes, and how a call is validated before it runs.

The tables of commands are in `object_commands`, `session_commands` and `policy_commands`; `routes` merges them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TypeVar, cast, get_args

from simulators.checkpoint import errors
from simulators.checkpoint.rendering import Json, Level, Renderer
from simulators.checkpoint.session import Session
from simulators.checkpoint.world import World

Item = TypeVar("Item")

LARGEST_PAGE = 500
"""The largest page of a listing (chkp-antonr/checkpoint-api-ref `jmd/show-hosts.j.md`)."""


@dataclass(slots=True)
class Call:
    """One request with a validated body. `changed` collects names for the ledger."""

    world: World
    session: Session
    body: Json
    changed: list[str] = field(default_factory=list)

    def text(self, parameter: str, default: str = "") -> str:
        """Return a string parameter."""
        value = self.body.get(parameter, default)
        if not isinstance(value, str):
            raise errors.invalid_parameter(name=parameter, why="The value must be a string")
        return value

    def flag(self, parameter: str, *, default: bool = False) -> bool:
        """Return a boolean parameter."""
        return self.body.get(parameter, default) is True

    def whole(self, parameter: str, default: int, lowest: int, highest: int) -> int:
        """Return a whole number within limits."""
        value = self.body.get(parameter, default)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise errors.invalid_parameter(
                name=parameter, why=f"The value must be a number between {lowest} and {highest}"
            )
        return value

    def moment(self, parameter: str) -> float:
        """Return a date as epoch seconds. Without a time zone it is meant in the server's."""
        try:
            found = datetime.fromisoformat(self.text(parameter))
        except ValueError as error:
            raise errors.invalid_parameter(parameter, "The value must be a date in the format ISO 8601") from error
        zone = timezone(timedelta(hours=self.world.traits.utc_offset))
        return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()

    @property
    def level(self) -> Level:
        """Return the requested level of detail, already validated."""
        return cast("Level", self.body.get("details-level", "standard"))

    @property
    def identifier(self) -> str:
        """Return the uid or name that identifies the object."""
        for parameter in ("uid", "name"):
            if parameter in self.body:
                return self.text(parameter)
        raise errors.missing_parameter(name="name")

    @property
    def renderer(self) -> Renderer:
        """Return the renderer for the caller's session."""
        return Renderer(self.session, self.world.locks)


@dataclass(frozen=True, slots=True)
class Command:
    """`writes`: needs a read-write session on an active server."""

    name: str
    run: Callable[[Call], Json]
    parameters: frozenset[str] = frozenset()
    required: tuple[str, ...] = ()
    writes: bool = False

    @property
    def edits(self) -> bool:
        """Whether it edits the session's changes, which no running task may use then."""
        return self.writes and self.name != "install-policy"


FLAGS = frozenset(
    {
        "ignore-warnings",
        "ignore-errors",
        "set-if-exists",
        "show-membership",
        "view-published-sessions",
        "disconnect-active-session",
        "discard",
        "read-only",
        "continue-last-session",
        "enter-last-published-session",
    }
)
"""Parameters that may also be the strings "true" and "false"."""


def judge(command: Command, body: Json) -> Json:
    """Return the body with flags as booleans; raises ApiError for unknown, missing and invalid parameters."""
    for name in body:
        if name not in command.parameters:
            raise errors.unknown_parameter(name)
    for name in command.required:
        if name not in body:
            raise errors.missing_parameter(name)
    level = body.get("details-level", "standard")
    if level not in get_args(Level):
        raise errors.invalid_parameter(name="details-level", why=f"[{level}] is not one of uid, standard, full")
    return {name: _flag(name, value) if name in FLAGS else value for name, value in body.items()}


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise errors.invalid_parameter(name, f"[{value}] is not a boolean")


def page(call: Call, items: Sequence[Item], show: Callable[[Item], object], key: str = "objects") -> Json:
    """Return one page of a listing in the server's envelope; an empty listing has no `from` and `to`."""
    limit = call.whole("limit", 50, 1, LARGEST_PAGE)
    offset = call.whole("offset", 0, 0, 2**31)
    total = len(items)
    if _descending(call):
        chosen = list(items[max(total - offset - limit, 0) : max(total - offset, 0)])[::-1]
    else:
        chosen = list(items[offset : offset + limit])
    shown: Json = {key: [show(item) for item in chosen], "total": total}
    if chosen:
        shown = {"from": offset + 1, "to": offset + len(chosen)} | shown
    return shown


def _descending(call: Call) -> bool:
    order = call.body.get("order", [])
    if order in ([], [{"ASC": "name"}]):
        return False
    if order == [{"DESC": "name"}]:
        return True
    raise errors.invalid_parameter(name="order", why="Sorting is by [name], ASC or DESC")


PAGING = frozenset({"limit", "offset", "order", "details-level"})
"""The parameters of every listing."""
