"""What a mapping names and the outside lacks: groups, labels, and types of labels. Pure.

Such a mapping moves nobody (S6): its hosts would be Blocked in the middle of their change. The engine asks with what it
read just now, `microseg plan` with what the Estate's status keeps of that; what is missing is told in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from microseg.mapping import MappingDocument
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.estate import Estate
from microseg.model.estate_status import KNOWN_NAMES, KNOWN_TYPES, MISTAKES, KnownNames
from microseg.model.fields import clip
from microseg.model.host import ManagedHost
from microseg.model.illumio_record import IllumioRecord
from microseg.model.spelling import fold
from microseg.planning import guard

_BUILT_IN = frozenset({"role", "app", "env", "loc"})
"""Types of labels that every PCE has; others are made by a person (label_dimensions, vendor's REST manual 22.5)."""
_TEXT = 256
"""Characters of a name that the status can hold; a longer one counts as left out."""

Labels = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Known:
    """The names that the outside has, for one estate."""

    groups: frozenset[str]
    """Folded, as the systems compare names."""
    labels: frozenset[str]
    """Folded `key=value`; where the estate creates labels nobody asks for them."""
    types: frozenset[str]
    """Keys of labels."""
    creates: bool
    """Whether the operator creates labels that the PCE lacks."""
    allowed: frozenset[str]
    """Folded groups that the estate allows; empty: all."""
    left_out: int = 0
    """Names that are not listed here: with one of them, a name that is not here may still be there."""

    def lacking(self, labels: Labels, groups: Iterable[str]) -> tuple[str, ...]:
        """What of these names is not there, a sentence each."""
        no = "has no" if not self.left_out else "may have no (the Estate keeps a part of the names only)"
        found = [f"The estate does not allow the group {name}." for name in sorted(groups) if not self._allows(name)]
        found += [f"Check Point {no} group {name}." for name in sorted(groups) if fold(name) not in self.groups]
        asked = sorted(set(labels))
        if self.creates:
            types = {key for key, _ in asked} - self.types - _BUILT_IN
            found += [f"The PCE {no} label of the type {key}: make the type and one label." for key in sorted(types)]
        else:
            missing = (f"{key}={value}" for key, value in asked if fold(f"{key}={value}") not in self.labels)
            found += [f"The PCE {no} label {name}, and createLabels is false." for name in missing]
        return tuple(found)

    def lacking_of(self, rules: MappingDocument) -> tuple[str, ...]:
        """What of all names of the mapping is not there, a sentence each."""
        return self.lacking(*named(rules))

    def _allows(self, group: str) -> bool:
        return not self.allowed or fold(group) in self.allowed


def added(host: ManagedHost, desired: Labels, groups: Iterable[str]) -> tuple[set[tuple[str, str]], frozenset[str]]:
    """The labels and groups of these that the host's record does not have."""
    illumio, check_point = host.status.illumio or IllumioRecord(), host.status.check_point or CheckPointRecord()
    recorded = {(label.key, fold(label.value)) for label in illumio.labels}
    labels = {(key, value) for key, value in desired if (key, fold(value)) not in recorded}
    return labels, guard.without(groups, check_point.groups)


def named(rules: MappingDocument) -> tuple[frozenset[tuple[str, str]], frozenset[str]]:
    """Every label, as key and value, and every group that the mapping could give to any host.

    An override gives a host nothing that its table does not have.
    """
    labels = {(key, value) for key, table in rules.tables.items() for value in table.allowed}
    return frozenset(labels), frozenset(group.name for group in rules.groups)


def as_read(estate: Estate, groups: Iterable[str], labels: Labels) -> Known:
    """What the outside has, from complete lists."""
    creates, pairs = estate.spec.illumio.create_labels, tuple(labels)
    return Known(
        groups=frozenset(map(fold, groups)),
        labels=frozenset() if creates else frozenset(fold(f"{key}={value}") for key, value in pairs),
        types=frozenset(key for key, _ in pairs),
        creates=creates,
        allowed=frozenset(map(fold, estate.spec.check_point.allowed_groups)),
    )


def as_recorded(estate: Estate) -> Known | None:
    """What the outside has, from the Estate's status; None: nobody has read it yet, or not since labels matter."""
    record = estate.status.known
    if record is None or not (record.labels or estate.spec.illumio.create_labels):
        return None
    return Known(
        groups=frozenset(map(fold, record.groups)),
        labels=frozenset(map(fold, record.labels)),
        types=frozenset(record.label_types),
        creates=estate.spec.illumio.create_labels,
        allowed=frozenset(map(fold, estate.spec.check_point.allowed_groups)),
        left_out=record.left_out,
    )


def record(
    estate: Estate,
    rules: MappingDocument | None,
    groups: Iterable[str],
    labels: Mapping[tuple[str, str], str],
    packages: Iterable[str],
    mistakes: Sequence[str],
) -> KnownNames:
    """What the Estate's status keeps: those that the mapping names come first, because their number is bounded."""
    creates = estate.spec.illumio.create_labels
    pairs, joined = named(rules) if rules is not None else (frozenset[tuple[str, str]](), frozenset[str]())
    known_groups = tuple(groups)
    known_labels = () if creates else tuple(f"{key}={value}" for key, value in labels)
    kept_groups = _bounded(known_groups, joined)
    kept_labels = _bounded(known_labels, (f"{key}={value}" for key, value in pairs))
    return KnownNames(
        groups=kept_groups,
        labels=kept_labels,
        label_types=tuple(sorted({key for key, _ in labels if len(key) <= _TEXT}))[:KNOWN_TYPES],
        packages=_bounded(tuple(packages), ()),
        left_out=len(known_groups) - len(kept_groups) + len(known_labels) - len(kept_labels),
        mistakes=tuple(clip(each, 1024) for each in mistakes[:MISTAKES]),
    )


def _bounded(names: Sequence[str], first: Iterable[str]) -> tuple[str, ...]:
    """In order, and no more than a status may hold: those of `first` before others."""
    wanted = set(map(fold, first))
    fitting = sorted((fold(name) not in wanted, name) for name in names if len(name) <= _TEXT)[:KNOWN_NAMES]
    return tuple(sorted(name for _, name in fitting))
