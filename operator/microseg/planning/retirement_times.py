"""When a VM that is gone may be retired at the earliest: for people, who ask before it happens. Pure.

`microseg explain` and `microseg status --retiring` call it. The stage and the guard decide; this only looks ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from microseg.model.estate import Estate
from microseg.model.fields import seconds

_HOUR = timedelta(hours=1)


def asked_at(estate: Estate, missing_since: datetime) -> datetime:
    """When Azure is asked for a missing VM by its id, at the earliest: enough polls, and the time that must pass."""
    retirement = estate.spec.retirement
    polls = (retirement.missed_polls - 1) * seconds(estate.spec.azure.poll_interval)
    return missing_since + timedelta(seconds=max(polls, seconds(retirement.after)))


def cap(estate: Estate, commissioned: int) -> int:
    """How many may begin in any hour: the larger of a number and a share of the commissioned hosts (S6)."""
    limits = estate.spec.retirement.max_per_hour
    return max(limits.count, commissioned * limits.percent // 100)


def used(began: Sequence[datetime], now: datetime) -> int:
    """How many began within the last hour."""
    return sum(1 for at in began if now - at < _HOUR)


def hold_ends(waiting: int, most: int, began: Sequence[datetime], now: datetime) -> datetime | None:
    """When a hold of so many hosts ends by itself, as earlier retirements leave the hour.

    None: never, because they are more than may begin in any hour; a person must approve, or some must come back.
    """
    if waiting > most:
        return None
    recent = sorted(at for at in began if now - at < _HOUR)
    surplus = len(recent) + waiting - most
    return recent[surplus - 1] + _HOUR if surplus > 0 else now
