"""Rendered charts as objects, and the values that the tests render with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lab.helm import CHART, CRD_CHART, Helm

Object = dict[str, Any]
VALUES = Path(__file__).parent / "values"
IMAGE = {"image": {"repository": "registry.test/microseg"}}


def objects(text: str) -> dict[tuple[str, str], Object]:
    """(kind, name) -> object."""
    documents = [each for each in yaml.safe_load_all(text) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


def chart(helm: Helm, values: Object | None = None, *, namespace: str = "microseg") -> dict[tuple[str, str], Object]:
    """The operator's chart with an image and these values."""
    text = yaml.safe_dump(IMAGE | (values or {}))
    return objects(helm.template(CHART, namespace=namespace, values=text))


def crd_chart(helm: Helm, values: Object | None = None) -> dict[tuple[str, str], Object]:
    """The chart of what is cluster-wide."""
    return objects(helm.template(CRD_CHART, values=yaml.safe_dump(values) if values else "", release="microseg-crds"))


def pod(found: dict[tuple[str, str], Object]) -> Object:
    """The Deployment's Pod."""
    spec: Object = found["Deployment", "microseg"]["spec"]["template"]
    return spec


def container(found: dict[tuple[str, str], Object]) -> Object:
    """Its one container."""
    (only,) = pod(found)["spec"]["containers"]
    return dict(only)
