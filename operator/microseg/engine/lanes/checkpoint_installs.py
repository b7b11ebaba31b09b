"""Install-policy, coalesced: one install per package brings all its targets to everything published so far.

An effect of kind 3: its intent is written before the call; a lost answer is settled by looking at the gateways.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import timedelta

import msgspec

from microseg.estate.book import EstateBook
from microseg.estate.ledger import Ledger
from microseg.estate.ports import Clock, Term
from microseg.estate.workers import Workers
from microseg.gateways.ports import CheckPointGateway, GatewayError, OutcomeUnknown, Rejected
from microseg.kube.errors import KubeError
from microseg.model.estate import EstateStatus, InstallRecord
from microseg.model.facts import Task, TaskState
from microseg.model.plan import InstallPolicy

log = logging.getLogger(__name__)
_PATIENCE = 1800.0
"""Seconds after which an install is no longer waited for (L2)."""
_RETRY = 30.0


class Installs:
    """Keeps one install under way per package, and none while more is about to be published."""

    def __init__(
        self,
        gateway: CheckPointGateway,
        ledger: Ledger,
        book: EstateBook,
        workers: Workers,
        term: Term,
        *,
        task_pause: float,
        patience: float,
        clock: Clock,
    ) -> None:
        """`patience`: seconds that a wanted install waits for publishes that are still coming."""
        self._gateway, self._ledger, self._book = gateway, ledger, book
        self._workers, self._term, self._clock = workers, term, clock
        self._pause, self._patience = task_pause, patience
        self._wanted_since: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._running: set[str] = set()
        self._unseen: set[str] = set()
        """Packages whose install ended after the gateways were last read: not begun again before they are."""
        self._over: set[str] = set()
        """Tasks that ended, or that the server does not know: not followed again."""
        self._settled: dict[str, tuple[str, float]] = {}
        """Package -> revision that an install ended well with, and when: a gateway may show it a little later."""
        self.failures: dict[str, str] = {}
        """Target -> what came of its latest install, as the rest of a sentence."""
        self.doubts: dict[str, str] = {}
        """Target -> why it is not known how far its latest install came."""

    def begin(self, tasks: asyncio.TaskGroup, *, more_to_publish: bool, done: asyncio.Event) -> None:
        """Start what is due; `done` is set after each, so that the lane looks at the gateways."""
        wanted = self._wanted()
        for package in self._wanted_since.keys() - wanted.keys():
            del self._wanted_since[package]
        for package, targets in wanted.items():
            since = self._wanted_since.setdefault(package, time.monotonic())
            hold = more_to_publish and time.monotonic() - since < self._patience
            if package in self._running | self._unseen or hold or time.monotonic() < self._due(package):
                continue
            self._running.add(package)
            tasks.create_task(self._install(package, targets, done))

    def _due(self, package: str) -> float:
        """Monotonic time before which nothing is begun: after a failure, or where the same was installed just now."""
        revision, at = self._settled.get(package, ("", 0.0))
        same = bool(revision) and revision == self._revision()
        return max(self._not_before.get(package, 0.0), at + _RETRY if same else 0.0)

    def _revision(self) -> str:
        """Uid of the newest revision that was read."""
        firewall = self._ledger.firewall
        return firewall.last.uid if firewall and firewall.last else ""

    def unseen(self) -> frozenset[str]:
        """Packages whose installs ended by now; hand it to `observed` after the gateways were read."""
        return frozenset(self._unseen)

    def observed(self, packages: frozenset[str]) -> None:
        """The gateways were read after these packages' installs ended."""
        self._unseen -= packages

    def next_due(self) -> float | None:
        """Monotonic time of the next start that only waits for time."""
        waits = [self._due(package) for package in self._wanted_since]
        waits += [
            since + self._patience for package, since in self._wanted_since.items() if package not in self._running
        ]
        return min((at for at in waits if at > time.monotonic()), default=None)

    def _wanted(self) -> dict[str, tuple[str, ...]]:
        """Package -> targets, over all hosts' decisions."""
        wanted: dict[str, set[str]] = {}
        for _, action in self._ledger.actions(InstallPolicy):
            wanted.setdefault(action.package, set()).update(action.targets)
        return {package: tuple(sorted(targets)) for package, targets in wanted.items()}

    async def _install(self, package: str, targets: tuple[str, ...], done: asyncio.Event) -> None:
        """Intent, install, follow. The gateways' own word decides; here only failures and doubts are kept."""
        begun = False
        try:
            revision = self._revision()
            task = await self._start(package, targets)
            begun = True
            task = await self._follow(task)
            self._note(targets, task)
            if task.state is TaskState.SUCCEEDED:
                self._settled[package] = (revision, time.monotonic())
        except (GatewayError, KubeError) as error:
            log.warning("install not done", extra={"package": package, "error": str(error)})
            lost = isinstance(error, OutcomeUnknown)
            self._not_before[package] = time.monotonic() + (_PATIENCE if lost else _RETRY)
            self._forget(targets)
            if begun or lost:
                self.doubts |= dict.fromkeys(targets, str(error))
            elif isinstance(error, GatewayError):
                self.failures |= dict.fromkeys(targets, f"did not get the policy: {error}.")
        finally:
            self._running.discard(package)
            self._unseen.add(package)
            self._wanted_since.pop(package, None)
            self._ledger.touch_all()
            done.set()

    async def _start(self, package: str, targets: tuple[str, ...]) -> Task:
        """The install of an earlier term that runs still, or a new one."""
        revision = self._revision()
        earlier = next((item for item in self._book.status.installs if item.package == package), None)
        if earlier is not None and self._runs_still(earlier, revision):
            return Task(earlier.task, TaskState.RUNNING)
        intent = InstallRecord(
            package=package, targets=targets, revision=revision, at=self._clock().replace(microsecond=0)
        )
        await self._book.update(lambda status: _with_install(status, intent))
        self._term.check()
        task_id = await self._workers.call(self._gateway.install, package, targets)
        await self._book.update(lambda status: _with_install(status, msgspec.structs.replace(intent, task=task_id)))
        log.info("policy install started", extra={"package": package, "targets": targets, "revision": revision})
        return Task(task_id, TaskState.RUNNING)

    def _runs_still(self, earlier: InstallRecord, revision: str) -> bool:
        """Whether an install that was begun before may run still, and covers the revision."""
        followable = bool(earlier.task) and earlier.task not in self._over
        recent = earlier.at is not None and self._clock() - earlier.at < timedelta(seconds=_PATIENCE)
        return followable and earlier.revision == revision and recent

    async def _follow(self, task: Task) -> Task:
        """Look at the task until it is over or given up."""
        deadline = time.monotonic() + _PATIENCE
        try:
            while task.state is TaskState.RUNNING and time.monotonic() < deadline:
                await asyncio.sleep(self._pause)
                task = await self._workers.call(self._gateway.task, task.id)
        except Rejected:
            self._over.add(task.id)
            raise
        if task.state is not TaskState.RUNNING:
            self._over.add(task.id)
        return task

    def _note(self, targets: Iterable[str], task: Task) -> None:
        """Keep what failed; success needs no note, the gateways show it."""
        self._forget(targets)
        if task.state is TaskState.SUCCEEDED:
            return
        message = task.messages[0] if task.messages else "the install did not end with success"
        failed = task.failed_targets or tuple(targets)
        self.failures |= dict.fromkeys(failed, f"refused the policy: {message}")
        for name in self._wanted_since:
            self._not_before[name] = time.monotonic() + _RETRY

    def _forget(self, targets: Iterable[str]) -> None:
        """Something newer is known of these."""
        for name in targets:
            self.failures.pop(name, None)
            self.doubts.pop(name, None)


def _with_install(status: EstateStatus, record: InstallRecord) -> EstateStatus:
    """The status with the package's latest install."""
    others = tuple(item for item in status.installs if item.package != record.package)
    return msgspec.structs.replace(status, installs=(*others, record)[-32:])
