"""Estates: decoded strictly, their status patched by compare-and-swap.

`handlers/` decode what kopf brings, the keeper reads and records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from microseg.kube.client import Api
from microseg.kube.errors import SpecInvalid
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

    def list(self, namespace: str) -> tuple[Estate, ...]:
        """All of one namespace, by name. Raises SpecInvalid for one that this version cannot use."""
        found = self._api.get(ESTATES.all(namespace), _Estates)
        return tuple(sorted(map(_estate, found.items), key=lambda estate: estate.name))

    def pin(self, estate: Estate, revision: str) -> Estate:
        """Set `spec.mapping.pin`, or take it off by an empty one: a person's emergency. Raises NotFound, Forbidden.

        The one field is set whatever else changed meanwhile: an emergency does not wait for the status to stand still.
        """
        body = {"spec": {"mapping": {"pin": revision or None}}}
        return _estate(self._api.merge_patch(ESTATES.one(estate.namespace, estate.name), body, EstateWire))

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


class _Estates(msgspec.Struct):
    items: list[EstateWire]


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
    )


def _sentence(error: msgspec.ValidationError, root: str) -> str:
    """`spec.azure.sources[0].name: Expected ...` out of msgspec's ``Expected ... - at `$.azure.sources[0].name` ``."""
    problem, _, place = str(error).partition(" - at `$")
    where = (root + place.rstrip("`")).lstrip(".") or "the object"
    return f"{where}: {problem[:1].lower()}{problem[1:]}"
