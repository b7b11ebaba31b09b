"""Whether a condition leaves anything for another, and whether it can hold at all; for `lint`.

It proves by sets and never by trying hosts: what it calls unreachable is so for every host. It may overlook a case
that several conditions take together over more than one field. Conditions are first sorted into slots (what is
asked of which tag or field), of which each has one question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .matching import FieldQuestion, Question, TagQuestion

Slot = tuple[str, bool]


@dataclass(frozen=True, slots=True)
class QuestionTexts:
    """A question and the values and globs that it names; none for "present"."""

    question: Question
    texts: frozenset[str]


Condition = Mapping[Slot, QuestionTexts]


def condition(questions: tuple[Question, ...]) -> Condition:
    """Questions by slot."""
    return {_slot(question): QuestionTexts(question, _texts(question)) for question in questions}


def can_never_hold(condition: Condition) -> bool:
    """Whether what a tag must be is also what it must not be."""
    return any(
        isinstance(refused.question, TagQuestion)
        and not refused.question.present
        and (required := condition.get((refused.question.folded, True))) is not None
        and (
            refused.question.accepted is None
            or (required.question.accepted is not None and required.texts <= refused.texts)
        )
        for refused in condition.values()
    )


def taken_by(later: Condition, earlier: Sequence[Condition]) -> tuple[int, ...]:
    """Indexes of the earlier conditions that together hold for every host for which `later` holds; () if none do."""
    for index, each in enumerate(earlier):
        if all(_implied(slot, question, later) for slot, question in each.items()):
            return (index,)
    for slot, required in later.items():
        helpers = _taken_piecewise(slot, required, later, earlier)
        if helpers:
            return helpers
    return ()


def _taken_piecewise(
    slot: Slot, required: QuestionTexts, later: Condition, earlier: Sequence[Condition]
) -> tuple[int, ...]:
    """Earlier conditions that each take some of the values that `required` accepts, and together all of them."""
    if not _is_positive(required.question) or not required.texts:
        return ()
    left = required.texts
    helpers: list[int] = []
    for index, each in enumerate(earlier):
        same = each.get(slot)
        taken = frozenset() if same is None else _taken(same, left)
        if taken and all(other == slot or _implied(other, question, later) for other, question in each.items()):
            left -= taken
            helpers.append(index)
        if not left:
            return tuple(helpers)
    return ()


def _slot(question: Question) -> Slot:
    return (question.folded, question.present) if isinstance(question, TagQuestion) else (f"\0{question.field}", True)


def _is_positive(question: Question) -> bool:
    """Whether it says what must be, not what must not be."""
    return isinstance(question, FieldQuestion) or question.present


def _texts(question: Question) -> frozenset[str]:
    if question.accepted is None:
        return frozenset()
    if isinstance(question, TagQuestion):
        return question.accepted
    return question.accepted | {glob.pattern for glob in question.globs}


def _taken(by: QuestionTexts, texts: frozenset[str]) -> frozenset[str]:
    """Those of `texts` (a value, or all that a glob matches) that `by` takes."""
    if by.question.accepted is None:
        return texts
    if isinstance(by.question, TagQuestion) or not by.question.globs:
        return texts & by.texts
    # A `?` takes one character, so it must not meet a `*`; otherwise a glob that matches a glob takes all of it.
    fitting = {
        text
        for text in texts - by.texts
        if any(glob.matches(text) and not ("?" in glob.pattern and "*" in text) for glob in by.question.globs)
    }
    return (texts & by.texts) | fitting


def _implied(slot: Slot, earlier: QuestionTexts, later: Condition) -> bool:
    """Whether `earlier` holds for every host for which `later` does."""
    if not _is_positive(earlier.question):
        return _excluded(slot[0], earlier, later)
    if isinstance(earlier.question, FieldQuestion) and earlier.question.accepted is None:
        return True  # every VM has a name, a place, a subscription and a system
    other = later.get(slot)
    if other is None:
        return False
    if earlier.question.accepted is None:
        return True
    return other.question.accepted is not None and _taken(earlier, other.texts) == other.texts


def _excluded(tag: str, refused: QuestionTexts, later: Condition) -> bool:
    """Whether `later` keeps out all that `refused` (a notTags question) keeps out."""
    required, excluded = later.get((tag, True)), later.get((tag, False))
    if excluded is not None and (
        excluded.question.accepted is None
        or (refused.question.accepted is not None and refused.texts <= excluded.texts)
    ):
        return True
    return (
        required is not None
        and required.question.accepted is not None
        and refused.question.accepted is not None
        and not required.texts & refused.texts
    )
