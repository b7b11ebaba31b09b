"""Steps of the machine's clock, and a dead VEN that never acknowledges its unpairing."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording

from lab.stepped_clock import set_clock

STAY = ("stays", "slow", "late", "later")
HOUR = 3600.0
_PATIENCE = "1h"


def _after(estate: dict[str, Any]) -> None:
    estate["spec"]["retirement"] = {"missedPolls": 3, "after": _PATIENCE, "maxPerHour": {"count": 20, "percent": 5}}


def scenario(run: ScenarioRun) -> None:
    """Step the clock forward and back, start with a wrong clock, then let days pass."""
    run.start(*(vm(name, tags=SEED) for name in ("stays", "gone", "dead")), change=_after)
    run.wait_commissioned("stays", "gone", "dead")
    run.wait_settled()
    _step_forward(run)
    _step_back(run)
    _start_with_a_wrong_clock(run)
    _let_days_pass(run)


def _step_forward(run: ScenarioRun) -> None:
    """Step two hours while an installer runs and a deleted VM has a grace period of one hour."""
    run.worlds.post("/azure/vms/gone/delete", {"at_once": True})
    slow = run.inject_fault("illumio", "agents.activate", action="delay", phase="before", seconds=12)
    run.create_vms(vm("slow", tags=SEED))
    run.wait("the slow installer is at the PCE", lambda: run.fault_was_met(slow))
    run.wait_for_reasons(gone="NotSeen", slow="InstallingAgent")
    run.snapshot("before", lease=_lease(run))
    set_clock(run.rig.folder, ahead=2 * HOUR)
    run.operator.wait_for_log("the machine's clock was set", seconds=30)
    run.wait_polls(4)
    run.snapshot("forward", lease=_lease(run))
    run.wait_commissioned("stays", "slow")


def _step_back(run: ScenarioRun) -> None:
    """Step back one day, and create a VM."""
    set_clock(run.rig.folder, ahead=-24 * HOUR)
    run.wait_polls(2)
    run.create_vms(vm("late", tags=SEED))
    run.wait_commissioned("stays", "slow", "late")
    run.snapshot("back", lease=_lease(run))


def _start_with_a_wrong_clock(run: ScenarioRun) -> None:
    """Start half an hour ahead, where a new process has nothing to compare with; then restart with the right time."""
    run.operator.kill()
    set_clock(run.rig.folder, ahead=HOUR / 2)
    run.operator.start()
    run.create_vms(vm("later", tags=SEED))
    run.wait_for_reasons(later="IdentityMismatch")
    run.wait_polls(2)
    run.snapshot("wrong from the start")
    run.operator.kill()
    set_clock(run.rig.folder, ahead=0.0)
    run.operator.start()
    run.annotate(f"mh/{run.hosts()['later'].name}", "microseg.dev/retry=agent")
    run.wait_commissioned(*STAY)
    run.snapshot("right again")


def _let_days_pass(run: ScenarioRun) -> None:
    """Delete two VMs; the VEN of one was already dead, and its PCE waits for ever."""
    run.worlds.post("/illumio/traits", {"unpair_timeout_seconds": 1e6})
    vm_id = run.hosts()["dead"].vm_id
    (dead,) = [each for each in run.worlds.get("/illumio/workloads")["workloads"] if each["hostname"] == "dead"]
    run.worlds.post(f"/illumio/workloads/{dead['uuid']}/offline")
    run.worlds.post("/azure/vms/dead/delete", {"at_once": True})
    run.patch("est/respiro", {"spec": {"retirement": {"after": "1s"}}})
    run.wait("its unpairing is accepted", lambda: _reports(run, "dead", "still listed"))
    run.snapshot("accepted")
    run.wait("its record goes", lambda: vm_id not in {host.vm_id for host in run.rig.hosts()})
    run.wait("both are retired", lambda: set(run.hosts()) == set(STAY))
    run.wait_polls(4)
    run.wait_settled()
    run.snapshot("a day later", vm_id=vm_id, workload=dead["href"], stone=_tombstone(run, vm_id))


def _reports(run: ScenarioRun, name: str, text: str) -> bool:
    host = run.hosts().get(name)
    return host is not None and any(text in condition.message for condition in host.conditions.values())


def _lease(run: ScenarioRun) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.rig.kubectl("get", "lease", "microseg-respiro", "-o", "json"))["spec"]
    return found


def _tombstone(run: ScenarioRun, vm_id: str) -> dict[str, Any]:
    maps = json.loads(run.rig.kubectl("get", "cm", "-l", "microseg.dev/tombstones=respiro", "-o", "json"))["items"]
    (found,) = [json.loads(each["data"][vm_id]) for each in maps if vm_id in each["data"]]
    stone: dict[str, Any] = found
    return stone


SCENARIO = Scenario("clock-steps", scenario, module="lab.stepped_clock", long=True)


def test_hours_that_did_not_pass_start_no_second_installer(recording: Recording) -> None:
    for name in ("forward", "right again"):
        assert recording.snapshot(name).scripts("slow") == 1


def test_hours_that_did_not_pass_retire_nobody(recording: Recording) -> None:
    snapshot = recording.snapshot("right again")

    assert snapshot.hosts["gone"].reason == "NotSeen"
    assert snapshot.objects_of("gone")
    assert snapshot.workload("gone")["managed"]
    assert snapshot.of("checkpoint", "delete-host") == snapshot.of("illumio", "vens.unpair") == []


def test_a_clock_that_is_set_costs_nobody_the_lease(recording: Recording) -> None:
    leases = [recording.snapshot(name).notes["lease"] for name in ("before", "forward", "back")]

    assert len({(lease["holderIdentity"], lease["leaseTransitions"]) for lease in leases}) == 1


def test_a_clock_that_goes_back_holds_up_nobody(recording: Recording) -> None:
    snapshot = recording.snapshot("back")

    assert snapshot.hosts["late"].commissioned
    assert snapshot.scripts("late") == 1


def test_a_clock_that_was_wrong_from_the_start_makes_the_proof_fail_and_says_so(recording: Recording) -> None:
    snapshot = recording.snapshot("wrong from the start")

    (told,) = [each for each in snapshot.hosts["later"].conditions.values() if "a clock is wrong" in each.message][:1]
    assert told.reason == "IdentityMismatch"
    (workload,) = [each for each in snapshot.workloads if each["hostname"] == "later"]
    assert not workload["external_data_reference"], "hands off"
    assert [snapshot.scripts(name) for name in ("stays", "slow", "late")] == [1, 1, 1]


def test_a_person_says_once_more_and_nothing_is_paired_twice(recording: Recording) -> None:
    snapshot = recording.snapshot("right again")

    assert all(snapshot.hosts[name].commissioned for name in STAY)
    assert {name: snapshot.scripts(name) for name in STAY} == dict.fromkeys(STAY, 1)
    assert snapshot.scripts("later", "probe") == 1
    paired = [entry.changed[0] for entry in snapshot.of("illumio", "world.workload-paired")]
    assert sum("(later)" in text for text in paired) == 1


def test_a_dead_ven_is_waited_for_after_all_else_is_removed(recording: Recording) -> None:
    snapshot = recording.snapshot("accepted")

    assert snapshot.objects_of("dead") == {}
    assert snapshot.workload("dead")["managed"]
    assert snapshot.hosts["dead"].stage == "Retiring"


def test_what_a_dead_ven_leaves_is_noted_and_brings_no_record_back(recording: Recording) -> None:
    snapshot = recording.snapshot("a day later")

    assert set(snapshot.hosts) == set(STAY)
    assert snapshot.notes["stone"]["left"] == snapshot.notes["workload"]
    assert snapshot.notes["stone"]["endedAt"]
    left = [event for event in snapshot.events if event["reason"] == "WorkloadLeft"]
    (event,) = [event for event in left if snapshot.notes["workload"] in event["message"]]
    assert event["type"] == "Warning"
    (unpaired,) = snapshot.of("illumio", "vens.unpair")
    assert len(unpaired.changed) == 2, "one call for both, and none again"
