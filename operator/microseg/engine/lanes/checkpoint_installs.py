"""Install-policy, coalesced: one install per package brings all its targets to everything published so far.

An effect that happens once: its intent is written before the call; a lost answer is settled by the server's own tasks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import msgspec

from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.ground.engine_settings import EngineSettings
from microseg.engine.ground.ports import Clock, Term
from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.accepted_installs import AcceptedInstalls
from microseg.engine.lanes.install_records import InstallRecords
from microseg.engine.lanes.lost_installs import LostCall, LostInstalls
from microseg.engine.state.host_table import HostTable
from microseg.gateways.ports import CheckPointGateway, GatewayError, OutcomeUnknown, Rejected, Throttled
from microseg.kube.errors import KubeError
from microseg.metrics import table
from microseg.model.checkpoint_facts import Task, TaskState
from microseg.model.estate_status import InstallRecord
from microseg.model.plan import InstallPolicy

log = logging.getLogger(__name__)
_PATIENCE = 1800.0
"""Seconds after which an install is no longer waited for, and neither is one of which nothing is known (L2)."""
_RETRY = 30.0
_REFUSED = 600.0
"""Seconds before an install is tried again that Check Point refused to begin: only a person can have mended it."""


class PolicyInstalls:
    """Keeps one install under way per package, and none while more is about to be published."""

    def __init__(
        self,
        gateway: CheckPointGateway,
        table: HostTable,
        estate_status: EstateStatusWriter,
        workers: Workers,
        term: Term,
        settings: EngineSettings,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is begun before `begin`."""
        self._gateway, self._table, self._records = gateway, table, InstallRecords(estate_status, clock)
        self._workers, self._term, self._clock = workers, term, clock
        self._settings, self._monotonic = settings, monotonic
        self._lost = LostInstalls(
            gateway, workers, monotonic, first=settings.task_pause, margin=settings.install_margin
        )
        self._called: dict[str, float] = {}
        """Package -> monotonic time right before its latest install was asked for, in this term."""
        self._found: dict[str, bool] = {}
        """Tasks that only the server's list names -> whether each counts: for the targets that it names itself, lest it
        is not ours. One of an earlier term may be older than what is to be installed."""
        self._metrics = estate_status.metrics
        self._wanted_since: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._running: set[str] = set()
        self._unseen: set[str] = set()
        """Packages whose install ended after the gateways were last read: not begun again before they are."""
        self._over: set[str] = set()
        """Tasks that ended, that the server does not know, or that are of older revisions: not followed again."""
        self._settled: dict[str, tuple[str, float]] = {}
        """Package -> revision that an install ended well with, and when: a gateway may show it a little later."""
        self.effects = AcceptedInstalls(clock)
        self.failures: dict[str, str] = {}
        """Target -> what came of its latest install, as the rest of a sentence."""
        self.refused: dict[str, tuple[str, datetime]] = {}
        """Target -> why Check Point refused to begin its latest install, and when that is tried again."""
        self.doubts: dict[str, str] = {}
        """Target -> why it is not known how far its latest install came."""

    def begin(self, tasks: asyncio.TaskGroup, *, more_to_publish: bool, done: asyncio.Event) -> None:
        """Start what is due; `done` is set after each, so that the lane looks at the gateways."""
        if self._table.actions.in_round:
            return  # whether more will be published is not known before its end, which wakes the lane
        desired = self._wanted()
        for package in self._wanted_since.keys() - desired.keys():
            del self._wanted_since[package]
        for package, targets in desired.items():
            since = self._wanted_since.setdefault(package, self._monotonic())
            hold = more_to_publish and self._monotonic() - since < self._settings.install_patience
            if package in self._running | self._unseen or hold or self._monotonic() < self._due(package):
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
        check_point = self._table.latest.check_point
        return check_point.last.uid if check_point and check_point.last else ""

    def unseen(self) -> frozenset[str]:
        """Packages whose installs ended by now; hand it to `observed` after the gateways were read."""
        return frozenset(self._unseen)

    def observed(self, packages: frozenset[str]) -> None:
        """The gateways were read after these packages' installs ended."""
        self._unseen -= packages
        check_point = self._table.latest.check_point
        read = self.effects.packages - self._unseen - self._running
        if check_point is not None and self.effects.looked(read, check_point.gateways):
            self._table.touch(self._table.fleet.firewall_bound)

    def next_due(self) -> float | None:
        """Monotonic time of the next start that only waits for time."""
        waits = [self._due(package) for package in self._wanted_since]
        waits += [
            since + self._settings.install_patience
            for package, since in self._wanted_since.items()
            if package not in self._running
        ]
        return min((at for at in waits if at > self._monotonic()), default=None)

    def _wanted(self) -> dict[str, tuple[str, ...]]:
        """Package -> targets, over all hosts' decisions."""
        desired: dict[str, set[str]] = {}
        for _, action in self._table.actions.of(InstallPolicy):
            desired.setdefault(action.package, set()).update(action.targets)
        return {package: tuple(sorted(targets)) for package, targets in desired.items()}

    async def _install(self, package: str, targets: tuple[str, ...], done: asyncio.Event) -> None:
        """Intent, install, follow. The gateways' own word decides; here only failures and doubts are kept."""
        begun = False
        try:
            revision, published_at = self._revision(), self._desired_since(package)
            task = await self._start(package, targets)
            if task is None:
                return
            begun = True
            task = await self._follow(task)
            self._note(targets, task)
            self._metrics.count(table.INSTALLS, "installed" if task.state is TaskState.SUCCEEDED else "refused")
            if task.state is TaskState.SUCCEEDED:
                self._settled[package] = (revision, self._monotonic())
            named = targets if task.id not in self._found else task.targets if self._found[task.id] else ()
            self._count(package, frozenset(targets).intersection(named) - frozenset(self.failures), published_at)
        except (GatewayError, KubeError) as error:
            self._failed(package, targets, error, begun=begun)
        finally:
            self._running.discard(package)
            self._unseen.add(package)
            self._wanted_since.pop(package, None)
            self._table.touch(self._table.fleet.firewall_bound)
            done.set()

    def _failed(self, package: str, targets: tuple[str, ...], error: GatewayError | KubeError, *, begun: bool) -> None:
        """Keep what failed, and when it is tried again. `begun`: its task was named, so it may go on."""
        log.warning("install not done", extra={"package": package, "error": str(error)})
        lost = isinstance(error, OutcomeUnknown)
        self._metrics.count(table.INSTALLS, "lost" if begun or lost else "refused")
        self._forget(targets)
        pause = _PATIENCE - (self._monotonic() - self._called[package]) if lost else _RETRY
        if isinstance(error, Rejected) and not begun:
            pause = _REFUSED
            text = f"{error}: {error.detail}" if error.detail else str(error)
            self.refused |= dict.fromkeys(targets, (text, self._clock() + timedelta(seconds=pause)))
        elif begun or lost:
            self.doubts |= dict.fromkeys(targets, str(error))
        elif isinstance(error, GatewayError):
            self.failures |= dict.fromkeys(targets, f"did not get the policy: {error}.")
        retry_after = error.retry_after if isinstance(error, Throttled) else 0.0
        self._not_before[package] = self._monotonic() + max(pause, retry_after)

    def _desired_since(self, package: str) -> datetime | None:
        """The latest publish that a host's decision wants this package to cover; None: nobody asks any more."""
        asked = self._table.actions.of(InstallPolicy)
        return max((action.published_at for _, action in asked if action.package == package), default=None)

    def _count(self, package: str, targets: Iterable[str], published_at: datetime | None) -> None:
        """From now on each reading of the gateways tells whether the install is seen."""
        check_point = self._table.latest.check_point
        if published_at is not None and check_point is not None:
            self.effects.accepted(package, targets, published_at, check_point.gateways)

    async def _start(self, package: str, targets: tuple[str, ...]) -> Task | None:
        """The install of an earlier term that runs still, or a new one; None: it certainly did not begin."""
        revision = self._revision()
        if task_id := await self._earlier(package, revision):
            return Task(task_id, TaskState.RUNNING)
        if (before := self._records.latest(package)) is not None and before.task:
            self._over.add(before.task)  # whatever became of it, it is not the one that begins now
        intent = InstallRecord(
            package=package, targets=targets, revision=revision, at=self._clock().replace(microsecond=0)
        )
        await self._records.intend(intent)
        self._term.check()
        self._called[package] = self._monotonic()
        try:
            task_id = await self._workers.call(self._gateway.install, package, targets)
        except OutcomeUnknown as lost:
            found = await self._settle(package, targets, lost)
            if found is None:
                return None
            task_id = found
        await self._records.begun(msgspec.structs.replace(intent, task=task_id))
        log.info("policy install started", extra={"package": package, "targets": targets, "revision": revision})
        return Task(task_id, TaskState.RUNNING)

    async def _settle(self, package: str, targets: tuple[str, ...], lost: OutcomeUnknown) -> str | None:
        """The task of an install whose answer was lost; None: it did not begin. Raises `lost`: that is not known."""
        log.warning("answer of an install lost", extra={"package": package, "error": str(lost)})
        self.doubts |= dict.fromkeys(targets, str(lost))
        self._table.touch(self._table.fleet.firewall_bound)
        try:
            found = await self._lost.settle(self._lost_call(package, self._called[package]), _PATIENCE)
        except GatewayError as error:
            log.warning("tasks do not tell of an install", extra={"package": package, "error": str(error)})
            raise lost from error
        log.info("answer of an install settled", extra={"package": package, "task": found or "none"})
        self._forget(targets)
        self._table.touch(self._table.fleet.firewall_bound)
        if found is None:
            self._metrics.count(table.INSTALLS, "refused")
            self._not_before[package] = self._called[package] + _RETRY
        else:
            self._found[found] = True
        return found

    def _lost_call(self, package: str, at: float) -> LostCall:
        check_point = self._table.latest.check_point
        listed = check_point is not None and package in check_point.packages
        return LostCall(package, at, frozenset(self._over), listed=listed)

    async def _earlier(self, package: str, revision: str) -> str:
        """The task of an install that was begun before, may run still, and covers the revision; or nothing.

        Where an earlier term ended between its intent and the answer, the tasks tell. What they do not show running is
        begun: the gateways show what an ended one brought. The intent is dated by another's clock, which is not
        trusted: any that began within the last half hour and runs still may be that one.
        """
        record = self._records.latest(package)
        if record is None or record.at is None or record.revision != revision:
            return ""
        age = (self._clock() - record.at).total_seconds()
        if age >= _PATIENCE:
            return ""
        if record.task or package in self._called:
            return record.task if record.task not in self._over else ""
        try:
            found = await self._lost.of_earlier(self._lost_call(package, self._monotonic() - _PATIENCE), age)
            if not found or (await self._workers.call(self._gateway.task, found)).state is not TaskState.RUNNING:
                return ""
        except GatewayError as error:
            log.info("tasks do not tell of an earlier install", extra={"package": package, "error": str(error)})
            return ""
        self._found[found] = False
        await self._records.begun(msgspec.structs.replace(record, task=found))
        return found

    async def _follow(self, task: Task) -> Task:
        """Look at the task until it is over or given up."""
        deadline = self._monotonic() + _PATIENCE
        try:
            while task.state is TaskState.RUNNING and self._monotonic() < deadline:
                await asyncio.sleep(self._settings.task_pause)
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
            self._not_before[name] = self._monotonic() + _RETRY

    def _forget(self, targets: Iterable[str]) -> None:
        """Something newer is known of these."""
        for name in targets:
            self.failures.pop(name, None)
            self.refused.pop(name, None)
            self.doubts.pop(name, None)
