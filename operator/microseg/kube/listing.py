"""Whole lists of Estates and of mapping ConfigMaps, undecoded: `handlers/` judges each object as those of the watch."""

from __future__ import annotations

from typing import Any

import msgspec

from microseg.kube.client import Api
from microseg.kube.resources import CONFIG_MAPS, ESTATES
from microseg.model.names import Annotation


class Lists:
    """Reads collections of one namespace as they are now. Methods raise `KubeError`s; NotFound: the kind is unknown."""

    def __init__(self, api: Api) -> None:
        """`api`: the client."""
        self._api = api

    def estates(self, namespace: str) -> tuple[dict[str, Any], ...]:
        """All Estates."""
        return tuple(self._api.get(ESTATES.all(namespace), _List).items)

    def mappings(self, namespace: str) -> tuple[dict[str, Any], ...]:
        """The ConfigMaps that are labelled as mappings."""
        labelled = {"labelSelector": Annotation.MAPPING.value}
        return tuple(self._api.get(CONFIG_MAPS.all(namespace), _List, query=labelled).items)


class _List(msgspec.Struct):
    items: list[dict[str, Any]]
