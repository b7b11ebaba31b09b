"""All Estates and mapping documents that this process sees, and a runner per Estate. `handlers/` feed it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from microseg.engine.leadership.estate_runner import EstateRunner
from microseg.kube.secrets import ConfigMapData
from microseg.metrics import EstateNumbers
from microseg.model.estate import Estate
from microseg.model.spelling import fold

log = logging.getLogger(__name__)
_STOP_WITHIN = 20.0


class EstateRegistry:
    """Runs on the event loop; its methods are quick."""

    def __init__(self, new_runner: Callable[[Estate], EstateRunner]) -> None:
        """`new_runner`: see `application`."""
        self._new_runner = new_runner
        self._runners: dict[tuple[str, str], EstateRunner] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._mappings: dict[tuple[str, str], ConfigMapData] = {}
        self._order: dict[tuple[str, str], str] = {}

    def saw_estate(self, estate: Estate, created: str) -> None:
        """An Estate as it is now. `created`: its creation time: of two with one endpoint the elder is kept.

        A state that is older than the one that is known is passed over: a list and the watch bring them in any order.
        """
        known = self._runners.get(estate.key)
        if known is not None and _before(estate, known.estate):
            return
        self._order[estate.key] = created
        if estate.key not in self._runners:
            runner = self._runners[estate.key] = self._new_runner(estate)
            before = self._tasks.get(estate.key)
            task = asyncio.create_task(_after(before, runner), name=f"estate-{estate.name}")
            task.add_done_callback(_log_failure)
            self._tasks[estate.key] = task
        self._see_all({estate.key: estate})

    def estate_gone(self, key: tuple[str, str], *, keep_records: bool = False) -> None:
        """An Estate was deleted. `keep_records`: whatever it wished for its records, for nobody can ask it any more."""
        runner = self._runners.pop(key, None)
        self._order.pop(key, None)
        if runner is not None:
            runner.gone(keep_records=keep_records)
        self._see_all({})

    def known(self, namespace: str) -> tuple[set[str], set[str]]:
        """Names of the Estates and of the mapping ConfigMaps that are known in a namespace."""
        estates = {name for place, name in self._runners if place == namespace}
        return estates, {name for place, name in self._mappings if place == namespace}

    def unsynced(self) -> str:
        """Which Estate that is reconciled here has not read its records for long; empty: none."""
        waiting = [key for key, runner in self._runners.items() if runner.unsynced]
        return f"the records of Estate {'/'.join(min(waiting))} are not read yet" if waiting else ""

    def saw_mapping(self, document: ConfigMapData) -> None:
        """A mapping ConfigMap as it is now."""
        known = self._mappings.get((document.namespace, document.name))
        if known is not None and (document == known or _before(document, known)):
            return
        self._mappings[(document.namespace, document.name)] = document
        self._mapping_changed(document.namespace)

    def mapping_gone(self, namespace: str, name: str) -> None:
        """A mapping ConfigMap was deleted, or lost its label."""
        if self._mappings.pop((namespace, name), None) is not None:
            self._mapping_changed(namespace)

    def mappings(self, namespace: str) -> Sequence[ConfigMapData]:
        """The mapping ConfigMaps of a namespace, by name."""
        return [self._mappings[key] for key in sorted(self._mappings) if key[0] == namespace]

    def beats(self) -> dict[str, float]:
        """Loop -> monotonic time at which it last went round, over all estates that are reconciled here.

        A runner that ended by an error never goes round again: minus infinity.
        """
        beats = {
            f"{'/'.join(key)}/{loop}": at
            for key, runner in self._runners.items()
            if runner.running is not None
            for loop, at in runner.running.reconciler.beats().items()
        }
        failed = {f"{'/'.join(key)}/runner": -math.inf for key, task in self._tasks.items() if _failed(task)}
        return beats | failed

    def numbers(self) -> list[EstateNumbers]:
        """How every estate stands, for Prometheus."""
        return [runner.numbers() for runner in self._runners.values()]

    async def stop(self) -> None:
        """End every runner: no effect begins any more, sessions are closed and Leases released."""
        for runner in self._runners.values():
            runner.end_effects()
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=_STOP_WITHIN)

    def _mapping_changed(self, namespace: str) -> None:
        for runner in self._runners.values():
            if runner.estate.namespace == namespace and runner.running is not None:
                runner.running.reconciler.mapping_changed()

    def _see_all(self, fresh: dict[tuple[str, str], Estate]) -> None:
        """Tell every runner how its Estate is, and which older one has its endpoints."""
        for key, runner in self._runners.items():
            estate = fresh.get(key, runner.estate)
            runner.saw(estate, self._elder(estate))

    def _elder(self, estate: Estate) -> str:
        """An Estate created before this one with the same PCE organisation or Check Point domain; empty: none."""
        for key in sorted(self._runners, key=self._age):
            other = self._runners[key].estate
            if self._age(key) < self._age(estate.key) and _endpoints(other) & _endpoints(estate):
                return "/".join(key)
        return ""

    def _age(self, key: tuple[str, str]) -> tuple[str, tuple[str, str]]:
        return (self._order.get(key, ""), key)


def _before(one: Estate | ConfigMapData, other: Estate | ConfigMapData) -> bool:
    """ResourceVersions of one resource count up (KEP-5504, Kubernetes 1.35); others are not compared."""
    versions = (one.resource_version, other.resource_version)
    return one.uid == other.uid and all(each.isdigit() for each in versions) and int(versions[0]) < int(versions[1])


def _endpoints(estate: Estate) -> frozenset[tuple[str, str, str]]:
    """The PCE organisation and the Check Point domain."""
    spec = estate.spec
    return frozenset(
        {
            ("illumio", _address(spec.illumio.url), str(spec.illumio.org_id)),
            ("checkpoint", _address(spec.check_point.url), fold(spec.check_point.domain)),
        }
    )


def _address(url: str) -> str:
    """A URL in the form in which two spellings of one server are equal: port 443, and the dot that ends a host name."""
    parts = urlsplit(url.lower())
    try:
        port = parts.port or 443
    except ValueError:  # no number: this Estate is stalled for it anyway
        return url
    return f"{(parts.hostname or '').rstrip('.')}:{port}{parts.path.rstrip('/')}"


def _log_failure(task: asyncio.Task[None]) -> None:
    """A runner must not end by an error; if one does, the log has it and the probe fails."""
    if _failed(task):
        log.error("runner failed", exc_info=task.exception(), extra={"task": task.get_name()})


async def _after(before: asyncio.Task[None] | None, runner: EstateRunner) -> None:
    """An Estate that was deleted and made again is kept when the one before is let go: both would hold one Lease."""
    if before is not None:
        await asyncio.wait((before,))
    await runner.run()


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None
