"""Answers a group's question with yes, no or "not known yet"; called by `evaluator` and `explanation`.

A label that a table keeps counts as what the PCE shows. While the PCE is unread such a question waits; it is never
a no, because a no would take a host out of its group on the strength of not having looked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from . import document as doc
from .matching import PRESENT, FieldQuestion, HostIndex, Question, TagQuestion, all_hold, fold, normalizer, questions
from .wording import listed, quoted


@dataclass(frozen=True, slots=True)
class LabelState:
    """The labels a host is to have: known ones by key, and those that are kept but unread."""

    values: Mapping[str, str]
    unread: frozenset[str]

    @classmethod
    def of(cls, labels: Iterable[doc.LabelAnswer], current: Mapping[str, str] | None) -> LabelState:
        """From the tables' answers and the PCE's labels (None: unread)."""
        values: dict[str, str] = {}
        unread: set[str] = set()
        for label in labels:
            if isinstance(label, doc.Value):
                values[label.key] = label.value
            elif isinstance(label, doc.Keep) and current is None:
                unread.add(label.key)
            elif isinstance(label, doc.Keep) and current is not None and label.key in current:
                values[label.key] = current[label.key]
        return cls(values, frozenset(unread))


@dataclass(frozen=True, slots=True)
class LabelQuestion:
    """Whether a label has one of these values (None: any), in any letter case, as the PCE compares them."""

    key: str
    accepted: frozenset[str] | None
    printable: tuple[str, ...]

    def holds(self, state: LabelState) -> bool | None:
        """The answer; None while the label is unread."""
        if self.key in state.unread:
            return None
        value = state.values.get(self.key)
        return value is not None and (self.accepted is None or value.casefold() in self.accepted)

    def evidence(self, state: LabelState) -> str:
        """What decided the answer."""
        if self.key in state.unread:
            return f"label {self.key} is kept and the PCE has not been read"
        value = state.values.get(self.key)
        if value is None:
            return f"label {self.key} is absent"
        text = f"label {self.key}={quoted(value)}"
        return text if self.holds(state) else f"{text}, not {listed(self.printable)}"


class CompiledGroup:
    """A group's question, ready to be asked."""

    def __init__(self, group: doc.Group) -> None:
        self.name = group.name
        self.questions: tuple[Question, ...] = questions(group.when, normalizer(group.normalize))
        self.tags = frozenset(question.folded for question in self.questions if isinstance(question, TagQuestion))
        if group.subscriptions:
            ids = frozenset(map(fold, group.subscriptions))
            names = tuple(sorted(group.subscriptions))
            self.questions = (*self.questions, FieldQuestion("subscription", "subscription", ids, (), names))
        self.label_questions = tuple(
            LabelQuestion(
                key, None if values == PRESENT else frozenset(map(str.casefold, values)), tuple(sorted(values))
            )
            for key, values in sorted(group.when.labels.items())
        )
        self.labels = tuple(question.key for question in self.label_questions)

    def member(self, index: HostIndex, state: LabelState) -> bool | None:
        """Yes, no, or None: a label it needs is unread. A no from anything else needs no label."""
        if not all_hold(self.questions, index):
            return False
        answers = [question.holds(state) for question in self.label_questions]
        if False in answers:
            return False
        return None if None in answers else True


def waiting_groups(
    groups: Iterable[CompiledGroup], tags_of: Mapping[str, frozenset[str]], missed: Collection[str]
) -> frozenset[str]:
    """Names of groups that a correction of the `missed` labels may answer otherwise.

    They ask for such a label, for a tag that its table reads, or for a label whose table reads such a tag. `tags_of`:
    label -> tags that its table reads.
    """
    if not missed:
        return frozenset()
    tags = frozenset().union(*(tags_of[key] for key in missed))
    labels = {*missed} | {key for key, read in tags_of.items() if read & tags}
    return frozenset(group.name for group in groups if group.tags & tags or labels.intersection(group.labels))
