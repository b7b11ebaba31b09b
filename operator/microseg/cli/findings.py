"""One line of `microseg doctor`: what was checked, how it is, and what mends it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Health(enum.Enum):
    """How a check ended."""

    GOOD = "ok"
    DOUBT = "?"
    """It could not be checked, because something before it failed or nobody may ask."""
    BAD = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check."""

    area: str
    check: str
    health: Health
    text: str = ""
    fix: str = ""


def good(area: str, check: str, text: str = "") -> Finding:
    """It is as it must be."""
    return Finding(area, check, Health.GOOD, text)


def bad(area: str, check: str, text: str, fix: str) -> Finding:
    """It is not, and this mends it."""
    return Finding(area, check, Health.BAD, text, fix)


def doubt(area: str, check: str, text: str, fix: str = "") -> Finding:
    """It is not known."""
    return Finding(area, check, Health.DOUBT, text, fix)
