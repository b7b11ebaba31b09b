"""Names in another letter case are found, and what is accepted and never shown ends as NotTaking (L6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests
import yaml
from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording

from lab.cluster import ROOT

TEXT: str = yaml.safe_load((ROOT / "manifests" / "examples" / "mapping.yaml").read_text())["data"]["mapping.yaml"]
_WRITES = ("labels.create", "workloads.set_labels", "workloads.bulk_update")


def _respell(estate: dict[str, Any]) -> None:
    """Whoever writes the Estate does not look at capitals; targets are a uid and a group of gateways."""
    estate["spec"]["checkPoint"]["policies"] = [{"package": "sTANDARD", "targets": ["GW-East", "perimeter"]}]
    profiles = estate["spec"]["illumio"]["pairingProfiles"]
    estate["spec"]["illumio"]["pairingProfiles"] = {os: name.upper() for os, name in profiles.items()}


def _make_label(run: ScenarioRun, key: str, value: str) -> None:
    """A person has made a label in the PCE."""
    pce = run.worlds.described["illumio"]
    requests.post(
        f"{pce['url']}/api/v2/orgs/{pce['orgId']}/labels", json={"key": key, "value": value},
        auth=(str(pce["apiUser"]), Path(str(pce["keyFile"])).read_text(encoding="utf-8")),
        verify=str(run.worlds.ca_file), timeout=30,
    ).raise_for_status()  # fmt: skip


def scenario(run: ScenarioRun) -> None:
    """Labels exist in another case; then the PCE ignores one host's labels, and a gateway ignores an install."""
    _make_label(run, "env", "dEV")
    run.worlds.post("/checkpoint/gateway", {"name": "gw-west", "group": "Perimeter"})
    run.start(vm("web", tags=SEED), change=_respell, mapping=TEXT.replace("az-web", "AZ-Web").replace("SO,", "so,"))
    run.wait_commissioned("web")
    run.wait_settled()
    run.snapshot("respelled")

    deaf = {"action": "status", "status": 200, "body": [], "count": 1000}
    run.inject_fault("illumio", "workloads.set_labels", **deaf)
    run.worlds.post("/checkpoint/gateway", {"name": "gw-west", "ignore_installs": True})
    run.create_vms(vm("deaf", tags=SEED))
    run.wait_for_condition("deaf", "Labelled", "NotTaking")
    run.wait_for_condition("deaf", "PolicyInstalled", "NotTaking")
    run.wait_settled()
    run.snapshot("deaf")
    run.wait_polls(8)
    run.snapshot("still-deaf")


SCENARIO = Scenario("effects-that-do-not-take", scenario)


def test_a_label_in_another_letter_case_is_used(recording: Recording) -> None:
    snapshot = recording.snapshot("respelled")

    assert snapshot.workload("web")["labels"]["env"] == "dEV"
    created = snapshot.of("illumio", "labels.create")
    assert {entry.status for entry in created} == {201}
    assert len(created) == 4, "the person's own, and one for each of the other three keys"


def test_groups_in_another_letter_case_are_joined_and_recorded_as_the_domain_spells_them(recording: Recording) -> None:
    snapshot = recording.snapshot("respelled")

    (found,) = snapshot.objects_of("web").values()
    assert found["groups"] == ["SO", "az-web"]
    assert snapshot.hosts["web"].groups == "SO,az-web"


def test_package_profile_and_targets_are_recognised_in_any_letter_case_and_by_group(recording: Recording) -> None:
    snapshot = recording.snapshot("respelled")

    assert snapshot.hosts["web"].commissioned
    assert len(snapshot.of("checkpoint", "install-policy")) == 1
    assert snapshot.firewall["gateways"].keys() == {"gw-east", "gw-west"}
    assert "gw-east, gw-west" in snapshot.hosts["web"].condition("PolicyInstalled").message


def test_what_is_accepted_and_not_shown_is_named_with_both_sides(recording: Recording) -> None:
    host = recording.snapshot("deaf").hosts["deaf"]

    assert host.stage == "Blocked"
    assert "was asked to set env=dEV on /orgs/" in host.condition("Labelled").message
    assert "shows no label env" in host.condition("Labelled").message
    assert "on gw-west with success" in host.condition("PolicyInstalled").message


def test_it_is_tried_a_few_times_and_then_neither_tried_nor_written(recording: Recording) -> None:
    before, snapshot, later = (recording.snapshot(name) for name in ("respelled", "deaf", "still-deaf"))

    assert 1 <= len(snapshot.of("illumio", "workloads.set_labels", since=before.seq)) <= 3
    assert 1 <= len(snapshot.of("checkpoint", "install-policy", since=before.seq)) <= 2
    assert not later.of("illumio", *_WRITES, since=snapshot.seq)
    assert not later.of("checkpoint", "install-policy", "publish", since=snapshot.seq)
    versions = [each.hosts["deaf"].raw["metadata"]["resourceVersion"] for each in (snapshot, later)]
    assert versions[0] == versions[1]


def test_the_other_host_stays_protected(recording: Recording) -> None:
    snapshot = recording.snapshot("still-deaf")

    assert snapshot.hosts["web"].commissioned
    assert snapshot.objects_of("web")
