"""The shipped Role, verb by verb: each is needed by something that the operator does, and without it that is refused.

Each deed below is a call of the product's own code, with the token of the ServiceAccount. Where the product's
processes run (the scenarios), they have this Role too; `test_onboarding.py` shows that nothing was refused there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from kubernetes import client
from tests.integration.examples import estate_text

from lab.cluster import ROOT
from lab.controlplane import ControlPlane
from lab.processes import wait_until
from microseg.__main__ import main
from microseg.kube import revisions as revisions_module
from microseg.kube.approvals import Approvals, user_name
from microseg.kube.client import Api, connect
from microseg.kube.errors import AlreadyExists, Forbidden, Unavailable
from microseg.kube.estates import Estates
from microseg.kube.events import Events
from microseg.kube.hosts import Hosts
from microseg.kube.leases import Lease, Leases
from microseg.kube.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, ESTATES, MANAGED_HOSTS
from microseg.kube.revisions import MappingRevision, Revisions
from microseg.kube.secrets import read_config_map, read_secret
from microseg.kube.tombstones import Tombstone, Tombstones
from microseg.model.approval import Approval, ApprovalAction, ApprovalSpec, ApprovalStatus
from microseg.model.estate_status import EstateStatus
from microseg.model.host import HostStatus

NAMESPACE = "microseg-rights"
NAME = "respiro"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
Grant = tuple[str, str, str]
"""API group, resource (with its subresource), verb."""


def role() -> dict[str, Any]:
    """The shipped Role."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "manifests/kustomize/base/role.yaml").read_text(encoding="utf-8"))
    return document


