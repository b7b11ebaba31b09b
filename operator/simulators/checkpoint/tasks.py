"""Long operations: publish, batch, installation. Each has its effect at its end, whose time is fixed at its start.

Started by the commands, settled by `World.settle`, shown by show-task and show-tasks. Shapes as in demisto/content
Packs/CheckpointFirewall (test data), statuses as in chkp-antonr/checkpoint-api-ref `jmd/show-task.j.md`.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from simulators.checkpoint import errors
from simulators.checkpoint.objects import new_uid

Status = Literal["in progress", "succeeded", "succeeded with warnings", "partially succeeded", "failed"]
TaskKind = Literal["publish", "batch", "install", "question"]
Outcome = Literal["failed", "stuck", "lost", "half"]
"""The planned end of a task: it fails, never ends, succeeds but cannot be found, or does half of its work (every second
gateway of an installation, the first half of a batch)."""


@dataclass(slots=True)
class Task:
    """One long operation.

    At its end `free` releases what it kept busy, then `effect` sets `status` and `details`; a planned failure replaces
    `effect`, never `free`. Times are epoch seconds.
    """

    uid: str
    kind: TaskKind
    name: str
    user: str
    started: float
    ends: float
    effect: Callable[[Task], None]
    free: Callable[[], None]
    status: Status = "in progress"
    description: str = ""
    details: list[dict[str, object]] = field(default_factory=list)
    hidden: bool = False
    half: bool = False
    notification: str = field(default_factory=new_uid)
    """Uid of the object that shows it, another one than its task-id."""

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.status == "in progress"

    def progress(self, now: float) -> int:
        """Percent done; one that never ends stays at 99."""
        if not self.is_running:
            return 100
        if math.isinf(self.ends):
            return 99
        return min(99, max(0, int(100 * (now - self.started) / max(self.ends - self.started, 1e-6))))

    def updated(self, now: float) -> float:
        """When it was last updated: a running one just now."""
        return now if self.is_running else min(now, self.ends)

    def fail(self, description: str, details: list[dict[str, object]] | None = None) -> None:
        """End it without success."""
        self.status, self.description, self.details = "failed", description, details or []


class Tasks:
    """All tasks since the start, oldest first; `order` decides the end of later ones."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._running: dict[str, Task] = {}
        self._orders: dict[TaskKind, deque[Outcome]] = defaultdict(deque)

    def order(self, kind: TaskKind, outcome: Outcome, count: int = 1) -> None:
        """Decide how the next `count` tasks of a kind end."""
        self._orders[kind].extend([outcome] * count)

    def start(self, task: Task) -> Task:
        """Start a task, with its planned end if there is one."""
        outcome = self._orders[task.kind].popleft() if self._orders[task.kind] else None
        if outcome == "stuck":
            task.ends = math.inf
        elif outcome == "lost":
            task.hidden = True
        elif outcome == "failed":
            task.effect = _fail
        task.half = outcome == "half"
        self._tasks[task.uid] = self._running[task.uid] = task
        return task

    def due(self, now: float) -> list[Task]:
        """Return the running tasks whose time has come, in that order, and count them as ended."""
        over = sorted((task for task in self._running.values() if task.ends <= now), key=lambda task: task.ends)
        for task in over:
            del self._running[task.uid]
        return over

    def find(self, uid: str) -> Task:
        """The task of that uid; ApiError (not found)."""
        task = self._tasks.get(uid)
        if task is None or task.hidden:
            raise errors.not_found(uid)
        return task

    def visible(self) -> list[Task]:
        """Tasks that are not lost, the newest first."""
        return [task for task in reversed(self._tasks.values()) if not task.hidden]


def task_uid() -> str:
    """A fresh task uid."""
    return new_uid()


def _fail(task: Task) -> None:
    task.fail("The operation failed: Management server failed to execute command")
