"""Onboarding: new VMs in Azure become commissioned hosts; then the operator is idle."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_metrics
from tests.integration.older_state import as_written, stored
from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, Snapshot

from lab.controlplane import ControlPlane
from lab.hosts import PROGRESS
from lab.oracles import audited_so_far, effects, kubernetes_writes

CONDITIONS = [*PROGRESS, "Ready", "Stalled", "Reconciling", "Drifted"]
TIMELINE = {
    "createdAt", "discoveredAt", "agentPairedAt", "labelledAt", "groupedAt", "policyInstalledAt", "commissionedAt",
}  # fmt: skip

QUESTIONS = {
    *(f"azure {each}" for each in ("token", "vms.list", "vms.list-status", "nics.list", "scale-sets.list")),
    *(f"illumio {each}" for each in ("workloads.list", "labels.list", "pairing_profiles.list")),
    *(f"checkpoint {each}" for each in ("show-last-published-session", "show-gateways-and-servers", "keepalive")),
}
"""The calls per poll round of an idle operator, independent of the number of hosts."""


OLDEST = "a106b6a"
"""The oldest version whose state this one takes over."""


def scenario(run: ScenarioRun) -> None:
    """Five VMs that can be protected and three that cannot; an idle time; an upgrade; the loss of every ManagedHost."""
    run.start(
        vm("Host24", "Windows", tags=SEED, location="australiaeast"),
        vm("web-1", tags=SEED, location="australiaeast"),
        vm("web-2", tags=SEED, location="australiaeast"),
        vm("sap-1"),
        vm("untagged-db-1", "Windows", tags={"app": "shop"}),
        vm("no-agent", provisionVMAgent=False),
        vm("closed", allowExtensionOperations=False),
        vm("pool-1", scaleSet={"name": "pool", "mode": "uniform"}),
    )
    run.wait_commissioned("Host24", "web-1", "web-2", "sap-1", "untagged-db-1")
    run.wait("used run-commands are deleted", lambda: not _run_commands(run))
    run.wait_settled()
    name = run.hosts()["Host24"].name
    run.snapshot(
        "commissioned",
        waited=run.rig.kubectl("wait", "--for=condition=Ready", f"mh/{name}", "--timeout=10s"),
        wide=run.rig.kubectl("get", "mh", "-o", "wide"),
        estates=run.rig.kubectl("get", "est"),
        selected=run.rig.kubectl("get", "mh", "--field-selector=status.stage=Commissioned", "-o", "name").split(),
    )

    plane = run.rig.cluster
    assert isinstance(plane, ControlPlane)
    begins, versions = audited_so_far(plane), run.rig.kubectl("get", "mh,est", "-o", _VERSIONS)
    run.wait_polls(4)
    run.snapshot(
        "quiet",
        writes=kubernetes_writes(plane, run.rig.namespace, since=begins),
        same=versions == run.rig.kubectl("get", "mh,est", "-o", _VERSIONS),
        metrics=run.operator.metrics(),
    )

    _taken_over_from(run, OLDEST)
    run.rig.kubectl("delete", "mh", "--all")
    run.wait_commissioned("Host24", "web-1", "web-2", "sap-1", "untagged-db-1")
    run.wait_settled()
    run.snapshot("records were lost", refused=refused(plane, run.rig.namespace))


def _taken_over_from(run: ScenarioRun, commit: str) -> None:
    """Stop the operator, put an older version's form of the same state in place, and start this version."""
    run.operator.stop()
    old = stored(commit)
    for name, host in run.hosts().items():
        status = as_written(old["hosts"].get(name, old["hosts"]["web-1"]), host.raw["status"])
        _put_status(run, f"mh/{host.name}", status)
    _put_status(run, "est/respiro", as_written(old["estate"], run.rig.estate()["status"]))
    run.snapshot("an older version's state")
    run.operator.start()
    run.wait_polls(4)
    run.wait("used run-commands are deleted", lambda: not _run_commands(run))
    run.wait_settled()
    run.snapshot("taken over")


def _put_status(run: ScenarioRun, what: str, status: dict[str, Any]) -> None:
    patch = [{"op": "replace", "path": "/status", "value": status}]
    run.rig.kubectl("patch", what, "--subresource=status", "--type=json", "-p", json.dumps(patch))


def refused(plane: ControlPlane, namespace: str) -> list[str]:
    """Verb and path of every request of the operator that its RBAC does not allow."""
    assert plane.audit_log is not None
    who = f"system:serviceaccount:{namespace}:microseg"
    events = (json.loads(line) for line in plane.audit_log.read_text(encoding="utf-8").splitlines() if who in line)
    ours = [event for event in events if event["user"]["username"] == who]
    assert len(ours) > 50
    return [f"{event['verb']} {event['requestURI']}" for event in ours if event["responseStatus"]["code"] in {401, 403}]


