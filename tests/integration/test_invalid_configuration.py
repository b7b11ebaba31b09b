"""Invalid configuration: the Estate is Stalled with a reason, does nothing, and continues once it is corrected.

What the API server itself refuses is in `test_kube_resources.py`.
"""

from __future__ import annotations

import base64
import functools
import json
from typing import Any

import pytest
from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, Snapshot

from lab.cluster import apply
from lab.estate import documents

STALLS = {
    "no secret": ("SecretInvalid", "Secret nowhere does not exist"),
    "no certificate": ("SecretInvalid", "ConfigMap empty-ca has no certificate in PEM under ca.crt"),
    "no time zone": ("SpecInvalid", "spec.checkPoint.installWindow.timeZone: no time zone is called 'Mars/Olympus'"),
    "no key": ("SecretInvalid", "Secret respiro-illumio has no key secret"),
    "a line break": ("SecretInvalid", "The value of key secret in Secret respiro-illumio ends with a line break"),
    "a placeholder": ("SecretInvalid", "The value of key apiKey in Secret respiro-checkpoint is a placeholder"),
}
"""Snapshot -> reason and text of the Stalled condition."""
NEW_KEY = "rotated-by-a-person-4711"


def scenario(run: ScenarioRun) -> None:
    """An Estate is corrected piece by piece until it works; then somebody copies it and rotates a credential."""
    run.create_vms(vm("first", tags=SEED))
    run.rig.apply_estate(_break_estate)
    good = documents(run.worlds, run.rig.namespace, poll="1s")
    secret = json.loads(run.rig.kubectl("get", "secret", "respiro-illumio", "-o", "json"))["data"]["secret"]
    run.patch("secret/respiro-illumio", {"data": {"secret": None}})
    apply(run.rig.cluster, [_empty_bundle(run.rig.namespace)])
    run.operator.start()
    began = run.ledger_end()
    _stalled(run, "no time zone")
    run.patch("est/respiro", {"spec": {"checkPoint": {"installWindow": None}}})
    _stalled(run, "no secret")
    run.patch("est/respiro", {"spec": {"illumio": {"secretRef": {"name": "respiro-illumio"}}}})
    _stalled(run, "no certificate")
    run.patch("est/respiro", {"spec": {"checkPoint": {"caBundle": {"configMap": "respiro-ca"}}}})
    _stalled(run, "no key", began=began)
    _break_the_secrets(run, secret)
    _stalled(run, "a line break")
    run.patch("secret/respiro-illumio", {"data": {"secret": secret}})
    _look_again(run)
    _stalled(run, "a placeholder", began=began)
    run.patch("secret/respiro-checkpoint", {"stringData": {"apiKey": _key(good)}})
    _look_again(run)
    run.wait_for_condition("first", "AgentPaired", "PairingProfileUnsafe", "no pairing profile named by-hand")
    run.wait("the firewall's stages hold", lambda: run.hosts()["first"].true("PolicyInstalled"))
    run.snapshot("no profile")
    run.patch("est/respiro", {"spec": {"illumio": good[-1]["spec"]["illumio"]}})
    run.wait_commissioned("first")
    run.wait_settled()
    run.snapshot("mended")
    _copy_the_estate(run, good[-1])
    _rotate_a_credential(run)


def _break_the_secrets(run: ScenarioRun, secret: str) -> None:
    """One Secret as `--from-file` makes it, the other as in the examples."""
    with_line_break = base64.b64encode(base64.b64decode(secret) + b"\n").decode()
    run.patch("secret/respiro-illumio", {"data": {"secret": with_line_break}})
    run.patch("secret/respiro-checkpoint", {"stringData": {"apiKey": "put-the-api-key-here"}})
    _look_again(run)


def _look_again(run: ScenarioRun) -> None:
    """A changed spec is looked at at once; a changed Secret of a stalled Estate only after a while."""
    percent = int(run.rig.estate()["spec"]["guard"]["maxChangedPercent"])
    run.patch("est/respiro", {"spec": {"guard": {"maxChangedPercent": percent + 1}}})


def _key(documents: list[dict[str, Any]]) -> str:
    named = {each["metadata"]["name"]: each for each in documents}
    return str(named["respiro-checkpoint"]["stringData"]["apiKey"])


def _copy_the_estate(run: ScenarioRun, estate: dict[str, Any]) -> None:
    """A second Estate names the same endpoints."""
    twin = estate | {"metadata": {"name": "twin", "namespace": run.rig.namespace}}
    twin["spec"] = twin["spec"] | {"illumio": twin["spec"]["illumio"] | {"orgId": 51}}
    apply(run.rig.cluster, [twin])
    run.wait("the twin is stalled", lambda: "EndpointShared" in run.rig.kubectl("get", "est", "twin", "-o", "yaml"))
    as_read = json.loads(run.rig.kubectl("get", "est", "twin", "-o", "json"))
    run.wait_polls()
    run.snapshot("a twin", twin=as_read)
    run.rig.kubectl("delete", "est", "twin", "--timeout=20s")


def _rotate_a_credential(run: ScenarioRun) -> None:
    """Check Point gets another API key; the Secret follows later."""
    run.worlds.post("/checkpoint/admin", {"name": "microseg", "api_key": NEW_KEY})
    run.worlds.post("/checkpoint/session", {"name": _session(run), "expire": True})
    began = run.ledger_end()
    run.wait_for_estate_condition("CheckPointReachable", "False", "Refused")
    run.let_time_pass(3)  # three polls of the other systems: this one is not asked
    for _ in range(2):
        run.operator.kill()
        began_again = run.ledger_end()
        run.operator.start()
        run.wait("the new process polls", functools.partial(_polled, run, began_again))
    run.snapshot("rotated", began=began)
    run.patch("secret/respiro-checkpoint", {"data": {"apiKey": base64.b64encode(NEW_KEY.encode()).decode()}})
    run.wait_for_estate_condition("CheckPointReachable", "True")
    run.wait_settled()
    run.snapshot("rotated here too")


