"""Drift: what people change is reported with time and writer, and repaired, but without an endless fight."""

from __future__ import annotations

import functools

import pytest
from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, Snapshot

from lab.hosts import Host

CLONE = "Copy_of_web"
NAMES = ("relabelled", "ungrouped", "renamed", "removed", "lowered", "reimaged", "moved")


def scenario(run: ScenarioRun) -> None:
    """A change by a person on each of seven hosts; then the policy; then repeated changes on one host."""
    run.start(*(vm(name, tags=SEED) for name in NAMES))
    run.wait_commissioned(*NAMES)
    run.wait_settled()
    objects = {name: f"az-{host.name}" for name, host in run.hosts().items()}
    run.patch("est/respiro", {"spec": {"drift": "Report"}})
    run.wait_polls(2)
    run.snapshot("before")

    worlds = run.worlds
    worlds.post("/illumio/workloads/relabelled/relabel", {"env": "Prod", "role": None})
    worlds.post("/illumio/workloads/lowered/enforce", {"mode": "idle"})
    worlds.post("/checkpoint/edit", {"do": "remove-member", "host": objects["ungrouped"], "group": "SO"})
    worlds.post("/checkpoint/edit", {"do": "rename-host", "host": objects["renamed"], "name": "old-web"})
    worlds.post("/checkpoint/edit", {"do": "delete-host", "host": objects["removed"]})
    worlds.post("/checkpoint/edit", {"do": "clone-host", "host": objects["relabelled"], "name": CLONE})
    worlds.post("/azure/vms/reimaged/guest", {"wipe": True})
    worlds.post("/illumio/workloads/reimaged/unpair", {})
    worlds.post("/azure/vms/moved/move", {"resourceGroup": "elsewhere"})
    changed = set(NAMES) - {"moved"}
    run.wait("all changes found", lambda: changed <= {n for n, host in run.hosts().items() if host.true("Drifted")})
    run.wait_polls(2)
    run.snapshot("reported")

    run.patch("est/respiro", {"spec": {"drift": "Repair"}})
    run.wait("everything put right", lambda: all(h.commissioned and not h.true("Drifted") for h in run.rig.hosts()))
    run.wait_settled()
    run.snapshot("repaired")

    for number in (2, 3):  # the first was in the chapter before
        _take_out(run, objects["ungrouped"])
        run.wait(f"repair {number}", functools.partial(_repaired, run, number))
    _take_out(run, objects["ungrouped"])
    run.wait_for_reasons(ungrouped="Contention")
    run.wait_polls(2)
    run.snapshot("contended")
    run.annotate(f"mh/{run.hosts()['ungrouped'].name}", "microseg.dev/retry=drift")
    run.wait_commissioned(*NAMES)
    run.wait_settled()
    run.snapshot("settled by a person")


def _take_out(run: ScenarioRun, name: str) -> None:
    run.worlds.post("/checkpoint/edit", {"do": "remove-member", "host": name, "group": "SO"})


def _repaired(run: ScenarioRun, times: int) -> bool:
    host = run.hosts()["ungrouped"]
    closed = [
        each for each in host.raw["status"].get("drift", []) if each["stage"] == "Grouped" and not each.get("open")
    ]
    return host.commissioned and bool(closed) and int(closed[0]["repairs"]) == times


SCENARIO = Scenario("drift", scenario)

