"""Rows of a list, kept as the bytes that came and decoded one by one.

A list that is decoded as a whole takes four times its bytes, and ten thousand rows three times the time.
`decode_response` leaves the rows of an answer as they are where it is told so; parsers decode each where they need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from microseg.gateways.http.json_access import get_text
from microseg.gateways.ports import Unreachable

Rows = list[msgspec.Raw]
"""What to decode an answer into that is a list."""

T = TypeVar("T")


class Page(msgspec.Struct, rename="camel"):
    """What to decode a page of Resource Manager into."""

    value: Rows
    next_link: str | None = None


def taken(rows: Rows) -> Iterator[msgspec.Raw]:
    """Each row in its order; the list lets go of it, and with the last row of a page of the page's bytes."""
    rows.reverse()
    while rows:
        yield rows.pop()


def decoded(row: object) -> object:
    """The JSON of a row, and whatever else as it is. Raises Unreachable for one that is no text."""
    if not isinstance(row, msgspec.Raw):
        return row
    try:
        return msgspec.json.decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = "A list has a row that is no JSON"
        raise Unreachable(message) from error


def decoded_as(kind: type[T], row: msgspec.Raw) -> T | None:
    """The fields of a row that `kind` has; None: the row is something else. Raises Unreachable as `decoded` does."""
    try:
        return msgspec.json.decode(row, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        decoded(row)  # raises where it is no JSON at all
        return None


class _Identified(msgspec.Struct):
    id: object = None


def id_of(row: object) -> str:
    """The row's `id`; empty: it has none. Nothing else of it is decoded. Raises Unreachable as `decoded` does."""
    if not isinstance(row, msgspec.Raw):
        return get_text(row, "id")
    named = decoded_as(_Identified, row)
    return get_text(named.id) if named is not None else ""
