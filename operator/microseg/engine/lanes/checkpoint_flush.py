"""One flush of firewall changes: into the session, validated, published as one batch; a poisoned host is isolated.

Few objects are created with their groups in the same call; many in one objects-batch, whose members then join group
by group (the batch gives no answer per item, so it is validated before the publish). A host that Check Point refuses
is left out and named; the others are published without it (L4).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import msgspec

from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.ground.ports import Clock, Term
from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.failing_objects import FailingObjects, isolated
from microseg.engine.lanes.login_record import LoginRecord
from microseg.engine.lanes.publish_records import PublishRecords
from microseg.gateways.ports import Busy, CheckPointGateway, GatewayError, ObjectForm, Rejected, Unreachable
from microseg.model import names
from microseg.model.checkpoint_facts import Session, Task, TaskState
from microseg.model.estate_status import PublishRecord
from microseg.model.plan import DropObject, FirewallChange, PutObject, ReleaseAddress
from microseg.planning import audit

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger(__name__)
_FEW = 20
"""Up to so many new objects are created one by one with their groups in the call (facts: batch pays beyond)."""
_BATCH = 500
"""Objects in one batch call, and members in one group call; what public scripts do with ten thousand hosts."""
_NOTHING_CHANGED = "It accepted the change, and the session shows that nothing changed; so nothing was published."
_TASK_PATIENCE = 1800.0
"""Seconds after which a task is given up (L2)."""


@dataclass(slots=True)
class FlushResult:
    """What a flush came to."""

    published: set[str] = field(default_factory=set)
    """vmIds whose changes are published."""
    rejected: dict[str, str] = field(default_factory=dict)
    """vmId -> why Check Point refuses its object."""
    held_up: dict[str, str] = field(default_factory=dict)
    """vmId -> which lock, or other session, held up its change or a part of it."""


class CheckPointFlush:
    """Carries batches of changes through one session."""

    def __init__(
        self,
        gateway: CheckPointGateway,
        estate_status: EstateStatusWriter,
        workers: Workers,
        term: Term,
        *,
        owner: str,
        task_pause: float,
        alive: Callable[[], None],
        clock: Clock,
    ) -> None:
        """`owner`: ownerId for the marks. `task_pause`: seconds between looks at a task. `alive`: tells the probe."""
        self._gateway, self._workers, self._term = gateway, workers, term
        self._records = PublishRecords(estate_status)
        self._alive, self._clock = alive, clock
        self._owner, self._pause = owner, task_pause
        self.logins = LoginRecord(estate_status, clock)
        self._suspects = FailingObjects()
        self._old_errors: frozenset[str] = frozenset()
        """Errors that were there without our changes."""

    async def run(self, session: Session, changes: Sequence[FirewallChange]) -> FlushResult:
        """Publish as many of the changes as can be; whoever is refused is in the result.

        Raises GatewayError and KubeError; after one of them the caller discards the session.
        """
        result = FlushResult(rejected=self._suspects.take(changes))
        parts, retried = [list(changes)], False
        while parts:
            part = [change for change in parts.pop(0) if change.vm_id not in result.rejected]
            if not part:
                continue
            applied, complaints, torn = await self._apply(part, result)
            if torn:
                await self._call(self._gateway.discard)
                parts.insert(0, [change for change in part if change.vm_id not in result.held_up.keys() | torn])
                continue
            complaints = complaints or await self._settle(session, applied, result)
            if complaints:
                await self._call(self._gateway.discard)
                ours = await self._without_old(complaints)
                again = not ours and not retried
                retried = retried or again
                parts = [*([part] if again else isolated(part, ours or complaints, result.rejected)), *parts]
        return result

    async def _settle(self, session: Session, applied: list[FirewallChange], result: FlushResult) -> tuple[str, ...]:
        """Validate and publish what is in the session; returns what stopped that.

        A session without changes is discarded: its publish would be a revision that changes nothing.
        """
        if not applied or await self._workers.call(self._gateway.pending_changes) == 0:
            await self._call(self._gateway.discard)
            result.rejected |= {change.vm_id: _NOTHING_CHANGED for change in applied}
            return ()
        complaints = await self._validate() or await self._publish(session, applied)
        if not complaints:
            result.published |= {change.vm_id for change in applied}
        return complaints

    async def _apply(
        self, changes: list[FirewallChange], result: FlushResult
    ) -> tuple[list[FirewallChange], tuple[str, ...], set[str]]:
        """Bring the changes into the session; returns those that are in, what a failed batch said, and who is torn.

        The mark's tag comes first, each time: until it was published once, a discarded session takes it along.
        """
        released = {change.uid for change in changes if isinstance(change, ReleaseAddress)}
        drops = [change for change in changes if isinstance(change, DropObject)]
        puts = [change for change in changes if isinstance(change, PutObject)]
        if puts:
            await self._call(self._gateway.ensure_tag, names.mark(self._owner))
        applied, held_up = await self._make_room(changes, result)
        drops = [it for it in drops if it.uid not in released]
        applied += [drop for drop in drops if await self._accepted(self._drop(drop), drop, result)]
        # Old and new holder change in one publish (S2).
        puts = [put for put in puts if put.vm_id not in held_up and put.uid not in released]
        new = [put for put in puts if not put.uid]
        few = len(new) <= _FEW or self._suspects.batch_failed
        single = puts if few else [put for put in puts if put.uid]
        applied += [put for put in single if await self._accepted(self._put(put), put, result)]
        if not few:
            complaints = await self._create_many(new)
            if complaints:
                return applied, complaints, set()
            applied += await self._join_many(new, result)
            held_up |= {put.vm_id for put in new} & result.held_up.keys()
        return applied, (), _torn(changes, applied, held_up)

    async def _make_room(
        self, changes: list[FirewallChange], result: FlushResult
    ) -> tuple[list[FirewallChange], set[str]]:
        """Let former holders give up their addresses; returns what is in, and the vmIds whose addresses are not free.

        A former holder's object that changes in this publish gives the address up by that, and keeps its groups (S4).
        """
        releases = [change for change in changes if isinstance(change, ReleaseAddress)]
        released = {release.uid for release in releases}
        puts = [change for change in changes if isinstance(change, PutObject) and change.uid in released]
        drops = [change for change in changes if isinstance(change, DropObject) and change.uid in released]
        applied: list[FirewallChange] = [it for it in puts if await self._accepted(self._put(it), it, result)]
        applied += [it for it in drops if await self._accepted(self._drop(it), it, result)]
        free = {change.uid for change in applied}
        held_up = {
            it.vm_id
            for it in releases
            if it.uid not in free and not await self._accepted(self._release(it), it, result)
        }
        return [*applied, *(it for it in releases if it.vm_id not in held_up)], held_up

    async def _accepted(self, effect: Awaitable[None], change: FirewallChange, result: FlushResult) -> bool:
        """Await one object's change; a refusal or a lock concerns this host only."""
        try:
            await effect
        except Rejected as error:
            result.rejected[change.vm_id] = error.detail or str(error)
            return False
        except Busy as error:
            log.info("object held up", extra={"object": change.name, "error": str(error)})
            result.held_up[change.vm_id] = str(error)
            return False
        except GatewayError as error:
            self._suspects.failed(change.vm_id, error)
            raise
        self._suspects.taken(change.vm_id)
        return True

    async def _put(self, put: PutObject) -> None:
        await self._call(self._gateway.put_host, self._form(put, put.join, put.leave))

    async def _drop(self, drop: DropObject) -> None:
        await self._call(self._gateway.delete_host, drop.uid, self._owner, drop.vm_id)

    async def _release(self, release: ReleaseAddress) -> None:
        await self._call(self._gateway.leave_groups, release.uid, self._owner, release.leave)

    async def _create_many(self, new: list[PutObject]) -> tuple[str, ...]:
        """Create by objects-batch; a task that fails tells only one message for all."""
        for part in _parts(new):
            try:
                task = await self._call(self._gateway.put_hosts, [self._form(put, (), ()) for put in part])
            except GatewayError as error:
                self._suspects.failed("", error)
                raise
            task = await self._follow(task)
            if task.state is not TaskState.SUCCEEDED:
                return task.messages or ("the batch failed without a message",)
        return ()

    async def _join_many(self, new: list[PutObject], result: FlushResult) -> list[FirewallChange]:
        """Join group by group; members of a locked group are published without it and join later."""
        members: defaultdict[str, list[PutObject]] = defaultdict(list)
        for put in new:
            for group in put.join:
                members[group].append(put)
        for group, puts in members.items():
            for part in _parts(puts):
                try:
                    await self._call(self._gateway.join_group, group, [put.name for put in part])
                except Busy as error:
                    log.info("group held up", extra={"group": group, "error": str(error)})
                    result.held_up |= dict.fromkeys((put.vm_id for put in part), str(error))
        return list(new)

    async def _validate(self) -> tuple[str, ...]:
        """What would block the publish, without what was wrong before."""
        errors = (await self._workers.call(self._gateway.validations)).errors
        return tuple(text for text in errors if text not in self._old_errors)

    async def _without_old(self, complaints: tuple[str, ...]) -> tuple[str, ...]:
        """The complaints that are not there without our changes too: older servers do not say whose an error is.

        The session is empty when it is called. Empty: all were old, so the same changes may be tried once more.
        """
        known, self._old_errors = self._old_errors, frozenset()
        self._old_errors = frozenset(await self._validate()) | known
        return tuple(text for text in complaints if text not in self._old_errors or text in known)

    async def _publish(self, session: Session, applied: Iterable[FirewallChange]) -> tuple[str, ...]:
        """Intent, publish, follow; empty: published. Never called again for the same session state."""
        digest = hashlib.sha256("\n".join(sorted(change.name for change in applied)).encode()).hexdigest()[:12]
        intent = PublishRecord(digest=digest, at=self._clock().replace(microsecond=0))
        await self._records.intend(session, intent)
        task_id = await self._call(self._gateway.publish)
        begun = msgspec.structs.replace(intent, task=task_id)
        await self._records.begun(session, begun)
        task = await self._follow(Task(task_id, TaskState.RUNNING))
        line = audit.of_publish([change.name for change in applied], task, self._clock())
        await self._records.ended(session, msgspec.structs.replace(begun, done=True), task.revision, line)
        if task.state is not TaskState.SUCCEEDED:
            return task.messages or ("the publish failed without a message",)
        log.info("published", extra={"revision": task.revision, "digest": digest})
        return ()

    async def _follow(self, task: Task) -> Task:
        """Look at a task until it is over, without holding a thread meanwhile."""
        deadline = asyncio.get_running_loop().time() + _TASK_PATIENCE
        while task.state is TaskState.RUNNING:
            if asyncio.get_running_loop().time() > deadline:
                raise Unreachable("a Check Point task did not end within 30 minutes")
            self._alive()
            await asyncio.sleep(self._pause)
            task = await self._workers.call(self._gateway.task, task.id)
        return task

    def _form(self, put: PutObject, join: tuple[str, ...], leave: tuple[str, ...]) -> ObjectForm:
        return ObjectForm(put.name, put.address, self._owner, put.vm_id, join, leave, put.uid, put.shares_address)

    async def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """An effect on Check Point: only with the Lease."""
        self._term.check()
        return await self._workers.call(function, *args, **kwargs)


def _torn(changes: list[FirewallChange], applied: list[FirewallChange], held_up: set[str]) -> set[str]:
    """VmIds of hosts that the session would change in part: an object is changed or gone, and another is not there.

    Nothing may be published then: an address could be in no object of its VM (S4), or in objects of two (S2). An object
    that cannot be dropped takes nothing away. `held_up`: whose addresses are not free, whose new objects lack groups.
    """
    there = set(applied)
    failed = held_up | {it.vm_id for it in changes if isinstance(it, PutObject) and it not in there}
    return failed & {it.vm_id for it in applied if isinstance(it, DropObject) or (isinstance(it, PutObject) and it.uid)}


def _parts(puts: list[PutObject]) -> Iterator[list[PutObject]]:
    for start in range(0, len(puts), _BATCH):
        yield puts[start : start + _BATCH]
