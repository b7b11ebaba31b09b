"""ManagedHosts: made once per VM, and their status patched by compare-and-swap. The keeper and its recorder call it.

There is no whole-object update and no patch without a resourceVersion: a writer that has lost its Lease while it was
paused cannot overwrite its successor.
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from microseg.kube.client import Api
from microseg.kube.errors import AlreadyExists, NotFound
from microseg.kube.resources import ESTATE_LABEL, MANAGED_HOSTS
from microseg.kube.wire import HostWire, encoded, merge_difference
from microseg.model.host import HostSpec, HostStatus, ManagedHost, host_name

_PAGE = 500


class Hosts:
    """The ManagedHosts of one namespace. Methods raise `KubeError`s."""

    def __init__(self, api: Api, namespace: str) -> None:
        """Take the client and the namespace."""
        self._api = api
        self._namespace = namespace

    def create(self, vm_name: str, vm_id: str, estate_name: str) -> ManagedHost:
        """Make the record of a VM, or return the one that is there (effect of kind 2: its name makes a repeat find it).

        Raises AlreadyExists where the name belongs to another VM, or the VM to another estate.
        """
        name, identity = host_name(vm_name, vm_id), vm_id.lower()
        body = {
            "apiVersion": MANAGED_HOSTS.api_version,
            "kind": MANAGED_HOSTS.kind,
            "metadata": {"name": name, "namespace": self._namespace, "labels": {ESTATE_LABEL: estate_name}},
            "spec": HostSpec(estate=estate_name, vm_id=identity),
        }
        try:
            return self._api.create(MANAGED_HOSTS.all(self._namespace), body, HostWire).host()
        except AlreadyExists:
            return self._existing(name, identity, estate_name)

    def read(self, name: str) -> ManagedHost:
        """Read one. Raises NotFound."""
        return self._api.get(MANAGED_HOSTS.one(self._namespace, name), HostWire).host()

    def patch_status(self, host: ManagedHost, status: HostStatus) -> ManagedHost:
        """Bring the stored status from `host.status` to `status`, if the object is still the one that was read.

        Returns the host as it is now stored; without a request if nothing differs. Raises Conflict when the object
        changed meanwhile, NotFound when it was deleted, Invalid when the schema refuses a field or lacks it.
        """
        difference = merge_difference(encoded(host.status), encoded(status))
        if not difference:
            return host
        body = {"metadata": {"resourceVersion": host.resource_version}, "status": difference}
        path = MANAGED_HOSTS.one(host.namespace, host.name, "status")
        return self._api.merge_patch(path, body, HostWire).host()

    def clear_annotation(self, host: ManagedHost, key: str) -> ManagedHost:
        """Take an annotation off that was acted on. Raises Conflict when the object changed since it was read."""
        if key not in host.annotations:
            return host
        body = {"metadata": {"resourceVersion": host.resource_version, "annotations": {key: None}}}
        return self._api.merge_patch(MANAGED_HOSTS.one(host.namespace, host.name), body, HostWire).host()

    def delete(self, name: str, uid: str) -> None:
        """Delete that very record; one that is gone already is as wanted. Raises Conflict where it is a newer one."""
        with contextlib.suppress(NotFound):
            self._api.delete(MANAGED_HOSTS.one(self._namespace, name), uid=uid)

    def list(self, estate_name: str) -> tuple[ManagedHost, ...]:
        """All records of one estate, in pages; for people's commands, the keeper has its mirror.

        Raises Invalid for a record that this version cannot hold.
        """
        query = {"labelSelector": f"{ESTATE_LABEL}={estate_name}", "limit": str(_PAGE)}
        found: list[ManagedHost] = []
        while True:
            page = self._api.get(MANAGED_HOSTS.all(self._namespace), _Page, query=query, timeout=30.0)
            found += [wire.host() for wire in page.items]
            if not page.metadata.token:
                return tuple(found)
            query = query | {"continue": page.metadata.token}

    def delete_all(self, estate_name: str) -> int:
        """Delete every record of an estate; how many there were."""
        names = self.names(estate_name)
        for name in names:
            with contextlib.suppress(NotFound):
                self._api.delete(MANAGED_HOSTS.one(self._namespace, name))
        return len(names)

    def names(self, estate_name: str = "") -> frozenset[str]:
        """Names of all records in the namespace, or of one estate's; 60 bytes each on the wire."""
        query = {"labelSelector": f"{ESTATE_LABEL}={estate_name}"} if estate_name else {}
        return frozenset(self._api.table(MANAGED_HOSTS.all(self._namespace), query=query))

    def _existing(self, name: str, vm_id: str, estate_name: str) -> ManagedHost:
        path = MANAGED_HOSTS.one(self._namespace, name)
        found = self._api.get(path, HostWire)
        if found.spec.vm_id != vm_id:
            raise AlreadyExists(f"ManagedHost {name} stands for another VM ({found.spec.vm_id})")
        if found.spec.estate != estate_name:
            raise AlreadyExists(f"ManagedHost {name} belongs to the estate {found.spec.estate}")
        if found.metadata.labels.get(ESTATE_LABEL) != estate_name:
            # Somebody took the label off, so the mirror cannot see the record: put it back.
            label: dict[str, Any] = {"metadata": {"labels": {ESTATE_LABEL: estate_name}}}
            found = self._api.merge_patch(path, label, HostWire)
        return found.host()


class _PageMeta(msgspec.Struct):
    token: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _PageMeta
    items: list[HostWire]


def decode_host(line: bytes | msgspec.Raw) -> ManagedHost:
    """Decode one ManagedHost from its JSON. Raises msgspec.ValidationError for one that this version cannot hold."""
    return _DECODER.decode(line).host()


_DECODER = msgspec.json.Decoder(HostWire)
