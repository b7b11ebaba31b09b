"""What the mapping wants for one host: the answer of `mapping/`, in words that the stages can read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wanted:
    """Labels and groups wanted for one host."""

    revision: str
    labels: tuple[tuple[str, str], ...] = ()
    """(key, value) that must be set."""
    removed: tuple[str, ...] = ()
    """Keys whose label of ours must go."""
    kept: tuple[str, ...] = ()
    """Owned keys that stay as the PCE has them."""
    groups: tuple[str, ...] = ()
    pending_groups: tuple[str, ...] = ()
    """Groups whose question waits for the PCE's labels: never a no."""
    cases: tuple[str, ...] = ()
    miss: str = ""
    """Non-empty: no rule knows the tags, labels and groups wait; the sentence names key and tag."""
