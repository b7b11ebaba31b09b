"""Whether a condition leaves anything for another, and whether it can hold at all; for `lint`.

It proves by sets and never by trying hosts: what it calls unreachable is so for every host. It may overlook a case
that several conditions take together over more than one field. Conditions are first sorted into slots (what is
asked of which tag or field), of which each has one question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .matching import FieldAsked, Question, TagAsked

Slot = tuple[str, bool]


@dataclass(frozen=True, slots=True)
class Sorted:
    """A question and the values and globs that it names; none for "present"."""

    asked: Question
    texts: frozenset[str]


Condition = Mapping[Slot, Sorted]


def condition(asked: tuple[Question, ...]) -> Condition:
    """Questions by slot."""
    return {_slot(question): Sorted(question, _texts(question)) for question in asked}


def can_never_hold(asked: Condition) -> bool:
    """Whether what a tag must be is also what it must not be."""
    return any(
        isinstance(refused.asked, TagAsked)
        and not refused.asked.wanted
        and (wanted := asked.get((refused.asked.folded, True))) is not None
        and (refused.asked.accepted is None or (wanted.asked.accepted is not None and wanted.texts <= refused.texts))
        for refused in asked.values()
    )


def taken_by(later: Condition, earlier: Sequence[Condition]) -> tuple[int, ...]:
    """Indexes of the earlier conditions that together hold for every host for which `later` holds; () if none do."""
    for index, each in enumerate(earlier):
        if all(_implied(slot, question, later) for slot, question in each.items()):
            return (index,)
    for slot, wanted in later.items():
        helpers = _taken_piecewise(slot, wanted, later, earlier)
        if helpers:
            return helpers
    return ()


def _taken_piecewise(slot: Slot, wanted: Sorted, later: Condition, earlier: Sequence[Condition]) -> tuple[int, ...]:
    """Earlier conditions that each take some of the values that `wanted` accepts, and together all of them."""
    if not _is_wish(wanted.asked) or not wanted.texts:
        return ()
    left = wanted.texts
    helpers: list[int] = []
    for index, each in enumerate(earlier):
        same = each.get(slot)
        taken = frozenset() if same is None else _taken(same, left)
        if taken and all(other == slot or _implied(other, asked, later) for other, asked in each.items()):
            left -= taken
            helpers.append(index)
        if not left:
            return tuple(helpers)
    return ()


def _slot(asked: Question) -> Slot:
    return (asked.folded, asked.wanted) if isinstance(asked, TagAsked) else (f"\0{asked.field}", True)


def _is_wish(asked: Question) -> bool:
    """Whether it says what must be, not what must not be."""
    return isinstance(asked, FieldAsked) or asked.wanted


def _texts(asked: Question) -> frozenset[str]:
    if asked.accepted is None:
        return frozenset()
    if isinstance(asked, TagAsked):
        return asked.accepted
    return asked.accepted | {glob.pattern for glob in asked.globs}


def _taken(by: Sorted, texts: frozenset[str]) -> frozenset[str]:
    """Those of `texts` (a value, or all that a glob matches) that `by` takes."""
    if by.asked.accepted is None:
        return texts
    if isinstance(by.asked, TagAsked) or not by.asked.globs:
        return texts & by.texts
    # A `?` takes one character, so it must not meet a `*`; otherwise a glob that matches a glob takes all of it.
    fitting = {
        text
        for text in texts - by.texts
        if any(glob.matches(text) and not ("?" in glob.pattern and "*" in text) for glob in by.asked.globs)
    }
    return (texts & by.texts) | fitting


def _implied(slot: Slot, question: Sorted, later: Condition) -> bool:
    """Whether `question` holds for every host for which `later` does."""
    if not _is_wish(question.asked):
        return _excluded(slot[0], question, later)
    if isinstance(question.asked, FieldAsked) and question.asked.accepted is None:
        return True  # every VM has a name, a place, a subscription and a system
    asked = later.get(slot)
    if asked is None:
        return False
    if question.asked.accepted is None:
        return True
    return asked.asked.accepted is not None and _taken(question, asked.texts) == asked.texts


def _excluded(tag: str, refused: Sorted, later: Condition) -> bool:
    """Whether `later` keeps out all that `refused` (a notTags question) keeps out."""
    wanted, unwanted = later.get((tag, True)), later.get((tag, False))
    if unwanted is not None and (
        unwanted.asked.accepted is None or (refused.asked.accepted is not None and refused.texts <= unwanted.texts)
    ):
        return True
    return (
        wanted is not None
        and wanted.asked.accepted is not None
        and refused.asked.accepted is not None
        and not wanted.texts & refused.texts
    )
