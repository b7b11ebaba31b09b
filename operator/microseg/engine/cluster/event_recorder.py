"""Events, few enough to be read: single ones while little happens, sums on the Estate while much does.

An onboarding of 10,000 hosts would be 50,000 Events, which nobody reads and which push others out of etcd. The recorder
and the mapping's acceptance tell what happened; an Event is worth nothing once it delays anything, so any may go.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from microseg.estate.ports import EventSink
from microseg.estate.workers import Workers
from microseg.kube.secrets import ConfigMapData
from microseg.model.estate import Estate
from microseg.model.host import HostStatus, ManagedHost
from microseg.planning import history

log = logging.getLogger(__name__)
_BURST, _A_SECOND = 50.0, 0.2
"""Events on single hosts: so many at once, and so many a second in the long run; warnings are counted apart."""
_SUMMED_EVERY = 30.0
_EXAMPLES = 5
_BACKLOG = 500


@dataclass(frozen=True, slots=True)
class Told:
    """One Event to be posted."""

    regarding: ManagedHost | Estate | ConfigMapData
    reason: str
    message: str
    warning: bool = False


@dataclass(slots=True)
class _Sum:
    hosts: int = 0
    examples: list[str] = field(default_factory=list)


class _Bucket:
    """Tokens that come back with time."""

    def __init__(self) -> None:
        self._tokens, self._at = _BURST, time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._tokens = min(_BURST, self._tokens + (now - self._at) * _A_SECOND)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class News:
    """Takes what happened, on the event loop, and posts it by itself."""

    def __init__(self, sink: EventSink, workers: Workers) -> None:
        """Take where Events go; nothing is posted before `run`."""
        self._sink, self._workers = sink, workers
        self._queue: asyncio.Queue[Told] = asyncio.Queue(_BACKLOG)
        self._buckets = {False: _Bucket(), True: _Bucket()}
        self._sums: dict[tuple[str, bool], _Sum] = {}
        self.estate: Callable[[], Estate | None] = lambda: None
        """What sums are posted on; the keeper says."""

    def tell(
        self, regarding: ManagedHost | Estate | ConfigMapData, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Post one Event, whatever else happens."""
        try:
            self._queue.put_nowait(Told(regarding, reason, message, warning))
        except asyncio.QueueFull:
            log.warning("event dropped", extra={"regarding": regarding.name, "reason": reason})

    def host_changed(self, host: ManagedHost, before: HostStatus, after: HostStatus) -> None:
        """A host's record changed: tell it singly, or count it."""
        for reason, message, warning in _news(before, after):
            if self._buckets[warning].take():
                self.tell(host, reason, message, warning=warning)
                continue
            counted = self._sums.setdefault((reason, warning), _Sum())
            counted.hosts += 1
            if len(counted.examples) < _EXAMPLES:
                counted.examples.append(host.name)

    def sum_up(self) -> None:
        """Post what was counted, one Event for each reason, on the Estate."""
        estate = self.estate()
        sums, self._sums = self._sums, {}
        for (reason, warning), counted in sums.items():
            more = ", …" if counted.hosts > len(counted.examples) else ""
            if estate is not None:
                text = f"{counted.hosts} hosts since the last sum: {', '.join(counted.examples)}{more}"
                self.tell(estate, reason, text, warning=warning)

    async def run(self) -> None:
        """Post for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._post_forever())
            tasks.create_task(self._sum_forever())

    async def _post_forever(self) -> None:
        while True:
            told = await self._queue.get()
            await self._workers.call(self._sink.post, told.regarding, told.reason, told.message, warning=told.warning)

    async def _sum_forever(self) -> None:
        while True:
            await asyncio.sleep(_SUMMED_EVERY)
            self.sum_up()


def _news(before: HostStatus, after: HostStatus) -> list[tuple[str, str, bool]]:
    """(reason, message, warning) for each change of what was confirmed, and for a change of stage."""
    revision = f" (mapping {after.mapping.revision})" if after.mapping and after.mapping.revision else ""
    found = [(change.reason, f"{change.what}{revision}.", False) for change in history.changes(before, after)]
    ready = next((made for made in after.conditions if made.type == "Ready"), None)
    if before.stage != after.stage and ready is not None and not _told_by_target(before, after):
        told = f"Stage {before.stage or 'none'} -> {after.stage}. {ready.message}"
        found.append((ready.reason, told, after.stage == "Blocked"))
    return found


def _told_by_target(before: HostStatus, after: HostStatus) -> bool:
    """A policy that somebody took back from a gateway concerns all its hosts: the keeper tells it for the target."""
    policy = any(made.open and made.stage == "PolicyInstalled" for made in (*before.drift, *after.drift))
    return policy and {before.stage, after.stage} == {"Commissioned", "Installing"}
