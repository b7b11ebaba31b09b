"""When policy may be installed: `spec.checkPoint.installWindow`. Pure; the engine and `microseg explain` call it."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from microseg.model.estate_spec import InstallWindow

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def opens(window: InstallWindow | None, now: datetime) -> datetime | None:
    """When the install window opens next; None: it is open now, or there is none."""
    if window is None:
        return None
    try:
        zone = ZoneInfo(window.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        return now + timedelta(hours=1)
    for minutes in range(8 * 24 * 60):
        at = now + timedelta(minutes=minutes)  # in UTC: where the clocks change, a local day is no 24 hours
        if _within(window, at.astimezone(zone)):
            return None if minutes == 0 else at.replace(second=0, microsecond=0)
    return now + timedelta(days=8)


def _within(window: InstallWindow, at: datetime) -> bool:
    """Whether policy may be installed at this local time. A window past midnight belongs to the day it began."""
    text = at.strftime("%H:%M")
    today = _DAYS[at.weekday()]
    yesterday = _DAYS[at.weekday() - 1]
    allowed = set(window.days) or set(_DAYS)
    if window.start <= window.end:
        return today in allowed and window.start <= text < window.end
    return (today in allowed and text >= window.start) or (yesterday in allowed and text < window.end)
