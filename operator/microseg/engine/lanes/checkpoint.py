"""The Check Point lane: one session; observes the published state, flushes changes, has policy installed."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from dataclasses import dataclass

from microseg.estate.lanes.flush import Flush, Result
from microseg.estate.lanes.installs import Installs
from microseg.estate.lanes.rhythm import Rhythm
from microseg.estate.ledger import Ledger
from microseg.estate.ports import Term
from microseg.estate.readings import FirewallReading
from microseg.estate.workers import Workers
from microseg.gateways.ports import CheckPointGateway, GatewayError
from microseg.kube.errors import KubeError
from microseg.model.facts import Group, Revision, Session
from microseg.model.plan import DropObject, FirewallChange, PutObject, ReleaseAddress

log = logging.getLogger(__name__)
_MOST = 500
"""Changes in one publish. The vendor advises to publish in chunks where there are many hundreds."""
_GATHER = 1.0
"""Seconds, or one interval, in which changes gather for one publish, which takes far longer itself."""
_REJECTED_PAUSE = 600.0
"""Seconds after which a refused object is tried again: slowly, because only a person can have mended it."""


@dataclass(frozen=True, slots=True)
class Marks:
    """By what our objects and sessions are known."""

    owner: str
    """ownerId: in the tag and the comment of every object of ours."""
    session_prefix: str
    """`microseg/<namespace>/<estate>/`; the term is put behind it."""


class CheckPointLane:
    """Observes Check Point, and carries out `PutObject`, `DropObject` and `InstallPolicy`."""

    def __init__(
        self,
        gateway: CheckPointGateway,
        flush: Flush,
        installs: Installs,
        ledger: Ledger,
        rhythm: Rhythm,
        workers: Workers,
        term: Term,
        marks: Marks,
    ) -> None:
        """Take its parts; nothing is opened before `run`."""
        self._gateway, self._flush, self.installs = gateway, flush, installs
        self._ledger, self.rhythm, self._workers, self._term = ledger, rhythm, workers, term
        self._owner, self._prefix = marks.owner, marks.session_prefix
        self._cleaned = False
        self._revision: Revision | None = None
        self._reread = True
        self._unseen = False
        """Whether something was flushed that was not read back yet: nothing is done twice meanwhile."""
        self._not_before = 0.0
        self._gathered_at: float | None = None
        """Monotonic time at which the changes that wait have gathered; None: none wait."""
        self._rejected_at: dict[str, float] = {}
        self._installed = asyncio.Event()

    async def run(self) -> None:
        """Go round for ever; a clean end leaves no session behind (S9)."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch_installs())
                while True:
                    if self.rhythm.due:
                        await self._observe()
                    if self.rhythm.health.readable and time.monotonic() >= self._not_before:
                        await self._carry_out(tasks)
                    await self.rhythm.pause(self._next_due())
        finally:
            await asyncio.shield(self._close())

    async def _close(self) -> None:
        """Discard and log out; what fails is found by the next holder, which knows our sessions by name."""
        try:
            await self._workers.call(self._gateway.close)
        except GatewayError as error:
            log.info("session not closed", extra={"error": str(error)})

    async def _watch_installs(self) -> None:
        """After an install, look at the gateways soon."""
        while True:
            await self._installed.wait()
            self._installed.clear()
            self.rhythm.look_soon()

    async def _observe(self) -> None:
        """The newest revision and the gateways each time; objects and groups when something was published or locked.

        A publish may land in the midst of it. What the lists show then is at most as new as the revision after them:
        with the one before, a host would count as installed by an install that had not seen it (S8).
        """
        try:
            await self._session()
            installed = self.installs.unseen()
            revision = last = await self._workers.call(self._gateway.last_published)
            gateways = await self._workers.call(self._gateway.gateways)
            before = self._ledger.firewall
            if before is not None and revision == self._revision and not self._reread:
                objects, groups = before.objects, tuple(before.groups.values())
            else:
                objects = await self._workers.call(self._gateway.hosts)
                groups = await self._workers.call(self._gateway.groups)
                last = await self._workers.call(self._gateway.last_published)
        except GatewayError as error:
            self.rhythm.failed(error)
            return
        self._revision, self._reread = revision, any(_locked(group) for group in groups)
        self._unseen = False
        self.installs.observed(installed)
        self._ledger.saw_firewall(FirewallReading.of(self._owner, objects, groups, gateways, last))
        self.rhythm.read("The latest reading was complete.")

    async def _session(self) -> Session:
        """Our one session; on the first of a term the dead sessions of earlier terms are discarded (S9)."""
        self._term.check()
        name = f"{self._prefix}{self._term.number}"
        session = await self._workers.call(self._gateway.open, name)
        if not self._cleaned:
            for old in await self._workers.call(self._gateway.sessions):
                if self._is_earlier(old, session):
                    self._term.check()
                    await self._workers.call(self._gateway.discard_session, old.uid)
                    log.info("earlier session discarded", extra={"session": old.name, "changes": old.changes})
            self._cleaned = True
        return session

    def _is_earlier(self, other: Session, ours: Session) -> bool:
        """Whether a session is one of this estate's own, of an earlier term or an earlier start in this one."""
        term = other.name.removeprefix(self._prefix)
        mine = other.name.startswith(self._prefix) and re.fullmatch(r"[0-9]{1,9}", term) is not None
        return mine and int(term) <= self._term.number and other.uid != ours.uid

    def _next_due(self) -> float | None:
        """Monotonic time before which nothing but a wake-up or a reading can bring work."""
        held_back = self._not_before if self._not_before > time.monotonic() else None
        waits = (held_back, self._gathered_at, self.installs.next_due())
        return min((at for at in waits if at is not None), default=None)

    async def _carry_out(self, tasks: asyncio.TaskGroup) -> None:
        """One flush, then the installs that are due."""
        changes = self._changes()
        if not changes and not self._ledger.dirty:  # a host that is just being decided again asks for nothing yet
            self._gathered_at = None
        elif changes and not self._unseen and self._gathered():
            await self._publish(changes[:_MOST])
        self.installs.begin(tasks, more_to_publish=bool(changes), done=self._installed)

    def _gathered(self) -> bool:
        """Whether the changes that wait have had their time to become more."""
        now = time.monotonic()
        if self._gathered_at is None:
            self._gathered_at = now + min(_GATHER, self.rhythm.interval)
        if now < self._gathered_at:
            return False
        self._gathered_at = None
        return True

    async def _publish(self, changes: list[FirewallChange]) -> None:
        """Flush one batch; after any error the session is discarded and the truth is read anew."""
        self._unseen = self._reread = True
        try:
            result = await self._flush.run(await self._session(), changes)
        except (GatewayError, KubeError) as error:
            pause = self.rhythm.effect_failed("publish", error) if isinstance(error, GatewayError) else 5.0
            self._not_before = time.monotonic() + pause
            await self._close()
        else:
            self.rhythm.effect_taken()
            self._remember(result)
            if result.held_up:
                self._not_before = time.monotonic() + min(self.rhythm.interval, 15.0)
        self.rhythm.look_soon()

    def _remember(self, result: Result) -> None:
        """Who was refused or held up, and why; the refused are tried again slowly."""
        for vm_id in result.rejected:
            self._rejected_at[vm_id] = time.monotonic()
        concerned = result.rejected.keys() | result.held_up.keys() | result.published
        for vm_id in concerned & self._ledger.entries.keys():
            entry = self._ledger.entries[vm_id]
            entry.rejection, entry.held_up = result.rejected.get(vm_id, ""), result.held_up.get(vm_id, "")
        self._ledger.touch(concerned)

    def _changes(self) -> list[FirewallChange]:
        """What the decisions ask of the firewall; takes refused hosts' marks off when their pause is over."""
        for vm_id in [vm_id for vm_id, at in self._rejected_at.items() if time.monotonic() - at > _REJECTED_PAUSE]:
            del self._rejected_at[vm_id]
            if vm_id in self._ledger.entries:
                self._ledger.entries[vm_id].rejection = ""
                self._ledger.touch((vm_id,))
        return [action for _, action in self._ledger.actions(ReleaseAddress, PutObject, DropObject)]


def _locked(group: Group) -> bool:
    return bool(group.locked_by)
