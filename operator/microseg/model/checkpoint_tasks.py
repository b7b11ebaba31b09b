"""Tasks as Check Point's list of them shows them, for who lost the id of one. `gateways/checkpoint` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class BegunTask:
    """A task in the server's list, ended or not."""

    id: str
    package: str | None
    """Package that it installs; empty: it installs none; None: its name does not tell what it does."""
    started: datetime | None
    """When it began, by the server's clock; None: it does not say."""


@dataclass(frozen=True, slots=True)
class TaskList:
    """Tasks that our administrator began, of the last day: all that the server lists."""

    tasks: tuple[BegunTask, ...]
    read_at: datetime
    """By the server's clock, and not later than the end of the reading."""
