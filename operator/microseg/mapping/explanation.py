"""Says in words why a host gets its labels and groups; for `microseg explain` and for events.

Asks the same compiled tables and questions that decide, so that what is told is what is done. One line a label key,
one a group, then one a warning; every text of a host or rule is shown escaped and cut.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import assert_never

from . import document as doc
from .groups import CompiledGroup, LabelState
from .matching import Question, View
from .tables import CompiledCase, CompiledTable, Ruling, TagHit, evaluator, miss_text
from .wording import plain, quoted

MAX_LOSERS = 8


def explain(
    mapping: doc.Mapping, subject: doc.Subject, *, current: Mapping[str, str] | None, now: datetime.datetime
) -> tuple[str, ...]:
    """The lines, keys and groups each in alphabetical order. Arguments as for `evaluate`."""
    compiled = evaluator(mapping)
    answer = compiled.evaluate(subject, current=current, now=now)
    tags, warnings = compiled.tags(subject)
    view = View(subject, tags)
    active, ended = compiled.overrides(subject, now), compiled.ended(subject, now)
    revision = f"({mapping.name}@{mapping.digest})"
    lines: list[str] = []
    for table in compiled.tables:
        ruling = table.rule(view, active)
        lost = list(_losers(table, ruling, view, ended))
        told = f"{_ruled(table, ruling, view, current)} {revision}"
        lines.append(f"{told}; {'; '.join(_few(lost))}" if lost else told)
    state = LabelState.of(answer.labels, current)
    for group, said in zip(compiled.groups, answer.groups, strict=True):
        lines.append(f"group {plain(group.name)}: {_membership(group, said, view, state, answer)}")
    return (*lines, *(f"warning: {warning}" for warning in warnings))


def _few(lost: list[str]) -> list[str]:
    return lost if len(lost) <= MAX_LOSERS else [*lost[:MAX_LOSERS], f"and {len(lost) - MAX_LOSERS} more"]


def _ruled(table: CompiledTable, ruling: Ruling, view: View, current: Mapping[str, str] | None) -> str:
    """`key = value <- why`."""
    answer = ruling.answer
    match answer:
        case doc.Value(key=key, value=value):
            return f"{key} = {plain(value)} <- {_because(answer, ruling, table, view)}"
        case doc.Keep(key=key):
            return f"{key} is kept ({_kept(key, current)}) <- onMiss keep: {_no_answer(table, view)}"
        case doc.Remove(key=key):
            return f"{key} is removed <- onMiss remove: {_no_answer(table, view)}"
        case doc.Miss(key=key):
            return f"{key} waits for a person <- onMiss hold: {_no_answer(table, view)}"
    assert_never(answer)


def _because(answer: doc.Value, ruling: Ruling, table: CompiledTable, view: View) -> str:
    match ruling.source:
        case doc.Override(reason=reason, until=until):
            return f"override until {until.isoformat()}, {quoted(reason)}"
        case CompiledCase(case=case, asked=asked):
            return f"case {plain(case.name)}: {' and '.join(question.seen(view) for question in asked)}"
        case TagHit(key=key, value=value):
            return f"tag {plain(key)}={quoted(value)} -> {plain(answer.case)}"
        case None:
            return f"default: {_no_answer(table, view)}"
    assert_never(ruling.source)


def _kept(key: str, current: Mapping[str, str] | None) -> str:
    if current is None:
        return "the PCE has not been read"
    return f"{quoted(current[key])} in the PCE" if key in current else "the PCE has none"


def _no_answer(table: CompiledTable, view: View) -> str:
    hit = table.tag(view)
    tag, value = (" or ".join(table.table.from_tag), None) if hit is None else (hit.key, hit.value)
    return miss_text(doc.Miss(table.table.key, tag, value)).partition(": ")[2]


def _losers(table: CompiledTable, ruling: Ruling, view: View, ended: tuple[doc.Override, ...]) -> Iterator[str]:
    """What else could have answered, and why it did not."""
    key = table.table.key
    for override in ended:
        if key in override.labels:
            yield f"not {plain(override.labels[key])}: its override ended {override.until.isoformat()}"
    winner = ruling.source
    won = isinstance(winner, doc.Override)
    for each in table.cases:
        if each is winner:
            won = True
            continue
        failed = _failed(each.asked, view)
        if failed is not None:
            yield f"not case {plain(each.case.name)}: {failed}"
        else:  # the first that holds wins, so this one came after it, or an override before both
            yield f"not case {plain(each.case.name)}: it holds, but comes later"
    hit = table.tag(view)
    if won and hit is not None:
        yield f"tag {plain(hit.key)}={quoted(hit.value)} was not asked"


def _failed(asked: tuple[Question, ...], view: View) -> str | None:
    return next((question.seen(view) for question in asked if not question.holds(view)), None)


def _membership(group: CompiledGroup, said: doc.GroupAnswer, view: View, state: LabelState, answer: doc.Answer) -> str:
    if answer.held:
        return f"unchanged while the labels wait: {answer.miss_message}"
    reasons = [(question.holds(view), question.seen(view)) for question in group.asked]
    labels = [(asked.holds(state), asked.seen(state)) for asked in group.labels_asked]
    told = [seen for holds, seen in (*reasons, *labels) if holds is said.member]
    if said.member is None:
        return f"unchanged for now: {told[0]}"
    return f"member <- {' and '.join(told)}" if said.member else f"not a member: {told[0]}"
