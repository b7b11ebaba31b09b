"""What the holder of an estate's Lease says of itself in that Lease: `microseg status` reads it there.

The Lease is renewed every few seconds anyway, so this costs no write; and where it is old, nobody leads. It holds
no name of a host, and is about 3 KB large whatever the fleet.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from microseg.model.fields import Frozen


class SystemReport(Frozen, frozen=True, kw_only=True):
    """One outside system."""

    system: str
    readable: bool | None = None
    """None: not read yet."""
    read_at: datetime | None = None
    """The latest complete reading."""
    message: str = ""
    requests: int = 0
    failed: int = 0
    """Requests without an answer, or with a status of 400 and more."""
    throttled: int = 0
    median: float = 0.0
    """Seconds of the latest requests."""
    slow: float = 0.0
    """Seconds that nine of ten of them did not exceed."""
    budgets: dict[str, float] = msgspec.field(default_factory=dict)
    """Budget -> calls that it allows at once; below zero: calls wait."""
    left_out: int = 0
    """Items that the latest complete reading left out."""


class CallCount(Frozen, frozen=True, kw_only=True):
    """Requests since the process began."""

    system: str
    operation: str
    outcome: str
    requests: int


class OperatorReport(Frozen, frozen=True, kw_only=True):
    """The whole."""

    version: str = ""
    started_at: datetime | None = None
    """When the process began; calls are counted since."""
    systems: tuple[SystemReport, ...] = ()
    calls: tuple[CallCount, ...] = ()


def decode_report(text: str) -> OperatorReport | None:
    """The report in a Lease; None where there is none, or it is of a version that this one cannot read."""
    try:
        return msgspec.json.decode(text, type=OperatorReport) if text else None
    except msgspec.DecodeError:
        return None


def encode_report(report: OperatorReport) -> str:
    """The report as it stands in a Lease."""
    return msgspec.json.encode(report).decode()
