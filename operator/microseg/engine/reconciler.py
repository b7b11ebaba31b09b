"""One estate, reconciled as a whole while its Lease is held. Read this first.

    observe    the lanes read the three systems, the feed brings the records      ─▶ HostTable
    decide     every host about which something new is known (pure: planning/)    ─▶ a decision: status and actions
    record     a status that differs is written                                   ─▶ HostStatusWriter
    act        the decision's actions are delivered to the lanes, which act in batches

Everything runs on one event loop; whatever blocks runs in a pool of its own. Nothing here knows HTTP or Kubernetes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from microseg.engine.cluster.approval_book import ApprovalBook
from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.cluster.event_recorder import EventRecorder
from microseg.engine.cluster.host_status import HostStatusWriter, seen_again
from microseg.engine.estate_context import InstallFacts, estate_context
from microseg.engine.estate_report import EstateReporter
from microseg.engine.ground.engine_settings import EngineSettings
from microseg.engine.ground.runtime import Runtime
from microseg.engine.lanes import Lanes
from microseg.engine.mapping.controller import MappingController
from microseg.engine.retirement import RetirementController
from microseg.engine.state.host_state import HostState
from microseg.engine.state.host_table import HostTable
from microseg.engine.state.look_again import LookAgain
from microseg.model.checkpoint_facts import EnforcementPoint
from microseg.model.estate_spec import DriftPolicy
from microseg.model.estate_status import EstateStatus
from microseg.model.names import Annotation
from microseg.planning.decide import decide
from microseg.planning.drift import taken_back
from microseg.planning.estate_events import deprecated, misspelt, outdated
from microseg.stages.context import EstateContext

log = logging.getLogger(__name__)
_SYNCED_WITHIN = 30.0
"""Seconds in which the records should be read completely."""
_SOONEST = timedelta(seconds=1)
"""A host is not decided again by time alone sooner than this."""


class Feed(Protocol):
    """Follows the records and writes them into the table (`engine.cluster.host_feed`)."""

    async def run(self) -> None:
        """For ever."""


@dataclass(frozen=True, slots=True)
class EngineParts:
    """What the reconciler runs; `engine.build` makes them."""

    table: HostTable
    lanes: Lanes
    feed: Feed
    host_status: HostStatusWriter
    estate_status: EstateStatusWriter
    approvals: ApprovalBook
    events: EventRecorder
    mapping: MappingController
    retirement: RetirementController
    reporter: EstateReporter
    runtime: Runtime
    budgets: Callable[[], dict[tuple[str, str], float]] = dict
    """(system, budget) -> calls that it allows at once."""


class EstateReconciler:
    """Reconciles one estate while its Lease is held."""

    def __init__(self, parts: EngineParts, settings: EngineSettings) -> None:
        """Nothing runs before `run`."""
        self.parts = parts
        """What it runs."""
        self._clock, self._settings = parts.runtime.clock, settings
        self._table, self._mapping = parts.table, parts.mapping
        self._look_again = LookAgain()
        self._warned: set[tuple[str, str]] = set()
        self._gateways: Mapping[str, EnforcementPoint] = {}
        self._built_at = time.monotonic()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        parts = self.parts
        loops = (parts.feed, parts.host_status, parts.events, parts.approvals, parts.retirement, parts.mapping)
        async with asyncio.TaskGroup() as tasks:
            for loop in (*loops, *parts.lanes.all):
                tasks.create_task(loop.run())
            tasks.create_task(self._reconcile_forever())

    async def _reconcile_forever(self) -> None:
        while True:
            self.parts.runtime.heartbeats.beat("decide")
            await self._wait()
            await asyncio.sleep(self._settings.pauses.settle)
            self._table.wake.clear()
            if self._table.synced and self._mapping.looked and self.parts.approvals.looked:
                await self._decide()
            await self.parts.reporter.report()

    async def _wait(self) -> None:
        """Until something changed, or the next host is to be looked at again, or the Estate's status is due."""
        now, pause = self._clock(), self._settings.pauses.idle
        soonest, report = self._look_again.soonest(), self.parts.reporter.pause()
        if soonest is not None:
            pause = min(max((soonest - now).total_seconds(), 0.0), pause)
        if report is not None:
            pause = min(pause, report)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(pause, 0.01)):
                await self._table.wake.wait()
        self._table.touch(self._look_again.due(self._clock()))

    async def _decide(self) -> None:
        """Decide every host about which something new is known, in slices."""
        await self._mapping.govern()
        dirty, self._table.dirty = self._table.dirty, set()
        if not dirty:
            return
        estate = self.parts.estate_status.estate
        context = self._context()
        repair = estate.spec.drift == DriftPolicy.REPAIR
        with self._table.actions.round():
            await self._decide_hosts(dirty, context, repair=repair)
        self.parts.estate_status.report_soon()
        self._report_taken_back(context)

    async def _decide_hosts(self, dirty: set[str], context: EstateContext, *, repair: bool) -> None:
        for number, vm_id in enumerate(dirty):
            if number % self._settings.slice == self._settings.slice - 1:
                await asyncio.sleep(0)
            state = self._table.hosts.get(vm_id)
            if state is None:
                self._look_again.set(vm_id, None)
                continue
            try:
                self._decide_one(vm_id, state, context, repair=repair)
            except Exception:
                # A bug that one host provokes must not stop the others (L4); it stays undecided, and acts on nothing.
                log.exception("host not decided", extra={"host": state.record.name})
                self._look_again.set(vm_id, self._clock() + timedelta(seconds=self._settings.pauses.idle))

    def _decide_one(self, vm_id: str, state: HostState, context: EstateContext, *, repair: bool) -> None:
        """Decide one host: its status is offered to the writer where it differs, its actions go to the lanes."""
        now, claimed = self._clock(), state.claimed
        facts, desired = self._table.facts(vm_id), self._mapping.rollout.desired(vm_id)
        decision = decide(self._mapping.rollout.record(vm_id), facts, context, desired, now, repair=repair)
        differs = self._table.decided(vm_id, decision)
        if state.claimed != claimed:
            self._table.touch((vm_id,))  # the script named a workload: what the PCE shows of it is a new fact
        times = (decision.look_again, self._mapping.rollout.changes_at(vm_id, now))
        self._schedule(vm_id, min((at for at in times if at is not None), default=None), now)
        self._warn(vm_id, state)
        acted_on = Annotation.RETRY in state.record.annotations or seen_again(state.record)
        if differs or acted_on:
            self.parts.host_status.offer(vm_id)

    def _warn(self, vm_id: str, state: HostState) -> None:
        """Once per annotation that an Approval replaces."""
        for name in outdated(state.record.annotations):
            if (vm_id, name) not in self._warned:
                self._warned.add((vm_id, name))
                message = f"{state.record.name}: {deprecated(name)}"
                self.parts.events.post_on_estate("AnnotationDeprecated", message, warning=True)

    def _schedule(self, vm_id: str, at: datetime | None, now: datetime) -> None:
        """When to decide the host again without news."""
        self._look_again.set(vm_id, None if at is None else max(at, now + _SOONEST))

    def _context(self) -> EstateContext:
        installs = self.parts.lanes.check_point.installs
        known = InstallFacts(installs.failures, installs.doubts, installs.refused, installs.effects.untaken)
        estate = self.parts.estate_status.estate
        return estate_context(estate, self._table, self._settings.timing, self._clock(), known)

    def _report_taken_back(self, context: EstateContext) -> None:
        """One Event per target whose policy somebody took back, instead of one for each of its hosts."""
        for message in taken_back(self._gateways, context.gateways, context.policies):
            self.parts.events.post_on_estate("PolicyTakenBack", message, warning=True)
        self._gateways = context.gateways

    # what the runner of the estate asks and says ----------------------------------------------------------------

    def mapping_changed(self) -> None:
        """A mapping ConfigMap came, went or changed."""
        self._mapping.look()

    def annotated(self, annotations: dict[str, str]) -> None:
        """A person annotated the Estate: approvals and `reconcile-at`."""
        writer = self.parts.estate_status
        before = writer.estate.annotations.get(Annotation.RECONCILE_AT)
        known = set(misspelt(writer.estate.annotations, "Estate"))
        for sentence in sorted(set(misspelt(annotations, "Estate")) - known):
            self.parts.events.post_on_estate("AnnotationUnknown", sentence, warning=True)
        writer.annotated(annotations)
        if annotations.get(Annotation.RECONCILE_AT) != before:
            self._table.effects.try_again()
            self.parts.lanes.check_point.installs.effects.try_again()
            self._table.touch_all()
            for schedule in self.parts.lanes.schedules:
                schedule.look_soon()
        self._mapping.rollout.reconsider()
        self.parts.retirement.wake()
        writer.report_soon()

    @property
    def unsynced(self) -> bool:
        """Whether the records were not read completely, for longer than that should take."""
        return not self._table.synced and time.monotonic() - self._built_at > _SYNCED_WITHIN

    @property
    def status(self) -> EstateStatus:
        """The Estate's status as last read or written."""
        return self.parts.estate_status.status

    def read_at(self) -> dict[str, float]:
        """System -> monotonic time of its latest complete reading; without those that were never read."""
        schedules = self.parts.lanes.schedules
        return {schedule.system: schedule.read_at for schedule in schedules if schedule.read_at is not None}

    def problems(self) -> dict[str, int]:
        """System -> how many items its latest complete reading left out."""
        return {schedule.system: len(schedule.problems) for schedule in self.parts.lanes.schedules}

    def budgets(self) -> dict[tuple[str, str], float]:
        """(system, budget) -> calls that it allows at once."""
        return self.parts.budgets()

    def beats(self) -> Mapping[str, float]:
        """Monotonic time at which each loop last went round."""
        return self.parts.runtime.heartbeats.all()