def grants(rules: list[dict[str, Any]]) -> list[Grant]:
    return [
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


@dataclass
class Desk:
    """The operator's own access, and a counter for names that nothing has yet."""

    api: Api
    approve: Callable[[], object]
    """What a person does who may approve."""
    number: int = 0

    def vm(self) -> str:
        self.number += 1
        return f"5b8b1c1e-0f6d-4d5e-9a3b-{self.number:012d}"


def pin(by: str) -> ApprovalSpec:
    return ApprovalSpec(estate=NAME, action=ApprovalAction.PIN, what="a" * 64, by=by, reason="CHG-1")


def host_made(desk: Desk) -> None:
    Hosts(desk.api, NAMESPACE).create("vm", desk.vm(), NAME)


def host_read(desk: Desk) -> None:
    Hosts(desk.api, NAMESPACE).read(first_host(desk))


def first_host(desk: Desk) -> str:
    return min(Hosts(desk.api, NAMESPACE).names())


def host_marked(desk: Desk) -> None:
    """As after an annotation that was acted on."""
    hosts = Hosts(desk.api, NAMESPACE)
    host = hosts.read(first_host(desk))
    hosts.clear_annotation(
        msgspec.structs.replace(host, annotations={"microseg.dev/retry": "agent"}), "microseg.dev/retry"
    )


def host_told(desk: Desk) -> None:
    hosts = Hosts(desk.api, NAMESPACE)
    host = hosts.read(first_host(desk))
    hosts.patch_status(host, HostStatus(observed_generation=(host.status.observed_generation or 0) + 1))


def host_deleted(desk: Desk) -> None:
    hosts = Hosts(desk.api, NAMESPACE)
    host = hosts.create("vm", desk.vm(), NAME)
    hosts.delete(host.name, host.uid)


def estate_told(desk: Desk) -> None:
    estates = Estates(desk.api)
    estate = estates.read(NAMESPACE, NAME)
    estates.patch_status(estate, EstateStatus(observed_generation=(estate.status.observed_generation or 0) + 1))


def tombstone(desk: Desk, *, days: int = 0) -> Tombstones:
    stones = Tombstones(desk.api, NAMESPACE, NAME)
    stones.write(
        Tombstone(vm_id=desk.vm(), host="h", vm="h", at=NOW + timedelta(days=desk.number + days), proof="NotFound")
    )
    return stones


def tombstones_pruned(desk: Desk) -> None:
    assert tombstone(desk).prune(NOW + timedelta(days=1000))


def lease(desk: Desk) -> Lease:
    return Lease(f"lease-{desk.vm()}", NAMESPACE, "pod", 1, NOW, 15)


def lease_renewed(desk: Desk) -> None:
    leases = Leases(desk.api)
    leases.replace(leases.create(lease(desk)))


def revision(desk: Desk) -> MappingRevision:
    desk.number += 1
    return MappingRevision("platform", desk.number, str(desk.number), "labels: {}", "x", NOW)


def revision_met(desk: Desk) -> None:
    """Another replica was faster with the same number."""
    kept = Revisions(desk.api, NAMESPACE)
    one = revision(desk)
    kept.create(one)
    with contextlib.suppress(AlreadyExists):
        kept.create(one)


def revisions_pruned(desk: Desk) -> None:
    kept = Revisions(desk.api, NAMESPACE)
    while not kept.prune("platform", ()):
        kept.create(revision(desk))


def watched(desk: Desk, path: str) -> None:
    with desk.api.watch(path, {}, silence=5):
        pass


def event(desk: Desk) -> None:
    estate = Estates(desk.api).read(NAMESPACE, NAME)
    if not Events(desk.api, "pod").post(estate, "Accepted", "The mapping is in force."):
        raise Forbidden("not posted")


def approval(desk: Desk) -> Approval:
    """As a person made it."""
    if not Approvals(desk.api, NAMESPACE, NAME).names():
        desk.approve()
    return Approvals(desk.api, NAMESPACE, NAME).all()[0]


def stored(desk: Desk) -> bool:
    """Whether Approvals can be listed: the storage of a new kind comes a moment after its definition."""
    try:
        Approvals(desk.api, NAMESPACE, NAME).all()
    except Unavailable:
        return False
    return True


def approval_settled(desk: Desk) -> None:
    status = ApprovalStatus(outcome="Used", at=NOW + timedelta(seconds=desk.number), message="It was let through.")
    desk.number += 1
    Approvals(desk.api, NAMESPACE, NAME).settle(approval(desk), status)


DEEDS: dict[Grant, Callable[[Desk], object]] = {
    ("microseg.dev", "managedhosts", "create"): host_made,
    ("microseg.dev", "managedhosts", "get"): host_read,
    ("microseg.dev", "managedhosts", "list"): lambda desk: Hosts(desk.api, NAMESPACE).names(NAME),
    ("microseg.dev", "managedhosts", "watch"): lambda desk: watched(desk, MANAGED_HOSTS.all(NAMESPACE)),
    ("microseg.dev", "managedhosts", "patch"): host_marked,
    ("microseg.dev", "managedhosts/status", "patch"): host_told,
    ("microseg.dev", "managedhosts", "delete"): host_deleted,
    ("microseg.dev", "estates", "get"): lambda desk: Estates(desk.api).read(NAMESPACE, NAME),
    ("microseg.dev", "estates", "list"): lambda desk: Estates(desk.api).list(NAMESPACE),
    ("microseg.dev", "estates", "watch"): lambda desk: watched(desk, ESTATES.all(NAMESPACE)),
    ("microseg.dev", "estates/status", "patch"): estate_told,
    ("microseg.dev", "approvals", "list"): lambda desk: Approvals(desk.api, NAMESPACE, NAME).all(),
    ("microseg.dev", "approvals", "delete"): lambda desk: Approvals(desk.api, NAMESPACE, NAME).delete(approval(desk)),
    ("microseg.dev", "approvals/status", "patch"): approval_settled,
    ("", "configmaps", "get"): lambda desk: read_config_map(desk.api, NAMESPACE, "respiro-ca"),
    ("", "configmaps", "list"): lambda desk: Tombstones(desk.api, NAMESPACE, NAME).all(),
    ("", "configmaps", "watch"): lambda desk: watched(desk, CONFIG_MAPS.all(NAMESPACE)),
    ("", "configmaps", "create"): tombstone,
    ("", "configmaps", "patch"): tombstone,
    ("", "configmaps", "delete"): tombstones_pruned,
    ("", "secrets", "get"): lambda desk: read_secret(desk.api, NAMESPACE, "respiro-illumio"),
    ("coordination.k8s.io", "leases", "create"): lambda desk: Leases(desk.api).create(lease(desk)),
    ("coordination.k8s.io", "leases", "get"): lambda desk: Leases(desk.api).get(NAMESPACE, "kept"),
    ("coordination.k8s.io", "leases", "update"): lease_renewed,
    ("events.k8s.io", "events", "create"): event,
    ("apps", "controllerrevisions", "create"): lambda desk: Revisions(desk.api, NAMESPACE).create(revision(desk)),
    ("apps", "controllerrevisions", "get"): revision_met,
    ("apps", "controllerrevisions", "list"): lambda desk: Revisions(desk.api, NAMESPACE).list("platform"),
    ("apps", "controllerrevisions", "delete"): revisions_pruned,
}


@dataclass(frozen=True, slots=True)
class Rights:
    """The Role as the API server has it, for a test that takes a verb away."""

    admin: client.ApiClient
    desk: Desk

    def put(self, rules: list[dict[str, Any]]) -> None:
        body: Any = role() | {"rules": rules}
        body["metadata"] = {"name": "microseg", "namespace": NAMESPACE}
        client.RbacAuthorizationV1Api(self.admin).replace_namespaced_role("microseg", NAMESPACE, body)

    def allowed(self, grant: Grant) -> bool:
        group, resource, verb = grant
        name, _, part = resource.partition("/")
        asked = {"namespace": NAMESPACE, "verb": verb, "group": group, "resource": name, "subresource": part}
        spec = {
            "user": f"system:serviceaccount:{NAMESPACE}:microseg",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": asked,
        }
        body: Any = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer: Any = client.AuthorizationV1Api(self.admin).create_subject_access_review(body)
        return bool(answer.status.allowed)


@pytest.fixture(scope="module")
def rights(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rights]:
    base = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": [str(Path("base"))],
    }
    folder = tmp_path_factory.mktemp("rights")
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(base), encoding="utf-8")
    (folder / "base").symlink_to(ROOT / "manifests/kustomize/base")
    text = control_plane.kubectl("kustomize", "--load-restrictor=LoadRestrictionsNone", str(folder))
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text)
    control_plane.kubectl("-n", NAMESPACE, "apply", "--server-side", "-f", "-", input=estate_text())
    control_plane.kubectl("-n", NAMESPACE, "apply", "-f", str(ROOT / "manifests/examples/secrets.yaml"))
    account = control_plane.kubeconfig_for_service_account(NAMESPACE, "microseg", folder / "operator.kubeconfig")
    with control_plane.api_client() as admin:
        person = connect(str(control_plane.admin_kubeconfig))
        approve = partial(Approvals(person, NAMESPACE, NAME).create, pin(user_name(person)))
        rights = Rights(admin, Desk(connect(str(account)), approve))
        wait_until(lambda: all(map(rights.allowed, grants(role()["rules"]))), seconds=20, what="the Role is in force")
        wait_until(lambda: stored(rights.desk), seconds=20, what="the storage of the Approvals")
        Leases(rights.desk.api).create(replace(lease(rights.desk), name="kept"))
        host_made(rights.desk)
        yield rights
        rights.desk.api.close()
        person.close()


