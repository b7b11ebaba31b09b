"""The Estate's own status: one writer, by compare-and-swap. Intents of publish and install are written through it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from microseg.estate.ports import EstateStore, Term
from microseg.estate.workers import Workers
from microseg.kube.errors import Conflict
from microseg.model.estate import Estate, EstateStatus

_TRIES = 5


class EstateBook:
    """Holds the Estate as last read or written."""

    def __init__(self, estate: Estate, store: EstateStore, workers: Workers, term: Term) -> None:
        """Begin from the Estate as it is."""
        self.estate = estate
        self._store, self._workers, self._term = store, workers, term
        self._lock = asyncio.Lock()

    @property
    def status(self) -> EstateStatus:
        """As last read or written."""
        return self.estate.status

    def annotated(self, annotations: dict[str, str]) -> None:
        """A person changed the Estate's annotations; the status is not touched by that."""
        self.estate = msgspec.structs.replace(self.estate, annotations=annotations)

    async def update(self, change: Callable[[EstateStatus], EstateStatus]) -> None:
        """Write what `change` makes of the status; nothing if it makes no difference. Raises KubeError, LeaseLost.

        On a conflict the Estate is read again and `change` is asked anew, because only this process writes its status.
        """
        async with self._lock:
            for _ in range(_TRIES):
                wanted = change(self.estate.status)
                if wanted == self.estate.status:
                    return
                self._term.check()
                try:
                    self._take(await self._workers.call(self._store.patch_status, self.estate, wanted))
                except Conflict:
                    self._take(await self._workers.call(self._store.read, self.estate.namespace, self.estate.name))
                else:
                    return
            raise Conflict(f"the status of Estate {self.estate.name} changes faster than it can be written")

    def _take(self, answer: Estate) -> None:
        """An answer may have overtaken a person's annotation, or be overtaken by it: the watch alone tells of those."""
        self.estate = msgspec.structs.replace(answer, annotations=self.estate.annotations)
