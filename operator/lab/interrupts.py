"""SIGTERM ends a lab program as Ctrl-C does, so every process that it began ends too. Called by its `__main__`."""

from __future__ import annotations

import signal
from types import FrameType


def interrupt_at_sigterm() -> None:
    """Let SIGTERM raise KeyboardInterrupt in the main thread."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt
