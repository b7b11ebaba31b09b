"""Estates: decoded strictly, their status patched by compare-and-swap, their finalizer put on and taken off.

`handlers/` decode what kopf brings, the keeper reads and records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from microseg.kube.client import Api
from microseg.kube.errors import Conflict, Invalid, SpecInvalid
from microseg.kube.resources import ESTATES
from microseg.kube.wire import EstateWire, encoded, merge_difference
from microseg.model.estate import Estate, EstateSpec, EstateStatus


def decode(raw: Mapping[str, Any]) -> Estate:
    """Make an Estate of its JSON object.

    Raises SpecInvalid, a sentence with the path of the wrong field, where the spec or the status cannot be read.
    """
    try:
        wire = msgspec.convert(raw, EstateWire)
    except msgspec.ValidationError as error:
        raise SpecInvalid(_sentence(error, "")) from None
    return _estate(wire)


class Estates:
    """The Estates that this identity may see. Methods raise `KubeError`s, and SpecInvalid where they decode."""

    def __init__(self, api: Api) -> None:
        """Take the client."""
        self._api = api

    def read(self, namespace: str, name: str) -> Estate:
        """Read one. Raises NotFound, SpecInvalid."""
        return _estate(self._api.get(ESTATES.one(namespace, name), EstateWire))

    def patch_status(self, estate: Estate, status: EstateStatus) -> Estate:
        """Bring the stored status from `estate.status` to `status`, if the object is still the one that was read.

        Without a request if nothing differs. Raises Conflict, NotFound, Invalid.
        """
        difference = merge_difference(encoded(estate.status), encoded(status))
        if not difference:
            return estate
        body = {"metadata": {"resourceVersion": estate.resource_version}, "status": difference}
        path = ESTATES.one(estate.namespace, estate.name, "status")
        return _estate(self._api.merge_patch(path, body, EstateWire))

    def add_finalizer(self, estate: Estate, finalizer: str) -> Estate:
        """Put our finalizer on, beside others'. Raises Conflict where the list changed since it was read."""
        if finalizer in estate.finalizers:
            return estate
        return self._set_finalizers(estate, (*estate.finalizers, finalizer))

    def remove_finalizer(self, estate: Estate, finalizer: str) -> Estate:
        """Take our finalizer off and leave others'. Raises Conflict where the list changed since it was read."""
        if finalizer not in estate.finalizers:
            return estate
        return self._set_finalizers(estate, tuple(other for other in estate.finalizers if other != finalizer))

    def _set_finalizers(self, estate: Estate, wanted: tuple[str, ...]) -> Estate:
        # Only the list and the incarnation are tested, not the resourceVersion: statuses may be written meanwhile.
        place = "/metadata/finalizers"
        operations: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/uid", "value": estate.uid},
            {"op": "test", "path": place, "value": list(estate.finalizers) or None},
            {"op": "add", "path": place, "value": list(wanted)},
        ]
        path = ESTATES.one(estate.namespace, estate.name)
        try:
            return _estate(self._api.json_patch(path, operations, EstateWire))
        except Invalid:
            # The server answers 422 for a failed test as for any other wrong patch.
            now = self._api.get(path, EstateWire).metadata
            if now.finalizers != estate.finalizers or now.uid != estate.uid:
                raise Conflict(f"the finalizers of Estate {estate.name} changed meanwhile") from None
            raise


def _estate(wire: EstateWire) -> Estate:
    meta = wire.metadata
    try:
        spec = msgspec.convert(wire.spec, EstateSpec)
    except msgspec.ValidationError as error:
        raise SpecInvalid(_sentence(error, "spec")) from None
    return Estate(
        name=meta.name,
        namespace=meta.namespace,
        spec=spec,
        status=wire.status,
        uid=meta.uid,
        generation=meta.generation,
        resource_version=meta.resource_version,
        annotations=meta.our_annotations(),
        deleting=meta.deletion_timestamp is not None,
        finalizers=meta.finalizers,
    )


def _sentence(error: msgspec.ValidationError, root: str) -> str:
    """`spec.azure.sources[0].name: Expected ...` out of msgspec's ``Expected ... - at `$.azure.sources[0].name` ``."""
    problem, _, place = str(error).partition(" - at `$")
    where = (root + place.rstrip("`")).lstrip(".") or "the object"
    return f"{where}: {problem[:1].lower()}{problem[1:]}"
