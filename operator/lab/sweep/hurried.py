"""`python -m lab.sweep.hurried run ...`: the product word for word, with its longest pauses shortened.

What in production waits half an hour for a person, a vendor or a bound waits seconds here, so that hundreds of lives
fit into minutes. Only numbers are changed, and all of them stand in one table; what is done in which order is not.
"""

from __future__ import annotations

import sys
from functools import partial

from lab.altering import alter
from microseg.__main__ import main
from microseg.gateways.wire import Limits
from microseg.stages.situation import Timing

KEY_LIFE = 10
"""Seconds for which a pairing key of the sweep's profiles may be used."""
_ANSWER_WITHIN = 4.0
_SHORTER: tuple[tuple[str, str, object], ...] = (
    ("microseg.settings", "Timing", partial(Timing, key_life=float(KEY_LIFE), sealing=4.0)),
    ("microseg.estate.view", "_LIFE", (KEY_LIFE, 3600)),
    ("microseg.gateways.wire", "Limits", partial(Limits, read=_ANSWER_WITHIN, total=2 * _ANSWER_WITHIN)),
    ("microseg.gateways.azure_credentials", "_ANSWERED_WITHIN", _ANSWER_WITHIN),
    ("microseg.gateways.checkpoint", "_LIMITS", Limits(read=_ANSWER_WITHIN, total=2 * _ANSWER_WITHIN)),
    ("microseg.gateways.transport", "_DEFAULT_PAUSE", 2.0),
    ("microseg.estate.lanes.attempts", "_PUT_OFF", 3.0),
    ("microseg.estate.lanes.checkpoint", "_REJECTED_PAUSE", 5.0),
    ("microseg.estate.lanes.flush", "_TASK_PATIENCE", 20.0),
    ("microseg.estate.lanes.installs", "_PATIENCE", 15.0),
    ("microseg.estate.lanes.installs", "_RETRY", 3.0),
    ("microseg.estate.lanes.rhythm", "_LONGEST_PAUSE", 6.0),
    ("microseg.estate.tenure", "_AGAIN", 3.0),
)
"""Module, name, value instead."""


def hurry() -> None:
    """Replace the numbers. AttributeError where the product has no such number any more."""
    for module, name, value in _SHORTER:
        alter(module, name, value)


if __name__ == "__main__":
    hurry()
    sys.exit(main())
