"""ManagedHosts: created once per VM, and their status patched by compare-and-swap.

The Azure lane, the host status writer and the retirement call it, and `cli/`. There is no whole-object update and no
patch without a resourceVersion: a writer that has lost its Lease during a pause cannot overwrite its successor.
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from microseg.kube.client import Api
from microseg.kube.errors import AlreadyExists, NotFound
from microseg.kube.resources import MANAGED_HOSTS
from microseg.kube.serialization import SerializedHost, merge_difference, serialize_status
from microseg.model.host import HostSpec, HostStatus, ManagedHost, host_name
from microseg.model.names import ESTATE_LABEL

_PAGE = 500


class Hosts:
    """The ManagedHosts of one namespace. Methods raise `KubeError`s."""

    def __init__(self, api: Api, namespace: str) -> None:
        """`api`: the client."""
        self._api = api
        self._namespace = namespace

    def create(self, vm_name: str, vm_id: str, estate_name: str) -> ManagedHost:
        """Create the record of a VM, or return the one that exists (named).

        Raises AlreadyExists if the name belongs to another VM, or the VM to another estate.
        """
        name, identity = host_name(vm_name, vm_id), vm_id.lower()
        body = {
            "apiVersion": MANAGED_HOSTS.api_version,
            "kind": MANAGED_HOSTS.kind,
            "metadata": {"name": name, "namespace": self._namespace, "labels": {ESTATE_LABEL: estate_name}},
            "spec": HostSpec(estate=estate_name, vm_id=identity),
        }
        try:
            return self._api.create(MANAGED_HOSTS.all(self._namespace), body, SerializedHost).host()
        except AlreadyExists:
            return self._existing(name, identity, estate_name)

    def read(self, name: str) -> ManagedHost:
        """Read one. Raises NotFound."""
        return self._api.get(MANAGED_HOSTS.one(self._namespace, name), SerializedHost).host()

    def patch_status(self, host: ManagedHost, status: HostStatus) -> ManagedHost:
        """Patch the stored status from `host.status` to `status`; no request if nothing differs.

        Returns the host as it is stored now. Raises Conflict if the object has changed since it was read, NotFound if
        it was deleted, Invalid if the schema refuses a field or lacks it.
        """
        difference = merge_difference(serialize_status(host.status), serialize_status(status))
        if not difference:
            return host
        body = {"metadata": {"resourceVersion": host.resource_version}, "status": difference}
        path = MANAGED_HOSTS.one(host.namespace, host.name, "status")
        return self._api.merge_patch(path, body, SerializedHost).host()

    def clear_annotation(self, host: ManagedHost, key: str) -> ManagedHost:
        """Remove an annotation that was acted on. Raises Conflict if the object has changed since it was read."""
        if key not in host.annotations:
            return host
        body = {"metadata": {"resourceVersion": host.resource_version, "annotations": {key: None}}}
        return self._api.merge_patch(MANAGED_HOSTS.one(host.namespace, host.name), body, SerializedHost).host()

    def delete(self, name: str, uid: str) -> None:
        """Delete the record of this uid (repeatable); an absent one is fine. Raises Conflict if a newer one exists."""
        with contextlib.suppress(NotFound):
            self._api.delete(MANAGED_HOSTS.one(self._namespace, name), uid=uid)

    def list(self, estate_name: str) -> tuple[ManagedHost, ...]:
        """All records of one estate, read in pages: for people's commands; the engine has its reflector.

        Raises Invalid for a record that this version cannot decode.
        """
        query = {"labelSelector": f"{ESTATE_LABEL}={estate_name}", "limit": str(_PAGE)}
        hosts: list[ManagedHost] = []
        while True:
            page = self._api.get(MANAGED_HOSTS.all(self._namespace), _Page, query=query, timeout=30.0)
            hosts += [item.host() for item in page.items]
            if not page.metadata.token:
                return tuple(hosts)
            query = query | {"continue": page.metadata.token}

    def delete_all(self, estate_name: str) -> int:
        """Delete every record of an estate; returns how many there were."""
        names = self.names(estate_name)
        for name in names:
            with contextlib.suppress(NotFound):
                self._api.delete(MANAGED_HOSTS.one(self._namespace, name))
        return len(names)

    def names(self, estate_name: str = "") -> frozenset[str]:
        """Names of all records in the namespace, or of one estate; about 60 bytes are sent per name."""
        query = {"labelSelector": f"{ESTATE_LABEL}={estate_name}"} if estate_name else {}
        return frozenset(self._api.table(MANAGED_HOSTS.all(self._namespace), query=query))

    def _existing(self, name: str, vm_id: str, estate_name: str) -> ManagedHost:
        path = MANAGED_HOSTS.one(self._namespace, name)
        existing = self._api.get(path, SerializedHost)
        if existing.spec.vm_id != vm_id:
            raise AlreadyExists(f"ManagedHost {name} belongs to another VM ({existing.spec.vm_id})")
        if existing.spec.estate != estate_name:
            raise AlreadyExists(f"ManagedHost {name} belongs to the estate {existing.spec.estate}")
        if existing.metadata.labels.get(ESTATE_LABEL) != estate_name:
            # Somebody removed the label, and without it the reflector does not see the record: put it back.
            label: dict[str, Any] = {"metadata": {"labels": {ESTATE_LABEL: estate_name}}}
            existing = self._api.merge_patch(path, label, SerializedHost)
        return existing.host()


class _PageMeta(msgspec.Struct):
    token: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _PageMeta
    items: list[SerializedHost]


def decode_host(line: bytes | msgspec.Raw) -> ManagedHost:
    """Decode one ManagedHost from JSON. Raises msgspec.ValidationError for one that does not fit this version."""
    return _DECODER.decode(line).host()


_DECODER = msgspec.json.Decoder(SerializedHost)
