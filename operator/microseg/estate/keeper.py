"""One estate's life. Read this first.

    mirror ─▶ ┐
    lanes ──▶ ├─ ledger ─▶ decide (pure) ─▶ recorder ─▶ status
    mapping ▶ ┘              └────────────▶ lanes carry out what the decisions ask for

Everything runs on one event loop; whatever blocks runs in a pool of its own. Nothing here knows HTTP or Kubernetes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from microseg.estate.acceptance import Acceptance, Documents
from microseg.estate.book import EstateBook
from microseg.estate.entry import Entry
from microseg.estate.lanes.azure import AzureLane
from microseg.estate.lanes.checkpoint import CheckPointLane
from microseg.estate.lanes.illumio import IllumioLane
from microseg.estate.lanes.rhythm import Health, Rhythm
from microseg.estate.ledger import Ledger
from microseg.estate.ports import Clock
from microseg.estate.recorder import Recorder
from microseg.estate.retirements import Retirements
from microseg.estate.view import EstateViews
from microseg.estate.workers import Workers
from microseg.kube.errors import KubeError
from microseg.model.condition import ConditionStatus, ConditionType, Reason
from microseg.model.estate import DriftPolicy, EstateStatus
from microseg.model.facts import Gateway
from microseg.planning.decide import decide
from microseg.planning.drift import taken_back
from microseg.planning.summary import Overview, SystemState
from microseg.planning.summary import status as estate_status
from microseg.stages.agent import RETRY_ANNOTATION
from microseg.stages.situation import EstateView

log = logging.getLogger(__name__)
_SLICE = 100
"""Decisions between two turns of the event loop: under 50 ms."""
_SETTLE = 0.05
"""Seconds in which changes that come together are decided together."""
_STATUS_EVERY = 1.0
"""Seconds between two writes of the Estate's status."""
_LOOK_AGAIN_AT_MOST = 60.0


class MirrorTask(Protocol):
    """Follows the records and writes them into the ledger (`estate.following`)."""

    async def run(self) -> None:
        """For ever."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """The three lanes."""

    azure: AzureLane
    illumio: IllumioLane
    check_point: CheckPointLane

    @property
    def rhythms(self) -> tuple[Rhythm, Rhythm, Rhythm]:
        """Their pulses."""
        return (self.azure.rhythm, self.illumio.rhythm, self.check_point.rhythm)


@dataclass(frozen=True, slots=True)
class Records:
    """The ways of the hosts' records: in by the mirror, out by the recorder, and at their end."""

    mirror: MirrorTask
    recorder: Recorder
    retirements: Retirements


