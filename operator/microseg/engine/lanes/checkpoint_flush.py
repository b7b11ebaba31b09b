"""One flush of firewall changes: into the session, validated, published as one batch; a poisoned host is isolated.

Few objects are created with their groups in the same call; many in one objects-batch, whose members then join group
by group (the batch gives no answer per item, so it is validated before the publish). A host that Check Point refuses
is left out and named; the others are published without it (L4).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import msgspec

from microseg.estate.book import EstateBook
from microseg.estate.ports import Clock, Term
from microseg.estate.workers import Workers
from microseg.gateways.ports import Busy, CheckPointGateway, ObjectForm, Rejected, Unreachable
from microseg.model.estate import CheckPointState, EstateStatus, PublishRecord, SessionRecord
from microseg.model.facts import Session, Task, TaskState
from microseg.model.plan import DropObject, FirewallChange, PutObject, ReleaseAddress

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger(__name__)
_FEW = 20
"""Up to so many new objects are created one by one with their groups in the call (facts: batch pays beyond)."""
_BATCH = 500
"""Objects in one batch call, and members in one group call; what public scripts do with ten thousand hosts."""
_TASK_PATIENCE = 1800.0
"""Seconds after which a task is given up (L2)."""


@dataclass(slots=True)
class Result:
    """What a flush came to."""

    published: set[str] = field(default_factory=set)
    """vmIds whose changes are published."""
    rejected: dict[str, str] = field(default_factory=dict)
    """vmId -> why Check Point refuses its object."""
    held_up: dict[str, str] = field(default_factory=dict)
    """vmId -> which lock, or other session, held up its change or a part of it."""


class Flush:
    """Carries batches of changes through one session."""

    def __init__(
        self,
        gateway: CheckPointGateway,
        book: EstateBook,
        workers: Workers,
        term: Term,
        *,
        owner: str,
        task_pause: float,
        alive: Callable[[], None],
        clock: Clock,
    ) -> None:
        """`owner`: ownerId for the marks. `task_pause`: seconds between looks at a task. `alive`: tells the probe."""
        self._gateway, self._book, self._workers, self._term = gateway, book, workers, term
        self._alive, self._clock = alive, clock
        self._owner, self._pause = owner, task_pause

    async def run(self, session: Session, changes: Sequence[FirewallChange]) -> Result:
        """Publish as many of the changes as can be; whoever is refused is in the result.

        Raises GatewayError and KubeError; after one of them the caller discards the session.
        """
        result = Result()
        parts = [list(changes)]
        while parts:
            part = [change for change in parts.pop(0) if change.vm_id not in result.rejected]
            if not part:
                continue
            applied, complaints = await self._apply(part, result)
            if applied and not complaints:
                complaints = await self._validate()
            if applied and not complaints:
                complaints = await self._publish(session, applied)
            if not complaints:
                result.published |= {change.vm_id for change in applied}
                continue
            await self._call(self._gateway.discard)
            parts = [*self._isolated(part, complaints, result), *parts]
        return result

    async def _apply(
        self, changes: list[FirewallChange], result: Result
    ) -> tuple[list[FirewallChange], tuple[str, ...]]:
        """Bring the changes into the session; returns those that are in, and what a failed batch said.

        The mark's tag comes first, each time: until it was published once, a discarded session takes it along.
        """
        releases = [change for change in changes if isinstance(change, ReleaseAddress)]
        drops = [change for change in changes if isinstance(change, DropObject)]
        puts = [change for change in changes if isinstance(change, PutObject)]
        if puts:
            await self._call(self._gateway.ensure_tag, f"microseg.dev/{self._owner}")
        held_up = {it.vm_id for it in releases if not await self._accepted(self._release(it), it, result)}
        applied: list[FirewallChange] = [it for it in releases if it.vm_id not in held_up]
        applied += [drop for drop in drops if await self._accepted(self._drop(drop), drop, result)]
        puts = [put for put in puts if put.vm_id not in held_up]  # old and new holder change in one publish (S2)
        new = [put for put in puts if not put.uid]
        single = puts if len(new) <= _FEW else [put for put in puts if put.uid]
        applied += [put for put in single if await self._accepted(self._put(put), put, result)]
        if len(new) > _FEW:
            complaints = await self._create_many(new)
            if complaints:
                return applied, complaints
            applied += await self._join_many(new, result)
        return applied, ()

    async def _accepted(self, effect: Awaitable[None], change: FirewallChange, result: Result) -> bool:
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
        return True

    async def _put(self, put: PutObject) -> None:
        await self._call(self._gateway.put_host, self._form(put, put.join, put.leave))

    async def _drop(self, drop: DropObject) -> None:
        for group in drop.leave:
            await self._call(self._gateway.leave_group, group, [drop.name])
        await self._call(self._gateway.delete_host, drop.uid)

    async def _release(self, release: ReleaseAddress) -> None:
        for group in release.leave:
            await self._call(self._gateway.leave_group, group, [release.name])

    async def _create_many(self, new: list[PutObject]) -> tuple[str, ...]:
        """Create by objects-batch; a task that fails tells only one message for all."""
        for part in _parts(new):
            task = await self._call(self._gateway.put_hosts, [self._form(put, (), ()) for put in part])
            task = await self._follow(task)
            if task.state is not TaskState.SUCCEEDED:
                return task.messages or ("the batch failed without a message",)
        return ()

    async def _join_many(self, new: list[PutObject], result: Result) -> list[FirewallChange]:
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
        """What would block the publish."""
        return (await self._workers.call(self._gateway.validations)).errors

    async def _publish(self, session: Session, applied: Iterable[FirewallChange]) -> tuple[str, ...]:
        """Intent, publish, follow; empty: published. Never called again for the same session state."""
        digest = hashlib.sha256("\n".join(sorted(change.name for change in applied)).encode()).hexdigest()[:12]
        intent = PublishRecord(digest=digest, at=self._clock().replace(microsecond=0))
        await self._book.update(lambda status: _with_publish(status, session, intent))
        task_id = await self._call(self._gateway.publish)
        begun = msgspec.structs.replace(intent, task=task_id)
        await self._book.update(lambda status: _with_publish(status, session, begun))
        task = await self._follow(Task(task_id, TaskState.RUNNING))
        ended = msgspec.structs.replace(begun, done=True)
        await self._book.update(lambda status: _with_publish(status, session, ended, revision=task.revision))
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

    def _isolated(
        self, part: list[FirewallChange], complaints: tuple[str, ...], result: Result
    ) -> Iterator[list[FirewallChange]]:
        """The hosts that the complaints name are refused; where they name nobody, halves, down to one."""
        named = {c.vm_id: text for text in complaints for c in part if _names(text, c.name)}
        if not named and len({change.vm_id for change in part}) == 1:
            named = {part[0].vm_id: complaints[0]}
        result.rejected |= named
        left = [change for change in part if change.vm_id not in named]
        if named or len(left) < 2:
            yield left
            return
        hosts = sorted({change.vm_id for change in left})
        first = set(hosts[: len(hosts) // 2])
        yield [change for change in left if change.vm_id in first]
        yield [change for change in left if change.vm_id not in first]

    def _form(self, put: PutObject, join: tuple[str, ...], leave: tuple[str, ...]) -> ObjectForm:
        return ObjectForm(put.name, put.address, self._owner, put.vm_id, join, leave, put.uid, put.shares_address)

    async def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """An effect on Check Point: only with the Lease."""
        self._term.check()
        return await self._workers.call(function, *args, **kwargs)


def _names(text: str, name: str) -> bool:
    """Whether the sentence names this very object, and not one whose name begins with it."""
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", text, re.IGNORECASE) is not None


def _parts(puts: list[PutObject]) -> Iterator[list[PutObject]]:
    for start in range(0, len(puts), _BATCH):
        yield puts[start : start + _BATCH]


def _with_publish(
    status: EstateStatus, session: Session, publish: PublishRecord, *, revision: str = ""
) -> EstateStatus:
    """The status with the session and the publish's intent, task or end; `revision`: what it came to, if anything."""
    state = status.check_point or CheckPointState()
    known = state.session if state.session is not None and state.session.uid == session.uid else None
    record = known or SessionRecord(uid=session.uid, name=session.name, since=publish.at)
    made = msgspec.structs.replace(state, session=record, publish=publish, revision=revision or state.revision)
    return msgspec.structs.replace(status, check_point=made)
