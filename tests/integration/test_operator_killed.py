"""SIGKILL to the operator in the middle of its work: nothing is done twice or lost, and no session stays open."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, Snapshot

FOLLOWED = ("after-put", "publishing", "uninstalled", "half-labelled")
"""VMs for which the kill costs nothing but time. (`before-put` waits until its attempt is sealed.)"""
_SLOW_PUBLISH = 320.0
"""Vendor seconds: longer than the dead leader's Lease, so that its successor meets the running publish."""


def scenario(run: ScenarioRun) -> None:
    """Five VMs, one after the other, each with a kill at a different moment."""
    run.start(vm("first", tags=SEED))
    run.wait_commissioned("first")
    run.snapshot("before")

    # The intent is in the status, the pairing key is requested, and nothing was sent to Azure.
    with run.kill_at("illumio", "pairing_keys.create", phase="before"):
        run.create_vms(vm("before-put"))
    run.operator.start()
    run.wait_for_condition("before-put", "AgentPaired", "OutcomeUnknown")
    run.snapshot("before the PUT")

    # Azure has the run-command, but its answer was lost. Two successors are killed while they start.
    with run.kill_at("azure", "commands.put", phase="after"):
        run.create_vms(vm("after-put"))
    for seconds in (0.5, 2.0):
        run.operator.start(wait=False)
        run.let_time_pass(seconds)
        run.operator.kill()
    run.operator.start()
    run.wait_commissioned("after-put")
    run.snapshot("after the PUT")
    _kill_at_the_firewall(run)

    # The labels are set, but the answer was lost.
    with run.kill_at("illumio", "workloads.set_labels", phase="after"):
        run.create_vms(vm("half-labelled", tags={"app": "billing", "env": "test"}))
    run.operator.start()
    run.wait_commissioned("half-labelled")
    run.wait_polls()
    run.snapshot("the end")


def _kill_at_the_firewall(run: ScenarioRun) -> None:
    """Once during a publish, once before an install."""
    # The publish continues in Check Point, into the next leader's term.
    run.worlds.post("/checkpoint/durations", {"publish": _SLOW_PUBLISH})
    with run.kill_at("checkpoint", "show-task", phase="before"):
        run.create_vms(vm("publishing", tags=SEED))
    run.operator.start()
    run.wait_commissioned("publishing")
    run.worlds.post("/checkpoint/durations", {"publish": 20.0})
    run.snapshot("during the publish")

    # Published; the install's intent is written, but the call was not sent.
    with run.kill_at("checkpoint", "install-policy", phase="before"):
        run.create_vms(vm("uninstalled", tags=SEED))
    run.operator.start()
    run.wait_commissioned("uninstalled")
    run.snapshot("before the install")


SCENARIO = Scenario("operator-killed", scenario, long=True)


@pytest.fixture
def end(recording: Recording) -> Snapshot:
    return recording.snapshot("the end")


def test_an_attempt_that_never_began_is_not_begun_again_before_it_is_sealed(
    recording: Recording, end: Snapshot
) -> None:
    for snapshot in (recording.snapshot("before the PUT"), end):
        record: dict[str, Any] = snapshot.hosts["before-put"].raw["status"]["agent"]
        assert (record["attempt"], snapshot.scripts("before-put")) == (1, 0)
        assert "sealed" in snapshot.hosts["before-put"].condition("AgentPaired").message
    assert not end.of_vm("azure", "before-put", "commands.put")


def test_a_run_command_whose_answer_was_lost_is_followed(recording: Recording) -> None:
    snapshot = recording.snapshot("after the PUT")

    assert len(snapshot.of_vm("azure", "after-put", "commands.put")) == 1
    assert snapshot.scripts("after-put") == 1
    assert snapshot.hosts["after-put"].raw["status"]["agent"]["attempt"] == 1


def test_a_publish_that_outlives_its_operator_is_not_repeated(recording: Recording) -> None:
    before, after = recording.snapshot("after the PUT"), recording.snapshot("during the publish")

    assert len(after.publishes(since=before.seq)) == 1
    assert len(after.of("checkpoint", "publish", since=before.seq)) == 1


def test_what_was_published_and_not_installed_is_installed_once(recording: Recording) -> None:
    before, after = recording.snapshot("during the publish"), recording.snapshot("before the install")

    assert len(after.publishes(since=before.seq)) == 1
    done = [entry for entry in after.of("checkpoint", "install-policy", since=before.seq) if entry.status == 200]
    assert len(done) == 1


def test_labels_whose_answer_was_lost_are_as_wanted(end: Snapshot) -> None:
    assert end.workload("half-labelled")["labels"] == {"app": "billing", "env": "Test", "loc": "Elsewhere"}


def test_no_vm_saw_a_second_installer(end: Snapshot) -> None:
    assert {name: end.scripts(name) for name in FOLLOWED} == dict.fromkeys(FOLLOWED, 1)


def test_no_record_and_no_moment_of_a_life_was_lost(recording: Recording, end: Snapshot) -> None:
    before = recording.snapshot("before").hosts["first"]

    assert end.hosts["first"].timeline == before.timeline
    assert end.hosts["first"].raw["metadata"]["uid"] == before.raw["metadata"]["uid"]
    assert all(len(end.hosts[name].timeline) == 7 for name in FOLLOWED)


def test_every_object_exists_once(end: Snapshot) -> None:
    names = Counter(thing["name"] for thing in end.objects)

    assert [name for name, number in names.items() if number > 1] == []
    assert all(len(end.objects_of(name)) == 1 for name in ("first", "publishing", "uninstalled"))


def test_only_the_living_holders_session_is_open(end: Snapshot) -> None:
    ours = [each["name"] for each in end.firewall["sessions"] if str(each.get("name", "")).startswith("microseg/")]

    assert len(ours) <= 1, ours
