"""The pair of external_data_set and external_data_reference: unique among the objects of a type.

Source: `alexgoller/illumio-k8s-utility-operator` internal/pce/labels.go met HTTP 406 `external_reference_not_unique`.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import UnsetType

from simulators.illumio.errors import refuse, refuse_invalid

Pair = tuple[str, str]


class ReferenceFields(Protocol):
    """A body that may have the pair."""

    external_data_set: str | UnsetType | None
    external_data_reference: str | UnsetType | None


class Referenced(Protocol):
    """An object that may have the pair."""

    href: str
    external_data_set: str | None
    external_data_reference: str | None


class References:
    """The owners of pairs, for one type of objects."""

    def __init__(self) -> None:
        self._owners: dict[Pair, str] = {}

    def owner(self, pair: Pair) -> str | None:
        """Return the HREF of the object with this pair."""
        return self._owners.get(pair)

    def check(self, body: ReferenceFields, href: str, current: Pair | None) -> Pair | None:
        """Return the pair of `href` after `body`; refuses half a pair, and one that another object has."""
        first, second = current or (None, None)
        if not isinstance(body.external_data_set, UnsetType):
            first = body.external_data_set or None
        if not isinstance(body.external_data_reference, UnsetType):
            second = body.external_data_reference or None
        if (first is None) != (second is None):
            refuse_invalid("external_data_set and external_data_reference must be given together")
        if first is None or second is None:
            return None
        if self._owners.get((first, second), href) != href:
            refuse("external_reference_not_unique", "external_data_set and external_data_reference must be unique")
        return first, second

    def hold(self, item: Referenced, pair: Pair | None) -> None:
        """Give the object this (checked) pair instead of its old one."""
        old = pair_of(item)
        if old is not None:
            self._owners.pop(old, None)
        item.external_data_set, item.external_data_reference = pair or (None, None)
        if pair is not None:
            self._owners[pair] = item.href

    def release(self, item: Referenced) -> None:
        """Free the pair of a deleted object, although its record still shows it."""
        pair = pair_of(item)
        if pair is not None and self._owners.get(pair) == item.href:
            del self._owners[pair]


def pair_of(item: Referenced) -> Pair | None:
    """Return the pair of an object."""
    if item.external_data_set is None or item.external_data_reference is None:
        return None
    return item.external_data_set, item.external_data_reference
