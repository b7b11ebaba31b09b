"""Finds what a mapping allows but its author can not have meant; run by `microseg validate` and in CI.

Only a group that the estate does not allow is a Problem: the mapping must not be accepted. All else is a
LintWarning. Nothing here looks at hosts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from microseg.model.shown import plain

from .document import LabelTable, LintWarning, MappingDocument, OnMiss, Place, Problem, When
from .matching import PRESENT, fold, is_glob, normalizer, questions
from .reachability import can_never_hold, condition, taken_by
from .wording import did_you_mean, listed, quoted

Finding = Problem | LintWarning
Path = tuple[str | int, ...]


def lint(mapping: MappingDocument, allowed_groups: Collection[str] | None = None) -> tuple[Finding, ...]:
    """All findings, in the order of the text. `allowed_groups` are the estate's; None where no estate is known."""
    findings: list[Finding] = []
    for table in mapping.tables.values():
        findings += _values_outside_one_of(mapping, table)
        findings += _unreachable_cases(mapping, table)
        findings += _unused_synonyms(mapping, table)
        findings += _unused_default(mapping, table)
        findings += _spellings_of_one_label(mapping, table)
    findings += _groups_nobody_joins(mapping)
    findings += _patterns_in_tags(mapping)
    findings += _spellings_of_one_tag(mapping)
    if allowed_groups is not None:
        findings += _groups_not_allowed(mapping, allowed_groups)
    return tuple(sorted(findings, key=lambda finding: (finding.line, finding.column, finding.message)))


def _warning(mapping: MappingDocument, path: Path, message: str, hint: str = "") -> LintWarning:
    place = mapping.place(*path)
    return LintWarning(mapping.source, place.line, place.column, message, hint)


def _targets(table: LabelTable) -> Iterator[tuple[Path, str]]:
    """Every right-hand side outside of oneOf, with its path."""
    for key, value in table.values.items():
        yield ("labels", table.key, "values", key), value
    for index, case in enumerate(table.cases):
        yield ("labels", table.key, "cases", index, "value"), case.value
    if table.default is not None:
        yield ("labels", table.key, "default"), table.default


def _values_outside_one_of(mapping: MappingDocument, table: LabelTable) -> Iterator[Finding]:
    for path, value in _targets(table) if table.one_of else ():
        if value not in table.one_of:
            yield _warning(
                mapping, path, f"{table.key}: {quoted(value)} is not in oneOf", did_you_mean(value, table.one_of)
            )


def _unreachable_cases(mapping: MappingDocument, table: LabelTable) -> Iterator[Finding]:
    spell = normalizer(table.normalize)
    conditions = [condition(questions(case.when, spell)) for case in table.cases]
    for index, case in enumerate(table.cases):
        path = ("labels", table.key, "cases", index)
        if can_never_hold(conditions[index]):
            yield _warning(
                mapping,
                path,
                f"{table.key}: case {quoted(case.name)} can never hold: tags and notTags contradict each other",
            )
            continue
        takers = [table.cases[taker].name for taker in taken_by(conditions[index], conditions[:index])]
        if takers:
            yield _warning(
                mapping,
                path,
                f"{table.key}: case {quoted(case.name)} is unreachable: every host it asks "
                f"for is taken by {listed(takers, 'and')}",
                "move it up, or remove it",
            )


def _unused_synonyms(mapping: MappingDocument, table: LabelTable) -> Iterator[Finding]:
    spell = normalizer(table.normalize)
    first: dict[str, str] = {}
    for key, value in table.values.items():
        path = ("labels", table.key, "values", key)
        other = first.setdefault(spell(key), key)
        if other != key:
            yield _warning(
                mapping,
                path,
                f"{table.key}: the synonym {quoted(key)} is unused: {quoted(other)} is the same after normalize",
            )
        elif spell(key) == spell(value):
            yield _warning(
                mapping,
                path,
                f"{table.key}: the synonym {quoted(key)} is unused: {quoted(value)} is known by its own name",
            )


