"""The page of conditions and reasons, from the two tables in `model/condition.py`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from lab.generate.markdown import document, table
from microseg.model.condition import ConditionType, Reason
from microseg.stages import STAGES

_BOTH = (ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED)
_HOST = (*(stage.condition for stage in STAGES), *_BOTH, ConditionType.DRIFTED)
_SECTION = re.compile(r"^    # (?!fmt)(\w+)$")
_MEMBER = re.compile(r"^    ([A-Z_]+) = ")


def page() -> str:
    """Return the page with every condition and every reason."""
    estate = [kind for kind in ConditionType if kind not in _HOST or kind in _BOTH]
    return document(
        "Conditions and reasons",
        "Every condition is always present: `Unknown` at first, and wherever there is doubt. The message is a sentence "
        "for a person; the reason is for machines. What to do about a reason: [operations](../operations.md).",
        "## On a ManagedHost",
        table(("Condition", "True says"), [(f"`{kind.value}`", kind.meaning) for kind in _HOST]),
        "## On an Estate",
        table(("Condition", "True says"), [(f"`{kind.value}`", kind.meaning) for kind in estate]),
        "## Reasons",
        table(("Reason", "Of", "Meaning"), [(f"`{one.value}`", of, one.meaning) for of, one in _reasons()]),
    )


def _reasons() -> Iterator[tuple[str, Reason]]:
    """The reasons in the table's own order, each with the heading that it stands under there."""
    section = "any"
    for line in inspect.getsource(Reason).splitlines():
        if heading := _SECTION.match(line):
            section = heading[1]
        elif member := _MEMBER.match(line):
            yield section, Reason[member[1]]