TOLD = {
    "relabelled": ("label env is Prod instead of Dev", "label role=Web was removed", "last written by /users/7"),
    "ungrouped": ("was taken out of group SO", "last written by alice"),
    "renamed": ("was renamed to old-web", "last written by alice"),
    "removed": ("was deleted", "the latest publish is by alice"),
    "lowered": ("Enforcement was lowered to idle, below visibility_only", "last written by /users/7"),
    "reimaged": ("was unpaired",),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_was_changed_is_told_with_its_writer(recording: Recording, name: str) -> None:
    host = recording.snapshot("reported").hosts[name]

    told = host.condition("Drifted")
    assert told.reason == "DriftFound"
    for words in (*TOLD[name], "Found 20"):
        assert words in told.message
    (record,) = host.raw["status"]["drift"]
    assert record["open"]


def test_what_is_only_reported_is_not_touched(recording: Recording) -> None:
    before, reported = recording.snapshot("before"), recording.snapshot("reported")

    assert reported.publishes(before.seq) == []
    assert reported.of("azure", "commands.put", since=before.seq) == []
    assert reported.hosts["reimaged"].condition("AgentPaired").reason == "DriftFound"
    assert reported.hosts["lowered"].true("Ready")


def test_everything_is_put_right(recording: Recording) -> None:
    snapshot = recording.snapshot("repaired")

    assert snapshot.workload("relabelled")["labels"] == recording.snapshot("before").workload("relabelled")["labels"]
    assert snapshot.workload("lowered")["enforcement_mode"] == "visibility_only"
    for name in ("ungrouped", "renamed", "removed"):
        (found,) = snapshot.objects_of(name).values()
        assert found["name"] == f"az-{snapshot.hosts[name].name}"
        assert "SO" in found["groups"]


def test_a_clone_of_our_object_is_left_alone_and_the_estate_names_it(recording: Recording) -> None:
    for name in ("reported", "repaired", "settled by a person"):
        snapshot = recording.snapshot(name)
        (clone,) = (each for each in snapshot.objects if each["name"] == CLONE)
        assert (clone["modifier"], clone["groups"]) == ("alice", ["SO", "az-web"])
        assert (
            f"Host object {CLONE} carries this operator's mark" in snapshot.condition("CheckPointReachable")["message"]
        )


def test_a_renamed_object_keeps_its_uid(recording: Recording) -> None:
    before, after = recording.snapshot("before"), recording.snapshot("repaired")

    def uid(snapshot: Snapshot) -> str:
        return next(str(each["uid"]) for each in snapshot.objects_of("renamed").values())

    assert uid(before) == uid(after)


def test_a_reimaged_vm_is_installed_once_more(recording: Recording) -> None:
    snapshot = recording.snapshot("settled by a person")

    assert {name: snapshot.scripts(name) for name in NAMES} == dict.fromkeys(NAMES, 1) | {"reimaged": 2}


def test_a_vm_that_moved_is_the_same_host(recording: Recording) -> None:
    before, snapshot = recording.snapshot("before"), recording.snapshot("repaired")

    assert snapshot.hosts["moved"].name == before.hosts["moved"].name
    assert snapshot.hosts["moved"].raw["status"]["azure"]["resourceGroup"].lower() == "elsewhere"
    assert "/resourcegroups/elsewhere/" in snapshot.hosts["moved"].raw["status"]["azure"]["resourceId"].lower()
    assert _told(snapshot.hosts["moved"]) == _told(before.hosts["moved"])


def _told(host: Host) -> list[str]:
    """The lines of its history; a poll whose two lists straddle the move shows the VM without its NIC for a moment."""
    lines = [line["what"] for line in host.raw["status"].get("history", ())]
    return [line for line in lines if not line.startswith(("Grouped", "Ready", "Not ready"))]


def test_a_quarrel_is_left_alone_and_named(recording: Recording) -> None:
    before, snapshot = recording.snapshot("repaired"), recording.snapshot("contended")
    host = snapshot.hosts["ungrouped"]

    for kind in ("Drifted", "Stalled"):
        assert host.condition(kind).reason == "Contention"
        assert host.true(kind)
    message = host.condition("Stalled").message
    assert "it was repaired 3 times and changed back each time" in message
    assert "alice" in message
    assert "microseg.dev/retry=drift" in message
    assert len(snapshot.publishes(before.seq)) == 2
    assert snapshot.estate["status"]["hosts"]["blocked"] == 1
    (found,) = snapshot.objects_of("ungrouped").values()
    assert "SO" not in found["groups"]


def test_a_person_settles_it(recording: Recording) -> None:
    snapshot = recording.snapshot("settled by a person")

    assert "microseg.dev/retry" not in snapshot.hosts["ungrouped"].raw["metadata"].get("annotations", {})
    (found,) = snapshot.objects_of("ungrouped").values()
    assert "SO" in found["groups"]
