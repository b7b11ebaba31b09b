"""`python -m lab.sweep.shortened_waits run ...`: the unchanged product with its longest waits shortened.

What waits half an hour in production (for a person, a vendor, a time-out) waits seconds here, so that hundreds of
points fit into minutes. Only the numbers in one table are replaced; order and logic stay the product's own.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from functools import partial

from lab.overrides import override
from microseg.__main__ import main
from microseg.engine.ground.engine_settings import EngineSettings, Pauses
from microseg.engine.leadership.estate_runner import RunnerPauses
from microseg.gateways.http.tls import Limits
from microseg.stages.context import Timing

KEY_LIFE = 10
"""Seconds for which a pairing key of the sweep's profiles is valid."""
_ANSWER_WITHIN = 4.0
_PAUSES = Pauses(lesser_news=0.5)
_SHORTER: tuple[tuple[str, str, object], ...] = (
    ("microseg.settings", "EngineSettings", partial(EngineSettings, install_margin=2.0, pauses=_PAUSES)),
    ("microseg.settings", "Timing", partial(Timing, key_life=float(KEY_LIFE), sealing=4.0)),
    ("microseg.engine.estate_context", "_LIFE", (KEY_LIFE, 3600)),
    ("microseg.gateways.http.tls", "Limits", partial(Limits, read=_ANSWER_WITHIN, total=2 * _ANSWER_WITHIN)),
    ("microseg.gateways.azure.credentials", "_LIMITS", Limits(read=_ANSWER_WITHIN, total=2 * _ANSWER_WITHIN)),
    ("microseg.gateways.checkpoint.gateway", "_LIMITS", Limits(read=_ANSWER_WITHIN, total=2 * _ANSWER_WITHIN)),
    ("microseg.gateways.http.client", "_DEFAULT_PAUSE", 2.0),
    ("microseg.engine.lanes.put_off_starts", "_PAUSE", 3.0),
    ("microseg.engine.lanes.checkpoint", "_REJECTED_PAUSE", 5.0),
    ("microseg.engine.lanes.checkpoint_flush", "_TASK_PATIENCE", 20.0),
    ("microseg.engine.lanes.checkpoint_installs", "_PATIENCE", 15.0),
    ("microseg.engine.lanes.checkpoint_installs", "_RETRY", 3.0),
    ("microseg.engine.lanes.checkpoint_installs", "_REFUSED", 5.0),
    ("microseg.engine.state.accepted_effects", "REFUSED_PAUSE", timedelta(seconds=5)),
    ("microseg.engine.lanes.schedule", "_LONGEST_PAUSE", 6.0),
    ("microseg.application", "RunnerPauses", partial(RunnerPauses, restart=3.0)),
)
"""Module, name, replacement."""


def shorten_waits() -> None:
    """Replace the numbers. Raises AttributeError if the product no longer has one of them."""
    for module, name, value in _SHORTER:
        override(module, name, value)


if __name__ == "__main__":
    shorten_waits()
    sys.exit(main())
