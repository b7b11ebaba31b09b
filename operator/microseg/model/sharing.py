"""Equal values held once: ten thousand records repeat the same words, times, tags and conditions.

Whatever is decoded comes as objects of its own. A record of 5 KB as JSON took 11 KB of memory so, 7 of which were
copies of what other records, or other parts of the same one, have too. The host table has every record go through it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from microseg.model.azure_record import Image, Tag
from microseg.model.checkpoint_record import InstalledAt
from microseg.model.condition import Condition
from microseg.model.history_line import HistoryLine
from microseg.model.host import MappingRecord, Timeline
from microseg.model.illumio_record import LabelRecord

T = TypeVar("T")
_ALIKE = frozenset({Condition, HistoryLine, Image, InstalledAt, LabelRecord, MappingRecord, Tag, Timeline})
"""Structs that hosts have in common, also as a whole; of the others only the parts."""
_LEAST, _PER_HOST, _MOST = 512, 8, 8192
"""Values of a generation: many more than a fleet has in common, and some 2 MB at most in both. A small fleet has less
in common; with room for a large one it would keep the words of hours, and grow all that time."""


class Sharing:
    """The values that were seen lately, in two generations: what is not seen again is forgotten.

    A value that was forgotten too early is held twice, and nothing else.
    """

    def __init__(self, hosts: Callable[[], int] = lambda: _MOST) -> None:
        """`hosts`: how many there are that may have values in common."""
        self._hosts = hosts
        self._recent: dict[Any, Any] = {}
        self._older: dict[Any, Any] = {}
        self._fields: dict[type, tuple[str, ...]] = {}
        """Of each struct that was seen; none of what has no parts."""

    def once(self, value: T) -> T:
        """The value, made of parts that are held once. It must be immutable.

        Structs get their parts in place, each for an equal one: copies of them would cost what is saved.
        """
        kind: type = type(value)
        if kind is str or kind is datetime:
            return self._held(value)
        if kind is tuple:
            parts: Any = tuple([self.once(part) for part in value])  # type: ignore[attr-defined]  # it is a tuple
            return parts  # type: ignore[no-any-return]  # of the same type
        names = self._fields.get(kind)
        if names is None:
            names = self._fields[kind] = value.__struct_fields__ if isinstance(value, msgspec.Struct) else ()
        if not names:
            return value
        for name in names:
            part = getattr(value, name)
            if (shared := self.once(part)) is not part:
                msgspec.structs.force_setattr(value, name, shared)  # type: ignore[arg-type]  # it is a struct
        return self._held(value) if kind in _ALIKE else value

    def _held(self, value: T) -> T:
        found: T | None = self._recent.get(value)
        if found is None:
            found = self._older.get(value, value)
            if len(self._recent) >= min(max(_LEAST, _PER_HOST * self._hosts()), _MOST):
                self._older, self._recent = self._recent, {}
            self._recent[found] = found
        return found
