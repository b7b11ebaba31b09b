"""`microseg doctor` asks for the rights of the Role that is applied, and its Job's Pod is the operator's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from microseg.cli.doctor_cluster import RIGHTS

KUSTOMIZE = Path(__file__).parents[3] / "manifests" / "kustomize"


def document(path: str, kind: str) -> dict[str, Any]:
    documents = yaml.safe_load_all((KUSTOMIZE / path).read_text(encoding="utf-8"))
    found: dict[str, Any] = next(each for each in documents if each["kind"] == kind)
    return found


def test_every_right_of_the_role_is_asked_for_and_no_other() -> None:
    granted = {
        (group, resource, verb)
        for rule in document("base/role.yaml", "Role")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {(group, resource, verb) for group, resource, verbs in RIGHTS for verb in verbs} == granted


def test_the_doctors_job_sees_what_the_operators_pod_sees_and_no_service_selects_it() -> None:
    job = document("doctor/job.yaml", "Job")["spec"]["template"]
    operator = document("base/deployment.yaml", "Deployment")["spec"]["template"]
    same = ("serviceAccountName", "securityContext", "volumes")
    assert {name: job["spec"][name] for name in same} == {name: operator["spec"][name] for name in same}
    (doctor,), (container,) = job["spec"]["containers"], operator["spec"]["containers"]
    for name in ("image", "securityContext", "volumeMounts"):
        assert doctor[name] == container[name]
    assert doctor["args"] == ["doctor", "--in-cluster"]
    assert [each["name"] for each in doctor["env"]] == ["POD_NAMESPACE"]
    assert job["metadata"]["labels"]["app.kubernetes.io/component"] != "operator"
    assert job["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    images = document("doctor/kustomization.yaml", "Kustomization")["images"]
    assert images[0]["newName"] == document("base/kustomization.yaml", "Kustomization")["images"][0]["newName"]
