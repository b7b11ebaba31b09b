"""What a stage concludes from facts; `planning/` turns it into conditions and a plan.

A verdict also carries the differences that its stage found, so that nobody compares a second time: `planning/drift.py`
reports them whatever stands in the way of repairing them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from microseg.model.condition import Reason
from microseg.model.plan import Action, FirewallChange


@dataclass(frozen=True, slots=True)
class LabelDifference:
    """A label of the mapping that the workload does not carry."""

    key: str
    desired: str
    carried: str | None
    """The value that it carries instead; None: no label with this key."""


@dataclass(frozen=True, slots=True)
class PolicyDifference:
    """A policy package with targets whose installed revision does not cover the host."""

    package: str
    targets: tuple[str, ...]
    """All targets of the package."""
    late: tuple[str, ...]
    """Those that do not cover the host."""


Difference = LabelDifference | FirewallChange | PolicyDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judgement:
    """What every verdict has."""

    differences: tuple[Difference, ...] = field(default=(), compare=False, repr=False)
    """What the owning system shows that is not as desired, even if nothing can be done now; empty if not compared."""


@dataclass(frozen=True, slots=True)
class Done(_Judgement):
    """The owning system shows it: the condition is True. `actions`: upkeep that does not change that.

    `until`: when to decide again at the latest, if nothing new is seen.
    """

    reason: Reason
    message: str
    actions: tuple[Action, ...] = ()
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Act(_Judgement):
    """These effects would satisfy it: the condition is False, the actions join the plan."""

    reason: Reason
    message: str
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Wait(_Judgement):
    """The outside world must move first. `doubt`: the truth is not known, so the condition is Unknown.

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
    partly: bool = False
    """All that is known is as desired, and only that is in doubt which is not: later stages go on."""


@dataclass(frozen=True, slots=True)
class Blocked(_Judgement):
    """A person must change something. It clears itself when the cause is gone. `until`: when it is tried anyway."""

    reason: Reason
    message: str
    until: datetime | None = None


Verdict = Done | Act | Wait | Blocked
