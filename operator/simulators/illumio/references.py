"""The pair of external_data_set and external_data_reference: one object of a type may hold it.

Source: `alexgoller/illumio-k8s-utility-operator` internal/pce/labels.go met HTTP 406 `external_reference_not_unique`.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import UnsetType

from simulators.illumio.errors import refuse, refuse_invalid

Pair = tuple[str, str]


class Referring(Protocol):
    """A body that may carry the pair."""

    external_data_set: str | UnsetType | None
    external_data_reference: str | UnsetType | None


class Referred(Protocol):
    """An object that may hold the pair."""

    href: str
    external_data_set: str | None
    external_data_reference: str | None


class References:
    """Who holds which pair, for one type of objects."""

    def __init__(self) -> None:
        self._owners: dict[Pair, str] = {}

    def owner(self, pair: Pair) -> str | None:
        """Return the HREF of the object that holds this pair."""
        return self._owners.get(pair)

    def check(self, body: Referring, href: str, current: Pair | None) -> Pair | None:
        """Return the pair that `href` would hold after `body`; refuses half a pair, and one that another holds."""
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

    def hold(self, item: Referred, pair: Pair | None) -> None:
        """Let the object hold the (checked) pair instead of the one that it held."""
        old = pair_of(item)
        if old is not None:
            self._owners.pop(old, None)
        item.external_data_set, item.external_data_reference = pair or (None, None)
        if pair is not None:
            self._owners[pair] = item.href

    def release(self, item: Referred) -> None:
        """Free the pair of an object that is gone, though the record still shows it."""
        pair = pair_of(item)
        if pair is not None and self._owners.get(pair) == item.href:
            del self._owners[pair]


def pair_of(item: Referred) -> Pair | None:
    """Return the pair that an object holds."""
    if item.external_data_set is None or item.external_data_reference is None:
        return None
    return item.external_data_set, item.external_data_reference
