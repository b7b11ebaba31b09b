"""Runs the `tests:` of a mapping; by `microseg validate`, in CI, and by the operator before it accepts a revision.

A test depends on nothing but the document: overrides count as not ended, whatever the day, and a host of a test has
in the PCE exactly the labels that `given.labels` says.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from microseg.model.shown import plain

from . import document as doc
from .evaluator import evaluate
from .groups import LabelState
from .wording import quoted

BEFORE_EVERY_END = datetime.datetime.min.replace(tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class TestFailure:
    """One expectation that was not met; `str()` is the line a person reads."""

    __test__: ClassVar[bool] = False  # pytest takes every class called Test... for one of its own

    test: str
    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: test {quoted(self.test)}: {self.message}"


def run_tests(mapping: doc.MappingDocument) -> tuple[TestFailure, ...]:
    """Every failure, in the order of the document.

    What a test does not name is not checked; where it names `groups`, that is the whole list.
    """
    return tuple(
        TestFailure(example.name, mapping.source, place.line, place.column, message)
        for index, example in enumerate(mapping.tests)
        for place, message in _failures(mapping, index, example)
    )


def _failures(mapping: doc.MappingDocument, index: int, example: doc.Example) -> Iterator[tuple[doc.Place, str]]:
    answer = evaluate(mapping, example.subject, current=example.current, now=BEFORE_EVERY_END)
    state = LabelState.of(answer.labels, example.current)
    missed = tuple(label.key for label in answer.labels if isinstance(label, doc.Miss))
    for key, expected in example.labels.items():
        got = state.values.get(key)
        if got != expected:
            actual = "on hold" if key in missed else "absent" if got is None else plain(got)
            yield mapping.place("tests", index, "labels", key), f"label {key} is {actual}, expected {plain(expected)}"
    if example.holds is not None and set(missed) != set(example.holds):
        expected = _named(example.holds)
        yield mapping.place("tests", index, "holds"), f"on hold: {_named(missed)}, expected {expected}"
    if example.groups is not None:
        members = {group.name: group.member for group in answer.groups}
        joined = {name for name, member in members.items() if member}
        for name in sorted(joined ^ set(example.groups)):
            membership = "a member" if name in joined else "not a member"
            told = f"the host is {membership} of group {plain(name)}"
            if answer.undecided and members.get(name, False) is None:
                told = f"group {plain(name)} is on hold: {answer.miss_message}"
            yield mapping.place("tests", index, "groups"), told


def _named(keys: tuple[str, ...]) -> str:
    return ", ".join(sorted(keys)) or "nothing"
