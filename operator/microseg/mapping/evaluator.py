"""Evaluates a mapping for a host: the one function that planning calls 10,000 times.

An `Evaluator` compiles a mapping once (folded keys, look-up tables, questions) and remembers answers by exactly
what the rules can read, so that a fleet of equal hosts costs one evaluation. The memory changes no answer: it is
keyed by everything that the answer depends on. Time comes in as a value; only overrides look at it.
"""

from __future__ import annotations

import datetime
import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from microseg.model.shown import plain

from . import document as doc
from .groups import CompiledGroup, LabelState, waiting_groups
from .limits import MAX_CACHED
from .matching import FIELDS, FieldQuestion, HostIndex, Question, TagQuestion, all_hold, fold, normalizer, questions

_NAME = FIELDS["name"]
OVERRIDE = "override "  # what the name of a won override begins with, in an Answer's `cases`


@dataclass(frozen=True, slots=True)
class TagHit:
    """The tag decided: `key` and `value` as the VM has them."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class CompiledCase:
    """A case and its questions."""

    case: doc.Case
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Ruling:
    """A table's answer and what gave it: an override, a case, the tag, or (None) what the table does on a miss."""

    answer: doc.LabelAnswer
    source: doc.Override | CompiledCase | TagHit | None


class CompiledTable:
    """One label's table, ready to be asked."""

    def __init__(self, table: doc.LabelTable) -> None:
        self.table = table
        self.spell = normalizer(table.normalize)
        self.cases = tuple(CompiledCase(case, questions(case.when, self.spell)) for case in table.cases)
        self.from_tag = tuple((key, fold(key)) for key in table.from_tag)
        asked = itertools.chain.from_iterable(case.questions for case in self.cases)
        in_cases = {question.folded for question in asked if isinstance(question, TagQuestion)}
        self.tags = frozenset(in_cases | {folded for _, folded in self.from_tag})
        self._values: dict[str, doc.Value] = {}
        for value in table.allowed:
            part = "oneOf" if value in table.one_of else "value"
            self._values[self.spell(value)] = doc.Value(table.key, value, f"{part} {value}")
        # A synonym, being written on purpose, goes before a label's own name.
        for key, value in sorted(table.values.items()):
            self._values[self.spell(key)] = doc.Value(table.key, value, f"values {key}")

    def tag(self, index: HostIndex) -> TagHit | None:
        """The first tag of `fromTag` that the host has."""
        for _, folded in self.from_tag:
            pair = index.tags.get(folded)
            if pair is not None:
                return TagHit(*pair)
        return None

    def rule(self, index: HostIndex, overrides: Iterable[doc.Override] = ()) -> Ruling:
        """Exactly one answer: an override, else the first case that holds, else the tag, else `onMiss`."""
        key = self.table.key
        for override in overrides:
            if key in override.labels:
                return Ruling(doc.Value(key, override.labels[key], "override"), override)
        for each in self.cases:
            if all_hold(each.questions, index):
                return Ruling(doc.Value(key, each.case.value, each.case.name), each)
        hit = self.tag(index)
        translated = None if hit is None else self._values.get(self.spell(hit.value))
        if translated is not None:
            return Ruling(translated, hit)
        return Ruling(self._missed(hit), None)

    def _missed(self, hit: TagHit | None) -> doc.LabelAnswer:
        table = self.table
        match table.on_miss:
            case doc.OnMiss.DEFAULT:
                return doc.Value(table.key, table.default or "", "default")
            case doc.OnMiss.KEEP:
                return doc.Keep(table.key)
            case doc.OnMiss.REMOVE:
                return doc.Remove(table.key)
            case doc.OnMiss.HOLD if hit is not None:
                return doc.Miss(table.key, hit.key, hit.value)
            case doc.OnMiss.HOLD:
                return doc.Miss(table.key, " or ".join(table.from_tag), None)
        assert_never(table.on_miss)


