"""Careful looks into decoded JSON of which nothing is promised. Used by the three `*_reading.py` modules.

None of these raises: what is not of the wanted shape is as good as not there, and the reader decides what that means.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime

Json = Mapping[str, object]
"""A JSON object."""


def mapping(value: object) -> Mapping[str, object]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def listing(value: object) -> list[object]:
    """The array, or an empty one."""
    return value if isinstance(value, list) else []


def mappings(value: object) -> list[Mapping[str, object]]:
    """The objects of an array; what else stands in it is left out."""
    return [item for item in listing(value) if isinstance(item, dict)]


def text(value: object) -> str:
    """The string, or an empty one."""
    return value if isinstance(value, str) else ""


def number(value: object) -> int | None:
    """The whole number, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def within(value: object, *keys: str) -> object:
    """The value at a path of keys, or None."""
    for key in keys:
        value = mapping(value).get(key)
    return value


def when(value: object) -> datetime | None:
    """The time of an ISO 8601 text, or None; without a zone it is UTC.

    Azure sends 7 fractional digits, the PCE 0, 3 or 6, Check Point a zone without a colon.
    """
    try:
        found = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def address(value: object) -> str:
    """An IP address in its canonical form without zone and prefix length; empty if it is none."""
    try:
        return str(ipaddress.ip_address(text(value).split("%", 1)[0].split("/", 1)[0]))
    except ValueError:
        return ""
