"""Safe access to decoded JSON from outside, of which no shape is promised. Used by everything that reads an answer.

Every function takes a value and the path of keys that leads from it to the wanted one; without keys, the value itself.
None of them raises: a value of another type counts as absent, and the caller decides what that means.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import UTC, datetime

Json = Mapping[str, object]
"""A JSON object."""

REAL_YEARS = range(1900, 3000)
"""Of times that somebody means."""
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PLAIN_ADDRESS = re.compile(rf"{_BYTE}(\.{_BYTE}){{3}}")
"""IPv4 in canonical form, as nearly every address comes: `ipaddress` takes ten times as long to say the same."""


def get_value(value: object, *keys: str) -> object:
    """The value of any type, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def get_object(value: object, *keys: str) -> Json:
    """The object, or an empty one."""
    result = get_value(value, *keys)
    return result if isinstance(result, dict) else {}


def get_list(value: object, *keys: str) -> list[object]:
    """The array, or an empty one."""
    result = get_value(value, *keys)
    return result if isinstance(result, list) else []


def get_objects(value: object, *keys: str) -> list[Json]:
    """The objects of an array; items of other types are left out."""
    return [item for item in get_list(value, *keys) if isinstance(item, dict)]


def get_text(value: object, *keys: str) -> str:
    """The string, or an empty one."""
    result = get_value(value, *keys)
    return result if isinstance(result, str) else ""


def get_number(value: object, *keys: str) -> int | None:
    """The whole number, or None."""
    result = get_value(value, *keys)
    return result if isinstance(result, int) and not isinstance(result, bool) else None


def get_time(value: object, *keys: str) -> datetime | None:
    """The time of an ISO 8601 string, in UTC, or None; without a time zone it is UTC.

    Azure sends 7 fractional digits, the PCE 0, 3 or 6, Check Point a time zone without a colon. Some servers write the
    year 1 or 9999 where they mean no time, as the zero values of .NET and Go; one can also calculate with no such time.
    """
    try:
        time = datetime.fromisoformat(get_text(value, *keys))
    except ValueError:
        return None
    if time.year not in REAL_YEARS:
        return None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def get_address(value: object, *keys: str) -> str:
    """An IP address in canonical form, without zone and prefix length; empty if the string is none."""
    text = get_text(value, *keys)
    if _PLAIN_ADDRESS.fullmatch(text):
        return text
    try:
        return str(ipaddress.ip_address(text.split("%", 1)[0].split("/", 1)[0]))
    except ValueError:
        return ""
