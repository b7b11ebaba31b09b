"""Whether an estate may use a mapping document: one of a ConfigMap, and one that was kept.

`engine/mapping/` asks before a document is in force, and the command line before it foresees, prints or pins one, so
that both refuse the same documents with the same words.
"""

from __future__ import annotations

from dataclasses import dataclass

from microseg.mapping import LintWarning, MappingDocument, MappingError, Problem, lint, parse, run_tests, tags_read
from microseg.model.estate_spec import EstateSpec

_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a document may name."""

    groups: frozenset[str] = frozenset()
    """Empty: any."""
    tags: frozenset[str] | None = None
    """Keys of tags in lower case that every source records; None: any."""


def allowed_in(spec: EstateSpec) -> Allowed:
    """What the estate's mapping may name."""
    lists = [frozenset(map(str.lower, source.recorded_tags)) for source in spec.azure.sources if source.recorded_tags]
    return Allowed(frozenset(spec.check_point.allowed_groups), frozenset.intersection(*lists) if lists else None)


def fault(document: MappingDocument, allowed: Allowed) -> tuple[str, tuple[Problem | LintWarning, ...]]:
    """Why the estate may not use a document, empty where it may; and what lint finds."""
    failures, findings = run_tests(document), lint(document, allowed.groups or None)
    refused = [finding for finding in findings if isinstance(finding, Problem)]
    if failures:
        return f"its own tests fail: {'; '.join(str(failure) for failure in failures[:_MOST_SHOWN])}", findings
    unread = unread_tag(document, allowed)
    if unread:
        return unread, findings
    return "; ".join(str(problem) for problem in refused[:_MOST_SHOWN]), findings


def unread_tag(document: MappingDocument, allowed: Allowed) -> str:
    """The first tag that the document reads and a source does not record, as a clause; empty: none."""
    unread = sorted(tags_read(document) - allowed.tags) if allowed.tags is not None else []
    return f"it reads the tag {unread[0]}, which recordedTags of a source of the Estate does not list" if unread else ""


def verified(text: str, name: str, digest: str, allowed: Allowed) -> MappingDocument | str:
    """A kept revision's document, or why it is not used: whoever wrote it was perhaps not this operator.

    `name`: of its ControllerRevision. One that an older version accepted may not parse any more; its digest was 12
    digits long.
    """
    try:
        document = parse(text, name)
    except MappingError as error:
        return f"it no longer parses: {error.problems[0]}"
    if digest not in {document.digest, document.shown}:
        return "its text is not what was accepted under its digest"
    return fault(document, allowed)[0] or document
