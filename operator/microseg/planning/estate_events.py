"""Events of an Estate from what turned between two of its statuses, and annotations that mean nothing. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from microseg.model.condition import Condition, ConditionStatus, ConditionType
from microseg.model.estate_status import EstateStatus
from microseg.model.names import PREFIX, Annotation
from microseg.planning import guard
from microseg.stages import agent

_SYSTEMS = (
    ConditionType.AZURE_REACHABLE,
    ConditionType.ILLUMIO_REACHABLE,
    ConditionType.CHECK_POINT_REACHABLE,
)
_OWN_EVENTS = (*_SYSTEMS, ConditionType.MAPPING_VALID, ConditionType.PLAN_HELD)
"""Conditions that are told by themselves: `Stalled` for the same reason is no further news."""


def turns(before: EstateStatus, after: EstateStatus) -> Iterator[tuple[str, str, bool]]:
    """(reason, message, whether it is a warning) for each condition that turned bad, or good again.

    Unknown is no turn: a system that was not read yet says nothing, neither at a start nor after a new spec.
    """
    old = {condition.type: condition for condition in before.conditions}
    told = {condition.reason for condition in after.conditions if condition.type in _OWN_EVENTS}
    for condition in after.conditions:
        stalled = condition.type == ConditionType.STALLED
        if (not stalled and condition.type not in _SYSTEMS) or condition.status == ConditionStatus.UNKNOWN:
            continue
        if stalled and condition.reason in told:
            continue
        was = old.get(condition.type)
        if _is_bad(condition):
            turned = was is None or (was.status, was.reason) != (condition.status, condition.reason)
        else:
            turned = was is not None and _is_bad(was)
        if turned:
            text = f"{condition.type.value} {condition.status.value}: {condition.message}"
            yield condition.reason, text, _is_bad(condition)


_INSTEAD = {
    Annotation.APPROVE: "microseg approve plan, or retirement",
    Annotation.CONFIRM_GONE: "microseg approve gone",
    Annotation.ADOPT: "microseg approve adoption",
}


def deprecated(name: Annotation) -> str:
    """What to use in place of an annotation that the next version ignores."""
    return (
        f"The annotation {name} was used. Whoever may change the object may write it, and nobody records who did; the "
        f"next version ignores it: use `{_INSTEAD[name]}`."
    )


def outdated(annotations: Mapping[str, str]) -> list[Annotation]:
    """Which of a ManagedHost's annotations the next version ignores."""
    return [name for name in (Annotation.CONFIRM_GONE, Annotation.ADOPT) if name in annotations]


def _is_bad(condition: Condition) -> bool:
    good = ConditionStatus.FALSE if condition.type == ConditionType.STALLED else ConditionStatus.TRUE
    return condition.status not in {good, ConditionStatus.UNKNOWN}


def misspelt(annotations: Mapping[str, str], kind: str) -> Iterator[str]:
    """A sentence per annotation with our prefix that does nothing on an object of this kind."""
    known = {each.value: each for each in Annotation}
    for name in sorted(annotations):
        if not name.startswith(PREFIX):
            continue
        meant = known.get(name)
        if meant is None:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f": did you mean {near[0]}?" if near else "; docs/reference/annotations.md lists those that do."
            yield f"The annotation {name} means nothing{hint}"
        elif not meant.kind.startswith(kind):
            yield f"The annotation {name} means nothing on a {kind}: write it on the {meant.kind}."
        elif not _is_read(meant, annotations[name]):
            yield f"The annotation {name} has a value that means nothing: write {meant.value_form}."


def _is_read(annotation: Annotation, value: str) -> bool:
    match annotation:
        case Annotation.RETRY:
            return value in {agent.AGENT, agent.DRIFT}
        case Annotation.APPROVE:
            return bool(guard.parse_approvals(value))
        case _:
            return True
