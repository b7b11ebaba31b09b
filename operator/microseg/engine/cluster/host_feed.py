"""The mirror's thread and the ledger's loop: records come in batches from the one and are written into the other."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from microseg.estate.ledger import Ledger
from microseg.kube.mirror import Deleted, Event, Synced, Upserted

log = logging.getLogger(__name__)


class MirrorSource(Protocol):
    """What brings the records (`kube.mirror.Mirror`)."""

    def run(self, deliver: Callable[[Sequence[Event]], None], stop: threading.Event) -> None:
        """Block, delivering until stopped."""


class Following:
    """Runs the mirror in a thread of its own."""

    def __init__(self, mirror: MirrorSource, ledger: Ledger) -> None:
        """Take both."""
        self._mirror, self._ledger = mirror, ledger

    async def run(self) -> None:
        """Follow until cancelled; the thread ends within a second."""
        loop = asyncio.get_running_loop()
        stop = threading.Event()

        def deliver(events: Sequence[Event]) -> None:
            if not stop.is_set():
                loop.call_soon_threadsafe(self._apply, events)

        try:
            await asyncio.to_thread(self._mirror.run, deliver, stop)
        finally:
            stop.set()

    def _apply(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case Upserted(host):
                    self._ledger.upsert(host)
                case Deleted(name, _):
                    self._ledger.drop(name)
                case Synced(names, began):
                    self._ledger.keep_only(names, began)
