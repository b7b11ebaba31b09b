"""Rotation of every certificate, a restored Check Point database, and a VM that moves to another subscription."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.scenario import REACHABLE, SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording

from lab.oracles import effects

NAMES = ("one", "two")


def _targets(estate: dict[str, Any]) -> None:
    estate["spec"]["checkPoint"]["policies"] = [{"package": "Standard", "targets": ["gw-east", "gw-west"]}]


def scenario(run: ScenarioRun) -> None:
    """The four events, one after the other."""
    run.start(vm("one", tags=SEED), change=_targets)
    run.wait_commissioned("one")
    run.create_vms(vm("two", tags=SEED))
    run.wait_commissioned(*NAMES)
    run.wait_settled()
    run.snapshot("before")
    _restore_the_database(run)
    _move_a_vm(run)
    _rotate_every_certificate(run)
    _reconcile_on_request(run)


def _restore_the_database(run: ScenarioRun) -> None:
    """Restore the revision before the second host was published; the gateways keep their installed policy."""
    since = run.ledger_end()
    run.worlds.post("/checkpoint/revert", {"revisions": 1})
    run.wait("the second host is published again", lambda: _published(run, since))
    run.wait_commissioned(*NAMES)
    run.wait_settled()
    run.snapshot("reverted", since=since)


def _published(run: ScenarioRun, since: int) -> bool:
    return any(entry.who == "microseg" for entry in run.worlds.ledger("checkpoint", "world.published", since=since))


def _move_a_vm(run: ScenarioRun) -> None:
    """Move a VM to another subscription of the Estate: another ARM id, the same machine."""
    since = run.ledger_end()
    second = run.worlds.described["azure"]["subscriptions"][1]
    run.worlds.post("/azure/vms/one/move", {"resourceGroup": "new-owner", "subscription": second})
    run.wait("the record knows", lambda: _azure(run)["subscription"] == second)
    run.wait_commissioned(*NAMES)
    run.wait_settled()
    run.wait_polls(4)
    run.snapshot("moved", since=since, subscription=second)


def _azure(run: ScenarioRun) -> dict[str, Any]:
    found: dict[str, Any] = run.hosts()["one"].raw["status"]["azure"]
    return found


def _rotate_every_certificate(run: ScenarioRun) -> None:
    """Rotate all certificates; the Estate's CA bundle follows later."""
    run.worlds.post("/certificates/rotate")
    since = run.ledger_end()
    for kind in REACHABLE:
        run.wait_for_estate_condition(kind, "False", "Unreachable")
    run.let_time_pass(2.0)
    run.snapshot("nobody is trusted", since=since)
    run.patch("cm/respiro-ca", {"data": {"ca.crt": run.worlds.ca_file.read_text()}})
    for kind in REACHABLE:
        run.wait_for_estate_condition(kind, "True")
    run.create_vms(vm("three", tags=SEED))
    run.wait_commissioned(*NAMES, "three")
    run.wait_settled()
    run.snapshot("the new authority")


def _reconcile_on_request(run: ScenarioRun) -> None:
    """Poll once per hour, and request a reconcile by annotation."""
    run.patch("est/respiro", {"spec": {"azure": {"pollInterval": "1h"}}})
    run.wait_polls(1)
    run.wait_settled()
    polled = len(run.worlds.ledger("azure", "vms.list"))
    run.worlds.post("/azure/vms/two/retag", {"tags": SEED | {"note": "retagged"}})
    run.let_time_pass(4.0)
    quiet = len(run.worlds.ledger("azure", "vms.list")) - polled
    run.annotate("est/respiro", "microseg.dev/reconcile-at=2026-11-28T10:00:00Z")
    run.wait("the new tag", lambda: "retagged" in json.dumps(run.hosts()["two"].raw["status"]["azure"]))
    run.snapshot("told to look", quiet=quiet)


SCENARIO = Scenario("certificate-rotation", scenario, long=True)


def test_a_database_that_went_back_gets_the_host_again_and_nothing_else(recording: Recording) -> None:
    before, snapshot = recording.snapshot("before"), recording.snapshot("reverted")

    (found,) = snapshot.objects_of("two").values()
    (old,) = before.objects_of("two").values()
    assert (found["name"], found["groups"]) == (old["name"], old["groups"])
    assert snapshot.objects_of("one") == before.objects_of("one")
    assert len(snapshot.publishes(snapshot.notes["since"])) == 1
    assert snapshot.of("azure", "commands.put", since=snapshot.notes["since"]) == []


def test_policy_that_covers_what_went_back_is_installed_again(recording: Recording) -> None:
    snapshot = recording.snapshot("reverted")

    assert snapshot.hosts["two"].true("PolicyInstalled")
    assert snapshot.of("checkpoint", "world.installed", since=snapshot.notes["since"])


def test_a_vm_in_another_subscription_is_the_same_host(recording: Recording) -> None:
    before, snapshot = recording.snapshot("before"), recording.snapshot("moved")

    old, new = before.hosts["one"], snapshot.hosts["one"]
    assert (new.name, new.vm_id) == (old.name, old.vm_id)
    assert new.raw["status"]["azure"]["subscription"] == snapshot.notes["subscription"]
    assert effects(entry for entry in snapshot.entries if entry.seq > snapshot.notes["since"]) == {}


def test_servers_that_cannot_prove_who_they_are_are_not_spoken_to(recording: Recording) -> None:
    snapshot = recording.snapshot("nobody is trusted")

    assert [
        e for e in snapshot.entries if e.seq > snapshot.notes["since"] and not e.operation.startswith("world.")
    ] == []
    for kind in REACHABLE:
        assert "certificate" in snapshot.condition(kind)["message"].lower(), snapshot.condition(kind)
    assert all(snapshot.hosts[name].commissioned for name in NAMES), "what was confirmed stays confirmed"


def test_a_new_authority_in_the_bundle_is_enough(recording: Recording) -> None:
    snapshot = recording.snapshot("the new authority")

    assert snapshot.hosts["three"].commissioned
    assert {name: snapshot.scripts(name) for name in snapshot.hosts} == dict.fromkeys(snapshot.hosts, 1)


def test_reconcile_at_makes_it_look_at_once(recording: Recording) -> None:
    snapshot = recording.snapshot("told to look")

    assert snapshot.notes["quiet"] == 0
