"""Reads a command's JSON into the requested fields of an object; collections are set, added to or removed from.

Used by the single commands and by the batch commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from simulators.checkpoint import errors
from simulators.checkpoint.objects import COLORS, Kind, parse_address

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Delta:
    """A change of a collection; `values` are names or uids as given."""

    mode: Literal["replace", "add", "remove"]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """The requested fields of one object; None: unchanged."""

    kind: Kind
    name: str | None = None
    ipv4: str | None = None
    ipv6: str | None = None
    comments: str | None = None
    color: str | None = None
    tags: Delta | None = None
    groups: Delta | None = None
    members: Delta | None = None


def read_spec(kind: Kind, body: Json, *, name_parameter: str) -> ObjectSpec:
    """Read the fields of an object; `name_parameter` is "name" (add) or "new-name" (set). Raises ApiError."""
    ipv4, ipv6 = _addresses(body)
    color = _text(body, "color")
    if color is not None and color not in COLORS:
        raise errors.invalid_parameter(name="color", why=f"[{color}] is not a color")
    name = _text(body, name_parameter)
    if name is not None and not name.strip():
        raise errors.invalid_parameter(name_parameter, "A name must not be empty")
    return ObjectSpec(
        kind=kind,
        name=name,
        ipv4=ipv4,
        ipv6=ipv6,
        comments=_text(body, "comments"),
        color=color,
        tags=_delta(body, "tags"),
        groups=_delta(body, "groups"),
        members=_delta(body, "members"),
    )


def _addresses(body: Json) -> tuple[str | None, str | None]:
    """(IPv4, IPv6); `ip-address` may be of either family, the others are of their own (an empty text removes it)."""
    found: dict[int, str | None] = {4: None, 6: None}
    for parameter, expected in (("ip-address", 0), ("ipv4-address", 4), ("ipv6-address", 6)):
        if parameter not in body:
            continue
        text = body[parameter]
        if text == "" and expected:
            found[expected] = ""
            continue
        try:
            address, version = parse_address(text)
        except ValueError as error:
            raise errors.invalid_parameter(name=parameter, why=f"[{text}] is not an IP address") from error
        if expected not in (0, version):
            raise errors.invalid_parameter(name=parameter, why=f"[{text}] is not an IPv{expected} address")
        found[version] = address
    return found[4], found[6]


def _text(body: Json, parameter: str) -> str | None:
    value = body.get(parameter)
    if value is not None and not isinstance(value, str):
        raise errors.invalid_parameter(name=parameter, why="The value must be a string")
    return value


def _delta(body: Json, parameter: str) -> Delta | None:
    """A name, a list of names, or {"add": …} or {"remove": …}; both at once is refused: no source documents it."""
    if parameter not in body:
        return None
    value = body[parameter]
    if not isinstance(value, Mapping):
        return Delta("replace", names(parameter, value))
    unknown = sorted(set(value) - {"add", "remove"})
    if unknown:
        raise errors.unknown_parameter(name=f"{parameter}.{unknown[0]}")
    if len(value) != 1:
        raise errors.invalid_parameter(name=parameter, why="Give either [add] or [remove]")
    if "add" in value:
        return Delta("add", names(parameter, value["add"]))
    return Delta("remove", names(parameter, value["remove"]))


def names(parameter: str, value: object) -> tuple[str, ...]:
    """One name or a list of names (or uids)."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise errors.invalid_parameter(name=parameter, why="The value must be a string or a list of strings")
    return tuple(listed)
