"""Effects that their system accepted and that it still does not show: what is held, and until when (L6).

`engine/state/accepted_effects.py` counts; `planning/not_taking.py` turns what is held into a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from microseg.model.plan import (
    Action,
    CreateLabel,
    DropObject,
    PutObject,
    RaiseEnforcement,
    ReleaseAddress,
    SetLabels,
    StampWorkload,
    UnpairWorkload,
)

Subject = tuple[str, str, str]
"""What an effect is about: its type and the thing outside that it changes."""


@dataclass(frozen=True, slots=True)
class Untaken:
    """An effect that does not take."""

    subject: Subject
    effect: Action | None
    """What is held; None: every effect on this subject, because it changed too often."""
    until: datetime
    """When it is tried again."""

    def holds(self, action: Action, now: datetime) -> bool:
        """Whether this action must not be carried out now."""
        return now < self.until and subject(action) == self.subject and self.effect in (None, shared(action))


def shared(action: Action) -> Action:
    """The effect itself, whoever asks for it: one label is created for all hosts."""
    return replace(action, vm_id="") if isinstance(action, CreateLabel) else action


def subject(action: Action) -> Subject | None:
    """What an effect is about; None: it is not counted so. Installers have their attempts, policy installs a count."""
    kind = type(action).__name__
    match action:
        case CreateLabel(_, key, value):
            return kind, key, value
        case SetLabels(_, workload) | StampWorkload(_, workload) | RaiseEnforcement(_, workload):
            return kind, workload, ""
        case UnpairWorkload(_, ven):
            return kind, ven, ""
        case PutObject(_, name) | DropObject(_, name) | ReleaseAddress(_, name):
            return kind, name, ""
        case _:
            return None
