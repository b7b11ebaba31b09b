"""`python -m lab.stepped run ...`: the product on a machine whose clock somebody sets, and whose days last seconds.

`set_clock` says by how much the wall clock is off; whoever runs this asks it at every look at the time. The steady
clock goes on as it went, as a real machine's does. What is done, and in which order, is the product's own.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta, tzinfo
from importlib import import_module
from pathlib import Path

from lab.altering import alter

DAY = timedelta(seconds=8)
"""As long as a dead VEN is waited for here."""
_FILE = "clock"
_real = time.time


def set_clock(home: Path, *, ahead: float) -> None:
    """The wall clock of the operator whose HOME this is goes so many seconds ahead of the true one."""
    fresh = home / f"{_FILE}.new"
    fresh.write_text(f"{ahead}", encoding="ascii")
    fresh.rename(home / _FILE)


def _wall() -> float:
    file = Path.home() / _FILE
    return _real() + (float(file.read_text(encoding="ascii")) if file.exists() else 0.0)


class _Datetime(datetime):
    """`datetime` for the modules that ask it for the time themselves."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.fromtimestamp(_wall(), tz)


def _step() -> None:
    """AttributeError where the product has no such name any more."""
    time.time = _wall
    for module in ("microseg.estate.lease", "microseg.kube.events"):
        alter(module, "datetime", _Datetime)
    alter("microseg.stages.retirement", "_UNPAIR_PATIENCE", DAY)


if __name__ == "__main__":
    _step()
    sys.exit(import_module("microseg.__main__").main())
