"""The main job, whole: VMs appear in Azure, protected hosts come out, and then nothing happens any more."""

from __future__ import annotations

from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_metrics
from tests.integration.library import Story
from tests.integration.life import SEED, Scene, vm
from tests.integration.pages import Page, Tale

from lab.controlplane import ControlPlane
from lab.hosts import PROGRESS
from lab.oracles import audited_so_far, effects, kubernetes_writes

CONDITIONS = [*PROGRESS, "Ready", "Reconciling", "Stalled", "Drifted"]
TIMELINE = {
    "createdAt", "discoveredAt", "agentPairedAt", "labelledAt", "groupedAt", "policyInstalledAt", "commissionedAt",
}  # fmt: skip

QUESTIONS = {
    *(f"azure {each}" for each in ("token", "vms.list", "vms.list-status", "nics.list", "scale-sets.list")),
    *(f"illumio {each}" for each in ("workloads.list", "labels.list", "pairing_profiles.list")),
    *(f"checkpoint {each}" for each in ("show-last-published-session", "show-gateways-and-servers", "keepalive")),
}
"""All that may be asked when nothing happens: so many calls a round, however many hosts there are."""


def tell(scene: Scene) -> None:
    """Five VMs that can be protected and three that cannot; then quiet; then every record is lost."""
    scene.begin(
        vm("Host24", "Windows", tags=SEED, location="australiaeast"),
        vm("web-1", tags=SEED, location="australiaeast"),
        vm("web-2", tags=SEED, location="australiaeast"),
        vm("sap-1"),
        vm("untagged-db-1", "Windows", tags={"app": "shop"}),
        vm("no-agent", provisionVMAgent=False),
        vm("closed", allowExtensionOperations=False),
        vm("pool-1", scaleSet={"name": "pool", "mode": "uniform"}),
    )
    scene.commissioned("Host24", "web-1", "web-2", "sap-1", "untagged-db-1")
    scene.settled()
    name = scene.hosts()["Host24"].name
    scene.page(
        "commissioned",
        waited=scene.rig.kubectl("wait", "--for=condition=Ready", f"mh/{name}", "--timeout=10s"),
        wide=scene.rig.kubectl("get", "mh", "-o", "wide"),
        estates=scene.rig.kubectl("get", "est"),
        selected=scene.rig.kubectl("get", "mh", "--field-selector=status.stage=Commissioned", "-o", "name").split(),
    )

    plane = scene.rig.cluster
    assert isinstance(plane, ControlPlane)
    begins, versions = audited_so_far(plane), scene.rig.kubectl("get", "mh,est", "-o", _VERSIONS)
    scene.rounds(4)
    scene.page(
        "quiet",
        writes=kubernetes_writes(plane, scene.rig.namespace, since=begins),
        same=versions == scene.rig.kubectl("get", "mh,est", "-o", _VERSIONS),
        metrics=scene.operator.metrics(),
    )

    scene.rig.kubectl("delete", "mh", "--all")
    scene.commissioned("Host24", "web-1", "web-2", "sap-1", "untagged-db-1")
    scene.settled()
    scene.page("records were lost")


_VERSIONS = "jsonpath={range .items[*]}{.metadata.name}={.metadata.resourceVersion} {end}"
STORY = Story("golden", tell)


@pytest.fixture
def done(tale: Tale) -> Page:
    return tale.page("commissioned")


def test_host24_comes_out_with_the_labels_and_the_group_of_the_seed(done: Page) -> None:
    host = done.hosts["Host24"]

    labels = {"app": "ServiceOrchestrate", "env": "Dev", "loc": "AU", "role": "Web"}
    assert host.stage == "Commissioned"
    assert dict(pair.split("=") for pair in host.labels.split(",")) == labels
    assert "SO" in host.groups.split(",")
    assert done.workload("Host24")["labels"] == labels
    (found,) = done.objects_of("Host24").values()
    assert "SO" in found["groups"]


