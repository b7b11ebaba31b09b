"""VMs whose agent cannot be installed: each failure has its own reason, and ends with its cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, Snapshot

NEEDS_A_PERSON = {
    "key-refused": ("KeyRefused", "refused the activation code", 3),
    "no-route": ("PCEUnreachableFromVM", "could not reach the PCE", 3),
    "disk-full": ("ScriptFailed", "code 603", 3),
    "elsewhere": ("PairedElsewhere", "paired with another PCE", 1),
    "mainframe": ("UnsupportedOS", "the processor is not supported (code 622)", 1),
    "no-curl": ("ProgramMissing", "curl is missing on the VM (code 623)", 1),
    "governed": (
        "RunCommandRefused",
        "RequestDisallowedByPolicy: Azure Policy 'Require tag CostCentre on resources' (looked at tags[CostCentre])",
        0,
    ),
}
"""VM -> reason that needs a person, text of the message, and the scripts that ran until then."""
BY_ITSELF = ("deaf", "flaky-1", "flaky-2")
"""VMs whose failure ends by itself."""
_ALWAYS = 10_000
_ORDERS: dict[str, dict[str, Any]] = {
    "stopped": {"power": "deallocated", "tags": SEED},
    "deaf": {"agent": "never"},
    "flaky-2": {"os": "Windows"},
    "governed": {"resourceGroup": "rg-governed"},
}


_REIMAGED = ("elsewhere", "mainframe", "no-curl")
"""Their keys are unused: the old installer, which a fresh disk runs again, pairs them; the operator asks and adopts."""


def scenario(run: ScenarioRun) -> None:
    """Every failure at once beside one healthy VM; then remove the causes, and confirm where a person must."""
    names = ("well", "stopped", *BY_ITSELF, *NEEDS_A_PERSON)
    made = run.create_vms(*(vm(name, **_ORDERS.get(name, {})) for name in names))
    for host, how, times in (
        ("key-refused", "refuse", _ALWAYS),
        ("no-route", "error", _ALWAYS),
        ("flaky-1", "refuse", 1),
        ("flaky-2", "html", 1),
    ):
        run.worlds.post("/illumio/pairing", {"hostname": host, "refuse": times, "how": how})
    other = {"workload": "11111111-2222-4333-8444-555555555555", "orgId": 7, "pce": "other-pce.example:8443"}
    run.worlds.post("/azure/vms/elsewhere/guest", {"paired": other})
    run.worlds.post("/azure/vms/mainframe/guest", {"machine": "s390x"})
    run.worlds.post("/azure/vms/no-curl/guest", {"without": ["curl"]})
    run.worlds.post("/azure/traits", {"demanded_tags": {"rg-governed": ["CostCentre"]}})
    in_the_way = _put_in_the_way(run.worlds.folder / "vms" / made["disk-full"])
    run.start()
    run.wait_for_reasons(stopped="VMNotRunning", deaf="AgentNotReady")
    run.snapshot("the first look")
    run.worlds.post("/azure/vms/deaf/stop")
    run.wait_for_reasons(deaf="VMNotRunning")
    run.worlds.post("/azure/vms/deaf/start", {"agentDelay": 5})
    run.wait_commissioned("well", *BY_ITSELF)
    run.wait_for_reasons(**{name.replace("-", "_"): reason for name, (reason, _, _) in NEEDS_A_PERSON.items()})
    run.wait("the estate counts them", lambda: _blocked(run) == len(NEEDS_A_PERSON))
    run.wait("the firewall knows the stopped VM", lambda: run.hosts()["stopped"].true("PolicyInstalled"))
    run.snapshot("a person is asked")

    run.worlds.post("/azure/vms/stopped/start")
    for name in ("key-refused", "no-route"):
        run.worlds.post("/illumio/pairing", {"hostname": name, "refuse": 0})
    for name in _REIMAGED:
        run.worlds.post(f"/azure/vms/{name}/guest", {"wipe": True})
    run.wait("their fresh disks ran the old installers again", lambda: _ran_again(run) == len(_REIMAGED))
    in_the_way.unlink()
    run.patch("est/respiro", {"spec": {"azure": {"tags": {"costcentre": "4711"}}}})
    run.wait_commissioned("stopped", "governed")
    hosts = run.hosts()
    for name in NEEDS_A_PERSON.keys() - {"governed"}:
        run.annotate(f"mh/{hosts[name].name}", "microseg.dev/retry=agent")
    run.wait_commissioned(*names)
    run.wait_settled()
    run.snapshot("the causes are gone")


def _blocked(run: ScenarioRun) -> int:
    return int(run.rig.estate()["status"]["hosts"]["blocked"])


def _ran_again(run: ScenarioRun) -> int:
    ends = run.worlds.ledger("azure", "world.script-ended")
    return sum(1 for entry in ends if entry.note.startswith("again"))


def _put_in_the_way(inside: Path) -> Path:
    """Put a file on the VM where the script needs a folder."""
    (inside / "run").mkdir(parents=True)
    file = inside / "run" / "microseg"
    file.touch()
    return file


SCENARIO = Scenario("failing-hosts", scenario)


@pytest.fixture
def asked(recording: Recording) -> Snapshot:
    return recording.snapshot("a person is asked")


def test_a_stopped_vm_and_a_silent_agent_are_named_and_nothing_is_sent_to_them(recording: Recording) -> None:
    first = recording.snapshot("the first look")

    stopped, deaf = first.hosts["stopped"], first.hosts["deaf"]
    assert "deallocated" in stopped.condition("AgentPaired").message
    assert "does not report ready" in deaf.condition("AgentPaired").message
    assert not any(first.of_vm("azure", name, "commands.put") for name in ("stopped", "deaf"))


def test_the_firewall_waits_for_no_agent(asked: Snapshot) -> None:
    stopped = asked.hosts["stopped"]

    assert not stopped.true("AgentPaired")
    assert stopped.true("Grouped")
    (found,) = asked.objects_of("stopped").values()
    assert "SO" in found["groups"]


def test_waiting_for_a_named_fact_is_neither_work_nor_a_stall(recording: Recording) -> None:
    stopped = recording.snapshot("a person is asked").hosts["stopped"]

    stated = {kind: stopped.condition(kind).status for kind in ("Ready", "Reconciling", "Stalled")}
    assert stated == {"Ready": "False", "Reconciling": "False", "Stalled": "False"}


@pytest.mark.parametrize("name", NEEDS_A_PERSON)
def test_a_failure_that_needs_a_person_says_which_it_is_and_what_to_do(asked: Snapshot, name: str) -> None:
    reason, words, scripts = NEEDS_A_PERSON[name]
    host = asked.hosts[name]

    assert host.stage == "Blocked"
    for kind in ("AgentPaired", "Stalled", "Ready"):
        assert host.condition(kind).reason == reason
        assert words in host.condition(kind).message
    assert "microseg.dev/retry=agent" in host.condition("Stalled").message
    assert asked.scripts(name) == scripts


def test_a_failure_that_passes_needs_nobody(asked: Snapshot) -> None:
    assert [asked.hosts[name].stage for name in BY_ITSELF] == ["Commissioned"] * len(BY_ITSELF)
    assert {name: asked.scripts(name) for name in BY_ITSELF} == {"deaf": 1, "flaky-1": 2, "flaky-2": 2}


def test_a_start_that_azure_refuses_again_and_again_costs_one_pairing_key(asked: Snapshot) -> None:
    """Three starts were refused. Every other key went with a script that ran."""
    assert len(asked.of("illumio", "pairing_keys.create")) == sum(map(asked.scripts, asked.hosts)) + 1


def test_bad_hosts_hold_up_no_other(asked: Snapshot) -> None:
    assert asked.hosts["well"].commissioned
    assert asked.scripts("well") == 1
    hosts = asked.estate["status"]["hosts"]
    assert (hosts["blocked"], hosts["waiting"]) == (len(NEEDS_A_PERSON), 1)


def test_each_converges_when_its_cause_is_gone(recording: Recording) -> None:
    done = recording.snapshot("the causes are gone")

    assert {host.stage for host in done.hosts.values()} == {"Commissioned"}
    assert {name: done.scripts(name) for name in NEEDS_A_PERSON} == {
        name: scripts + (name not in _REIMAGED) for name, (_, _, scripts) in NEEDS_A_PERSON.items()
    }
    assert done.scripts("stopped") == 1
    assert {name: done.scripts(name, "probe") for name in _REIMAGED} == dict.fromkeys(_REIMAGED, 1)
    left = [note for host in done.hosts.values() for note in host.raw["metadata"].get("annotations", {})]
    assert "microseg.dev/retry" not in left
