"""Lists the Estates and mapping ConfigMaps again and again: what the cluster has is true, whatever the watch brought.

kopf's watch is quick. But it can be deaf (a load balancer that drops a connection, a resourceVersion that the restore
of a backup made future), it tells nobody what was deleted while it listed anew, and it says that it is ready before
it has listed anything. The registry compares, so a list that says nothing new costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from microseg.engine.ground.workers import Workers
from microseg.engine.leadership.registry import EstateRegistry
from microseg.handlers.watch import Watching, see_estate, see_mapping
from microseg.kube.errors import KubeError, NotFound
from microseg.kube.listing import Lists

log = logging.getLogger(__name__)
_PAUSE = 20.0
_PAUSE_AFTER_FAILURE = 3.0
"""Seconds between two lists."""
_OLD = 70.0
"""Seconds after which a list says nothing of the present: three of them failed, or took very long."""


class ClusterAudit:
    """Keeps the registry true, and lets kopf watch while there is something to watch."""

    def __init__(
        self,
        lists: Lists,
        registry: EstateRegistry,
        watching: Watching,
        workers: Workers,
        namespaces: tuple[str, ...],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is listed before `run`."""
        self._lists, self._registry, self._watching = lists, registry, watching
        self._workers, self._namespaces, self._monotonic = workers, namespaces, monotonic
        self._listed_at: float | None = None
        self._unknown_since: float | None = None
        self._problem = "the Estates were not listed yet"

    async def run(self) -> None:
        """List for ever."""
        while True:
            listed = await self.look()
            await asyncio.sleep(_PAUSE if listed else _PAUSE_AFTER_FAILURE)

    async def look(self) -> bool:
        """List everything once. False: it was not possible, and nothing is concluded."""
        try:
            for namespace in self._namespaces:
                await self._look_into(namespace)
        except NotFound:  # of a collection: its kind is unknown
            self._failed("the cluster does not know Estates: install the CRDs of microseg.dev")
            self._no_kind()
            return False
        except KubeError as error:
            self._failed(f"the Estates cannot be listed: {error}")
            return False
        if self._problem:
            log.info("the Estates are listed and watched", extra={"namespaces": self._namespaces})
        self._listed_at, self._problem, self._unknown_since = self._monotonic(), "", None
        self._watching.resume()
        return True

    def unready(self) -> str:
        """Why this process does not know the Estates as they are now; empty: it does."""
        if self._problem and (self._listed_at is None or self._monotonic() - self._listed_at > _OLD):
            return self._problem
        return self._registry.unsynced()

    async def _look_into(self, namespace: str) -> None:
        """Take over one namespace. Only what was known before the list began can be missing in it."""
        estates, mappings = self._registry.known(namespace)
        listed = await self._workers.call(self._lists.estates, namespace)
        for body in listed:
            see_estate(self._registry, None, body)
        for name in estates - {str(body["metadata"]["name"]) for body in listed}:
            log.info("an Estate went while nobody watched", extra={"estate": f"{namespace}/{name}"})
            self._registry.estate_gone((namespace, name))
        listed = await self._workers.call(self._lists.mappings, namespace)
        for body in listed:
            see_mapping(self._registry, None, body)
        for name in mappings - {str(body["metadata"]["name"]) for body in listed}:
            self._registry.mapping_gone(namespace, name)

    def _no_kind(self) -> None:
        """Without its CRD no Estate is there. The answer has to last: an API server that starts says so, too."""
        self._watching.pause()
        self._listed_at = None
        if self._unknown_since is None:
            self._unknown_since = self._monotonic()
        elif self._monotonic() - self._unknown_since > _OLD:
            for namespace in self._namespaces:
                for name in self._registry.known(namespace)[0]:
                    self._registry.estate_gone((namespace, name), keep_records=True)

    def _failed(self, problem: str) -> None:
        if problem != self._problem:
            log.warning("not watching", extra={"why": problem})
        self._problem = problem
