"""Answers a group's question with yes, no or "not known yet"; called by `tables` and `explaining`.

A label that a table keeps counts as what the PCE shows. While the PCE is unread such a question waits; it is never
a no, because a no would take a host out of its group on the strength of not having looked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from . import document as doc
from .matching import PRESENT, FieldAsked, Question, View, all_hold, fold, normalizer, questions
from .wording import listed, quoted


@dataclass(frozen=True, slots=True)
class LabelState:
    """The labels a host is to have: known ones by key, and those that are kept but unread."""

    known: Mapping[str, str]
    unread: frozenset[str]

    @classmethod
    def of(cls, labels: Iterable[doc.LabelAnswer], current: Mapping[str, str] | None) -> LabelState:
        """From the tables' answers and the PCE's labels (None: unread)."""
        known: dict[str, str] = {}
        unread: set[str] = set()
        for label in labels:
            if isinstance(label, doc.Value):
                known[label.key] = label.value
            elif isinstance(label, doc.Keep) and current is None:
                unread.add(label.key)
            elif isinstance(label, doc.Keep) and current is not None and label.key in current:
                known[label.key] = current[label.key]
        return cls(known, frozenset(unread))


@dataclass(frozen=True, slots=True)
class LabelAsked:
    """Whether a label has one of these values (None: any)."""

    key: str
    accepted: frozenset[str] | None
    shown: tuple[str, ...]

    def holds(self, state: LabelState) -> bool | None:
        """The answer; None while the label is unread."""
        if self.key in state.unread:
            return None
        value = state.known.get(self.key)
        return value is not None and (self.accepted is None or value in self.accepted)

    def seen(self, state: LabelState) -> str:
        """What decided the answer."""
        if self.key in state.unread:
            return f"label {self.key} is kept and the PCE has not been read"
        value = state.known.get(self.key)
        if value is None:
            return f"label {self.key} is absent"
        told = f"label {self.key}={quoted(value)}"
        return told if self.holds(state) else f"{told}, not {listed(self.shown)}"


class CompiledGroup:
    """A group's question, ready to be asked."""

    def __init__(self, group: doc.Group) -> None:
        self.name = group.name
        self.asked: tuple[Question, ...] = questions(group.when, normalizer(group.normalize))
        if group.subscriptions:
            ids = frozenset(map(fold, group.subscriptions))
            shown = tuple(sorted(group.subscriptions))
            self.asked = (*self.asked, FieldAsked("subscription", "subscription", ids, (), shown))
        self.labels_asked = tuple(
            LabelAsked(key, None if values == PRESENT else frozenset(values), tuple(sorted(values)))
            for key, values in sorted(group.when.labels.items())
        )
        self.labels = tuple(asked.key for asked in self.labels_asked)

    def member(self, view: View, state: LabelState) -> bool | None:
        """Yes, no, or None: a label it needs is unread. A no from anything else needs no label."""
        if not all_hold(self.asked, view):
            return False
        answers = [asked.holds(state) for asked in self.labels_asked]
        if False in answers:
            return False
        return None if None in answers else True