def test_every_verb_of_the_role_is_needed_by_a_deed_and_every_deed_has_its_verb() -> None:
    assert sorted(grants(role()["rules"])) == sorted(DEEDS)


def test_no_rule_has_a_wildcard() -> None:
    assert not [grant for grant in grants(role()["rules"]) if "*" in "".join(grant)]


@pytest.mark.parametrize("grant", DEEDS, ids=lambda grant: "-".join(filter(None, grant)).replace("/", "-"))
def test_without_this_verb_the_deed_is_refused(rights: Rights, monkeypatch: pytest.MonkeyPatch, grant: Grant) -> None:
    monkeypatch.setattr(revisions_module, "KEPT", 2)
    DEEDS[grant](rights.desk)
    rules = role()["rules"]
    for rule in rules:
        if grant[0] in rule["apiGroups"] and grant[1] in rule["resources"]:
            rule["verbs"].remove(grant[2])
    rights.put([rule for rule in rules if rule["verbs"]])
    try:
        wait_until(lambda: not rights.allowed(grant), seconds=20, what=f"the Role is in force without {grant}")
        with pytest.raises(Forbidden):
            DEEDS[grant](rights.desk)
    finally:
        rights.put(role()["rules"])
        wait_until(lambda: rights.allowed(grant), seconds=20, what="the whole Role is in force")


def test_the_operators_account_may_show_the_status_for_helm_test(
    rights: Rights, control_plane: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert all(map(rights.allowed, grants(role()["rules"])))
    account = control_plane.kubeconfig_for_service_account(NAMESPACE, "microseg", tmp_path / "own.kubeconfig")
    assert main(["status", "-n", NAMESPACE, "--kubeconfig", str(account)]) == 0
    assert NAME in capsys.readouterr().out


def test_the_definitions_can_be_read_without_any_rule_of_the_namespace(rights: Rights) -> None:
    for plural in ("managedhosts", "estates", "approvals"):
        rights.desk.api.get(CUSTOM_RESOURCE_DEFINITIONS.one(None, f"{plural}.microseg.dev"), dict[str, Any])
