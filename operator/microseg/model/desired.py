"""The state that the mapping asks for: the answer of `mapping/` in a form that the stages read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Desired:
    """Labels and groups of one host."""

    revision: str
    labels: tuple[tuple[str, str], ...] = ()
    """(key, value) that must be set."""
    removed: tuple[str, ...] = ()
    """Keys whose label, if the operator set it, is removed."""
    groups: tuple[str, ...] = ()
    pending_groups: tuple[str, ...] = ()
    """Groups that depend on labels of the PCE that are not read yet, or that miss: membership stays as it is."""
    cases: tuple[str, ...] = ()
    keeps_objects: bool = False
    """Whether the published objects stay as they are, whatever addresses the VM has now: the guard holds the host."""
    keeps_workload: bool = False
    """Whether a workload that the PCE lost is not paired anew: the guard holds the host, or has not judged it yet."""
    miss: str = ""
    """Non-empty: no rule matches the tags, so labels and the groups that depend on them wait; it names key and tag."""
    changed_at: datetime | None = None
    """When the guard let a change of the host through that nobody approved, within the hour; None: it let none."""
