"""The Estate's own status: one writer, by compare-and-swap. Intents of publish and install are written through it.

An intent is written before its effect begins, or there is none. What became of an effect is kept where it cannot be
written: this process goes by it, and each later write takes it along.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from microseg.engine.ground.ports import EstateStore, SpecChanged
from microseg.engine.ground.runtime import Runtime
from microseg.kube.errors import Conflict, Invalid, KubeError
from microseg.model.estate import Estate
from microseg.model.estate_status import EstateStatus

log = logging.getLogger(__name__)
Change = Callable[[EstateStatus], EstateStatus]
_TRIES = 5


class EstateStatusWriter:
    """Holds the Estate as last read or written."""

    def __init__(self, estate: Estate, store: EstateStore, runtime: Runtime, wake: Callable[[], None]) -> None:
        """Begin from the Estate as it is. `wake` wakes the reconciler, which reports."""
        self.estate = estate
        self.report_due = True
        """Whether something changed that the status may have to show."""
        self.metrics = runtime.metrics
        """The counters of this estate."""
        self._wake = wake
        self._store, self._workers, self._term = store, runtime.cluster, runtime.term
        self._lock = asyncio.Lock()
        self._unwritten: tuple[Change, ...] = ()
        """What could not be written yet, the oldest first."""

    @property
    def status(self) -> EstateStatus:
        """As last read or written, with what could not be written yet."""
        return _with_all(self.estate.status, self._unwritten)

    def report_soon(self) -> None:
        """Something changed that the status may have to show."""
        self.report_due = True
        self._wake()

    def annotated(self, annotations: dict[str, str]) -> None:
        """A person changed the Estate's annotations; the status is not touched by that."""
        self.estate = msgspec.structs.replace(self.estate, annotations=annotations)

    async def approver(self) -> str:
        """Who wrote the annotation `approve`, as the API server says. Raises KubeError."""
        estate = await self._workers.call(self._store.read, self.estate.namespace, self.estate.name)
        return estate.approver

    async def update(self, change: Change) -> None:
        """Write what `change` makes of the status; nothing if it makes no difference. Raises KubeError, LeaseLost.

        On a conflict the Estate is read and `change` is called again, because only this process writes its status.
        """
        async with self._lock:
            await self._write(change)

    async def record(self, change: Change) -> None:
        """Write down what happened; where that fails it is kept, and written by and by. Raises LeaseLost."""
        async with self._lock:
            try:
                await self._write(change)
            except Invalid as error:  # it would be refused each time, and every later write with it
                log.warning("record refused", extra={"error": str(error)})
            except KubeError as error:
                log.warning("not recorded yet", extra={"error": str(error)})
                self._unwritten += (change,)
                self.report_soon()

    async def _write(self, change: Change) -> None:
        """Write what waits, and this change."""
        try:
            await self._swap((*self._unwritten, change))
        except Invalid:
            if not self._unwritten:
                raise
            await self._write_what_waits()
            await self._swap((change,))
        self._unwritten = ()

    async def _write_what_waits(self) -> None:
        """By itself: what is refused may be only what came with it."""
        try:
            await self._swap(self._unwritten)
        except Invalid as error:
            log.warning("record refused", extra={"error": str(error)})
        self._unwritten = ()

    async def _swap(self, changes: tuple[Change, ...]) -> None:
        for _ in range(_TRIES):
            desired = _with_all(self.estate.status, changes)
            if desired == self.estate.status:
                return
            self._term.check()
            try:
                self._take(await self._workers.call(self._store.patch_status, self.estate, desired))
            except Conflict:
                self._take(await self._workers.call(self._store.read, self.estate.namespace, self.estate.name))
            else:
                return
        raise Conflict(f"the status of Estate {self.estate.name} changes faster than it can be written")

    def _take(self, answer: Estate) -> None:
        """Take over the status. Raises SpecChanged where the answer has another spec than all parts were built from.

        A part that went by the answer's spec, and others that do not, would be neither suspended nor not; and an answer
        comes only when something is written. Only the watch is believed about annotations: an answer may have
        overtaken one, or be overtaken by it.
        """
        if (answer.generation, answer.deleting, answer.uid) != (self.estate.generation, False, self.estate.uid):
            raise SpecChanged(f"Estate {answer.name} has another spec now")
        self.estate = msgspec.structs.replace(answer, annotations=self.estate.annotations)


def _with_all(status: EstateStatus, changes: tuple[Change, ...]) -> EstateStatus:
    for change in changes:
        status = change(status)
    return status