def _run_commands(run: ScenarioRun) -> list[str]:
    """Names of run-commands that records of commissioned hosts still have."""
    agents = [host.raw["status"].get("agent", {}) for host in run.hosts().values() if host.commissioned]
    return [agent["runCommand"] for agent in agents if agent.get("runCommand")]


_VERSIONS = "jsonpath={range .items[*]}{.metadata.name}={.metadata.resourceVersion} {end}"
SCENARIO = Scenario("onboarding", scenario)


@pytest.fixture
def done(recording: Recording) -> Snapshot:
    return recording.snapshot("commissioned")


def test_host24_comes_out_with_the_labels_and_the_group_of_the_seed(done: Snapshot) -> None:
    host = done.hosts["Host24"]

    labels = {"app": "ServiceOrchestrate", "env": "Dev", "loc": "AU", "role": "Web"}
    assert host.stage == "Commissioned"
    assert dict(pair.split("=") for pair in host.labels.split(",")) == labels
    assert "SO" in host.groups.split(",")
    assert done.workload("Host24")["labels"] == labels
    (found,) = done.objects_of("Host24").values()
    assert "SO" in found["groups"]


def test_the_operator_asks_the_api_server_for_nothing_that_its_role_refuses(recording: Recording) -> None:
    assert recording.snapshot("records were lost").notes["refused"] == []


def test_every_condition_is_there_and_follows_the_rules_of_kstatus(done: Snapshot) -> None:
    for host in done.hosts.values():
        stated = {kind: condition.status for kind, condition in host.conditions.items()}
        assert list(stated) == CONDITIONS
        assert stated == dict.fromkeys([*PROGRESS, "Ready"], "True") | dict.fromkeys(CONDITIONS[6:], "False")
        assert all(condition.reason and condition.message for condition in host.conditions.values())
        generations = {each["observedGeneration"] for each in host.raw["status"]["conditions"]}
        assert generations == {host.raw["metadata"]["generation"]} == {host.raw["status"]["observedGeneration"]}


def test_the_timeline_is_complete_and_in_order(done: Snapshot) -> None:
    for host in done.hosts.values():
        assert set(host.timeline) == TIMELINE
        assert host.timeline["createdAt"] <= host.timeline["discoveredAt"] <= host.timeline["agentPairedAt"]
        assert host.timeline["agentPairedAt"] <= host.timeline["labelledAt"] <= host.timeline["commissionedAt"]
        assert host.timeline["groupedAt"] <= host.timeline["policyInstalledAt"] <= host.timeline["commissionedAt"]


def test_the_history_says_by_which_revision_each_stage_came_to_hold(done: Snapshot) -> None:
    history = done.hosts["Host24"].raw["status"]["history"]
    revision = done.estate["status"]["mapping"]["revision"]

    told = [line["what"].partition(":")[0] for line in history]
    assert sorted(told) == sorted([*PROGRESS, "Ready"])
    assert [line["at"] for line in history] == sorted(line["at"] for line in history)
    assert history[-1]["revision"] == revision


def test_the_record_says_what_the_machine_is(done: Snapshot) -> None:
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


def test_each_vm_saw_one_installer(done: Snapshot) -> None:
    assert {name: done.scripts(name) for name in done.hosts} == dict.fromkeys(done.hosts, 1)


def test_a_used_run_command_is_deleted_once_after_the_stamp_was_seen(done: Snapshot) -> None:
    made = [change for entry in done.of("azure", "commands.put") for change in entry.changed]
    deleted = [change for entry in done.of("azure", "commands.delete") for change in entry.changed]
    assert sorted(deleted) == sorted(f"deletes {each}" for each in made)
    stamped = [entry.seq for entry in done.of("illumio", "workloads.bulk_update")]
    assert min(entry.seq for entry in done.of("azure", "commands.delete")) > min(stamped)


def test_hosts_that_come_together_share_one_publish_and_one_install(done: Snapshot) -> None:
    published = len(done.publishes())
    in_groups = sum(1 for host in done.hosts.values() if host.groups)
    assert 1 <= published < in_groups, "one publish a batch, and a slow machine may make two of one appearance"
    assert 1 <= len(done.of("checkpoint", "install-policy")) <= published


def test_hosts_that_no_group_wants_need_no_firewall(done: Snapshot) -> None:
    assert done.hosts["sap-1"].condition("Grouped").reason == "NoGroupWanted"
    assert done.hosts["sap-1"].condition("PolicyInstalled").reason == "NothingToInstall"
    assert not done.objects_of("sap-1")
    assert done.workload("sap-1")["labels"]["app"] == "sap"