def miss_text(miss: doc.Miss) -> str:
    """One sentence naming key and tag, for the reason `MappingMiss`."""
    if not miss.tag:
        return f"{miss.key}: no case matches"
    if miss.value is None:
        return f"{miss.key}: the VM has no tag {plain(miss.tag)}"
    return f'{miss.key}: no rule knows tag {plain(miss.tag)}="{plain(miss.value)}"'


class CachedAnswers:
    """Answers for all hosts that differ in nothing that rules read but the name."""

    __slots__ = ("answers", "names")

    def __init__(self, names: tuple[Question, ...]) -> None:
        self.names = names
        self.answers: dict[tuple[bool, ...], doc.Answer] = {}


def _by_name(questions: tuple[Question, ...]) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """The questions of a condition about anything but the name, and those about the name."""
    names = tuple(each for each in questions if isinstance(each, FieldQuestion) and each.attribute == _NAME)
    return tuple(each for each in questions if each not in names), names


class Evaluator:
    """A compiled mapping. Make one for each accepted revision and keep it; it is cheap to ask again."""

    def __init__(self, mapping: doc.MappingDocument) -> None:
        self.mapping = mapping
        self.tables = tuple(CompiledTable(mapping.tables[key]) for key in sorted(mapping.tables))
        self.groups = tuple(CompiledGroup(group) for group in sorted(mapping.groups, key=lambda group: group.name))
        self._tags = tuple(sorted(self._tags_read()))
        self._tags_of = {table.table.key: table.tags for table in self.tables}
        self.tags_read = frozenset(self._tags)
        self._named = tuple(filter(operator.itemgetter(1), map(_by_name, self._conditions())))
        self._fields = _getter([each for each in self._fields_read() if each != _NAME])
        self._current = tuple(sorted({key for group in self.groups for key in group.labels}))
        self._overrides: dict[str, tuple[doc.Override, ...]] = {}
        for override in mapping.overrides:
            self._overrides[override.vm_id] = (*self._overrides.get(override.vm_id, ()), override)
        self._cache: dict[object, CachedAnswers] = {}
        self._count = 0

    def evaluate(
        self, subject: doc.Subject, *, current: Mapping[str, str] | None, now: datetime.datetime
    ) -> doc.Answer:
        """What the mapping says about a host.

        `current` are the labels the workload has in the PCE, key -> value; None while that is not known.
        `now` must be aware; ValueError if not.
        """
        if now.tzinfo is None:
            raise ValueError("now has no time zone")
        tags, doubled = self.tags(subject)
        active, index = self.overrides(subject, now), HostIndex(subject, tags)
        key = (
            tuple(map(tags.get, self._tags)),
            self._fields(subject),
            doubled,
            tuple([id(override) for override in active]),  # they live as long as the mapping does
            None if current is None else tuple(map(current.get, self._current)),
        )
        cached = self._cache.get(key)
        if cached is None:
            cached = self._cache[key] = CachedAnswers(self._names_that_matter(index))
        named = tuple([question.holds(index) for question in cached.names])
        answer = cached.answers.get(named)
        if answer is None:
            answer = cached.answers[named] = self._answer(index, doubled, active, current)
            self._count += 1
            if self._count > MAX_CACHED:
                self._cache.clear()
                self._count = 0
        return answer

    def tags(self, subject: doc.Subject) -> tuple[dict[str, tuple[str, str]], tuple[str, ...]]:
        """The tags that rules read, by folded key; and a warning for each key that the VM has in two spellings."""
        tags: dict[str, tuple[str, str]] = {}
        doubled: set[str] = set()
        for pair in subject.tags:
            folded = fold(pair[0])
            if folded in self.tags_read:
                first = tags.setdefault(folded, pair)
                if first is not pair:
                    doubled.add(folded)
                    tags[folded] = min(pair, first)
        kept = (plain(tags[each][0]) for each in sorted(doubled))
        return tags, tuple(f"tag keys that differ only in case from {key} are ignored" for key in kept)

    def overrides(self, subject: doc.Subject, now: datetime.datetime) -> tuple[doc.Override, ...]:
        """The overrides of this VM that have not ended."""
        own = self._overrides.get(subject.vm_id.lower())
        return () if own is None else tuple(each for each in own if now < each.until)

    def ended(self, subject: doc.Subject, now: datetime.datetime) -> tuple[doc.Override, ...]:
        """The overrides of this VM that have ended."""
        return tuple(each for each in self._overrides.get(subject.vm_id.lower(), ()) if now >= each.until)

    def next_end(self, vm_id: str, now: datetime.datetime) -> datetime.datetime | None:
        """When the first of this VM's overrides that are in force ends."""
        return min((each.until for each in self._overrides.get(vm_id.lower(), ()) if now < each.until), default=None)

    def _answer(
        self,
        index: HostIndex,
        warnings: tuple[str, ...],
        active: tuple[doc.Override, ...],
        current: Mapping[str, str] | None,
    ) -> doc.Answer:
        rulings = [table.rule(index, active) for table in self.tables]
        labels = tuple(ruling.answer for ruling in rulings)
        misses = [label for label in labels if isinstance(label, doc.Miss)]
        state = LabelState.of(labels, current)
        waiting = waiting_groups(self.groups, self._tags_of, {label.key for label in misses})
        return doc.Answer(
            labels=labels,
            groups=tuple(
                doc.GroupAnswer(group.name, None if group.name in waiting else group.member(index, state))
                for group in self.groups
            ),
            undecided=bool(misses),
            miss_message="; ".join(map(miss_text, misses)),
            cases=tuple(name for ruling in rulings if (name := _won(ruling))),
            warnings=warnings,
        )

    def _questions(self) -> Iterable[Question]:
        return itertools.chain.from_iterable(self._conditions())

    def _tags_read(self) -> set[str]:
        keys = {question.folded for question in self._questions() if isinstance(question, TagQuestion)}
        return keys | {folded for table in self.tables for _, folded in table.from_tag}

    def _names_that_matter(self, index: HostIndex) -> tuple[Question, ...]:
        """Questions about the name in conditions that otherwise hold: no other name can make a difference.

        Every VM has a name of its own, so answers are remembered by what these questions say of it.
        """
        matter = (names for others, names in self._named if all_hold(others, index))
        return tuple(dict.fromkeys(question for names in matter for question in names))

    def _conditions(self) -> Iterable[tuple[Question, ...]]:
        for table in self.tables:
            for case in table.cases:
                yield case.questions
        for group in self.groups:
            yield group.questions

    def _fields_read(self) -> list[str]:
        attributes = {question.attribute for question in self._questions() if not isinstance(question, TagQuestion)}
        return [attribute for attribute in FIELDS.values() if attribute in attributes]


