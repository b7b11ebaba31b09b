"""Follows the mapping's live documents: accepts or refuses them, reports it, and lets their changes through the guard.

    ConfigMaps ─▶ MappingRevisions.accept ─▶ HostTable.saw_mapping ─▶ guard ─▶ held, or let through
                       └▶ ControllerRevision                            └▶ approved: written down, then let through

The reconciler runs it and calls `govern` before each round of decisions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.cluster.event_recorder import EventRecorder
from microseg.engine.ground.runtime import Runtime
from microseg.engine.mapping.revisions import ActiveMapping, MappingRevisions
from microseg.engine.mapping.rollout import MappingRollout
from microseg.engine.state.host_table import HostTable
from microseg.kube.errors import KubeError
from microseg.kube.secrets import ConfigMapData
from microseg.metrics import table as metric
from microseg.model.approval import ApprovalAction, command
from microseg.model.condition import ConditionStatus, Reason
from microseg.model.estate_status import EstateStatus, UsedApproval
from microseg.model.fields import clip
from microseg.model.history_line import HistoryLine
from microseg.model.names import Annotation
from microseg.planning import approvals, audit, guard, hourly_guard
from microseg.planning.estate_conditions import SystemState
from microseg.planning.estate_events import deprecated

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MappingSource:
    """The mapping's documents, live and accepted."""

    revisions: MappingRevisions
    live: Callable[[], Sequence[ConfigMapData]]
    """The mapping ConfigMaps of the estate's namespace, as last seen."""


