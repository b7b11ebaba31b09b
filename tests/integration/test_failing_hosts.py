"""VMs whose agent cannot come: each failure has its own name in the condition, and ends when its cause does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.library import Story
from tests.integration.life import Scene, vm
from tests.integration.pages import Page, Tale

NEEDS_A_PERSON = {
    "key-refused": ("KeyRefused", "refused the activation code", 3),
    "no-route": ("PCEUnreachableFromVM", "could not reach the PCE", 3),
    "disk-full": ("ScriptFailed", "code 603", 3),
    "elsewhere": ("PairedElsewhere", "paired with another PCE", 1),
    "mainframe": ("UnsupportedOS", "does not support this operating system", 1),
}
"""VM -> the reason for which a person is asked, words of the message, and the scripts that ran until then."""
BY_ITSELF = ("deaf", "flaky-1", "flaky-2")
"""VMs whose trouble passes without anybody."""
_ALWAYS = 10_000
_ORDERS: dict[str, dict[str, Any]] = {
    "stopped": {"power": "deallocated"},
    "deaf": {"agent": "never"},
    "flaky-2": {"os": "Windows"},
}


def tell(scene: Scene) -> None:
    """Every failure at once beside one VM that is well; then the causes go, and a person says so where one must."""
    names = ("well", "stopped", *BY_ITSELF, *NEEDS_A_PERSON)
    made = scene.appear(*(vm(name, **_ORDERS.get(name, {})) for name in names))
    for host, how, times in (
        ("key-refused", "refuse", _ALWAYS),
        ("no-route", "error", _ALWAYS),
        ("flaky-1", "refuse", 1),
        ("flaky-2", "html", 1),
    ):
        scene.worlds.post("/illumio/pairing", {"hostname": host, "refuse": times, "how": how})
    other = {"workload": "11111111-2222-4333-8444-555555555555", "orgId": 7, "pce": "other-pce.example:8443"}
    scene.worlds.post("/azure/vms/elsewhere/guest", {"paired": other})
    scene.worlds.post("/azure/vms/mainframe/guest", {"machine": "s390x"})
    in_the_way = _put_in_the_way(scene.worlds.folder / "vms" / made["disk-full"])
    scene.begin()
    scene.tells(stopped="VMNotRunning", deaf="AgentNotReady")
    scene.page("the first look")
    scene.worlds.post("/azure/vms/deaf/stop")
    scene.tells(deaf="VMNotRunning")
    scene.worlds.post("/azure/vms/deaf/start", {"agentDelay": 5})
    scene.commissioned("well", *BY_ITSELF)
    scene.tells(**{name.replace("-", "_"): reason for name, (reason, _, _) in NEEDS_A_PERSON.items()})
    scene.wait("the estate counts them", lambda: _blocked(scene) == len(NEEDS_A_PERSON))
    scene.page("a person is asked")

    scene.worlds.post("/azure/vms/stopped/start")
    for name in ("key-refused", "no-route"):
        scene.worlds.post("/illumio/pairing", {"hostname": name, "refuse": 0})
    for name in ("elsewhere", "mainframe"):
        scene.worlds.post(f"/azure/vms/{name}/guest", {"wipe": True})
    in_the_way.unlink()
    scene.commissioned("stopped")
    hosts = scene.hosts()
    for name in NEEDS_A_PERSON:
        scene.annotate(f"mh/{hosts[name].name}", "microseg.dev/retry=agent")
    scene.commissioned(*names)
    scene.settled()
    scene.page("the causes are gone")


def _blocked(scene: Scene) -> int:
    return int(scene.rig.estate()["status"]["hosts"]["blocked"])


def _put_in_the_way(inside: Path) -> Path:
    """A file stands on the VM where the script needs its folder."""
    (inside / "run").mkdir(parents=True)
    file = inside / "run" / "microseg"
    file.touch()
    return file


STORY = Story("failures", tell)


@pytest.fixture
def asked(tale: Tale) -> Page:
    return tale.page("a person is asked")


def test_a_stopped_vm_and_a_silent_agent_are_named_and_nothing_is_sent_to_them(tale: Tale) -> None:
    first = tale.page("the first look")

    stopped, deaf = first.hosts["stopped"], first.hosts["deaf"]
    assert "deallocated" in stopped.condition("AgentPaired").message
    assert "does not report ready" in deaf.condition("AgentPaired").message
    assert not any(first.of_vm("azure", name, "commands.put") for name in ("stopped", "deaf"))


def test_waiting_for_a_named_fact_is_neither_work_nor_a_stall(tale: Tale) -> None:
    stopped = tale.page("a person is asked").hosts["stopped"]

    stated = {kind: stopped.condition(kind).status for kind in ("Ready", "Reconciling", "Stalled")}
    assert stated == {"Ready": "False", "Reconciling": "False", "Stalled": "False"}


@pytest.mark.parametrize("name", NEEDS_A_PERSON)
def test_a_failure_that_needs_a_person_says_which_it_is_and_what_to_do(asked: Page, name: str) -> None:
    reason, words, scripts = NEEDS_A_PERSON[name]
    host = asked.hosts[name]

    assert host.stage == "Blocked"
    for kind in ("AgentPaired", "Stalled", "Ready"):
        assert host.condition(kind).reason == reason
        assert words in host.condition(kind).message
    assert "microseg.dev/retry=agent" in host.condition("Stalled").message
    assert asked.scripts(name) == scripts


def test_a_failure_that_passes_needs_nobody(asked: Page) -> None:
    assert [asked.hosts[name].stage for name in BY_ITSELF] == ["Commissioned"] * len(BY_ITSELF)
    assert {name: asked.scripts(name) for name in BY_ITSELF} == {"deaf": 1, "flaky-1": 2, "flaky-2": 2}


def test_bad_hosts_hold_up_no_other(asked: Page) -> None:
    assert asked.hosts["well"].commissioned
    assert asked.scripts("well") == 1
    hosts = asked.estate["status"]["hosts"]
    assert (hosts["blocked"], hosts["waiting"]) == (len(NEEDS_A_PERSON), 1)


def test_each_converges_when_its_cause_is_gone(tale: Tale) -> None:
    done = tale.page("the causes are gone")

    assert {host.stage for host in done.hosts.values()} == {"Commissioned"}
    assert {name: done.scripts(name) for name in NEEDS_A_PERSON} == {
        name: scripts + 1 for name, (_, _, scripts) in NEEDS_A_PERSON.items()
    }
    assert done.scripts("stopped") == 1
    left = [note for host in done.hosts.values() for note in host.raw["metadata"].get("annotations", {})]
    assert "microseg.dev/retry" not in left
