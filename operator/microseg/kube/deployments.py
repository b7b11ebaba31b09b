"""The operator's own Deployment, for `microseg explain`: which settings the running operator was started with.

Only people read it, with their own RBAC; the operator itself may not and need not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from microseg.kube.client import Api
from microseg.kube.resources import DEPLOYMENTS
from microseg.kube.serialization import Metadata

_SELECTOR = "app.kubernetes.io/name=microseg"
"""The label that manifests/kustomize/base/kustomization.yaml puts on every object: it survives a prefix of the name."""
_CONTAINER = "operator"


@dataclass(frozen=True, slots=True)
class OperatorDeployment:
    """One Deployment, with the environment variables of the operator's container."""

    name: str
    environment: Mapping[str, str]
    """Variables with a value of their own."""
    indirect: tuple[str, ...] = ()
    """Variables that take their value from another object, and `envFrom` where whole objects are taken."""


class Deployments:
    """The Deployments of one namespace. Methods raise `KubeError`s."""

    def __init__(self, api: Api, namespace: str) -> None:
        """Take the client and the namespace."""
        self._api = api
        self._namespace = namespace

    def of_operator(self) -> tuple[OperatorDeployment, ...]:
        """Those with the operator's label and container, by name; usually one."""
        query = {"labelSelector": _SELECTOR}
        found = self._api.get(DEPLOYMENTS.all(self._namespace), _Wires, query=query)
        fit = [wire for wire in found.items if _containers(wire)]
        return tuple(_deployment(wire) for wire in sorted(fit, key=lambda wire: wire.metadata.name))


class _Variable(msgspec.Struct, rename="camel"):
    name: str
    value: str = ""
    value_from: dict[str, Any] | None = None


class _Container(msgspec.Struct, rename="camel"):
    name: str
    env: list[_Variable] = []
    env_from: list[dict[str, Any]] = []


class _PodSpec(msgspec.Struct):
    containers: list[_Container]


class _Template(msgspec.Struct):
    spec: _PodSpec


class _Spec(msgspec.Struct):
    template: _Template


class _Wire(msgspec.Struct):
    metadata: Metadata
    spec: _Spec


class _Wires(msgspec.Struct):
    items: list[_Wire]


def _containers(wire: _Wire) -> list[_Container]:
    return [container for container in wire.spec.template.spec.containers if container.name == _CONTAINER]


def _deployment(wire: _Wire) -> OperatorDeployment:
    containers = _containers(wire)
    variables = [variable for container in containers for variable in container.env]
    whole = ["envFrom" for container in containers if container.env_from]
    return OperatorDeployment(
        wire.metadata.name,
        {variable.name: variable.value for variable in variables if variable.value_from is None},
        (*(variable.name for variable in variables if variable.value_from is not None), *whole),
    )
