"""The operator's Deployment: found by the labels that the manifests give it, and read for its container's variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import yaml

from microseg.kube.client import Api
from microseg.kube.deployments import Deployments, OperatorDeployment

BASE = Path(__file__).resolve().parents[3] / "manifests" / "kustomize" / "base"
T = TypeVar("T")


class FakeApi:
    """Answers a list with one Deployment, where the selector fits its labels."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def get(self, path: str, into: type[T], *, query: dict[str, str]) -> T:
        assert path == "/apis/apps/v1/namespaces/ns/deployments"
        key, value = query["labelSelector"].split("=")
        labelled = load("kustomization.yaml")["labels"][0]["pairs"].get(key) == value
        return msgspec.convert({"items": [self.document] if labelled else []}, into)


def load(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((BASE / name).read_text(encoding="utf-8")))


def read(**container: Any) -> OperatorDeployment:
    document = load("deployment.yaml")
    document["spec"]["template"]["spec"]["containers"][0].update(container)
    (found,) = Deployments(cast("Api", FakeApi(document)), "ns").of_operator()
    return found


def test_the_deployment_of_the_manifests_is_found_and_has_only_its_pods_name_from_elsewhere() -> None:
    assert read() == OperatorDeployment("microseg", {}, ("POD_NAMESPACE", "POD_NAME"))


def test_a_deployment_with_the_label_but_another_container_is_not_the_operators() -> None:
    document = load("deployment.yaml")
    document["spec"]["template"]["spec"]["containers"][0]["name"] = "other"
    assert Deployments(cast("Api", FakeApi(document)), "ns").of_operator() == ()


def test_values_and_what_stands_elsewhere_are_told_apart() -> None:
    env = [{"name": "MICROSEG_LOOK_PAUSE", "value": "30"}, {"name": "X", "valueFrom": {"configMapKeyRef": {}}}]
    found = read(env=env, envFrom=[{"configMapRef": {"name": "more"}}])
    assert found == OperatorDeployment("microseg", {"MICROSEG_LOOK_PAUSE": "30"}, ("X", "envFrom"))
