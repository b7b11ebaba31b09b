"""Says in words why a host gets its labels and groups; for `microseg explain` and for events.

Asks the same compiled tables and questions that decide, so the explanation is what happens. One line per label key,
one per group, then one per warning; every text of a host or rule is escaped and cut.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import assert_never

from microseg.model.shown import plain

from . import document as doc
from .evaluator import CompiledCase, CompiledTable, Ruling, TagHit, evaluator, miss_text
from .groups import CompiledGroup, LabelState
from .matching import HostIndex, Question
from .wording import quoted

MAX_LOSERS = 8


def explain(
    mapping: doc.MappingDocument, subject: doc.Subject, *, current: Mapping[str, str] | None, now: datetime.datetime
) -> tuple[str, ...]:
    """The lines, keys and groups each in alphabetical order. Arguments as for `evaluate`."""
    compiled = evaluator(mapping)
    answer = compiled.evaluate(subject, current=current, now=now)
    tags, warnings = compiled.tags(subject)
    index = HostIndex(subject, tags)
    active, ended = compiled.overrides(subject, now), compiled.ended(subject, now)
    revision = f"({mapping.name}@{mapping.shown})"
    lines: list[str] = []
    for table in compiled.tables:
        ruling = table.rule(index, active)
        lost = list(_losers(table, ruling, index, ended))
        line = f"{_ruled(table, ruling, index, current)} {revision}"
        lines.append(f"{line}; {'; '.join(_few(lost))}" if lost else line)
    state = LabelState.of(answer.labels, current)
    for group, verdict in zip(compiled.groups, answer.groups, strict=True):
        lines.append(f"group {plain(group.name)}: {_membership(group, verdict, index, state, answer)}")
    return (*lines, *(f"warning: {warning}" for warning in warnings))


def _few(lost: list[str]) -> list[str]:
    return lost if len(lost) <= MAX_LOSERS else [*lost[:MAX_LOSERS], f"and {len(lost) - MAX_LOSERS} more"]


def _ruled(table: CompiledTable, ruling: Ruling, index: HostIndex, current: Mapping[str, str] | None) -> str:
    """`key = value <- why`."""
    answer = ruling.answer
    match answer:
        case doc.Value(key=key, value=value):
            return f"{key} = {plain(value)} <- {_because(answer, ruling, table, index)}"
        case doc.Keep(key=key):
            return f"{key} is kept ({_kept(key, current)}) <- onMiss keep: {_no_answer(table, index)}"
        case doc.Remove(key=key):
            return f"{key} is removed <- onMiss remove: {_no_answer(table, index)}"
        case doc.Miss(key=key):
            return f"{key} waits for a person <- onMiss hold: {_no_answer(table, index)}"
    assert_never(answer)


def _because(answer: doc.Value, ruling: Ruling, table: CompiledTable, index: HostIndex) -> str:
    match ruling.source:
        case doc.Override(reason=reason, until=until):
            return f"override until {until.isoformat()}, {quoted(reason)}"
        case CompiledCase(case=case, questions=questions):
            return f"case {plain(case.name)}: {' and '.join(question.evidence(index) for question in questions)}"
        case TagHit(key=key, value=value):
            return f"tag {plain(key)}={quoted(value)} -> {plain(answer.case)}"
        case None:
            return f"default: {_no_answer(table, index)}"
    assert_never(ruling.source)


def _kept(key: str, current: Mapping[str, str] | None) -> str:
    if current is None:
        return "the PCE has not been read"
    return f"{quoted(current[key])} in the PCE" if key in current else "the PCE has none"


def _no_answer(table: CompiledTable, index: HostIndex) -> str:
    hit = table.tag(index)
    tag, value = (" or ".join(table.table.from_tag), None) if hit is None else (hit.key, hit.value)
    return miss_text(doc.Miss(table.table.key, tag, value)).partition(": ")[2]


def _losers(table: CompiledTable, ruling: Ruling, index: HostIndex, ended: tuple[doc.Override, ...]) -> Iterator[str]:
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
        failed = _failed(each.questions, index)
        if failed is not None:
            yield f"not case {plain(each.case.name)}: {failed}"
        else:  # the first that holds wins, so this one came after it, or an override before both
            yield f"not case {plain(each.case.name)}: it holds, but comes later"
    hit = table.tag(index)
    if won and hit is not None:
        yield f"tag {plain(hit.key)}={quoted(hit.value)} was not asked"


def _failed(questions: tuple[Question, ...], index: HostIndex) -> str | None:
    return next((question.evidence(index) for question in questions if not question.holds(index)), None)


def _membership(
    group: CompiledGroup, verdict: doc.GroupAnswer, index: HostIndex, state: LabelState, answer: doc.Answer
) -> str:
    if answer.undecided and verdict.member is None:
        return f"unchanged while the labels wait: {answer.miss_message}"
    reasons = [(question.holds(index), question.evidence(index)) for question in group.questions]
    labels = [(each.holds(state), each.evidence(state)) for each in group.label_questions]
    evidence = [text for holds, text in (*reasons, *labels) if holds is verdict.member]
    if verdict.member is None:
        return f"unchanged for now: {evidence[0]}"
    return f"member <- {' and '.join(evidence)}" if verdict.member else f"not a member: {evidence[0]}"
