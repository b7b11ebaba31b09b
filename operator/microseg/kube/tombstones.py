"""Tombstones: that a host was retired, why and when, written before its first trace is removed (S6).

A ConfigMap an estate and day, with one key a vmId; a second one for the day where the first is full. They are what the
guard counts, so a restart forgets nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from microseg.kube.client import Api
from microseg.kube.errors import AlreadyExists, NotFound
from microseg.kube.resources import CONFIG_MAPS, GROUP
from microseg.kube.wire import Metadata

TOMBSTONE_LABEL = f"{GROUP}/tombstones"
_FULL = 500
"""Tombstones in one ConfigMap: each is under 1 KiB, and a ConfigMap holds 1 MiB."""


class Tombstone(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """One retired host."""

    vm_id: str
    host: str
    """Name of its ManagedHost."""
    vm: str
    """Name that the VM had."""
    at: datetime
    proof: str
    resource_id: str = ""
    """ARM id that the VM had: what Azure is asked for where the record was lost midway."""
    ended_at: datetime | None = None
    """When the last trace was removed and the record went."""
    workload: str = ""
    left: str = ""
    """The workload where the PCE still listed it then: its VEN never acknowledged the unpairing."""
    objects: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Tombstones:
    """The tombstones of one estate. Methods raise `KubeError`s."""

    def __init__(self, api: Api, namespace: str, estate: str) -> None:
        """Take the client and whose they are."""
        self._api, self._namespace, self._estate = api, namespace, estate

    def all(self) -> tuple[Tombstone, ...]:
        """All that are kept; one that cannot be read is left out, and its ConfigMap stays."""
        return tuple(stone for wire in self._maps() for stone in _stones(wire))

    def write(self, stone: Tombstone) -> None:
        """Write one; one that is there already for this vmId is as good (kind 2: named by vmId and day)."""
        day = stone.at.strftime("%Y%m%d")
        number = 1
        while True:
            name = f"microseg-tombstones-{self._estate[:30]}-{day}-{number}"
            try:
                wire = self._api.get(CONFIG_MAPS.one(self._namespace, name), _ConfigMapWire)
            except NotFound:
                wire = self._create(name)
            if len(wire.data or {}) < _FULL or stone.vm_id in (wire.data or {}):
                break
            number += 1
        body = {"data": {stone.vm_id: msgspec.json.encode(stone).decode()}}
        self._api.merge_patch(CONFIG_MAPS.one(self._namespace, name), body, _ConfigMapWire)

    def prune(self, before: datetime) -> tuple[str, ...]:
        """Delete the ConfigMaps whose newest tombstone is older; their names."""
        old = [wire.metadata.name for wire in self._maps() if _newest(_stones(wire), before) < before]
        for name in old:
            with contextlib.suppress(NotFound):
                self._api.delete(CONFIG_MAPS.one(self._namespace, name))
        return tuple(old)

    def _maps(self) -> list[_ConfigMapWire]:
        query = {"labelSelector": f"{TOMBSTONE_LABEL}={self._estate}"}
        return self._api.get(CONFIG_MAPS.all(self._namespace), _ConfigMapWires, query=query, timeout=30.0).items

    def _create(self, name: str) -> _ConfigMapWire:
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self._namespace, "labels": {TOMBSTONE_LABEL: self._estate}},
        }
        try:
            return self._api.create(CONFIG_MAPS.all(self._namespace), body, _ConfigMapWire)
        except AlreadyExists:
            return self._api.get(CONFIG_MAPS.one(self._namespace, name), _ConfigMapWire)


class _ConfigMapWire(msgspec.Struct):
    metadata: Metadata
    data: dict[str, str] | None = None


class _ConfigMapWires(msgspec.Struct):
    items: list[_ConfigMapWire]


def _stones(wire: _ConfigMapWire) -> Iterable[Tombstone]:
    for text in (wire.data or {}).values():
        with contextlib.suppress(msgspec.DecodeError):
            yield msgspec.json.decode(text, type=Tombstone)


def _newest(stones: Iterable[Tombstone], default: datetime) -> datetime:
    return max((stone.at for stone in stones), default=default)