def test_every_condition_is_there_and_follows_the_rules_of_kstatus(done: Page) -> None:
    for host in done.hosts.values():
        stated = {kind: condition.status for kind, condition in host.conditions.items()}
        assert list(stated) == CONDITIONS
        assert stated == dict.fromkeys([*PROGRESS, "Ready"], "True") | dict.fromkeys(CONDITIONS[6:], "False")
        assert all(condition.reason and condition.message for condition in host.conditions.values())
        generations = {each["observedGeneration"] for each in host.raw["status"]["conditions"]}
        assert generations == {host.raw["metadata"]["generation"]} == {host.raw["status"]["observedGeneration"]}


def test_the_timeline_is_complete_and_in_order(done: Page) -> None:
    for host in done.hosts.values():
        assert set(host.timeline) == TIMELINE
        assert host.timeline["createdAt"] <= host.timeline["discoveredAt"] <= host.timeline["agentPairedAt"]
        assert host.timeline["agentPairedAt"] <= host.timeline["labelledAt"] <= host.timeline["commissionedAt"]
        assert host.timeline["groupedAt"] <= host.timeline["policyInstalledAt"] <= host.timeline["commissionedAt"]


def test_the_history_says_by_which_revision_each_stage_came_to_hold(done: Page) -> None:
    history = done.hosts["Host24"].raw["status"]["history"]
    revision = done.estate["status"]["mapping"]["revision"]

    told = [line["what"].partition(":")[0] for line in history]
    assert sorted(told) == sorted([*PROGRESS, "Ready"])
    assert [line["at"] for line in history] == sorted(line["at"] for line in history)
    assert history[-1]["revision"] == revision


def test_the_record_says_what_the_machine_is(done: Page) -> None:
    record = done.hosts["Host24"].raw["status"]["azure"]

    assert record["osType"] == "Windows"
    assert record["location"] == "australiaeast"
    assert {"key": "rol", "value": "web"} in record["tags"]
    assert record["nics"][0]["addresses"][0]["ip"] == done.hosts["Host24"].ip
    assert record["powerState"] == "running"
    missing = {"resourceId", "vmSize", "image", "osDisk", "provisioningState", "createdAt", "computerName"} - set(
        record
    )
    assert not missing


def test_each_vm_saw_one_installer(done: Page) -> None:
    assert {name: done.scripts(name) for name in done.hosts} == dict.fromkeys(done.hosts, 1)
    assert not done.of("azure", "commands.delete")


def test_hosts_that_come_together_share_one_publish_and_one_install(done: Page) -> None:
    published = len(done.publishes())
    in_groups = sum(1 for host in done.hosts.values() if host.groups)
    assert 1 <= published < in_groups, "one publish a batch, and a slow machine may make two of one appearance"
    assert 1 <= len(done.of("checkpoint", "install-policy")) <= published


def test_firewall_and_agent_go_side_by_side(done: Page) -> None:
    published = done.publishes()[0]
    first_stamp = done.of("illumio", "workloads.bulk_update")[0]

    assert published.seq < first_stamp.seq


def test_hosts_that_no_group_wants_need_no_firewall(done: Page) -> None:
    assert done.hosts["sap-1"].condition("Grouped").reason == "NoGroupWanted"
    assert done.hosts["sap-1"].condition("PolicyInstalled").reason == "NothingToInstall"
    assert not done.objects_of("sap-1")
    assert done.workload("sap-1")["labels"]["app"] == "sap"


def test_what_cannot_be_protected_is_counted_by_reason(done: Page) -> None:
    status = done.estate["status"]

    assert {"no-agent", "closed", "pool-1"}.isdisjoint(done.hosts)
    assert status["hosts"]["commissioned"] == status["hosts"]["total"] == 5
    counted = {each["reason"]: each["vms"] for each in status["unsupported"]}
    assert sum(counted.values()) == status["hosts"]["unsupported"]
    assert counted == {"NoAgent": 1, "ExtensionsDisallowed": 1, "UniformScaleSet": 1}


