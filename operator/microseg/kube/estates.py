"""Estates: decoded strictly, their status patched by compare-and-swap.

`handlers/` decode what kopf delivers; the estate runner and the status writer read and patch; `cli/` lists and pins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from microseg.kube.client import Api
from microseg.kube.errors import SpecInvalid
from microseg.kube.resources import ESTATES
from microseg.kube.serialization import SerializedEstate, merge_difference, serialize_status
from microseg.model.estate import Estate
from microseg.model.estate_spec import EstateSpec
from microseg.model.estate_status import EstateStatus
from microseg.model.names import Annotation


def decode_estate(raw: Mapping[str, Any]) -> Estate:
    """Make an Estate of its JSON object.

    Raises SpecInvalid, with the path of the wrong field, if the spec or the status cannot be decoded.
    """
    try:
        serialized = msgspec.convert(raw, SerializedEstate)
    except msgspec.ValidationError as error:
        raise SpecInvalid(_message(error, "")) from None
    return _estate(serialized)


class Estates:
    """The Estates that this identity may see. Methods raise `KubeError`s, and SpecInvalid for what they decode."""

    def __init__(self, api: Api) -> None:
        """`api`: the client."""
        self._api = api

    def read(self, namespace: str, name: str) -> Estate:
        """Read one. Raises NotFound, SpecInvalid."""
        return _estate(self._api.get(ESTATES.one(namespace, name), SerializedEstate))

    def list(self, namespace: str | None) -> tuple[Estate, ...]:
        """All of one namespace, or of all, by name. Raises SpecInvalid for one that this version cannot use."""
        answer = self._api.get(ESTATES.all(namespace), _EstateList)
        return tuple(sorted(map(_estate, answer.items), key=lambda estate: estate.name))

    def pin(self, estate: Estate, revision: str) -> Estate:
        """Set `spec.mapping.pin`; an empty `revision` removes it. Raises NotFound, Forbidden.

        A person does that in an emergency, so this one field is set whatever else has changed meanwhile.
        """
        body = {"spec": {"mapping": {"pin": revision or None}}}
        return _estate(self._api.merge_patch(ESTATES.one(estate.namespace, estate.name), body, SerializedEstate))

    def patch_status(self, estate: Estate, status: EstateStatus) -> Estate:
        """Patch the stored status from `estate.status` to `status`; no request if nothing differs.

        Raises Conflict if the object has changed since it was read; NotFound, Invalid.
        """
        difference = merge_difference(serialize_status(estate.status), serialize_status(status))
        if not difference:
            return estate
        body = {"metadata": {"resourceVersion": estate.resource_version}, "status": difference}
        path = ESTATES.one(estate.namespace, estate.name, "status")
        return _estate(self._api.merge_patch(path, body, SerializedEstate))


class _EstateList(msgspec.Struct):
    items: list[SerializedEstate]


def _estate(serialized: SerializedEstate) -> Estate:
    meta = serialized.metadata
    try:
        spec = msgspec.convert(serialized.spec, EstateSpec)
    except msgspec.ValidationError as error:
        raise SpecInvalid(_message(error, "spec")) from None
    return Estate(
        name=meta.name,
        namespace=meta.namespace,
        spec=spec,
        status=serialized.status,
        uid=meta.uid,
        generation=meta.generation,
        resource_version=meta.resource_version,
        annotations=meta.our_annotations(),
        deleting=meta.deletion_timestamp is not None,
        approver=meta.writer(Annotation.APPROVE),
    )


def _message(error: msgspec.ValidationError, root: str) -> str:
    """`spec.azure.sources[0].name: expected ...` from msgspec's ``Expected ... - at `$.azure.sources[0].name` ``."""
    problem, _, path = str(error).partition(" - at `$")
    where = (root + path.rstrip("`")).lstrip(".") or "the object"
    return f"{where}: {problem[:1].lower()}{problem[1:]}"