def test_what_cannot_be_protected_is_counted_by_reason(done: Snapshot) -> None:
    status = done.estate["status"]

    assert {"no-agent", "closed", "pool-1"}.isdisjoint(done.hosts)
    assert status["hosts"]["commissioned"] == status["hosts"]["total"] == 5
    counted = {each["reason"]: each["vms"] for each in status["unsupported"]}
    assert sum(counted.values()) == status["hosts"]["unsupported"]
    assert counted == {"NoAgent": 1, "ExtensionsDisallowed": 1, "UniformScaleSet": 1}


def test_there_is_one_event_for_each_change_of_stage(done: Snapshot) -> None:
    name = done.hosts["Host24"].name
    told = [event for event in done.events if event["involvedObject"]["name"] == name]
    told = [event for event in told if event["message"].startswith("Stage ")]

    steps = [event["message"].split(". ")[0].removeprefix("Stage ").split(" -> ") for event in told]
    assert all(event.get("count", 1) in {None, 1} for event in told)
    befores, afters = [before for before, _ in steps], [after for _, after in steps]
    assert len(set(afters)) == len(afters), steps
    assert sorted([*befores, "Commissioned"]) == sorted(["none", *afters]), steps


def test_kubectl_shows_and_waits_as_people_expect(done: Snapshot) -> None:
    assert "condition met" in done.notes["waited"]
    header, *rows = done.notes["wide"].splitlines()
    assert header.split() == [
        "NAME",
        "READY",
        "REASON",
        "STAGE",
        "IP",
        "OS",
        "AGE",
        "RESOURCE",
        "GROUP",
    ]
    (row,) = [row for row in rows if row.startswith("host24-")]
    for word in ("Commissioned", "True", "Windows"):
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


def test_a_steady_state_writes_nothing_to_the_cluster(recording: Recording) -> None:
    quiet = recording.snapshot("quiet")

    assert [f"{event['verb']} {event['requestURI']}" for event in quiet.notes["writes"]] == []
    assert quiet.notes["same"]


def test_a_steady_state_changes_nothing_outside(recording: Recording) -> None:
    done, quiet = recording.snapshot("commissioned"), recording.snapshot("quiet")

    assert effects(entry for entry in quiet.entries if entry.seq > done.seq) == {}


def test_a_steady_state_asks_each_system_the_same_few_questions(recording: Recording) -> None:
    done, quiet = recording.snapshot("commissioned"), recording.snapshot("quiet")

    asked = Counter(f"{each.system} {each.operation}" for each in quiet.entries if each.seq > done.seq)
    assert set(asked) <= QUESTIONS, asked
    assert max(asked.values()) <= 2 + min(asked[f"azure {each}"] for each in ("vms.list", "nics.list")), asked


def test_metrics_say_what_the_record_says(recording: Recording) -> None:
    snapshot = recording.snapshot("quiet")
    found = {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in parse_metrics(snapshot.notes["metrics"])
        for sample in family.samples
    }
    of = {snapshot.estate["metadata"]["namespace"], snapshot.estate["metadata"]["name"]}

    assert found["microseg_estate_leader", frozenset(of)] == 1
    assert (
        found["microseg_hosts", frozenset({*of, "commissioned"})]
        == snapshot.estate["status"]["hosts"]["commissioned"]
        == 5
    )
    for told in snapshot.estate["status"]["conditions"]:
        assert found["microseg_estate_condition", frozenset({*of, told["type"], told["status"].lower()})] == 1
    published = found["microseg_request_duration_seconds_count", frozenset({*of, "checkpoint", "publish", "200"})]
    assert published == len(snapshot.publishes())


def test_the_state_of_an_older_version_is_taken_over_without_one_effect_outside(recording: Recording) -> None:
    quiet, older = recording.snapshot("quiet"), recording.snapshot("an older version's state")
    taken = recording.snapshot("taken over")

    assert "Nothing was changed from outside." in json.dumps(older.hosts["Host24"].raw["status"])
    assert effects(entry for entry in taken.entries if entry.seq > quiet.seq) == {}
    for name, host in taken.hosts.items():
        before, after = quiet.hosts[name].raw["status"], host.raw["status"]
        assert host.commissioned
        assert after["agent"] == before["agent"]
        assert after["checkPoint"].get("hosts") == before["checkPoint"].get("hosts")


def test_lost_records_are_rebuilt_by_looking_alone(recording: Recording) -> None:
    quiet, rebuilt = recording.snapshot("quiet"), recording.snapshot("records were lost")

    assert effects(entry for entry in rebuilt.entries if entry.seq > quiet.seq) == {}
    assert {name: host.labels for name, host in rebuilt.hosts.items()} == {
        name: host.labels for name, host in quiet.hosts.items()
    }
    assert {name: host.groups for name, host in rebuilt.hosts.items()} == {
        name: host.groups for name, host in quiet.hosts.items()
    }
