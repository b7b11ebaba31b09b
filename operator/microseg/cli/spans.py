"""Times as people read them: a moment in UTC, and how long ago it was."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(at: datetime | None) -> str | None:
    """In UTC, whole seconds; None where it is not known."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago, in one or two units: `42 s`, `7 min`, `3 h 20 min`, `12 d`.

    >>> ago(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 3, 20, tzinfo=UTC))
    '3 h 20 min'
    """
    if at is None:
        return "an unknown time"
    seconds = max(int((now - at).total_seconds()), 0)
    if seconds < 120:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 120:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{days} d"