class Keeper:
    """Keeps one estate while its Lease is held."""

    def __init__(
        self,
        book: EstateBook,
        ledger: Ledger,
        lanes: Lanes,
        records: Records,
        documents: Documents,
        views: EstateViews,
        clock: Clock,
        workers: Workers,
    ) -> None:
        """Take its parts; nothing runs before `run`. `workers`: the cluster's threads."""
        self._book, self._ledger, self._lanes = book, ledger, lanes
        self._mirror, self._recorder = records.mirror, records.recorder
        self._views, self._clock, self._workers = views, clock, workers
        self._retirements = records.retirements
        news = records.recorder.news
        news.estate = lambda: book.estate
        self._mapping = Acceptance(documents, ledger, book, news, clock, workers, self.health_changed)
        self._rules = self._mapping.rules
        self._look_again: dict[str, datetime] = {}
        self._gateways: Mapping[str, Gateway] = {}
        self._status_due = 0.0
        self._status_stale = True
        self.beat = time.monotonic()
        """When the deciding loop last went round (for the probe)."""

    async def run(self) -> None:
        """Keep the estate until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._mirror.run())
            tasks.create_task(self._recorder.run())
            tasks.create_task(self._retirements.run())
            tasks.create_task(self._mapping.run())
            for lane in (self._lanes.azure, self._lanes.illumio, self._lanes.check_point):
                tasks.create_task(lane.run())
            tasks.create_task(self._decide_forever())

    def mapping_changed(self) -> None:
        """A mapping ConfigMap came, went or changed."""
        self._mapping.look()

    def annotated(self, annotations: dict[str, str]) -> None:
        """A person annotated the Estate: approvals and `reconcile-at`."""
        before = self._book.estate.annotations.get("microseg.dev/reconcile-at")
        self._book.annotated(annotations)
        if annotations.get("microseg.dev/reconcile-at") != before:
            for rhythm in self._lanes.rhythms:
                rhythm.look_soon()
        self._rules.reconsider()
        self.health_changed()

    def health_changed(self) -> None:
        """A system's state changed: the Estate's status is looked at."""
        self._status_stale = True
        self._ledger.wake.set()

    @property
    def status(self) -> EstateStatus:
        """The Estate's status as last read or written."""
        return self._book.status

    def read_at(self) -> dict[str, float]:
        """System -> monotonic time of its latest complete reading; without those that were never read."""
        return {rhythm.system: rhythm.read_at for rhythm in self._lanes.rhythms if rhythm.read_at is not None}

    def beats(self) -> dict[str, float]:
        """Monotonic time at which each loop last went round."""
        return {"decide": self.beat, **{rhythm.system: rhythm.beat for rhythm in self._lanes.rhythms}}

    # deciding -------------------------------------------------------------------------------------------------

    async def _decide_forever(self) -> None:
        while True:
            self.beat = time.monotonic()
            await self._wait()
            await asyncio.sleep(_SETTLE)
            self._ledger.wake.clear()
            if self._ledger.synced:
                await self._decide()
            await self._write_status()

    async def _wait(self) -> None:
        """Until something changed, or the next host is to be looked at again, or the Estate's status is due."""
        now = self._clock()
        soonest = min(self._look_again.values(), default=now + timedelta(seconds=_LOOK_AGAIN_AT_MOST))
        pause = min(max((soonest - now).total_seconds(), 0.0), _LOOK_AGAIN_AT_MOST)
        if self._status_stale:
            pause = min(pause, max(self._status_due - time.monotonic(), 0.0))
        with suppress(TimeoutError):
            async with asyncio.timeout(max(pause, 0.01)):
                await self._ledger.wake.wait()
        now = self._clock()
        self._ledger.touch([vm_id for vm_id, at in self._look_again.items() if at <= now])

    async def _decide(self) -> None:
        """Decide every host that changed, in slices; offer what differs to the recorder; wake the lanes."""
        await self._mapping.govern()
        dirty, self._ledger.dirty = self._ledger.dirty, set()
        if not dirty:
            return
        installs = self._lanes.check_point.installs
        view = self._views.view(
            self._book.estate,
            self._ledger,
            self._clock(),
            install_failures=installs.failures,
            install_doubts=installs.doubts,
        )
        repair = self._book.estate.spec.drift == DriftPolicy.REPAIR
        for number, vm_id in enumerate(dirty):
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            entry = self._ledger.entries.get(vm_id)
            if entry is None:
                self._look_again.pop(vm_id, None)
                continue
            try:
                self._decide_one(vm_id, entry, view, repair=repair)
            except Exception:
                # A bug that one host provokes must not stop the others (L4); it stays undecided, and acts on nothing.
                log.exception("host not decided", extra={"host": entry.host.name})
        self._status_stale = True
        self._tell_taken_back(view)
        for rhythm in self._lanes.rhythms:
            rhythm.wake()
        self._retirements.wake()

    def _tell_taken_back(self, view: EstateView) -> None:
        """One Event for each target whose policy somebody took back, instead of one for each of its hosts."""
        for told in taken_back(self._gateways, view.gateways, view.policies):
            self._recorder.news.tell(self._book.estate, "PolicyTakenBack", told, warning=True)
        self._gateways = view.gateways

    def _decide_one(self, vm_id: str, entry: Entry, view: EstateView, *, repair: bool) -> None:
        """Decide one host; offer its status to the recorder where it differs."""
        now, claimed = self._clock(), entry.claimed
        facts = self._ledger.facts(vm_id, view.object_prefix)
        entry.decision = decide(entry.host, facts, view, self._rules.wanted(vm_id), now, repair=repair)
        entry.stale = False
        if entry.claimed != claimed:
            self._ledger.touch((vm_id,))  # the script named a workload: what the PCE shows of it is a new fact
        again = (entry.decision.look_again, self._rules.changes_at(vm_id, now))
        self._schedule(vm_id, min((at for at in again if at is not None), default=None), now)
        if entry.decision.status != entry.host.status or RETRY_ANNOTATION in entry.host.annotations:
            self._recorder.offer(vm_id)

    def _schedule(self, vm_id: str, at: datetime | None, now: datetime) -> None:
        """When to decide the host again without news; never sooner than a second from now."""
        if at is None:
            self._look_again.pop(vm_id, None)
        else:
            self._look_again[vm_id] = max(at, now + timedelta(seconds=1))

    # the estate's own status ----------------------------------------------------------------------------------

    async def _write_status(self) -> None:
        """Write the Estate's status where it differs, at most once a second."""
        if not self._status_stale or time.monotonic() < self._status_due:
            return
        self._status_stale = False
        self._status_due = time.monotonic() + _STATUS_EVERY
        overview = self._overview()
        try:
            await self._book.update(lambda _: estate_status(self._book.estate, overview, self._clock()))
        except KubeError as error:
            log.warning("estate status not written", extra={"error": str(error)})
            self._status_stale = True

    def _overview(self) -> Overview:
        poll, firewall = self._lanes.azure.poll, self._ledger.firewall
        decisions = [entry.decision for entry in self._ledger.entries.values() if entry.decision is not None]
        azure, illumio, check_point = (_state(rhythm.health) for rhythm in self._lanes.rhythms)
        return Overview(
            systems={
                ConditionType.AZURE_REACHABLE: azure,
                ConditionType.ILLUMIO_REACHABLE: illumio,
                ConditionType.CHECK_POINT_REACHABLE: check_point,
                ConditionType.MAPPING_VALID: self._mapping.in_force.valid,
            },
            standings=Counter(decision.standing for decision in decisions),
            vms=poll.vms,
            poll_complete=poll.complete,
            uniform=poll.uniform,
            mapping=self._mapping.in_force.state,
            hold=self._rules.hold,
            judged=self._rules.judged,
            retirement_hold=self._retirements.hold,
            policies=self._views.policies(self._book.estate, self._ledger),
            gateways=firewall.gateways if firewall else {},
        )


def _state(health: Health) -> SystemState:
    """A system's health as a condition."""
    if health.readable is None:
        return SystemState(ConditionStatus.UNKNOWN, Reason.NEVER_DECIDED, health.message)
    return SystemState(
        ConditionStatus.TRUE if health.readable else ConditionStatus.FALSE, health.reason, health.message
    )
