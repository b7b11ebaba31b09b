"""A missing or invalid mapping changes nothing: the last good one stays in force, and the Estate says why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, Snapshot

from lab.cluster import apply
from lab.oracles import effects

_MAP = "cm/microseg-mapping"
BAD = {
    "broken": ("MappingInvalid", "mapping.yaml:3:1"),
    "failing": ("MappingInvalid", "the seed's host"),
    "missing": ("MappingMissing", "platform"),
}
"""Snapshot -> reason and text of MappingValid."""


def scenario(run: ScenarioRun) -> None:
    """Start without a mapping; then a valid one; then break it in three ways while new VMs appear."""
    run.rig.apply_estate()
    document = json.loads(run.rig.kubectl("get", _MAP, "-o", "json"))
    text: str = document["data"]["mapping.yaml"]
    run.rig.kubectl("delete", _MAP)
    run.create_vms(vm("first", tags=SEED))
    run.operator.start()
    run.wait_for_condition("first", "Labelled", "NoMapping")
    run.wait_for_estate_condition("MappingValid", "False", "MappingMissing")
    run.wait_settled()
    run.snapshot("never one")
    _put(run, document, text)
    run.wait_commissioned("first")
    run.wait_settled()
    run.snapshot("a good one")

    _break_mapping(
        run, "broken", lambda: _put(run, document, "apiVersion: mapping.microseg.dev/v1\nname: platform\n\t- x\n")
    )
    _break_mapping(run, "failing", lambda: _put(run, document, text.replace("rol: [web]", "rol: [site]", 1)))
    _break_mapping(run, "missing", lambda: run.rig.kubectl("delete", _MAP))
    _put(run, document, text)
    run.wait_for_estate_condition("MappingValid", "True")
    run.wait_settled()
    run.snapshot("good again")


def _put(run: ScenarioRun, document: dict[str, Any], text: str) -> None:
    metadata = {key: document["metadata"][key] for key in ("name", "namespace", "labels")}
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mapping.yaml": text}}
    apply(run.rig.cluster, [made])


def _break_mapping(run: ScenarioRun, name: str, spoil: Any) -> None:
    """Break it; a VM that is created afterwards follows the last good one."""
    spoil()
    run.wait_for_estate_condition("MappingValid", "False", *BAD[name])
    run.create_vms(vm(f"while-{name}", tags=SEED))
    run.wait_commissioned(f"while-{name}")
    run.wait_settled()
    run.snapshot(name)


SCENARIO = Scenario("invalid-mapping", scenario)


def test_a_mapping_that_never_was_is_not_an_empty_one(recording: Recording) -> None:
    snapshot = recording.snapshot("never one")

    first = snapshot.hosts["first"]
    assert first.true("AgentPaired")
    assert {first.condition(kind).reason for kind in ("Labelled", "Grouped")} == {"NoMapping"}
    assert set(effects(snapshot.entries)) & {"illumio workloads.set_labels", "checkpoint publish"} == set()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_mapping_is_refused_and_named(recording: Recording, name: str) -> None:
    snapshot = recording.snapshot(name)

    reason, words = BAD[name]
    told = snapshot.condition("MappingValid")
    assert (told["status"], told["reason"]) == ("False", reason)
    assert words in told["message"]


@pytest.mark.parametrize("name", BAD)
def test_the_last_good_mapping_stays_in_force(recording: Recording, name: str) -> None:
    good, snapshot = recording.snapshot("a good one"), recording.snapshot(name)

    assert snapshot.estate["status"]["mapping"] == good.estate["status"]["mapping"]
    assert snapshot.workload("first")["labels"] == good.workload("first")["labels"]
    assert snapshot.workload(f"while-{name}")["labels"] == good.workload("first")["labels"]
    assert snapshot.hosts["first"].commissioned


@pytest.fixture
def again(recording: Recording) -> Snapshot:
    return recording.snapshot("good again")


def test_a_refusal_stands_on_its_config_map(again: Snapshot) -> None:
    told = [
        event["reason"]
        for event in again.events
        if event["involvedObject"]["kind"] == "ConfigMap" and event["type"] == "Warning"
    ]

    assert told.count("MappingInvalid") == 2


def test_a_good_one_is_taken_up_again_and_changes_nothing(recording: Recording, again: Snapshot) -> None:
    before = recording.snapshot("missing")

    assert effects(entry for entry in again.entries if entry.seq > before.seq) == {}
    assert again.condition("MappingValid")["status"] == "True"
