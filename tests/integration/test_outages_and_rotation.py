"""Outages: API server down, outdated CRDs, a standby server, another policy, and rotated credentials."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.scenario import REACHABLE, SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording

from lab.cluster import ROOT
from lab.controlplane import ControlPlane
from lab.oracles import effects

OLD_DEFINITION = [
    {
        "op": "remove",
        "path": "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/agent/properties/attempt",
    }
]


def _targets(estate: dict[str, Any]) -> None:
    estate["spec"]["checkPoint"]["policies"] = [{"package": "Standard", "targets": ["gw-east", "gw-west"]}]


def scenario(run: ScenarioRun) -> None:
    """The five events, one after the other."""
    run.start(vm("one", tags=SEED), vm("two", tags=SEED), change=_targets)
    run.wait_commissioned("one", "two")
    run.wait_settled()
    run.snapshot("before")
    _shorten_the_list_of_workloads(run)
    _install_another_policy(run)
    _fail_over_check_point(run)
    _rotate_every_credential(run)
    _stop_the_api_server(run)
    _apply_old_definitions(run)


def _shorten_the_list_of_workloads(run: ScenarioRun) -> None:
    """The PCE answers an empty list several times, with a 200; each workload is there all the same."""
    run.inject_fault("illumio", "workloads.list", action="page-missing", count=3)
    run.wait_polls(4)
    run.snapshot("empty list")


def _install_another_policy(run: ScenarioRun) -> None:
    """Install another package on one gateway."""
    run.worlds.post("/checkpoint/install", {"package": "Branch", "gateway": "gw-east", "make": True})
    name = run.hosts()["one"].name
    run.wait("the Event about the policy that was taken back", lambda: "PolicyTakenBack" in _reasons(run))
    run.wait_commissioned("one", "two")
    run.wait_settled()
    run.snapshot("policy taken back", host=name)


def _fail_over_check_point(run: ScenarioRun) -> None:
    """Fail over the management server: it is a standby for a while."""
    run.worlds.post("/checkpoint/traits", {"standby": True})
    for session in run.worlds.get("/checkpoint/summary")["sessions"]:
        run.worlds.post("/checkpoint/session", {"uid": session["uid"], "expire": True})
    run.wait_for_estate_condition("CheckPointReachable", "False")
    run.snapshot("standby")
    run.worlds.post("/checkpoint/traits", {"standby": False})
    run.wait_for_estate_condition("CheckPointReachable", "True")
    run.wait_commissioned("one", "two")


def _rotate_every_credential(run: ScenarioRun) -> None:
    """Replace all credentials; the Secrets follow later."""
    keys = {system: f"n3w-key-of-the-operator-at-{system}" for system in ("azure", "illumio", "checkpoint")}
    run.worlds.post("/azure/secret", {"secret": keys["azure"]})
    run.worlds.post("/illumio/key", {"secret": keys["illumio"]})
    run.worlds.post("/checkpoint/admin", {"name": "microseg", "api_key": keys["checkpoint"]})
    for session in run.worlds.get("/checkpoint/summary")["sessions"]:
        run.worlds.post("/checkpoint/session", {"uid": session["uid"], "expire": True})
    for kind in REACHABLE:
        run.wait_for_estate_condition(kind, "False", "Refused")
    run.snapshot("old keys")
    run.patch("secret/respiro-azure", {"stringData": {"clientSecret": keys["azure"]}})
    run.patch("secret/respiro-illumio", {"stringData": {"secret": keys["illumio"]}})
    run.patch("secret/respiro-checkpoint", {"stringData": {"apiKey": keys["checkpoint"]}})
    for kind in REACHABLE:
        run.wait_for_estate_condition(kind, "True")
    run.snapshot("new keys", lives=run.operator.output().count("microseg started"))


def _stop_the_api_server(run: ScenarioRun) -> None:
    """Stop the API server for longer than the Lease, and create a VM meanwhile."""
    plane = run.rig.cluster
    assert isinstance(plane, ControlPlane)
    since = run.ledger_end()
    plane.stop_apiserver()
    run.create_vms(vm("meanwhile", tags=SEED))
    run.operator.wait_for_log("lease lost", seconds=60)
    run.wait("its session is closed", lambda: not run.worlds.get("/checkpoint/summary")["sessions"])
    entries = [entry for entry in run.worlds.ledger() if entry.seq > since]
    plane.start_apiserver()
    run.wait_commissioned("one", "two", "meanwhile")
    run.wait_settled()
    run.snapshot("API server back", meanwhile=effects(entries))


def _apply_old_definitions(run: ScenarioRun) -> None:
    """Start the operator with the CRDs of an older version."""
    run.operator.stop()
    crd = "crd/managedhosts.microseg.dev"
    run.rig.kubectl("patch", crd, "--type=json", "-p", json.dumps(OLD_DEFINITION))
    run.create_vms(vm("late", tags=SEED))
    run.operator.start()
    run.wait_for_estate_condition("Stalled", "True", "MissingSchema", "status.agent.attempt")
    run.snapshot("old CRDs")
    run.rig.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "crds"))
    run.wait_commissioned("one", "two", "meanwhile", "late")
    run.wait_settled()
    run.snapshot("end")


def _reasons(run: ScenarioRun) -> list[str]:
    events = json.loads(run.rig.kubectl("get", "events", "-o", "json"))["items"]
    return [str(event["reason"]) for event in events]


SCENARIO = Scenario("outages-and-rotation", scenario, own_plane=True, long=True)


def test_an_empty_list_of_workloads_pairs_nobody_anew(recording: Recording) -> None:
    before, snapshot = recording.snapshot("before"), recording.snapshot("empty list")

    assert len(snapshot.of("illumio", "workloads.get", since=before.seq)) >= 2
    assert all(host.commissioned for host in snapshot.hosts.values())
    assert snapshot.of("illumio", "pairing_keys.create", since=before.seq) == []


def test_a_policy_of_somebody_elses_is_one_event_for_the_target(recording: Recording) -> None:
    before, snapshot = recording.snapshot("before"), recording.snapshot("policy taken back")

    told: list[Any] = [event for event in snapshot.events if event["reason"] == "PolicyTakenBack"]
    assert len(told) == 1
    assert "gw-east has Branch installed instead of Standard" in told[0]["message"]
    names = {host.name for host in snapshot.hosts.values()}
    on_hosts = [event for event in snapshot.events if event["involvedObject"]["name"] in names]
    assert len(on_hosts) == len([e for e in before.events if e["involvedObject"]["name"] in names])
    assert len(snapshot.of("checkpoint", "install-policy", since=before.seq)) == 1
    drift = snapshot.hosts["one"].raw["status"]["drift"]
    assert [(each["stage"], each["repairs"]) for each in drift] == [("PolicyInstalled", 1)]


def test_a_standby_takes_nothing_back(recording: Recording) -> None:
    snapshot = recording.snapshot("standby")

    assert snapshot.condition("CheckPointReachable")["status"] == "False"
    assert all(host.commissioned for host in snapshot.hosts.values())


def test_keys_that_are_refused_take_nothing_back(recording: Recording) -> None:
    before, snapshot = recording.snapshot("standby"), recording.snapshot("old keys")

    assert effects(entry for entry in snapshot.entries if entry.seq > before.seq) == {}
    assert all(host.commissioned for host in snapshot.hosts.values())


def test_new_keys_are_taken_up_without_a_restart(recording: Recording) -> None:
    snapshot = recording.snapshot("new keys")

    assert [snapshot.condition(kind)["status"] for kind in REACHABLE] == ["True"] * 3
    assert snapshot.notes["lives"] == 1


def test_without_the_api_server_nothing_outside_changes(recording: Recording) -> None:
    snapshot = recording.snapshot("API server back")

    assert snapshot.notes["meanwhile"] == {}
    assert snapshot.scripts("meanwhile") == 1


def test_old_definitions_stop_everything_and_say_what_they_lack(recording: Recording) -> None:
    away, snapshot = recording.snapshot("API server back"), recording.snapshot("old CRDs")

    assert snapshot.of("azure", "commands.put", since=away.seq) == []
    assert snapshot.publishes(away.seq) == []


def test_when_all_is_well_again_nobody_was_installed_twice(recording: Recording) -> None:
    snapshot = recording.snapshot("end")

    assert {name: snapshot.scripts(name) for name in snapshot.hosts} == dict.fromkeys(snapshot.hosts, 1)
    assert all(host.commissioned for host in snapshot.hosts.values())
