"""What GitOps tools see: kstatus by its own library, and Argo CD's health check by the Lua that Argo CD embeds."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.image.name import ROOT
from lab.processes import run_program

GITOPS = ROOT / "manifests" / "gitops"
STORED = json.loads((ROOT / "tests/integration/stored/a106b6a.json").read_text(encoding="utf-8"))
Object = dict[str, Any]


@cache
def program(folder: Path = ROOT / "hack" / "health") -> Path:
    """Build hack/health once; Go keeps what it compiled."""
    out = ROOT / "dist" / "health"
    out.parent.mkdir(exist_ok=True)
    subprocess.run(["go", "build", "-o", out, "."], cwd=folder, check=True)
    return out


def judged(object_: Object, *script: Path) -> str:
    return run_program([program(), *script], input=json.dumps({"items": [object_]})).strip()


def made(kind: str, told: dict[str, str] | None = None, *, spec: Object | None = None, observed: int = 1) -> Object:
    """An object with conditions, each such as `{"Stalled": "True KeyRefused"}`."""
    conditions = [
        {"type": name, "status": text.split()[0], "reason": text.split()[-1], "message": "as told"}
        for name, text in (told or {}).items()
    ]
    found: Object = {
        "apiVersion": "microseg.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "x", "namespace": "microseg", "generation": 1},
        "spec": spec or {},
    }
    return found | ({"status": {"observedGeneration": observed, "conditions": conditions}} if conditions else {})


def stored(kind: str, status: Object) -> Object:
    return made(kind) | {"status": status}


SETTLED = {"Reconciling": "False Settled", "Stalled": "False NothingBlocks"}
DONE = {"Ready": "True AllCommissioned", **SETTLED}
STATES: list[tuple[str, Object, str, str]] = [
    ("nothing is known yet", made("Estate"), "Current", "Progressing"),
    ("a commissioned host", stored("ManagedHost", STORED["hosts"]["Host24"]), "Current", "Healthy"),
    ("a host without a rule", stored("ManagedHost", STORED["hosts"]["untagged-1"]), "InProgress", "Suspended"),
    ("a settled estate", stored("Estate", STORED["estate"]), "Current", "Healthy"),
    (
        "working",
        made("ManagedHost", {"Ready": "False InstallingAgent", "Reconciling": "True InstallingAgent"}),
        "InProgress",
        "Progressing",
    ),
    (
        "blocked",
        made(
            "ManagedHost", {"Ready": "False KeyRefused", "Reconciling": "False Settled", "Stalled": "True KeyRefused"}
        ),
        "Failed",
        "Degraded",
    ),
    (
        "an estate that cannot read",
        made("Estate", {"Ready": "False Unreachable", "AzureReachable": "False Unreachable", **SETTLED}),
        "InProgress",
        "Degraded",
    ),
    ("a refused mapping", made("Estate", {**DONE, "MappingValid": "False MappingInvalid"}), "Current", "Degraded"),
    ("a held plan", made("Estate", {**DONE, "PlanHeld": "True Held"}), "Current", "Suspended"),
    ("suspended", made("Estate", DONE, spec={"suspend": True}), "Current", "Suspended"),
    ("edited a moment ago", made("Estate", DONE, observed=0), "InProgress", "Progressing"),
    ("with blocked hosts", made("Estate", {"Ready": "False HostsBlocked", **SETTLED}), "InProgress", "Degraded"),
]


@pytest.mark.parametrize(("name", "object_", "kstatus", "argo"), STATES, ids=[state[0] for state in STATES])
def test_the_tools_see_what_is_so(name: str, object_: Object, kstatus: str, argo: str) -> None:
    assert judged(object_) == kstatus, name
    assert judged(object_, GITOPS / "estate-health.lua").partition(":")[0] == argo, name


def test_argo_cd_shows_the_reason_and_the_message() -> None:
    blocked = made("ManagedHost", {"Ready": "False KeyRefused", "Stalled": "True KeyRefused"})
    assert judged(blocked, GITOPS / "estate-health.lua") == "Degraded: KeyRefused: as told"


def test_the_config_map_carries_the_script() -> None:
    data = yaml.safe_load((GITOPS / "argocd-cm.yaml").read_text(encoding="utf-8"))["data"]
    script = (GITOPS / "estate-health.lua").read_text(encoding="utf-8")
    assert data == {f"resource.customizations.health.microseg.dev_{kind}": script for kind in ("Estate", "ManagedHost")}
