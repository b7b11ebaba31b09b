"""Asks a condition of a host: the only place that compares a rule's text with a host's.

Used by `evaluator` and `groups` (compiled once per mapping) and, for the reason why a question failed, by
`explanation`: one implementation answers and explains, so that the two cannot differ. Nothing here is a regular
expression; a glob is matched in time bounded by the product of two short lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from microseg.model.shown import plain

from .document import Normal, Subject, When
from .wording import listed, quoted

PRESENT = ("*",)

# The fields of `when` beside tags: as written -> attribute of Subject and of When. Names here ignore case.
FIELDS = {
    "name": "name",
    "location": "location",
    "resourceGroup": "resource_group",
    "subscription": "subscription",
    "os": "os",
}
GLOB_FIELDS = frozenset({"name", "resourceGroup"})

Normalizer = Callable[[str], str]


def fold(key: str) -> str:
    """A tag key, name or location as it is compared: Azure ignores the case of these."""
    return key.lower()


def normalizer(ways: tuple[Normal, ...]) -> Normalizer:
    """How a tag's value, and what a rule compares it with, is spelled for the comparison."""
    trim, lower = Normal.TRIM in ways, Normal.LOWER in ways

    def spell(text: str) -> str:
        spelled = text.strip() if trim else text
        return spelled.lower() if lower else spelled

    return spell


@dataclass(frozen=True, slots=True)
class HostIndex:
    """A host as questions see it: the tags that rules read, by folded key, as (key as spelled, value)."""

    subject: Subject
    tags: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class TagQuestion:
    """Whether a tag has one of these values (None: any), or with `present` False, has none of them."""

    key: str
    folded: str
    accepted: frozenset[str] | None
    spell: Normalizer
    present: bool
    printable: tuple[str, ...]

    def holds(self, index: HostIndex) -> bool:
        """The answer."""
        pair = index.tags.get(self.folded)
        hit = pair is not None and (self.accepted is None or self.spell(pair[1]) in self.accepted)
        return hit is self.present

    def evidence(self, index: HostIndex) -> str:
        """What the host shows that decided the answer."""
        pair = index.tags.get(self.folded)
        text = f"tag {plain(self.key)} is absent" if pair is None else f"tag {plain(pair[0])}={quoted(pair[1])}"
        if self.holds(index):
            return text
        if not self.present:
            return f"{text} is excluded"
        return text if pair is None else f"{text}, not {listed(self.printable)}"


@dataclass(frozen=True, slots=True)
class FieldQuestion:
    """Whether a field of the host is one of these texts or matches one of these globs (None: is not empty)."""

    field: str
    attribute: str
    accepted: frozenset[str] | None
    globs: tuple[Glob, ...]
    printable: tuple[str, ...]

    def holds(self, index: HostIndex) -> bool:
        """The answer."""
        value = fold(self._read(index))
        if self.accepted is None:
            return value != ""
        return value in self.accepted or any(glob.matches(value) for glob in self.globs)

    def evidence(self, index: HostIndex) -> str:
        """What the host shows that decided the answer."""
        read = self._read(index)
        text = f"{self.field} {quoted(read)}"
        if self.holds(index):
            fitting = [glob.pattern for glob in self.globs if glob.matches(fold(read))]
            return f"{text} matches {plain(fitting[0])}" if fitting else text
        return f"{text}, not {listed(self.printable)}"

    def _read(self, index: HostIndex) -> str:
        value: str = getattr(index.subject, self.attribute)
        return value


Question = TagQuestion | FieldQuestion


def questions(when: When, spell: Normalizer) -> tuple[Question, ...]:
    """A condition, labels aside, as questions that must all hold; cheap ones first.

    Sorted, so that the text about a condition does not depend on how it was written down.
    """
    fields = [_field(name, getattr(when, attribute)) for name, attribute in FIELDS.items() if getattr(when, attribute)]
    required = [_tag(key, values, spell, present=True) for key, values in sorted(when.tags.items())]
    excluded = [_tag(key, values, spell, present=False) for key, values in sorted(when.not_tags.items())]
    return (*required, *excluded, *fields)


def all_hold(questions: tuple[Question, ...], index: HostIndex) -> bool:
    """Whether the host meets the condition."""
    return all(question.holds(index) for question in questions)


def _tag(key: str, values: tuple[str, ...], spell: Normalizer, *, present: bool) -> TagQuestion:
    accepted = None if values == PRESENT else frozenset(spell(value) for value in values)
    return TagQuestion(key, fold(key), accepted, spell, present, tuple(sorted(values)))


def _field(name: str, values: tuple[str, ...]) -> FieldQuestion:
    if values == PRESENT:
        return FieldQuestion(name, FIELDS[name], None, (), values)
    folded = frozenset(map(fold, values))
    patterns = {text for text in folded if name in GLOB_FIELDS and is_glob(text)}
    globs = tuple(Glob.of(text) for text in sorted(patterns))
    return FieldQuestion(name, FIELDS[name], folded - patterns, globs, tuple(sorted(values)))


def is_glob(text: str) -> bool:
    """Whether it contains `*` or `?`."""
    return "*" in text or "?" in text


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern with `*` (any characters) and `?` (one character), cut at its stars."""

    pattern: str
    pieces: tuple[str, ...]

    @classmethod
    def of(cls, pattern: str) -> Glob:
        """Compile `pattern`; every text is a valid one."""
        return cls(pattern, tuple(pattern.split("*")))

    def matches(self, text: str) -> bool:
        """Whether the whole of `text` matches. The first fit of each piece is the best one: no backtracking."""
        first, *rest = self.pieces
        if not rest:
            return len(text) == len(first) and _fits(first, text, 0)
        last = rest.pop()
        end = len(text) - len(last)
        if end < len(first) or not _fits(first, text, 0) or not _fits(last, text, end):
            return False
        at = len(first)
        for piece in rest:
            at = _find(piece, text, at, end)
            if at < 0:
                return False
            at += len(piece)
        return True


def _fits(piece: str, text: str, at: int) -> bool:
    if "?" not in piece:
        return text.startswith(piece, at)
    return all(char in ("?", text[at + offset]) for offset, char in enumerate(piece))


def _find(piece: str, text: str, start: int, end: int) -> int:
    """The first place in text[start:end] where `piece` fits, or -1."""
    if "?" not in piece:
        return text.find(piece, start, end)
    return next((at for at in range(start, end - len(piece) + 1) if _fits(piece, text, at)), -1)
