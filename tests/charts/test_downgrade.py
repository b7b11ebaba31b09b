"""The way back to an older version: what its definitions keep of today's state, and what is lost for good."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from tests.integration.examples import estate_text

from lab.cluster import apply, await_definitions
from lab.controlplane import ControlPlane
from lab.generate import downgrade
from lab.image.name import ROOT
from lab.processes import wait_until
from microseg.kube import schema

STORED = json.loads((ROOT / "tests/integration/stored/a106b6a.json").read_text(encoding="utf-8"))
NAMESPACE = "downgrade"
VM = "5b8b1c1e-0f6d-4d5e-9a3b-2f6c7d8e9f01"
OLDER = list(downgrade.older().values())
TODAY = list(schema.crds().values())
AGENT = {
    "settlesAt": "2026-11-28T10:00:00Z",
    "lostAt": "2026-11-28T09:00:00Z",
    "shown": "Running",
    "complaint": "permission denied",
    "refusal": "RequestDisallowedByPolicy",
}
"""What today's version writes of an installer and the older one does not know."""
LINE = {"at": "2026-11-28T10:00:00Z", "what": "labels env=prd", "cause": "Mapping", "system": "Illumio", "times": 3}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A control plane of its own: the definitions go back and forth."""
    with ControlPlane.start(tmp_path_factory.mktemp("downgrade")) as own:
        apply(own, TODAY)
        await_definitions(own)
        own.kubectl("create", "namespace", NAMESPACE)
        yield own


def put(plane: ControlPlane, kind: str, name: str, spec: dict[str, Any], status: dict[str, Any]) -> None:
    document = {
        "apiVersion": "microseg.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }
    plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(document))
    merge(plane, kind, name, {"status": status})


def merge(plane: ControlPlane, kind: str, name: str, patch: dict[str, Any]) -> None:
    """As the operator writes status: only what differs."""
    words = ("-n", NAMESPACE, "patch", kind.lower(), name, "--subresource=status", "--type=merge", "-p")
    plane.kubectl(*words, json.dumps(patch))


def read(plane: ControlPlane, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plane.kubectl("-n", NAMESPACE, "get", kind.lower(), name, "-o", "json"))
    return found


def without_unknown(value: Any, known: dict[str, Any], path: str) -> Any:
    """A part of an object as the older definitions keep it."""
    if isinstance(value, list):
        return [without_unknown(each, known, f"{path}[]") for each in value]
    if not isinstance(value, dict) or known.get(path, {}).get("additionalProperties"):
        return value
    return {
        name: without_unknown(each, known, f"{path}.{name}")
        for name, each in value.items()
        if f"{path}.{name}" in known
    }


def test_the_way_back_loses_what_the_page_names_and_only_of_what_is_written_there(plane: ControlPlane) -> None:
    old = STORED["hosts"]["Host24"]
    status = old | {
        "agent": old["agent"] | AGENT | {"outcome": "no-result"},
        "illumio": old["illumio"] | {"pairedByUs": True},
        "history": [LINE] * 32,
    }
    estate = next(iter(yaml.safe_load_all(estate_text())))["spec"]
    estate["azure"]["sources"][0]["allowedNetworks"] = ["10.0.0.0/8"]
    kept = {"ManagedHost": ("untouched", "written"), "Estate": ("respiro",)}
    put(plane, "ManagedHost", "untouched", {"estate": "respiro", "vmId": VM}, status)
    put(plane, "ManagedHost", "written", {"estate": "respiro", "vmId": VM}, status)
    put(plane, "Estate", "respiro", estate, STORED["estate"])
    before = {(kind, name): read(plane, kind, name) for kind, names in kept.items() for name in names}

    apply(plane, OLDER)
    gone = "settlesAt"
    wait_until(lambda: gone not in read(plane, "ManagedHost", "written")["status"]["agent"], seconds=30, what="pruning")
    for crd in OLDER:
        known, kind = downgrade.fields(crd), crd["spec"]["names"]["kind"]
        for name in kept[kind]:
            now = read(plane, kind, name)
            for part in ("spec", "status"):
                expected = without_unknown(before[kind, name][part], known, part)
                wait_until(lambda: read(plane, kind, name)[part] == expected, seconds=30, what=f"{kind} {part}")  # noqa: B023
                assert now["metadata"]["uid"] == before[kind, name]["metadata"]["uid"]
    agent = read(plane, "ManagedHost", "written")["status"]["agent"]
    effect = ("attempt", "runCommand", "nonce")
    assert {key: agent.get(key) for key in effect} == {key: old["agent"].get(key) for key in effect}

    merge(
        plane, "ManagedHost", "written", {"status": {"stage": "Labelling"}}
    )  # accepted beside 32 lines and that outcome

    apply(plane, TODAY)
    wait_until(
        lambda: gone in read(plane, "ManagedHost", "untouched")["status"]["agent"], seconds=30, what="it is back"
    )
    for name in ("spec", "status"):
        assert read(plane, "ManagedHost", "untouched")[name] == before["ManagedHost", "untouched"][name]
        assert read(plane, "Estate", "respiro")[name] == before["Estate", "respiro"][name]
    written = read(plane, "ManagedHost", "written")["status"]
    assert not AGENT.keys() & written["agent"].keys()
    assert "pairedByUs" not in written["illumio"]
    assert written["agent"]["attempt"] == old["agent"]["attempt"]


def test_the_page_tells_each_field_that_this_test_has_written() -> None:
    page = downgrade.page()
    for name in AGENT:
        assert f"`status.agent.{name}`" in page
    for told in (
        "`status.illumio.pairedByUs`",
        "`spec.azure.sources[].allowedNetworks`",
        "`status.history`: more than 10 items",
        "`no-result`",
    ):
        assert told in page
