"""Asks a condition of a host: the only place that compares a rule's text with a host's.

Used by `tables` and `groups` (compiled once a mapping) and, for the reason why a question failed, by
`explaining`: one implementation answers and explains, so that the two cannot differ. Nothing here is a regular
expression; a glob is matched in time bounded by the product of two short lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .document import Normal, Subject, When
from .wording import listed, plain, quoted

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
class View:
    """A host as questions see it: the tags that rules read, by folded key, as (key as spelled, value)."""

    subject: Subject
    tags: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class TagAsked:
    """Whether a tag has one of these values (None: any), or with `wanted` False, has none of them."""

    key: str
    folded: str
    accepted: frozenset[str] | None
    spell: Normalizer
    wanted: bool
    shown: tuple[str, ...]

    def holds(self, view: View) -> bool:
        """The answer."""
        pair = view.tags.get(self.folded)
        hit = pair is not None and (self.accepted is None or self.spell(pair[1]) in self.accepted)
        return hit is self.wanted

    def seen(self, view: View) -> str:
        """What the host shows that decided the answer."""
        pair = view.tags.get(self.folded)
        told = f"tag {plain(self.key)} is absent" if pair is None else f"tag {plain(pair[0])}={quoted(pair[1])}"
        if self.holds(view):
            return told
        if not self.wanted:
            return f"{told} is excluded"
        return told if pair is None else f"{told}, not {listed(self.shown)}"


@dataclass(frozen=True, slots=True)
class FieldAsked:
    """Whether a field of the host is one of these texts or matches one of these globs (None: is not empty)."""

    field: str
    attribute: str
    accepted: frozenset[str] | None
    globs: tuple[Glob, ...]
    shown: tuple[str, ...]

    def holds(self, view: View) -> bool:
        """The answer."""
        found = fold(self._read(view))
        if self.accepted is None:
            return found != ""
        return found in self.accepted or any(glob.matches(found) for glob in self.globs)

    def seen(self, view: View) -> str:
        """What the host shows that decided the answer."""
        read = self._read(view)
        told = f"{self.field} {quoted(read)}"
        if self.holds(view):
            fitting = [glob.pattern for glob in self.globs if glob.matches(fold(read))]
            return f"{told} matches {plain(fitting[0])}" if fitting else told
        return f"{told}, not {listed(self.shown)}"

    def _read(self, view: View) -> str:
        found: str = getattr(view.subject, self.attribute)
        return found


Question = TagAsked | FieldAsked


def questions(when: When, spell: Normalizer) -> tuple[Question, ...]:
    """A condition, labels aside, as questions that must all hold; cheap ones first.

    Sorted, so that what is told of a condition does not depend on how it was written down.
    """
    fields = [_field(name, getattr(when, attribute)) for name, attribute in FIELDS.items() if getattr(when, attribute)]
    wanted = [_tag(key, values, spell, wanted=True) for key, values in sorted(when.tags.items())]
    unwanted = [_tag(key, values, spell, wanted=False) for key, values in sorted(when.not_tags.items())]
    return (*wanted, *unwanted, *fields)


def all_hold(asked: tuple[Question, ...], view: View) -> bool:
    """Whether the host meets the condition."""
    return all(question.holds(view) for question in asked)


def _tag(key: str, values: tuple[str, ...], spell: Normalizer, *, wanted: bool) -> TagAsked:
    accepted = None if values == PRESENT else frozenset(spell(value) for value in values)
    return TagAsked(key, fold(key), accepted, spell, wanted, tuple(sorted(values)))


def _field(name: str, values: tuple[str, ...]) -> FieldAsked:
    if values == PRESENT:
        return FieldAsked(name, FIELDS[name], None, (), values)
    folded = frozenset(map(fold, values))
    patterns = {text for text in folded if name in GLOB_FIELDS and is_glob(text)}
    globs = tuple(Glob.of(text) for text in sorted(patterns))
    return FieldAsked(name, FIELDS[name], folded - patterns, globs, tuple(sorted(values)))


def is_glob(text: str) -> bool:
    """Whether `*` or `?` stands in it."""
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