def _polled(run: ScenarioRun, since: int) -> bool:
    return len(run.worlds.ledger("azure", "vms.list", since=since)) > 2


def _break_estate(estate: dict[str, Any]) -> None:
    """Make every mistake at once that the API server cannot see."""
    spec = estate["spec"]
    spec["illumio"]["secretRef"] = {"name": "nowhere"}
    spec["illumio"]["pairingProfiles"] = {"linux": "by-hand", "windows": "by-hand"}
    spec["checkPoint"]["caBundle"] = {"configMap": "empty-ca"}
    spec["checkPoint"]["installWindow"] = {"timeZone": "Mars/Olympus"}


def _empty_bundle(namespace: str) -> dict[str, Any]:
    named = {"name": "empty-ca", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"ca.crt": "to be done"}}


def _stalled(run: ScenarioRun, snapshot: str, **notes: Any) -> None:
    reason, text = STALLS[snapshot]
    run.wait_for_estate_condition("Stalled", "True", reason, text)
    run.snapshot(snapshot, **notes)


def _session(run: ScenarioRun) -> str:
    sessions = run.worlds.get("/checkpoint/summary")["sessions"]
    (ours,) = [str(each["name"]) for each in sessions if str(each.get("name", "")).startswith("microseg/")]
    return ours


SCENARIO = Scenario("invalid-configuration", scenario, long=True)


@pytest.mark.parametrize("name", STALLS)
def test_an_estate_that_cannot_be_kept_is_stalled_with_a_sentence(recording: Recording, name: str) -> None:
    snapshot = recording.snapshot(name)

    reason, text = STALLS[name]
    for kind, status in (("Stalled", "True"), ("Ready", "False")):
        assert (snapshot.condition(kind)["status"], snapshot.condition(kind)["reason"]) == (status, reason)
        assert text in snapshot.condition(kind)["message"]
    assert snapshot.condition("Reconciling")["status"] == "False"
    assert snapshot.estate["status"]["observedGeneration"] == snapshot.estate["metadata"]["generation"]


def test_a_stalled_estate_asks_nobody_outside(recording: Recording) -> None:
    snapshot = recording.snapshot("a placeholder")

    assert [f"{each.system} {each.operation}" for each in snapshot.entries if each.seq > snapshot.notes["began"]] == []
    assert snapshot.hosts == {}


def test_a_profile_that_the_pce_lacks_blocks_hosts_and_is_told_at_the_estate(recording: Recording) -> None:
    snapshot = recording.snapshot("no profile")

    assert snapshot.hosts["first"].stage == "Blocked"
    assert snapshot.hosts["first"].true("PolicyInstalled")
    stalled = snapshot.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "NamesUnknown")
    assert "spec.illumio.pairingProfiles" in stalled["message"]
    assert not snapshot.of("illumio", "pairing_keys.create")


def test_a_mended_estate_goes_on_by_itself(recording: Recording) -> None:
    snapshot = recording.snapshot("mended")

    assert snapshot.hosts["first"].commissioned
    assert snapshot.scripts("first") == 1
    assert (snapshot.condition("Stalled")["status"], snapshot.condition("Ready")["status"]) == ("False", "True")
    warned = {event["reason"] for event in snapshot.events if event["involvedObject"]["kind"] == "Estate"}
    assert {"SpecInvalid", "SecretInvalid"} <= warned


def test_of_two_estates_with_one_endpoint_the_younger_is_stalled_and_names_the_elder(recording: Recording) -> None:
    snapshot = recording.snapshot("a twin")

    stalled = next(each for each in snapshot.notes["twin"]["status"]["conditions"] if each["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "EndpointShared")
    assert f"{snapshot.estate['metadata']['namespace']}/respiro" in stalled["message"]
    assert snapshot.condition("Ready")["status"] == "True"
    names = [str(each.get("name", "")) for each in snapshot.firewall["sessions"]]
    assert not [name for name in names if "/twin/" in name]


@pytest.fixture
def rotated(recording: Recording) -> Snapshot:
    return recording.snapshot("rotated")


def test_a_refused_credential_is_told_and_takes_nothing_back(rotated: Snapshot) -> None:
    assert rotated.hosts["first"].commissioned
    assert rotated.condition("IllumioReachable")["status"] == "True"
    assert NEW_KEY not in rotated.state


def test_a_refused_log_in_is_not_tried_again_with_the_same_secret_by_a_new_process_either(rotated: Snapshot) -> None:
    logins = rotated.of("checkpoint", "login", since=rotated.notes["began"])

    assert len(logins) <= 1  # the session may have been found expired before
    assert len([each for each in rotated.of("checkpoint", "login") if each.status >= 400]) == 1
    said = rotated.condition("CheckPointReachable")["message"]
    assert "this version of the Secret is tried again only after 15 minutes. Correct the Secret" in said


def test_a_rotated_secret_is_read_again_without_a_restart(recording: Recording) -> None:
    snapshot = recording.snapshot("rotated here too")

    assert snapshot.hosts["first"].commissioned
    assert snapshot.condition("CheckPointReachable")["status"] == "True"
