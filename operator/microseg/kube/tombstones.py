"""Tombstones: that a host was retired, why and when; written before its first trace is removed (S6).

One ConfigMap per estate and day, one key per vmId; another ConfigMap for the same day when the first is full. The guard
counts the tombstones, so a restart forgets nothing. `engine/retirement.py` writes and reads them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from microseg.kube.client import Api
from microseg.kube.errors import AlreadyExists, NotFound
from microseg.kube.resources import CONFIG_MAPS
from microseg.kube.serialization import Metadata
from microseg.model.names import TOMBSTONES_LABEL

_FULL = 500
"""Tombstones in one ConfigMap: each has less than 1 KiB, and a ConfigMap may have 1 MiB."""


class Tombstone(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """One retired host."""

    vm_id: str
    host: str
    """Name of its ManagedHost."""
    vm: str
    """Name of the VM."""
    at: datetime
    proof: str
    resource_id: str = ""
    """ARM id of the VM: what is looked for in Azure if the record is lost during the retirement."""
    began_at: datetime | None = None
    """When the retirement that runs began, where it is not the first one within an hour; else it is `at`."""
    ended_at: datetime | None = None
    """When the last trace and the record were removed."""
    workload: str = ""
    left: str = ""
    """Href of the workload if the PCE still listed it then, because its VEN never acknowledged, or was adopted."""
    objects: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def began(self) -> datetime:
        """When the retirement of this tombstone began: the record must say the same."""
        return self.began_at or self.at


class Tombstones:
    """The tombstones of one estate. Methods raise `KubeError`s."""

    def __init__(self, api: Api, namespace: str, estate: str) -> None:
        """`estate`: its name."""
        self._api, self._namespace, self._estate = api, namespace, estate

    def all(self) -> tuple[Tombstone, ...]:
        """All that are kept. One that cannot be decoded is left out; its ConfigMap stays."""
        return tuple(tombstone for config_map in self._config_maps() for tombstone in _tombstones_in(config_map))

    def write(self, tombstone: Tombstone) -> None:
        """Write one (named, by vmId and day): it replaces the one of the same VM and day."""
        day = tombstone.at.strftime("%Y%m%d")
        number = 1
        while True:
            name = f"microseg-tombstones-{self._estate[:30]}-{day}-{number}"
            try:
                config_map = self._api.get(CONFIG_MAPS.one(self._namespace, name), _SerializedConfigMap)
            except NotFound:
                config_map = self._create(name)
            if len(config_map.data or {}) < _FULL or tombstone.vm_id in (config_map.data or {}):
                break
            number += 1
        body = {"data": {tombstone.vm_id: msgspec.json.encode(tombstone).decode()}}
        self._api.merge_patch(CONFIG_MAPS.one(self._namespace, name), body, _SerializedConfigMap)

    def prune(self, before: datetime) -> tuple[str, ...]:
        """Delete the ConfigMaps whose newest tombstone is older than `before`; returns their names."""
        old = [
            config_map.metadata.name
            for config_map in self._config_maps()
            if _newest(_tombstones_in(config_map), before) < before
        ]
        for name in old:
            with contextlib.suppress(NotFound):
                self._api.delete(CONFIG_MAPS.one(self._namespace, name))
        return tuple(old)

    def _config_maps(self) -> list[_SerializedConfigMap]:
        query = {"labelSelector": f"{TOMBSTONES_LABEL}={self._estate}"}
        return self._api.get(CONFIG_MAPS.all(self._namespace), _ConfigMapList, query=query, timeout=30.0).items

    def _create(self, name: str) -> _SerializedConfigMap:
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self._namespace, "labels": {TOMBSTONES_LABEL: self._estate}},
        }
        try:
            return self._api.create(CONFIG_MAPS.all(self._namespace), body, _SerializedConfigMap)
        except AlreadyExists:
            return self._api.get(CONFIG_MAPS.one(self._namespace, name), _SerializedConfigMap)


class _SerializedConfigMap(msgspec.Struct):
    metadata: Metadata
    data: dict[str, str] | None = None


class _ConfigMapList(msgspec.Struct):
    items: list[_SerializedConfigMap]


def _tombstones_in(config_map: _SerializedConfigMap) -> Iterable[Tombstone]:
    for text in (config_map.data or {}).values():
        with contextlib.suppress(msgspec.DecodeError):
            yield msgspec.json.decode(text, type=Tombstone)


def _newest(tombstones: Iterable[Tombstone], default: datetime) -> datetime:
    return max((tombstone.at for tombstone in tombstones), default=default)
