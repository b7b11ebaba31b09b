"""What a stage concludes: a closed family that `planning/` turns into conditions and a plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from microseg.model.condition import Reason
from microseg.model.plan import Action


@dataclass(frozen=True, slots=True)
class Done:
    """The owning system shows it: the condition is True. `actions`: upkeep that does not change that."""

    reason: Reason
    message: str
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Act:
    """These effects would make it hold: the condition is False, the actions join the plan."""

    reason: Reason
    message: str
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """The world must move first. `doubt`: the truth is not known, so the condition is Unknown.

    `moving`: something is under way (Reconciling); else the host waits for a named fact and is neither
    Reconciling nor Stalled. `until`: when to decide again at the latest, if nothing new is seen.
    """

    reason: Reason
    message: str
    until: datetime | None = None
    doubt: bool = False
    moving: bool = True
    actions: tuple[Action, ...] = ()
    """Looks that would end the doubt (reading a run-command); never effects."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A person must change something. It clears itself when the cause is gone."""

    reason: Reason
    message: str


Verdict = Done | Act | Wait | Blocked
