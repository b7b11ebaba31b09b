"""All Estates and mapping documents that this process sees, and a tenure for each Estate. `handlers/` feed it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from microseg.estate.tenure import Tenure
from microseg.kube.secrets import ConfigMapData
from microseg.metrics import EstateNumbers
from microseg.model.estate import Estate

log = logging.getLogger(__name__)
_STOP_WITHIN = 20.0


class Register:
    """Runs on the event loop; its methods are quick."""

    def __init__(self, new_tenure: Callable[[Estate], Tenure]) -> None:
        """`new_tenure`: see wiring."""
        self._new_tenure = new_tenure
        self._tenures: dict[tuple[str, str], Tenure] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._mappings: dict[tuple[str, str], ConfigMapData] = {}
        self._order: dict[tuple[str, str], str] = {}

    def saw_estate(self, estate: Estate, created: str) -> None:
        """An Estate as it is now. `created`: its creation time: of two with one endpoint the elder is kept."""
        self._order[estate.key] = created
        if estate.key not in self._tenures:
            tenure = self._tenures[estate.key] = self._new_tenure(estate)
            before = self._tasks.get(estate.key)
            task = asyncio.create_task(_after(before, tenure), name=f"estate-{estate.name}")
            task.add_done_callback(_told)
            self._tasks[estate.key] = task
        self._see_all({estate.key: estate})

    def estate_gone(self, key: tuple[str, str]) -> None:
        """An Estate was deleted."""
        tenure = self._tenures.pop(key, None)
        self._order.pop(key, None)
        if tenure is not None:
            tenure.gone()
        self._see_all({})

    def saw_mapping(self, document: ConfigMapData) -> None:
        """A mapping ConfigMap as it is now."""
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
        """Loop -> monotonic time at which it last went round, over all estates that are kept here."""
        return {
            f"{tenure.estate.name}/{loop}": at
            for tenure in self._tenures.values()
            if tenure.running is not None
            for loop, at in tenure.running.keeper.beats().items()
        }

    def numbers(self) -> list[EstateNumbers]:
        """How every estate stands, for Prometheus."""
        return [tenure.numbers() for tenure in self._tenures.values()]

    async def stop(self) -> None:
        """End every tenure: sessions are closed and Leases released."""
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=_STOP_WITHIN)

    def _mapping_changed(self, namespace: str) -> None:
        for tenure in self._tenures.values():
            if tenure.estate.namespace == namespace and tenure.running is not None:
                tenure.running.keeper.mapping_changed()

    def _see_all(self, fresh: dict[tuple[str, str], Estate]) -> None:
        """Tell every tenure how its Estate is, and which elder one has its endpoints."""
        for key, tenure in self._tenures.items():
            estate = fresh.get(key, tenure.estate)
            tenure.saw(estate, self._elder(estate))

    def _elder(self, estate: Estate) -> str:
        """An Estate created before this one with the same PCE organisation or Check Point domain; empty: none."""
        for key in sorted(self._tenures, key=self._age):
            other = self._tenures[key].estate
            if self._age(key) < self._age(estate.key) and _endpoints(other) & _endpoints(estate):
                return "/".join(key)
        return ""

    def _age(self, key: tuple[str, str]) -> tuple[str, tuple[str, str]]:
        return (self._order.get(key, ""), key)


def _endpoints(estate: Estate) -> frozenset[tuple[str, str, str]]:
    """The PCE organisation and the Check Point domain."""
    spec = estate.spec
    return frozenset(
        {
            ("illumio", spec.illumio.url.rstrip("/").lower(), str(spec.illumio.org_id)),
            ("checkpoint", spec.check_point.url.rstrip("/").lower(), spec.check_point.domain.lower()),
        }
    )


def _told(task: asyncio.Task[None]) -> None:
    """A tenure must not end by an error; if one does, the log has it and the probe turns red."""
    if not task.cancelled() and task.exception() is not None:
        log.error("tenure failed", exc_info=task.exception(), extra={"task": task.get_name()})


async def _after(before: asyncio.Task[None] | None, tenure: Tenure) -> None:
    """An Estate that was deleted and made again is kept when the one before is let go: both would hold one Lease."""
    if before is not None:
        await asyncio.wait((before,))
    await tenure.run()
