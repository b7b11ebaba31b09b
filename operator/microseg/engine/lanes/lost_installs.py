"""What became of an install-policy whose answer was lost: the server's own list of tasks tells (L2, L6).

`PolicyInstalls` asks, and only then. A task of ours that installs the package and began since the call is that install.
None of them proves that it did not begin only where the list shows other tasks of ours, all of which it explains, and
where the request had time to be carried out: whatever else the list shows leaves the doubt as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.readings import read_whole
from microseg.gateways.ports import CheckPointGateway, GatewayError, Refused, Rejected, Throttled, Unreachable
from microseg.model.checkpoint_tasks import BegunTask, TaskList
from microseg.model.spelling import same_name

log = logging.getLogger(__name__)
_SLACK = timedelta(seconds=5)
"""By which the server's clock may have been moved since the call: NTP moves it by less."""
_LONGEST_PAUSE = 300.0
"""Seconds between two looks while the list cannot be read, or does not tell."""


@dataclass(frozen=True, slots=True)
class LostCall:
    """An install-policy that was sent, and of which nothing is known."""

    package: str
    at: float
    """Monotonic time right before it was sent."""
    known: frozenset[str]
    """Tasks that are not it: they are known from before."""
    listed: bool
    """Whether the server has a package of exactly this name: then one of another name is another package."""


class LostInstalls:
    """Looks for the tasks of installs whose answers were lost."""

    def __init__(
        self,
        gateway: CheckPointGateway,
        workers: Workers,
        monotonic: Callable[[], float],
        *,
        first: float,
        margin: float,
    ) -> None:
        """`first`: seconds until the first look. `margin`: seconds after which what has no task did not begin."""
        self._gateway, self._workers, self._monotonic = gateway, workers, monotonic
        self._first, self._margin = first, margin

    async def settle(self, call: LostCall, patience: float) -> str | None:
        """The id of its task; None: it did not begin. Looks again until the list tells.

        Raises GatewayError: the list is refused, or did not tell within `patience` seconds of the call.
        """
        lost, pause = self._monotonic(), self._first
        while True:
            await asyncio.sleep(pause)
            asked, pause = self._monotonic(), min(max(2 * pause, self._margin), _LONGEST_PAUSE)
            try:
                task = await self.look(call)
            except (Refused, Rejected):
                raise
            except GatewayError as error:
                if asked - call.at >= patience:
                    raise
                pause = max(pause, error.retry_after if isinstance(error, Throttled) else 0.0)
                log.info("tasks do not tell yet", extra={"package": call.package, "error": str(error)})
                continue
            if task is not None or asked - lost >= self._margin:
                return task

    async def of_earlier(self, call: LostCall, age: float) -> str | None:
        """The id of the task of an intent of an earlier term; None: there is none. Raises as `look` does.

        `age`: seconds since it was written. Where its request may still be on its way the list is looked at once more.
        """
        task = await self.look(call)
        if task is None and age < self._margin:
            await asyncio.sleep(self._margin - max(age, 0.0))
            task = await self.look(call)
        return task

    async def look(self, call: LostCall) -> str | None:
        """The id of its task; None: the list has none. Unreachable: it does not tell; other GatewayErrors: no list."""
        listing = await read_whole(
            self._gateway.own_tasks(), self._workers, lambda wait: asyncio.sleep(max(wait.seconds, 0.0))
        )
        return _task_of(call, listing, self._monotonic() - call.at)


def _task_of(call: LostCall, listing: TaskList, elapsed: float) -> str | None:
    """The task of the call, which was sent so many seconds before the list was read. Raises Unreachable."""
    if not listing.tasks:
        message = "Check Point lists no task of this administrator"
        raise Unreachable(message)
    since = listing.read_at - timedelta(seconds=elapsed) - _SLACK
    later = [
        task for task in listing.tasks if task.id not in call.known and (task.started is None or task.started >= since)
    ]
    dated = [(task.started, task.id) for task in later if task.started is not None and _installs(task, call.package)]
    if dated:
        return max(dated)[1]
    if any(_may_be(task, call) for task in later):
        message = "Check Point lists a task that may be the install"
        raise Unreachable(message)
    return None


def _installs(task: BegunTask, package: str) -> bool:
    return bool(task.package) and same_name(task.package or "", package)


def _may_be(task: BegunTask, call: LostCall) -> bool:
    """Whether a task could be the call, of which its name or its time does not say so."""
    if task.package is None or _installs(task, call.package):
        return True
    return bool(task.package) and not call.listed
