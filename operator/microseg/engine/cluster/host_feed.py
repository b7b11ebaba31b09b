"""Brings records from the reflector's thread into the host table on the event loop, in batches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from microseg.engine.cluster.event_recorder import EventRecorder
from microseg.engine.ground.heartbeats import Heartbeats
from microseg.engine.ground.workers import Workers
from microseg.engine.state.host_table import HostTable
from microseg.kube.reflector import Deleted, Event, Synced, Upserted
from microseg.model.host import ManagedHost
from microseg.planning.estate_events import misspelt


class RecordSource(Protocol):
    """What brings the records (`kube.reflector.HostReflector`)."""

    def run(self, deliver: Callable[[Sequence[Event]], None], stop: threading.Event) -> None:
        """Block, delivering until stopped."""

    @property
    def beat(self) -> float:
        """Monotonic time at which it last heard something, or last tried to."""


class HostFeed:
    """Runs the reflector in a thread of its own."""

    def __init__(self, source: RecordSource, table: HostTable, events: EventRecorder, heartbeats: Heartbeats) -> None:
        """Nothing runs before `run`."""
        self._source, self._table, self._events, self._heartbeats = source, table, events, heartbeats
        self._misspelt: dict[str, frozenset[str]] = {}
        """Host -> what was told of its annotations; without those of which nothing is to be told."""

    async def run(self) -> None:
        """Follow until cancelled; the thread ends within a second."""
        loop = asyncio.get_running_loop()
        stop = threading.Event()
        thread = Workers("reflector", 1)  # not asyncio's own few, which are the whole process's

        def deliver(events: Sequence[Event]) -> None:
            if not stop.is_set():
                loop.call_soon_threadsafe(self._apply, events)

        self._heartbeats.follow("reflector", lambda: self._source.beat)
        try:
            await thread.call(self._source.run, deliver, stop)
        finally:
            stop.set()
            thread.close()

    def _apply(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case Upserted(host):
                    self._warn(host)
                    self._table.upsert(host)
                case Deleted(name, _):
                    self._misspelt.pop(name, None)
                    self._table.drop(name)
                case Synced(names, began):
                    self._table.keep_only(names, began)

    def _warn(self, host: ManagedHost) -> None:
        """Tell a person once of an annotation that does nothing."""
        told = self._misspelt.pop(host.name, frozenset())
        if not host.annotations:
            return
        now = frozenset(misspelt(host.annotations, "ManagedHost"))
        for sentence in sorted(now - told):
            self._events.post_on_host(host, "AnnotationUnknown", sentence, warning=True)
        if now:
            self._misspelt[host.name] = now