class MappingController:
    """Runs on the event loop; what blocks runs in `workers`."""

    def __init__(
        self,
        source: MappingSource,
        rollout: MappingRollout,
        table: HostTable,
        estate_status: EstateStatusWriter,
        events: EventRecorder,
        runtime: Runtime,
    ) -> None:
        """Nothing is read before `run`."""
        self._source, self._table, self._estate_status, self._events = source, table, estate_status, events
        self._runtime = runtime
        self._look = asyncio.Event()
        self._reported: object = None
        """What the latest Events said of the live documents."""
        self._reported_holds = {plan.digest for plan in estate_status.status.held}
        self.rollout = rollout
        self.looked = False
        """Whether the mapping was read since the start: before that nobody knows that there is none."""
        self.in_force = ActiveMapping(
            None, None, SystemState(ConditionStatus.UNKNOWN, Reason.NEVER_DECIDED, "Not looked at yet.")
        )

    def look(self) -> None:
        """A mapping ConfigMap came, went or changed."""
        self._look.set()

    async def run(self) -> None:
        """Look at the live documents when they change, and every minute."""
        while True:
            self._runtime.heartbeats.beat("mapping")
            try:
                self._take(await self._accept())
            except KubeError as error:
                log.warning("mapping not read", extra={"error": str(error)})
            self._estate_status.report_soon()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._runtime.pauses.idle):
                    await self._look.wait()
            self._look.clear()

    async def govern(self) -> None:
        """Before decisions: what the rules would change, whether that is too much, and whether a person approved it."""
        rollout = self.rollout
        rollout.refresh(self._estate_status.estate)
        rollout.weigh(self._estate_status.estate)
        if rollout.admitted is not None and rollout.approved is not None:
            await self._admit(rollout.admitted, rollout.approved)
            rollout.weigh(self._estate_status.estate)
        if rollout.hourly.uncounted and await self._count(rollout.hourly.uncounted):
            rollout.weigh(self._estate_status.estate)
        hold = rollout.hold
        if hold is not None and hold.digest not in self._reported_holds:
            how = command(ApprovalAction.PLAN, hold.approval)
            message = (
                f"{len(hold.hosts)} commissioned hosts stay as they are until `{how}`: "
                f"{hold.summary(10)}.{hold.obstacle}"
            )
            self._runtime.metrics.count(metric.GUARD_TRIPS, hold.cause)
            self._events.post_on_estate("PlanHeld", message, warning=True)
        if rollout.holds_known:
            self._reported_holds = {hold.digest} if hold is not None else set()

    async def _count(self, vm_ids: frozenset[str]) -> bool:
        """Have the Estate's status count these hosts; only then are they let through, so that no kill forgets one."""
        now = self._runtime.clock()

        def counted(status: EstateStatus) -> EstateStatus:
            changed = hourly_guard.with_counted(status.changed, vm_ids, now)
            return msgspec.structs.replace(status, changed=changed)

        try:
            await self._estate_status.update(counted)
        except KubeError as error:
            log.warning("changed hosts not counted", extra={"hosts": len(vm_ids), "error": str(error)})
            self._estate_status.report_due = True  # tried again with the next report
            return False
        self.rollout.hourly.count(vm_ids)
        return True

    async def _admit(self, approval: UsedApproval, hold: guard.PlanHold) -> None:
        """Write the approval down as used; only then let the plan through, so that it admits once."""
        state = self.in_force.state
        if not approval.uid:
            approval = await self._annotated(approval)
        cause = f"approved by {approval.by}" if approval.by else "approved by a person"
        what = f"Plan {approval.digest} let through, {len(hold.hosts)} of at most {approval.max_hosts} hosts"
        line = HistoryLine(at=approval.at, what=clip(f"{what}: {hold.summary(3)}"), cause=clip(cause))

        def used(status: EstateStatus) -> EstateStatus:
            annotation = self._estate_status.estate.annotations.get(Annotation.APPROVE, "")
            kept = (*guard.remembered(status.approvals, annotation), approval)[-approvals.USED :]
            let_through = msgspec.structs.replace(status, approvals=kept, held=(), mapping=state or status.mapping)
            return audit.on_estate(let_through, line)

        try:
            await self._estate_status.update(used)
        except KubeError as error:
            log.warning("approval not written", extra={"digest": approval.digest, "error": str(error)})
            self._estate_status.report_soon()
            return
        log.info("plan approved", extra={"digest": approval.digest, "hosts": len(hold.hosts), "by": approval.by})
        message = f"Approved: {len(hold.hosts)} commissioned hosts are changed now: {hold.summary(10)}"
        self._events.post_on_estate("PlanApproved", message)
        self.rollout.let_through()

    async def _annotated(self, approval: UsedApproval) -> UsedApproval:
        """An approval by annotation, with who wrote it as far as that is known."""
        self._events.post_on_estate("AnnotationDeprecated", deprecated(Annotation.APPROVE), warning=True)
        try:
            return msgspec.structs.replace(approval, by=clip(await self._estate_status.approver()))
        except KubeError as error:
            log.info("approver not read", extra={"error": str(error)})
            return approval

    async def _accept(self) -> ActiveMapping:
        """The live documents are taken on the loop, judged in a thread."""
        live = self._source.live()
        named = None
        if self._table.synced:
            recorded = [state.record.status.mapping for state in self._table.hosts.values()]
            named = {record.revision for record in recorded if record is not None}
        instead = next((plan.instead for plan in self._estate_status.status.held if plan.kind == "mapping"), "")
        now = self._runtime.clock()
        pin = approvals.pin(self._table.latest.approvals, now)
        return await self._runtime.cluster.call(self._source.revisions.accept, live, now, named, instead, pin)

    def _take(self, active: ActiveMapping) -> None:
        """Put it in force, and report what is new about it."""
        before, self.in_force = self.in_force, active
        if not self.looked:
            self.looked = True
            self._table.wake.set()
        document, latest = active.document, self._table.latest
        if active.instead is not None:
            self.rollout.resume(active.instead)
        if document is not None and (latest.mapping is None or latest.mapping.digest != document.digest):
            log.info("mapping accepted", extra={"mapping": document.name, "revision": document.digest})
            self.rollout.reconsider()
            self._table.saw_mapping(document)
        report = (active.valid, tuple((source.uid, source.resource_version) for source in active.sources))
        if report != self._reported:
            self._reported = report
            self._post(active, first=before.state is None)

    def _post(self, active: ActiveMapping, *, first: bool) -> None:
        """Events: a refusal on its ConfigMap, a pin on the Estate, a new revision on both."""
        recorded, valid = self._estate_status.status.mapping, active.valid
        if valid.status != ConditionStatus.TRUE:
            for source in active.sources:
                self._events.post(source, valid.reason, valid.message, warning=True)
            if not active.sources and not first:
                self._events.post_on_estate(valid.reason, valid.message, warning=True)
        elif valid.reason == Reason.MAPPING_PINNED:
            self._events.post_on_estate(valid.reason, valid.message, warning=True)
        elif recorded is None or active.state is None or recorded.revision != active.state.revision:
            for source in active.sources:
                self._events.post(source, "MappingAccepted", valid.message)
            self._events.post_on_estate("MappingAccepted", valid.message)
