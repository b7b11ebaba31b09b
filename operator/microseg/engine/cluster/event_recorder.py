"""Posts Events, few enough to be read: single ones while little happens, aggregated ones on the Estate while much does.

An onboarding of 10,000 hosts would be 50,000 Events, which nobody reads and which push others out of etcd. Events are
best effort: dropped rather than delaying a reconcile. The status writer and the mapping controller call it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from microseg.engine.ground.ports import EventSink
from microseg.engine.ground.runtime import Runtime
from microseg.gateways.http.rate_limiter import RateLimiter
from microseg.kube.secrets import ConfigMapData
from microseg.model.condition import ConditionType, Reason, find
from microseg.model.estate import Estate
from microseg.model.host import HostStatus, ManagedHost
from microseg.planning import history

log = logging.getLogger(__name__)
_BURST, _PER_SECOND = 50.0, 0.2
"""Events on single hosts: so many at once, and so many per second in the long run; warnings are counted apart."""
_EXAMPLES = 5
_BACKLOG = 500
_UNREAD = {Reason.AZURE_UNREADABLE.value, Reason.ILLUMIO_UNREADABLE.value, Reason.CHECK_POINT_UNREADABLE.value}
"""Reasons with which a host may begin, and which are no news of it: the Estate says once which system is not read."""


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """One Event to be posted."""

    regarding: ManagedHost | Estate | ConfigMapData
    reason: str
    message: str
    warning: bool = False


@dataclass(slots=True)
class _Aggregate:
    hosts: dict[str, None] = field(default_factory=dict)
    """Names, in the order in which they came: a host with several Events counts once."""


class EventRecorder:
    """Takes what happened, on the event loop, and posts it by itself."""

    def __init__(self, sink: EventSink, estate: Callable[[], Estate], runtime: Runtime) -> None:
        """`estate`: the Estate as it is now, which aggregated Events are posted on. Nothing is posted before `run`."""
        self._sink, self._estate, self._runtime = sink, estate, runtime
        self._queue: asyncio.Queue[PendingEvent] = asyncio.Queue(_BACKLOG)
        self._budgets = {warning: RateLimiter(_PER_SECOND, _BURST, full=True) for warning in (False, True)}
        self._aggregates: dict[tuple[str, bool], _Aggregate] = {}

    def post(
        self, regarding: ManagedHost | Estate | ConfigMapData, reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Post one Event, whatever else happens."""
        try:
            self._queue.put_nowait(PendingEvent(regarding, reason, message, warning))
        except asyncio.QueueFull:
            log.warning("event dropped", extra={"regarding": regarding.name, "reason": reason})

    def post_on_estate(self, reason: str, message: str, *, warning: bool = False) -> None:
        """Post one Event on the Estate."""
        self.post(self._estate(), reason, message, warning=warning)

    def host_changed(self, host: ManagedHost, before: HostStatus, after: HostStatus) -> None:
        """A host's record changed: post it singly, or count it."""
        for reason, message, warning in _events(before, after):
            self.post_on_host(host, reason, message, warning=warning)

    def post_on_host(self, host: ManagedHost, reason: str, message: str, *, warning: bool = False) -> None:
        """Post one Event on a host, or count it where there are many."""
        if self._budgets[warning].try_take():
            self.post(host, reason, message, warning=warning)
            return
        counted = self._aggregates.setdefault((reason, warning), _Aggregate())
        counted.hosts[host.name] = None

    def post_aggregated(self) -> None:
        """Post what was counted, one Event per reason, on the Estate."""
        aggregates, self._aggregates = self._aggregates, {}
        for (reason, warning), counted in aggregates.items():
            more = ", …" if len(counted.hosts) > _EXAMPLES else ""
            examples = ", ".join(itertools.islice(counted.hosts, _EXAMPLES))
            text = f"{len(counted.hosts)} hosts since the last aggregated Event: {examples}{more}"
            self.post_on_estate(reason, text, warning=warning)

    async def run(self) -> None:
        """Post for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._post_forever())
            tasks.create_task(self._aggregate_forever())

    async def _post_forever(self) -> None:
        while True:
            event = await self._queue.get()
            await self._runtime.cluster.call(
                self._sink.post, event.regarding, event.reason, event.message, warning=event.warning
            )

    async def _aggregate_forever(self) -> None:
        while True:
            self._runtime.heartbeats.beat("events")
            await asyncio.sleep(self._runtime.pauses.event_sum)
            self.post_aggregated()


def _events(before: HostStatus, after: HostStatus) -> list[tuple[str, str, bool]]:
    """(reason, message, warning) for each change of what was confirmed, and for a change of stage."""
    revision = f" (mapping {after.mapping.revision})" if after.mapping and after.mapping.revision else ""
    events = [(change.reason, f"{change.what}{revision}.", False) for change in history.changes(before, after)]
    ready = find(after.conditions, ConditionType.READY)
    if not before.stage and ready is not None and ready.reason in _UNREAD:
        message = f"Stage none -> {after.stage}. The VM was found; the systems are only just being read."
        return [*events, (ConditionType.DISCOVERED.value, message, False)]
    if before.stage != after.stage and ready is not None and not _posted_for_target(before, after):
        message = f"Stage {before.stage or 'none'} -> {after.stage}. {ready.message}"
        events.append((ready.reason, message, after.stage == "Blocked"))
    return events


def _posted_for_target(before: HostStatus, after: HostStatus) -> bool:
    """A policy that somebody took back from a target concerns all its hosts: one Event is posted for the target."""
    policy = any(each.open and each.stage == ConditionType.POLICY_INSTALLED for each in (*before.drift, *after.drift))
    return policy and {before.stage, after.stage} == {"Commissioned", "InstallingPolicy"}
