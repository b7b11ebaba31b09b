"""Which held retirements persons approved: by an Approval or by the annotation, of a list that was shown.

A list stays approved when others join those that wait. It may begin in parts for an hour; a restart forgets neither.
`engine.retirement` asks before it judges what must wait.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.cluster.event_recorder import EventRecorder
from microseg.engine.state.host_table import HostTable
from microseg.model.approval import Approval, ApprovalAction
from microseg.model.fields import clip
from microseg.model.history_line import HistoryLine
from microseg.model.names import Annotation
from microseg.planning import audit, guard, retirement_guard
from microseg.planning.approvals import listed, open_for, used
from microseg.planning.estate_events import deprecated
from microseg.planning.retirement_guard import RetirementHold

log = logging.getLogger(__name__)
_HOUR = timedelta(hours=1)
_LISTS = 32
"""Lists of those that wait that are remembered, so that a person's approval of one still counts when it has grown."""


class ApprovedRetirements:
    """Keeps what was shown and what was approved."""

    def __init__(self, table: HostTable, estate_status: EstateStatusWriter, events: EventRecorder) -> None:
        """Begin with nothing shown; Approvals bring what was shown before."""
        self._table, self._estate_status, self._events = table, estate_status, events
        self._offered: dict[str, RetirementHold] = {}
        """Digest -> a list that waited; a person may have looked at it since."""
        self._taken: set[str] = set()
        """uids of Approvals whose list was taken over from the Estate's status, or let through."""
        self._admitted: dict[str, datetime] = {}
        """vmIds that a person let through and that have not begun, and until when: they may begin in parts."""

    def hosts(self, now: datetime) -> set[str]:
        """VmIds that may begin although there are too many."""
        return {vm_id for vm_id, until in self._admitted.items() if now < until}

    def offer(self, hold: RetirementHold) -> None:
        """This list is shown."""
        self._offered[hold.digest] = hold
        for digest in list(self._offered)[:-_LISTS]:
            del self._offered[digest]

    def began(self, vm_id: str) -> None:
        """It does not wait any more."""
        self._admitted.pop(vm_id, None)

    async def look(self, waiting: set[str], now: datetime) -> None:
        """Take over what persons approved of lists that have one of those that wait. Raises KubeError."""
        estate, kept = self._estate_status.estate, self._table.latest.approvals
        used_at = {each.uid: each.at for each in estate.status.approvals if each.uid}
        for approval in kept:
            hosts = retirement_guard.shown(approval.subject, listed(approval))
            at = used_at.get(approval.uid)
            if at is None and hosts:
                self._offered.setdefault(approval.subject, RetirementHold(approval.subject, hosts))
            elif at is not None and now - at < _HOUR and approval.uid not in self._taken:
                self._take(approval.uid, hosts, at)
        given = open_for(ApprovalAction.RETIREMENT, kept, estate.status.approvals, now)
        annotated = guard.parse_approvals(estate.annotations.get(Annotation.APPROVE, ""))
        for hold in [hold for hold in self._offered.values() if hold.hosts & waiting]:
            approved = given.get(hold.digest)
            if approved is not None and len(hold.hosts) <= approved.most:
                await self._write_down(approved, hold, now)
                self._let_through(approved.uid, hold, now)
            elif hold.admitted(annotated):
                self._events.post_on_estate("AnnotationDeprecated", deprecated(Annotation.APPROVE), warning=True)
                self._let_through("", hold, now)
                del self._offered[hold.digest]

    def _let_through(self, uid: str, hold: RetirementHold, now: datetime) -> None:
        self._take(uid, hold.hosts, now)
        message = f"Retirements that a person let through: {len(hold.hosts)}."
        self._events.post_on_estate("RetirementApproved", message)

    def _take(self, uid: str, hosts: frozenset[str], at: datetime) -> None:
        """These may begin for an hour; an Approval lets its list through once, whatever returns and goes again."""
        self._taken.add(uid)
        self._admitted |= dict.fromkeys(hosts, at + _HOUR)

    async def _write_down(self, approval: Approval, hold: RetirementHold, now: datetime) -> None:
        """The Approval is used before anything begins. Raises KubeError."""
        what = f"Retirement {hold.digest[:12]} let through, {len(hold.hosts)} of at most {approval.most} hosts"
        cause = clip(f"approved by {approval.source}: {approval.spec.reason}")
        line = HistoryLine(at=now.replace(microsecond=0), what=what, cause=cause)
        await self._estate_status.update(lambda status: audit.on_estate(used(status, approval, now), line))
        log.info("retirements approved", extra={"approval": approval.name, "by": approval.spec.by})
