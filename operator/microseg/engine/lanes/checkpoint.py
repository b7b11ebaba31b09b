"""The Check Point lane: one session; observes the published state, flushes changes, has policy installed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from microseg.engine.ground.ports import Term
from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.checkpoint_flush import CheckPointFlush, FlushResult
from microseg.engine.lanes.checkpoint_installs import PolicyInstalls
from microseg.engine.lanes.gateway_look import look_at_gateways
from microseg.engine.lanes.gathering import Gathering
from microseg.engine.lanes.next_publish import is_full, next_publish
from microseg.engine.lanes.own_session import OwnSession
from microseg.engine.lanes.readings import read_uncounted
from microseg.engine.lanes.schedule import PollSchedule
from microseg.engine.lanes.turns import Turns
from microseg.engine.state.host_table import HostTable
from microseg.engine.state.last_known import objects_held_once
from microseg.engine.state.snapshots import CheckPointSnapshot
from microseg.gateways.ports import MOST_PROBLEMS, CheckPointGateway, GatewayError, Reading, Refused, Rejected
from microseg.kube.errors import KubeError
from microseg.metrics import table
from microseg.model.checkpoint_facts import Group, Package, Revision
from microseg.model.plan import DropObject, FirewallChange, InstallPolicy, PutObject, ReleaseAddress
from microseg.stages.object_names import left_alone

T = TypeVar("T")
log = logging.getLogger(__name__)
_REJECTED_PAUSE = 600.0
"""Seconds after which a refused object is tried again: slowly, because only a person can have mended it."""


@dataclass(frozen=True, slots=True)
class Marks:
    """By what our objects and sessions are known."""

    owner: str
    """ownerId: in the tag and the comment of every object of ours."""
    session_prefix: str
    """`microseg/<namespace>/<estate>/`; the term is put behind it."""
    object_prefix: str
    """With which the names of our objects begin."""


class CheckPointLane:
    """Observes Check Point, and carries out every `CheckPointAction`."""

    def __init__(
        self,
        gateway: CheckPointGateway,
        flush: CheckPointFlush,
        installs: PolicyInstalls,
        table: HostTable,
        schedule: PollSchedule,
        workers: Workers,
        term: Term,
        marks: Marks,
    ) -> None:
        """Take its parts; nothing is opened before `run`."""
        self._gateway, self._flush, self.installs = gateway, flush, installs
        self._table, self.schedule, self._workers = table, schedule, workers
        self._marks = marks
        self._session = OwnSession(gateway, workers, schedule, term, marks.session_prefix)
        self._copies: tuple[str, ...] = ()
        """What is told of objects with our mark that we did not make, while there were so many records:"""
        self._records = -1
        self._revision: Revision | None = None
        self._reread = True
        self._unseen = False
        """Whether something was flushed that was not read back yet: nothing is done twice meanwhile."""
        self._publishing: Sequence[FirewallChange] = ()
        """What the publish under way is made of: a list of its own, each time."""
        self._not_before = 0.0
        self._gathering = Gathering()
        self._rejected_at: dict[str, float] = {}
        self._turns = Turns()
        self._installed = asyncio.Event()
        table.actions.subscribe((ReleaseAddress, PutObject, DropObject, InstallPolicy), schedule.wake)

    async def run(self) -> None:
        """Go round for ever; a clean end leaves no session behind (S9)."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch_installs())
                while True:
                    if self.schedule.due:
                        await self._observe()
                    if self.schedule.health.readable and time.monotonic() >= self._not_before:
                        await self._carry_out(tasks)
                    await self.schedule.pause(self._next_due())
        finally:
            await self._session.close_in_time()

    async def _watch_installs(self) -> None:
        """After an install, look at the gateways soon; at once beside a publish, which may take minutes."""
        while True:
            await self._installed.wait()
            self._installed.clear()
            if self._publishing:
                await self._look_at_gateways()
            self.schedule.look_soon()

    async def _look_at_gateways(self) -> None:
        """Take what the gateways show beside a publish, unless that ended meanwhile.

        Then a whole reading follows, and older gateways would take `PolicyInstalled` back.
        """
        publishing, before = self._publishing, self._table.latest.check_point
        try:
            gateways = await look_at_gateways(self._gateway, self._workers, self._revision)
        except GatewayError as error:
            log.info("gateways not read beside a publish", extra={"error": str(error)})
            self.schedule.obey(error)
            return
        if gateways is not None and before is not None and self._publishing is publishing:
            self._table.saw_check_point(before.with_gateways(gateways, before.last), whole=False)

    async def _observe(self) -> None:
        """The newest revision and the gateways each time; objects and groups when something was published or locked.

        A publish may land in the midst of it. What the lists show then is at most as new as the revision after them:
        with the one before, a host would count as installed by an install that had not seen it (S8).
        """
        try:
            await self._session.open()
            installed = self.installs.unseen()
            revision = last = await self._workers.call(self._gateway.last_published)
            gateways = await self._read(self._gateway.gateways())
            before = self._table.latest.check_point
            if before is not None and revision == self._revision and not self._reread:
                snapshot = before.with_gateways(gateways, last)
            else:
                objects = await self._read(self._gateway.hosts())
                groups = await self._read(self._gateway.groups())
                packages = await self._packages()
                last = await self._workers.call(self._gateway.last_published)
                known = objects_held_once(objects, before.by_address if before is not None else {})
                snapshot = CheckPointSnapshot.of(
                    self._marks.owner, known, groups, gateways, last, packages, self._marks.object_prefix
                )
        except GatewayError as error:
            self.schedule.failed(error)
            await self._flush.logins.keep(error)
            return
        await self._flush.logins.keep(None)
        self._revision, self._reread = revision, any(map(_locked, snapshot.groups.values()))
        self._unseen = False
        self._table.saw_check_point(snapshot)
        self.installs.observed(installed)
        if before is None or snapshot.own is not before.own or len(self._table.hosts) != self._records:
            self._records = len(self._table.hosts)
            copies = map(left_alone, self._table.latest.copies(self._table.record))
            self._copies = tuple(dict.fromkeys(copies))[:MOST_PROBLEMS]
        self.schedule.read("The latest reading was complete.", (*self._gateway.problems(), *self._copies))

    async def _read(self, reading: Reading[T]) -> T:
        """A whole list, page by page."""
        return await read_uncounted(reading, self._workers, self.schedule)

    async def _packages(self) -> list[Package]:
        """The policy packages; none where they may not be listed: names are then taken as they are written."""
        try:
            return list(await self._read(self._gateway.packages()))
        except (Refused, Rejected) as error:
            log.info("packages not listed", extra={"error": str(error)})
            return []

    def _next_due(self) -> float | None:
        """Monotonic time before which nothing but a wake-up or a reading can bring work."""
        held_back = self._not_before if self._not_before > time.monotonic() else None
        waits = (held_back, self._gathering.until, self.installs.next_due())
        return min((at for at in waits if at is not None), default=None)

    async def _carry_out(self, tasks: asyncio.TaskGroup) -> None:
        """One flush, then the installs that are due."""
        changes = self._changes()
        if not changes and not self._table.dirty:  # a host that is just being decided again asks for nothing yet
            self._gathering.end()
        elif changes and not self._unseen and self._gathered(changes):
            await self._publish(changes)
        self.installs.begin(tasks, more_to_publish=bool(changes), done=self._installed)

    def _gathered(self, changes: Sequence[FirewallChange]) -> bool:
        hosts = frozenset(change.vm_id for change in changes)
        return self._gathering.is_over(hosts, time.monotonic(), interval=self.schedule.interval, full=is_full(changes))

    async def _publish(self, changes: list[FirewallChange]) -> None:
        """Flush one batch; after any error the session is discarded and the truth is read anew."""
        self._unseen = self._reread = True
        self._turns.keep_only(self._table.hosts)
        for vm_id in {change.vm_id for change in changes}:
            self._turns.served(vm_id)
        try:
            result = await self._run_flush(changes)
        except (GatewayError, KubeError) as error:
            self.schedule.metrics.count(table.PUBLISHES, "failed")
            pause = self.schedule.effect_failed("publish", error) if isinstance(error, GatewayError) else 5.0
            self._not_before = time.monotonic() + pause
            await self._session.close()
        else:
            self.schedule.effect_taken()
            self._count(result)
            self._remember(result, changes)
            if result.held_up:
                self._not_before = time.monotonic() + min(self.schedule.interval, 15.0)
        self.schedule.look_soon()

    async def _run_flush(self, changes: Sequence[FirewallChange]) -> FlushResult:
        session = await self._session.open()
        self._publishing = changes
        try:
            return await self._flush.run(session, changes)
        finally:
            self._publishing = ()

    def _count(self, result: FlushResult) -> None:
        """Count the flush by how it ended."""
        partly = "partly" if result.rejected or result.held_up else "published"
        self.schedule.metrics.count(table.PUBLISHES, partly if result.published else "nothing")
        if result.published:
            self.schedule.metrics.measure(table.PUBLISHED_HOSTS, len(result.published))

    def _remember(self, result: FlushResult, changes: Iterable[FirewallChange]) -> None:
        """Who was published, refused or held up, and why; the refused are tried again slowly."""
        complete = result.published - result.held_up.keys() - result.rejected.keys()
        for change in changes:
            if change.vm_id in complete:
                self._table.effect_answered(change)
        for vm_id in result.rejected:
            self._rejected_at[vm_id] = time.monotonic()
        concerned = result.rejected.keys() | result.held_up.keys() | result.published
        for vm_id in concerned:
            self._table.check_point_answered(
                vm_id, rejection=result.rejected.get(vm_id, ""), held_up=result.held_up.get(vm_id, "")
            )

    def _changes(self) -> list[FirewallChange]:
        """What the decisions ask for, for one publish; takes refused hosts' marks off when their pause is over."""
        for vm_id in [vm_id for vm_id, at in self._rejected_at.items() if time.monotonic() - at > _REJECTED_PAUSE]:
            del self._rejected_at[vm_id]
            held_up = self._table.hosts[vm_id].observed.held_up if vm_id in self._table.hosts else ""
            self._table.check_point_answered(vm_id, rejection="", held_up=held_up)
        return next_publish(self._table.actions, self._turns)


def _locked(group: Group) -> bool:
    return bool(group.locked_by)
