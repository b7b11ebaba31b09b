"""Ends that leave no result line, and names of run-commands that neither Azure nor the cluster remembers."""

from __future__ import annotations

import json

import pytest
from tests.integration.scenario import ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, Snapshot

ENDLESS = ("killed", "upgraded")
"""VMs whose script pairs and whose end is lost."""
FORGOTTEN = ("lost", "restored")
"""VMs whose attempts are forgotten by the cluster, and whose run-commands are deleted."""
_ALWAYS = 10_000
_SLOW = 6.0
"""Seconds that a pairing takes: in these its script is killed."""


def scenario(run: ScenarioRun) -> None:
    """Scripts that cannot begin, or whose ends are lost; then what was forgotten."""
    run.create_vms(vm("full"), *map(vm, ENDLESS))
    run.worlds.post("/azure/vms/full/obstruct", {"why": "disk-full"})
    slow = run.inject_fault("illumio", "agents.activate", action="delay", seconds=_SLOW, count=len(ENDLESS))
    run.start()
    run.wait("their scripts pair", lambda: run.fault_was_met(slow))
    run.worlds.post("/azure/vms/killed/kill-scripts")
    run.worlds.post("/azure/vms/upgraded/restart-handler")
    run.wait_for_condition("full", "AgentPaired", "ScriptNotBegun", "no space left on device on the VM")
    run.wait_commissioned(*ENDLESS)
    run.wait("it is asked again without a key", lambda: _probes(run, "full") > 1)
    run.snapshot("told")
    run.worlds.post("/azure/vms/full/obstruct", {"why": ""})
    run.wait_commissioned("full")
    run.snapshot("mended")

    run.worlds.post("/illumio/pairing", {"hostname": "cleared", "refuse": _ALWAYS, "how": "refuse"})
    run.create_vms(*map(vm, FORGOTTEN), vm("cleared"))
    run.wait_commissioned(*FORGOTTEN)
    run.wait("its attempts are used up", lambda: run.hosts()["cleared"].condition("Stalled").status == "True")
    run.wait_for_reasons(cleared="KeyRefused")
    run.wait("used run-commands are gone", lambda: not any(_run_commands(run, name) for name in FORGOTTEN))
    _forget(run)
    run.wait_commissioned(*FORGOTTEN, "cleared")
    run.wait_settled()
    run.snapshot("remembered")


def _forget(run: ScenarioRun) -> None:
    """One record is deleted, one is as it was in an older backup, and one VM's run-commands are deleted by a person."""
    run.operator.stop()
    hosts = run.hosts()
    for name in FORGOTTEN:
        workload = hosts[name].raw["status"]["illumio"]["workload"].rsplit("/", 1)[1]
        run.worlds.post(f"/illumio/workloads/{workload}/unpair", {})
    run.rig.kubectl("delete", "mh", hosts["lost"].name)
    older = json.dumps([{"op": "replace", "path": "/status", "value": {}}])
    run.rig.kubectl("patch", "mh", hosts["restored"].name, "--subresource=status", "--type=json", "-p", older)
    run.worlds.post("/azure/vms/cleared/delete-commands")
    run.worlds.post("/illumio/pairing", {"hostname": "cleared", "refuse": 0})
    run.annotate(f"mh/{hosts['cleared'].name}", "microseg.dev/retry=agent")
    run.wait("they are gone", lambda: not _run_commands(run, "cleared"))
    run.operator.start()


def _run_commands(run: ScenarioRun, name: str) -> dict[str, object]:
    """The run-commands that Azure has of a VM."""
    found: dict[str, object] = next(each for each in run.worlds.get("/azure/vms")["vms"] if each["name"] == name)[
        "runCommands"
    ]
    return found


def _probes(run: ScenarioRun, name: str) -> int:
    vm_id = run.hosts()[name].vm_id
    started = run.worlds.ledger("azure", "world.script-started")
    return sum(1 for each in started if each.changed[0] == vm_id and each.changed[2] == "probe")


SCENARIO = Scenario("lost-results", scenario)


@pytest.fixture
def told(recording: Recording) -> Snapshot:
    return recording.snapshot("told")


def test_a_full_disk_is_told_and_asked_again_without_keys(told: Snapshot) -> None:
    condition = told.hosts["full"].condition("AgentPaired")
    assert (condition.status, condition.reason) != ("True", "Paired")
    assert told.scripts("full") == 1
    assert told.scripts("full", mode="probe") > 1


def test_a_disk_that_has_space_again_needs_no_person(recording: Recording) -> None:
    snapshot = recording.snapshot("mended")
    assert snapshot.hosts["full"].commissioned
    assert snapshot.scripts("full") == 2


@pytest.mark.parametrize("name", ENDLESS)
def test_a_vm_that_paired_although_its_result_was_lost_is_asked_once_and_gets_no_second_installer(
    told: Snapshot, name: str
) -> None:
    assert (told.scripts(name), told.scripts(name, mode="probe")) == (1, 1)
    assert told.hosts[name].raw["status"]["agent"]["outcome"] == "already-paired"


@pytest.mark.parametrize("name", FORGOTTEN)
def test_what_everybody_forgot_begins_under_a_name_that_was_never_used(recording: Recording, name: str) -> None:
    snapshot = recording.snapshot("remembered")
    puts = [change for entry in snapshot.of_vm("azure", name, "commands.put") for change in entry.changed]
    assert len(puts) == len(set(puts)) == 2
    assert snapshot.scripts(name) == 2
    assert snapshot.hosts[name].raw["status"]["agent"]["attempt"] == 1


def test_run_commands_that_a_person_deleted_are_not_missed(recording: Recording) -> None:
    snapshot = recording.snapshot("remembered")
    assert snapshot.hosts["cleared"].commissioned
    assert snapshot.of_vm("azure", "cleared", "world.command-deleted-by-hand")
    puts = [change for entry in snapshot.of_vm("azure", "cleared", "commands.put") for change in entry.changed]
    assert len(puts) == len(set(puts)) == snapshot.hosts["cleared"].raw["status"]["agent"]["attempt"]
