"""Reads and writes of `microseg.kube` against a real API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from tests.integration.examples import estate_text

from lab.cluster import await_definitions
from lab.controlplane import ControlPlane
from microseg.kube.client import Api, connect
from microseg.kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from microseg.kube.estates import Estates
from microseg.kube.events import Events
from microseg.kube.hosts import Hosts
from microseg.kube.leases import Lease, Leases
from microseg.kube.resources import LEASES, REVISIONS
from microseg.kube.revisions import KEPT, MappingRevision, Revisions
from microseg.kube.secrets import ConfigMapData, read_config_map, read_secret
from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.estate_status import EstateStatus, HostCounts, PollRecord
from microseg.model.host import HostStatus, MappingRecord, Timeline
from microseg.planning import guard

ROOT = Path(__file__).parents[2]
VM = "5b8b1c1e-0f6d-4d5e-9a3b-2f6c7d8e9f01"
NOON = datetime(2026, 3, 1, 12, 0, 0, 250000, tzinfo=UTC)


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    control_plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
    await_definitions(control_plane)
    return control_plane


@pytest.fixture
def api(cluster: ControlPlane) -> Iterator[Api]:
    found = connect(str(cluster.admin_kubeconfig))
    yield found
    found.close()


@pytest.fixture
def hosts(api: Api, namespace: str) -> Hosts:
    return Hosts(api, namespace)


def ready(status: ConditionStatus = ConditionStatus.TRUE) -> Condition:
    return Condition(type=ConditionType.READY, status=status, reason=Reason.COMMISSIONED, last_transition_time=NOON)


def test_a_second_creation_finds_the_first(hosts: Hosts) -> None:
    first = hosts.create("Host24", VM.upper(), "respiro")
    second = hosts.create("Host24", VM, "respiro")

    assert first.uid == second.uid
    assert first.spec.vm_id == VM
    assert first.status.observed_generation == 0
    assert hosts.names() == hosts.names("respiro") == {first.name}
    assert hosts.names("other") == frozenset()


def test_that_no_rules_decided_about_a_record_is_kept_by_the_api_server(hosts: Hosts) -> None:
    decided = hosts.patch_status(hosts.create("Host24", VM, "respiro"), HostStatus(mapping=MappingRecord(revision="r")))
    for status in (HostStatus(mapping=MappingRecord()), HostStatus(mapping=MappingRecord(), stage="Labelling")):
        decided = hosts.patch_status(decided, status)
        assert guard.is_made_again(decided)
        (read,) = hosts.list("respiro")
        assert guard.is_made_again(read)


def test_a_vm_of_another_estate_is_not_taken_over(hosts: Hosts) -> None:
    hosts.create("Host24", VM, "respiro")
    with pytest.raises(AlreadyExists, match="belongs to the estate respiro"):
        hosts.create("Host24", VM, "other")


def test_a_label_that_somebody_removed_is_put_back(cluster: ControlPlane, namespace: str, hosts: Hosts) -> None:
    host = hosts.create("Host24", VM, "respiro")
    cluster.kubectl("-n", namespace, "label", "mh", host.name, "microseg.dev/estate-")
    assert hosts.names("respiro") == frozenset()

    hosts.create("Host24", VM, "respiro")
    assert hosts.names("respiro") == {host.name}


def test_a_status_is_stored_and_read_back_equal(hosts: Hosts) -> None:
    status = HostStatus(
        observed_generation=1,
        stage="Commissioned",
        ready="True",
        conditions=(ready(),),
        agent=AgentRecord(attempt=1, outcome=AgentOutcome.PAIRED, seals_at=NOON, exit_code=0),
        timeline=Timeline(commissioned_at=NOON),
    )
    written = hosts.patch_status(hosts.create("Host24", VM, "respiro"), status)

    assert written.status == status
    assert hosts.read(written.name) == written


def test_a_stale_writer_is_refused_and_nothing_is_lost(hosts: Hosts) -> None:
    stale = hosts.create("Host24", VM, "respiro")
    hosts.patch_status(stale, HostStatus(agent=AgentRecord(attempt=1)))

    with pytest.raises(Conflict):
        hosts.patch_status(stale, HostStatus(agent=AgentRecord(attempt=1, nonce="other")))
    assert hosts.read(stale.name).status.agent == AgentRecord(attempt=1)


def test_a_patch_for_a_record_that_was_created_again_is_refused(hosts: Hosts) -> None:
    old = hosts.create("Host24", VM, "respiro")
    hosts.delete(old.name, old.uid)
    with pytest.raises(NotFound):
        hosts.patch_status(old, HostStatus(stage="Pairing"))
    hosts.create("Host24", VM, "respiro")
    with pytest.raises(Conflict):
        hosts.delete(old.name, old.uid)
    with pytest.raises(Conflict):
        hosts.patch_status(old, HostStatus(stage="Pairing"))


def test_a_field_that_a_status_no_longer_has_is_removed_from_the_store(
    cluster: ControlPlane, namespace: str, hosts: Hosts
) -> None:
    full = HostStatus(stage="Pairing", agent=AgentRecord(attempt=2, exit_code=1), timeline=Timeline(discovered_at=NOON))
    host = hosts.patch_status(hosts.create("Host24", VM, "respiro"), full)
    hosts.patch_status(host, HostStatus(stage="Pairing", agent=AgentRecord(attempt=2)))

    stored = json.loads(cluster.kubectl("-n", namespace, "get", "mh", host.name, "-o", "json"))["status"]
    assert stored == {"stage": "Pairing", "agent": {"attempt": 2}}


def test_a_status_that_did_not_change_costs_no_request(hosts: Hosts) -> None:
    host = hosts.create("Host24", VM, "respiro")
    stale = msgspec.structs.replace(host, resource_version="1")

    assert hosts.patch_status(stale, host.status) is stale


def test_a_field_that_the_schema_refuses_is_named(hosts: Hosts) -> None:
    host = hosts.create("Host24", VM, "respiro")
    with pytest.raises(Invalid, match=r"status\.stage"):
        hosts.patch_status(host, HostStatus(stage="x" * 33))


def test_an_annotation_that_was_acted_on_is_removed(cluster: ControlPlane, namespace: str, hosts: Hosts) -> None:
    name = hosts.create("Host24", VM, "respiro").name
    cluster.kubectl("-n", namespace, "annotate", "mh", name, "microseg.dev/retry=agent", "other/note=x")
    host = hosts.read(name)
    assert host.annotations == {"microseg.dev/retry": "agent"}

    assert hosts.clear_annotation(host, "microseg.dev/retry").annotations == {}
    with pytest.raises(Conflict):
        hosts.clear_annotation(host, "microseg.dev/retry")


def test_deleting_an_absent_record_is_no_error(hosts: Hosts) -> None:
    hosts.delete("nobody", "")


@pytest.fixture
def estates(cluster: ControlPlane, namespace: str, api: Api) -> Estates:
    text = estate_text()
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(next(iter(yaml.safe_load_all(text)))))
    return Estates(api)


def test_an_estate_is_read_and_its_status_compared_and_swapped(estates: Estates, namespace: str) -> None:
    estate = estates.read(namespace, "respiro")
    assert (estate.owner_id, estate.enforcing, estate.generation) == ("respiro", False, 1)
    assert estate.annotations == {}

    status = EstateStatus(
        observed_generation=1, hosts=HostCounts(total=3), poll=PollRecord(complete=True), conditions=(ready(),)
    )
    written = estates.patch_status(estate, status)
    assert written.status == status
    with pytest.raises(Conflict):
        estates.patch_status(estate, EstateStatus(observed_generation=2))


def test_only_one_estates_records_are_deleted(hosts: Hosts) -> None:
    for number in range(3):
        hosts.create(f"vm{number}", f"5b8b1c1e-0f6d-4d5e-9a3b-2f6c7d8e9f0{number}", "respiro")
    hosts.create("other", "5b8b1c1e-0f6d-4d5e-9a3b-2f6c7d8e9fff", "other")

    assert hosts.delete_all("respiro") == 3
    assert hosts.delete_all("respiro") == 0
    assert len(hosts.names()) == 1


def test_one_of_two_electors_gets_the_lease(api: Api, namespace: str) -> None:
    leases = Leases(api)
    with pytest.raises(NotFound):
        leases.get(namespace, "respiro")
    wanted = Lease("respiro", namespace, "one", 1, NOON, 15, acquired_at=NOON)
    first = leases.create(wanted)
    assert replace(first, resource_version="") == wanted
    with pytest.raises(AlreadyExists):
        leases.create(replace(wanted, holder="two"))

    renewed = leases.replace(replace(first, holder="two", transitions=2))
    with pytest.raises(Conflict):
        leases.replace(replace(first, holder="three"))
    assert leases.get(namespace, "respiro") == renewed


def test_a_lease_that_was_deleted_comes_back_by_a_renewal_unless_another_made_it(api: Api, namespace: str) -> None:
    leases = Leases(api)
    held = leases.create(Lease("respiro", namespace, "one", 1, NOON, 15))
    api.delete(LEASES.one(namespace, "respiro"))
    renewed = leases.replace(held)
    assert renewed.holder == "one"

    api.delete(LEASES.one(namespace, "respiro"))
    leases.create(replace(held, holder="two", resource_version=""))
    with pytest.raises(Conflict):
        leases.replace(renewed)


def test_a_released_lease_has_no_holder(api: Api, namespace: str) -> None:
    leases = Leases(api)
    held = leases.create(Lease("respiro", namespace, "one", 1, NOON, 15))

    assert leases.replace(replace(held, holder="", duration=1)).holder == ""


def test_an_event_stands_beside_its_host(cluster: ControlPlane, namespace: str, api: Api, hosts: Hosts) -> None:
    host = hosts.create("Host24", VM, "respiro")
    assert Events(api, "pod-1").post(host, "Commissioned", "All stages hold. " + "ü" * 1024)

    assert "Commissioned" in cluster.kubectl("-n", namespace, "describe", "mh", host.name)


def test_an_event_that_is_refused_is_only_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    nowhere = ConfigMapData("mapping", "no-such-namespace", "", "", {}, {})

    assert not Events(api, "pod-1").post(nowhere, "Refused", "It does not parse.", warning=True)
    assert "not posted" in caplog.text


def test_a_secrets_values_are_masked_text(cluster: ControlPlane, namespace: str, api: Api) -> None:
    words = ("--from-literal=user=api_1", "--from-literal=secret=hunter2")
    cluster.kubectl("-n", namespace, "create", "secret", "generic", "pce", *words)
    cluster.kubectl("-n", namespace, "patch", "secret", "pce", "-p", '{"data": {"binary": "/w=="}}')
    found = read_secret(api, namespace, "pce")

    assert {key: value.reveal() for key, value in found.values.items()} == {"user": "api_1", "secret": "hunter2"}
    assert "hunter2" not in repr(found)
    assert found.resource_version
    with pytest.raises(NotFound):
        read_secret(api, namespace, "other")
    with pytest.raises(Invalid):
        read_secret(api, namespace, "..")


def test_a_config_map_is_read_with_our_annotations(cluster: ControlPlane, namespace: str, api: Api) -> None:
    cluster.kubectl("-n", namespace, "create", "configmap", "mapping", "--from-literal=mapping.yaml=a: b")
    cluster.kubectl("-n", namespace, "annotate", "configmap", "mapping", "microseg.dev/commit=abc", "other/x=y")
    found = read_config_map(api, namespace, "mapping")

    assert (found.data, found.annotations) == ({"mapping.yaml": "a: b"}, {"microseg.dev/commit": "abc"})


def revision(number: int, digest: str = "d") -> MappingRevision:
    return MappingRevision(
        "platform", number, digest, "labels: {}\n", "n/mapping uid@7", NOON, commit="abc", author="ann"
    )


def test_revisions_are_write_once_and_in_order(api: Api, namespace: str) -> None:
    revisions = Revisions(api, namespace)
    for number in (2, 1, 10):
        revisions.create(revision(number, f"d{number}"))

    assert [found.number for found in revisions.list("platform")] == [1, 2, 10]
    assert revisions.list("platform")[0] == revision(1, "d1")
    assert revisions.create(revision(2, "d2")) == revision(2, "d2")
    with pytest.raises(AlreadyExists):
        revisions.create(revision(2, "changed"))
    assert revisions.list("other") == ()


@pytest.mark.parametrize(
    ("name", "number", "data", "fault"),
    [
        ("platform-2", 2, {"mapping": 7}, "its data is not what the operator writes"),
        ("platform-2", 2, {}, "its data is not what the operator writes"),
        ("other", 2, "copied", "its name, its number and its mapping do not belong together"),
        ("platform-3", 2**63 - 1, "copied", "its name, its number and its mapping do not belong together"),
        (f"platform-{2**63 - 1}", 2**63 - 1, "copied", "its name, its number and its mapping do not belong together"),
    ],
)
def test_a_revision_that_somebody_else_wrote_costs_only_itself(
    api: Api, namespace: str, name: str, number: int, data: Any, fault: str
) -> None:
    revisions = Revisions(api, namespace)
    revisions.create(revision(1, "d1"))
    if data == "copied":
        data = json.loads(api.call("GET", REVISIONS.one(namespace, "platform-1")))["data"]
    body = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": name, "labels": {"microseg.dev/mapping-name": "platform"}},
        "revision": number,
        "data": data,
    }
    api.call("POST", REVISIONS.all(namespace), body=body)

    found = revisions.list("platform")
    assert [each for each in found if not each.fault] == [revision(1, "d1")]
    assert [(each.name, each.fault) for each in found if each.fault] == [(name, fault)]
    assert revisions.prune("platform", ()) == ()


def test_old_revisions_are_deleted_unless_they_are_in_use(api: Api, namespace: str) -> None:
    revisions = Revisions(api, namespace)
    for number in range(1, KEPT + 4):
        revisions.create(revision(number, f"d{number}"))

    assert revisions.prune("platform", {"d2"}) == ("platform-1", "platform-3")
    assert [found.number for found in revisions.list("platform")] == [2, *range(4, KEPT + 4)]
