"""`python -m lab.stepped_clock run`: the unchanged product on a machine whose wall clock is stepped, with short days.

`set_clock` writes how far the wall clock is off into a file of the operator's HOME; the operator's process reads it at
every look at the time. The monotonic clock runs on, as on a real machine.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta, tzinfo
from importlib import import_module
from pathlib import Path

from lab.overrides import override

DAY = timedelta(seconds=8)
"""How long the operator waits for a dead VEN here."""
_FILE = "clock"
_real = time.time


def set_clock(home: Path, *, ahead: float) -> None:
    """Set the wall clock of the operator with this HOME so many seconds ahead of the true one."""
    fresh = home / f"{_FILE}.new"
    fresh.write_text(f"{ahead}", encoding="ascii")
    fresh.rename(home / _FILE)


def _wall() -> float:
    file = Path.home() / _FILE
    return _real() + (float(file.read_text(encoding="ascii")) if file.exists() else 0.0)


class _Datetime(datetime):
    """`datetime` for the modules that read the time from it directly."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.fromtimestamp(_wall(), tz)


def _step() -> None:
    """Replace the clocks. Raises AttributeError if the product no longer has one of the names."""
    time.time = _wall
    for module in ("microseg.engine.leadership.elector", "microseg.kube.events"):
        override(module, "datetime", _Datetime)
    override("microseg.stages.retirement", "_UNPAIR_PATIENCE", DAY)


if __name__ == "__main__":
    _step()
    sys.exit(import_module("microseg.__main__").main())