def _unused_default(mapping: MappingDocument, table: LabelTable) -> Iterator[Finding]:
    if table.default is not None and table.on_miss is not OnMiss.DEFAULT:
        yield _warning(
            mapping,
            ("labels", table.key, "default"),
            f"{table.key}: the default is unused, because onMiss is {table.on_miss}",
            "write onMiss: default, or remove it",
        )


def _spellings_of_one_label(mapping: MappingDocument, table: LabelTable) -> Iterator[Finding]:
    """A PCE takes labels that differ only in case for one."""
    first: dict[str, str] = {}
    for value in table.allowed:
        other = first.setdefault(value.lower(), value)
        if other != value:
            yield _warning(
                mapping,
                ("labels", table.key),
                f"{table.key}: the labels {quoted(other)} and {quoted(value)} differ only in case",
                "keep one spelling",
            )


def _groups_nobody_joins(mapping: MappingDocument) -> Iterator[Finding]:
    for index, group in enumerate(mapping.groups):
        path: Path = ("groups", index)
        if can_never_hold(condition(questions(group.when, normalizer(group.normalize)))):
            yield _warning(
                mapping, path, f"group {quoted(group.name)} can have no member: tags and notTags contradict each other"
            )
        for key, values in group.when.labels.items():
            table = mapping.tables[key]
            if values == PRESENT or table.on_miss is OnMiss.KEEP:
                continue  # a kept label may have any value
            for number, value in enumerate(values):
                if value not in table.allowed:
                    yield _warning(
                        mapping,
                        (*path, "when", "labels", key, number),
                        f"group {quoted(group.name)} asks for {key}={plain(value)}, which no rule sets",
                        did_you_mean(value, table.allowed),
                    )


def _conditions(mapping: MappingDocument) -> Iterator[tuple[Path, When]]:
    for key, table in mapping.tables.items():
        for index, case in enumerate(table.cases):
            yield ("labels", key, "cases", index, "when"), case.when
    for index, group in enumerate(mapping.groups):
        yield ("groups", index, "when"), group.when


def _patterns_in_tags(mapping: MappingDocument) -> Iterator[Finding]:
    for path, when in _conditions(mapping):
        for part, tags in (("tags", when.tags), ("notTags", when.not_tags)):
            for key, values in tags.items():
                for number, value in enumerate(values):
                    if values != PRESENT and is_glob(value):
                        yield _warning(
                            mapping,
                            (*path, part, key, number),
                            f"{quoted(value)} is compared with the tag as it is written",
                            "patterns work only in name and resourceGroup",
                        )


def _tag_keys(mapping: MappingDocument) -> Iterator[tuple[Place, str]]:
    for key, table in mapping.tables.items():
        for number, tag in enumerate(table.from_tag):
            yield mapping.place("labels", key, "fromTag", number), tag
    for path, when in _conditions(mapping):
        for part, tags in (("tags", when.tags), ("notTags", when.not_tags)):
            for tag in tags:
                yield mapping.place(*path, part, tag), tag


def _spellings_of_one_tag(mapping: MappingDocument) -> Iterator[Finding]:
    """Harmless to the machine, which ignores case; a trap for people who search the file."""
    first: dict[str, tuple[Place, str]] = {}
    for place, tag in sorted(_tag_keys(mapping)):
        line, spelled = first.setdefault(fold(tag), (place, tag))
        if spelled != tag:
            yield LintWarning(
                mapping.source,
                place.line,
                place.column,
                f"the tag keys {quoted(spelled)} and {quoted(tag)} differ only in case",
                f"they are one tag; spelled otherwise in line {line.line}",
            )


def _groups_not_allowed(mapping: MappingDocument, allowed: Collection[str]) -> Iterator[Finding]:
    folded = {name.casefold() for name in allowed}  # as Check Point compares them
    for index, group in enumerate(mapping.groups):
        if group.name.casefold() not in folded:
            place = mapping.place("groups", index, "name")
            yield Problem(
                mapping.source,
                place.line,
                place.column,
                f"the estate does not allow the group {quoted(group.name)}",
                did_you_mean(group.name, sorted(allowed)) or "see allowedGroups of the Estate",
            )
