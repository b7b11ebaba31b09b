"""Labels and their dimensions: values are unique per key, and a label in use cannot be deleted.

Used by profiles and workloads, which report their labels. Rules: the vendor's REST manual 23.2 (labels; reserved
values; key immutable; partial match of `value`), the Terraform provider illumio-core (second deletion, dimensions).
The tokens `label_exists` and `label_in_use` are ours: the vendor's are not publicly known.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from msgspec import UNSET

from simulators.illumio.bodies import DimensionBody, Href, LabelCreate, LabelUpdate
from simulators.illumio.context import Context, caller
from simulators.illumio.errors import PceError, refuse, refuse_invalid, refuse_missing
from simulators.illumio.references import References, pair_of

BUILT_IN = {"role": "Role", "app": "Application", "env": "Environment", "loc": "Location"}
RESERVED = {"all applications", "all environments", "all locations", "all roles"}
_MOST_DIMENSIONS = 20


@dataclass(slots=True)
class Label:
    """One label; a deleted one stays readable."""

    number: int
    href: str
    key: str
    value: str
    created_at: str
    created_by: str
    updated_at: str
    updated_by: str
    deleted: bool = False
    external_data_set: str | None = None
    external_data_reference: str | None = None


@dataclass(slots=True)
class Dimension:
    """One label key."""

    href: str
    key: str
    display_name: str
    created_at: str
    updated_at: str
    display_info: dict[str, object] = field(default_factory=dict)
    deleted: bool = False
    external_data_set: str | None = None
    external_data_reference: str | None = None


class Labels:
    """All labels and dimensions of the organisation. `renamed` listeners get the HREFs of a label's users."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._by_href: dict[str, Label] = {}
        self._by_pair: dict[tuple[str, str], Label] = {}
        self._users: dict[str, set[str]] = {}
        self._references = References()
        self._dimension_references = References()
        self.dimensions: dict[str, Dimension] = {}
        self.renamed: list[Callable[[Iterable[str]], None]] = []
        for key, shown in BUILT_IN.items():
            self._add_dimension(key, shown, {"initial": shown[0], "icon": key})

    def create(self, body: LabelCreate) -> Label:
        """Create a label; refused if the key is unknown, or the value reserved or already used (case ignored)."""
        context, who = self._context, caller.get().href
        if body.key not in self.keys():
            refuse_invalid(f"label key {body.key!r} is not a label dimension")
        self._check_value(body.key, body.value, None)
        number = len(self._by_href) + 1
        label = Label(
            number=number,
            href=f"{context.org}/labels/{number}",
            key=body.key,
            value=body.value,
            created_at=context.stamp(),
            created_by=who,
            updated_at=context.stamp(),
            updated_by=who,
        )
        self._references.hold(label, self._references.check(body, label.href, None))
        self._by_href[label.href] = label
        self._by_pair[label.key, label.value.casefold()] = label
        context.changed(f"label {label.href} made: {label.key}={label.value}")
        context.event("label.create", label.href, change="create")
        return label

    def get(self, href: str) -> Label:
        """Return the label, deleted or not; 404."""
        label = self._by_href.get(href)
        if label is None:
            refuse_missing(href)
        return label

    def find(self, key: str, value: str) -> Label | None:
        """Return the label of this key and value, case ignored."""
        return self._by_pair.get((key, value.casefold()))

    def update(self, href: str, body: LabelUpdate) -> None:
        """Rename a label or change its reference."""
        label = self.get(href)
        if label.deleted:
            refuse_missing(href)
        pair = self._references.check(body, href, pair_of(label))
        if isinstance(body.value, str):
            self._check_value(label.key, body.value, label)
            del self._by_pair[label.key, label.value.casefold()]
            label.value = body.value
            self._by_pair[label.key, label.value.casefold()] = label
            for listener in self.renamed:
                listener(self._users.get(href, ()))
        self._references.hold(label, pair)
        label.updated_at, label.updated_by = self._context.stamp(), caller.get().href
        self._context.changed(f"label {href} changed: {label.key}={label.value}")
        self._context.event("label.update", href)

    def delete(self, href: str) -> None:
        """Delete a label that is not in use."""
        label = self.get(href)
        if label.deleted:
            raise PceError(406, "label_already_deleted", "Label already deleted", single=True)
        if self._users.get(href):
            refuse("label_in_use", f"label {label.key}={label.value} is in use")
        label.deleted = True
        del self._by_pair[label.key, label.value.casefold()]
        self._references.release(label)
        self._context.changed(f"label {href} deleted: {label.key}={label.value}")
        self._context.event("label.delete", href, change="delete")

    def all(self) -> Iterable[Label]:
        """Every label, deleted ones too, oldest first."""
        return self._by_href.values()

    def keys(self) -> set[str]:
        """Return the label keys that may be used."""
        return {dimension.key for dimension in self.dimensions.values() if not dimension.deleted}

    def usage(self, label: Label) -> dict[str, bool]:
        """Return the usage block of a label."""
        users = self._users.get(label.href, set())
        unused = ("label_group", "ruleset", "rule", "virtual_service", "permission", "enforcement_boundary")
        return {
            "workload": any("/workloads/" in user for user in users),
            "pairing_profile": any("/pairing_profiles/" in user for user in users),
        } | dict.fromkeys(unused, False)

    def resolve(self, references: Sequence[Href]) -> dict[str, Label]:
        """Return key -> label; refused if one does not exist, is deleted, or two have the same key."""
        found: dict[str, Label] = {}
        for reference in references:
            label = self._by_href.get(reference.href)
            if label is None or label.deleted:
                refuse_invalid(f"label {reference.href} does not exist")
            if label.key in found:
                refuse_invalid(f"more than one label of key {label.key!r}")
            found[label.key] = label
        return found

    def replace_use(self, user: str, old: dict[str, Label], new: dict[str, Label]) -> None:
        """Record that `user` uses the labels `new` instead of `old`."""
        for label in old.values():
            self._users.get(label.href, set()).discard(user)
        for label in new.values():
            self._users.setdefault(label.href, set()).add(user)

    def create_dimension(self, body: DimensionBody) -> Dimension:
        """Create a label key; at most 20."""
        if not isinstance(body.key, str) or not isinstance(body.display_name, str):
            refuse_invalid("key and display_name are required (schema DimensionBody)")
        if body.key in self.keys():
            refuse("label_dimension_exists", f"label dimension {body.key!r} already exists")
        if len(self.keys()) >= _MOST_DIMENSIONS:
            refuse("hard_limit_exceeded", f"hard limit reached: {_MOST_DIMENSIONS} label dimensions")
        info = body.display_info if isinstance(body.display_info, dict) else {}
        dimension = self._add_dimension(body.key, body.display_name, info)
        self._dimension_references.hold(dimension, self._dimension_references.check(body, dimension.href, None))
        self._context.changed(f"label dimension {dimension.key} made")
        self._context.event("label_dimension.create", dimension.href, change="create")
        return dimension

    def update_dimension(self, href: str, body: DimensionBody) -> None:
        """Change how a key is shown; the key itself stays."""
        dimension = self.dimension(href)
        if body.key is not UNSET:
            refuse_invalid("key can't be changed (schema DimensionBody)")
        pair = self._dimension_references.check(body, href, pair_of(dimension))
        self._dimension_references.hold(dimension, pair)
        if isinstance(body.display_name, str):
            dimension.display_name = body.display_name
        if isinstance(body.display_info, dict):
            dimension.display_info = body.display_info
        dimension.updated_at = self._context.stamp()
        self._context.changed(f"label dimension {dimension.key} changed")
        self._context.event("label_dimension.update", href)

    def delete_dimension(self, href: str) -> None:
        """Delete a key that has no labels and is not built in."""
        dimension = self.dimension(href)
        if dimension.key in BUILT_IN or any(key == dimension.key for key, _ in self._by_pair):
            refuse("label_dimension_in_use", f"label dimension {dimension.key!r} is built in or in use")
        dimension.deleted = True
        self._dimension_references.release(dimension)
        self._context.changed(f"label dimension {dimension.key} deleted")
        self._context.event("label_dimension.delete", href, change="delete")

    def dimension(self, href: str) -> Dimension:
        """Return the dimension; 404."""
        dimension = self.dimensions.get(href)
        if dimension is None or dimension.deleted:
            refuse_missing(href)
        return dimension

    def _add_dimension(self, key: str, shown: str, info: dict[str, object]) -> Dimension:
        href, now = f"{self._context.org}/label_dimensions/{uuid.uuid4()}", self._context.stamp()
        self.dimensions[href] = Dimension(href, key, shown, now, now, info)
        return self.dimensions[href]

    def _check_value(self, key: str, value: str, mine: Label | None) -> None:
        if value.casefold() in RESERVED:
            refuse_invalid(f"label value {value!r} is reserved")
        if self._by_pair.get((key, value.casefold()), mine) is not mine:
            refuse("label_exists", f"Label with key {key!r} and value {value!r} already exists")