def test_there_is_one_event_for_each_change_of_stage(done: Page) -> None:
    name = done.hosts["Host24"].name
    told = [event for event in done.events if event["involvedObject"]["name"] == name]
    told = [event for event in told if event["message"].startswith("Stage ")]

    steps = [event["message"].split(". ")[0].removeprefix("Stage ").split(" -> ") for event in told]
    assert all(event.get("count", 1) in {None, 1} for event in told)
    befores, afters = [before for before, _ in steps], [after for _, after in steps]
    assert len(set(afters)) == len(afters), steps
    assert sorted([*befores, "Commissioned"]) == sorted(["none", *afters]), steps


def test_kubectl_shows_and_waits_as_people_expect(done: Page) -> None:
    assert "condition met" in done.notes["waited"]
    header, *rows = done.notes["wide"].splitlines()
    assert header.split() == [
        "NAME",
        "STAGE",
        "READY",
        "REASON",
        "IP",
        "AGE",
        "VM",
        "RESOURCE",
        "GROUP",
        "OS",
        "LABELS",
        "GROUPS",
    ]
    (row,) = [row for row in rows if "Host24" in row]
    for word in ("Commissioned", "True", "Windows", "app=ServiceOrchestrate", "SO"):
        assert word in row
    assert len(done.notes["selected"]) == 5
    assert done.notes["estates"].splitlines()[0].split() == [
        "NAME",
        "MODE",
        "READY",
        "HOSTS",
        "COMMISSIONED",
        "BLOCKED",
        "AGE",
    ]


def test_a_steady_state_writes_nothing_to_the_cluster(tale: Tale) -> None:
    quiet = tale.page("quiet")

    assert [f"{event['verb']} {event['requestURI']}" for event in quiet.notes["writes"]] == []
    assert quiet.notes["same"]


def test_a_steady_state_changes_nothing_outside(tale: Tale) -> None:
    done, quiet = tale.page("commissioned"), tale.page("quiet")

    assert effects(entry for entry in quiet.entries if entry.seq > done.seq) == {}


def test_a_steady_state_asks_each_system_the_same_few_questions(tale: Tale) -> None:
    done, quiet = tale.page("commissioned"), tale.page("quiet")

    asked = Counter(f"{each.system} {each.operation}" for each in quiet.entries if each.seq > done.seq)
    assert set(asked) <= QUESTIONS, asked
    assert max(asked.values()) <= 2 + min(asked[f"azure {each}"] for each in ("vms.list", "nics.list")), asked


def test_metrics_say_what_the_record_says(tale: Tale) -> None:
    page = tale.page("quiet")
    found = {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in parse_metrics(page.notes["metrics"])
        for sample in family.samples
    }
    of = {page.estate["metadata"]["namespace"], page.estate["metadata"]["name"]}

    assert found["microseg_estate_leader", frozenset(of)] == 1
    assert (
        found["microseg_hosts", frozenset({*of, "commissioned"})] == page.estate["status"]["hosts"]["commissioned"] == 5
    )
    for told in page.estate["status"]["conditions"]:
        assert found["microseg_estate_condition", frozenset({*of, told["type"], told["status"].lower()})] == 1
    published = found["microseg_request_duration_seconds_count", frozenset({"checkpoint", "publish", "ok"})]
    assert published == len(page.publishes())


def test_lost_records_are_rebuilt_by_looking_alone(tale: Tale) -> None:
    quiet, rebuilt = tale.page("quiet"), tale.page("records were lost")

    assert effects(entry for entry in rebuilt.entries if entry.seq > quiet.seq) == {}
    assert {name: host.labels for name, host in rebuilt.hosts.items()} == {
        name: host.labels for name, host in quiet.hosts.items()
    }
    assert {name: host.groups for name, host in rebuilt.hosts.items()} == {
        name: host.groups for name, host in quiet.hosts.items()
    }
