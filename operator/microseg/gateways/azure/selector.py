"""Which VMs belong to a source, by its `select`. Pure; `azure/parse.py` asks it."""

from __future__ import annotations

from collections.abc import Mapping

from microseg.model.azure_record import AzureRecord
from microseg.model.azure_spec import Select


class Selector:
    """A source's `select`, case-folded once. Every field that is set must hold."""

    def __init__(self, select: Select) -> None:
        """Every VM belongs to an empty one."""
        self._groups = {group.lower() for group in select.resource_groups}
        self._locations = {_normalized_location(location) for location in select.locations}
        self._tags = {key.lower(): value for key, value in select.tags.items()}
        self._not_tags = {key.lower(): value for key, value in select.not_tags.items()}

    def leaves_out(self, record: AzureRecord) -> str:
        """The field of `select` by which the VM is none of the estate's; empty: it belongs to it."""
        if self._groups and record.resource_group.lower() not in self._groups:
            return "resourceGroups"
        if self._locations and _normalized_location(record.location) not in self._locations:
            return "locations"
        tags = {tag.key.lower(): tag.value for tag in record.tags}
        if any(_tag_matches(tags, key, value) for key, value in self._not_tags.items()):
            return "notTags"
        return "" if all(_tag_matches(tags, key, value) for key, value in self._tags.items()) else "tags"


def _tag_matches(tags: Mapping[str, str], key: str, value: str) -> bool:
    return key in tags and value in ("*", tags[key])


def _normalized_location(location: str) -> str:
    """`West Europe` and `westeurope` are the same location."""
    return location.replace(" ", "").lower()
