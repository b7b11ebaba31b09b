"""Whoever may delete ManagedHosts lets no held change through, not even while no operator runs (S6)."""

from __future__ import annotations

import pytest
from tests.integration.mapping_edits import SecurityEngineer, events, held
from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, Snapshot
from tests.integration.test_mapping_edits import TEXT

from lab.hosts import Host
from lab.oracles import effects

FLEET = tuple(f"box-{number}" for number in range(1, 9))
_EDITS = {
    "values: {production: Prod": "values: {dev: Test, production: Prod",
    "app: ServiceOrchestrate, env: Dev": "app: ServiceOrchestrate, env: Test",
    "{name: SO, when: {labels: {app: [ServiceOrchestrate]}}}": "{name: SO, when: {labels: {app: [sap]}}}",
    "{tags: {DataClass: [pci]}, labels: {env: [Prod]}}": "{labels: {app: [ServiceOrchestrate]}}",
    "groups: [SO, az-web]": "groups: [az-pci, az-web]",
    "groups: [az-db, az-pci]": "groups: [az-db]",
}
"""A label of each host is another one, and each moves from SO to az-pci."""


def scenario(run: ScenarioRun) -> None:
    """A change of eight hosts is held; their records are deleted, with and without an operator; a person approves."""
    run.start(*(vm(name, tags=SEED) for name in FLEET), mapping=TEXT)
    run.wait_commissioned(*FLEET)
    run.wait_settled()
    SecurityEngineer(run).deliver(_edited())
    approve = held(run)
    since = run.ledger_end()
    run.snapshot("held", approve=approve)

    _delete(run, *FLEET[1:])
    run.wait_commissioned(*FLEET)
    run.wait_polls(2)
    run.snapshot("deleted", since=since, approve=held(run))

    run.operator.stop()
    _delete(run, *FLEET)
    run.operator.start()
    run.wait_commissioned(*FLEET)
    run.wait_polls(2)
    run.snapshot("deleted while nobody watched", since=since, approve=held(run))

    run.annotate("est/respiro", f"microseg.dev/approve={approve}")
    run.wait("all have followed", lambda: all(_outside_of(host) == AFTER for host in run.hosts().values()))
    run.wait_commissioned(*FLEET)
    run.wait_settled()
    run.snapshot("approved")


def _edited() -> str:
    text = TEXT
    for old, new in _EDITS.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def _delete(run: ScenarioRun, *names: str) -> None:
    """What whoever may delete ManagedHosts can do."""
    run.rig.kubectl("delete", "mh", *(host.name for name, host in run.hosts().items() if name in names))


def _outside_of(host: Host) -> tuple[bool, str]:
    return "env=Test" in host.labels, host.groups


def _outside(snapshot: Snapshot, name: str) -> tuple[str, set[str]]:
    """The label `env` in the PCE, and the groups of the object at Check Point."""
    (item,) = snapshot.objects_of(name).values()
    return snapshot.workload(name)["labels"]["env"], set(item["groups"])


BEFORE, AFTER = ("Dev", {"SO", "az-web"}), (True, "az-pci,az-web")
SCENARIO = Scenario("deleted-records", scenario)


@pytest.mark.parametrize("when", ["deleted", "deleted while nobody watched"])
def test_no_effect_reaches_a_host_of_a_held_change_because_its_record_was_deleted(
    recording: Recording, when: str
) -> None:
    snapshot = recording.snapshot(when)
    changed = effects(entry for entry in snapshot.entries if entry.seq > snapshot.notes["since"])

    assert changed == {}
    assert {name: _outside(snapshot, name) for name in FLEET} == dict.fromkeys(FLEET, BEFORE)
    assert all(snapshot.hosts[name].commissioned for name in FLEET)


@pytest.mark.parametrize("when", ["deleted", "deleted while nobody watched"])
def test_the_plan_that_waits_is_the_one_that_a_person_saw(recording: Recording, when: str) -> None:
    assert recording.snapshot(when).notes["approve"] == recording.snapshot("held").notes["approve"]
    assert events(recording.snapshot(when), "PlanApproved") == []


def test_the_approval_moves_every_host_and_no_old_group_is_left(recording: Recording) -> None:
    snapshot = recording.snapshot("approved")

    assert {name: _outside(snapshot, name) for name in FLEET} == dict.fromkeys(FLEET, ("Test", {"az-pci", "az-web"}))
    assert snapshot.condition("PlanHeld")["status"] == "False"