def _won(ruling: Ruling) -> str:
    """The name under which a record keeps what won; "" where a tag or `onMiss` answered."""
    match ruling.source:
        case CompiledCase(case=case):
            return case.name
        case doc.Override(until=until):
            return f"{OVERRIDE}{ruling.answer.key} until {until.isoformat()}"
        case _:
            return ""


def _getter(attributes: list[str]) -> Callable[[doc.Subject], Any]:
    return operator.attrgetter(*attributes) if attributes else lambda _: None


@functools.lru_cache(maxsize=16)
def evaluator(mapping: doc.MappingDocument) -> Evaluator:
    """The evaluator of a mapping; the last few are kept."""
    return Evaluator(mapping)


def tags_read(mapping: doc.MappingDocument) -> frozenset[str]:
    """Keys of the tags that any rule reads, in lower case."""
    return evaluator(mapping).tags_read


def override_ends(mapping: doc.MappingDocument, vm_id: str, now: datetime.datetime) -> datetime.datetime | None:
    """When the first override of this VM that is in force ends; None: there is none."""
    return evaluator(mapping).next_end(vm_id, now)


def evaluate(
    mapping: doc.MappingDocument, subject: doc.Subject, *, current: Mapping[str, str] | None, now: datetime.datetime
) -> doc.Answer:
    """What `mapping` says about a host; see `Evaluator.evaluate`."""
    return evaluator(mapping).evaluate(subject, current=current, now=now)
