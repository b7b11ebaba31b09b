"""Odd times: somebody sets the machine's clock, and a VEN that is dead never acknowledges its unpairing."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.library import Story
from tests.integration.life import SEED, Scene, vm
from tests.integration.pages import Tale

from lab.stepped import set_clock

STAY = ("stays", "slow", "late", "later")
HOUR = 3600.0
_PATIENCE = "1h"


def _after(estate: dict[str, Any]) -> None:
    estate["spec"]["retirement"] = {"missedPolls": 3, "after": _PATIENCE, "maxPerHour": {"count": 20, "percent": 5}}


def tell(scene: Scene) -> None:
    """The clock goes forward, back, and wrong into another life; then days pass."""
    scene.begin(*(vm(name, tags=SEED) for name in ("stays", "gone", "dead")), change=_after)
    scene.commissioned("stays", "gone", "dead")
    scene.settled()
    _the_clock_goes_forward(scene)
    _the_clock_goes_back(scene)
    _the_clock_is_wrong_from_the_start(scene)
    _a_day_passes(scene)


def _the_clock_goes_forward(scene: Scene) -> None:
    """Two hours, while an installer runs and a VM is gone whose grace is one hour."""
    scene.worlds.post("/azure/vms/gone/delete", {"at_once": True})
    slow = scene.order_fault("illumio", "agents.activate", action="delay", phase="before", seconds=12)
    scene.appear(vm("slow", tags=SEED))
    scene.wait("the slow installer is at the PCE", lambda: scene.met(slow))
    scene.tells(gone="NotSeen", slow="Installing")
    set_clock(scene.rig.folder, ahead=2 * HOUR)
    scene.operator.wait_for_log("the machine's clock was set", seconds=30)
    scene.rounds(4)
    scene.page("forward", lease=_lease(scene))
    scene.commissioned("stays", "slow")


def _the_clock_goes_back(scene: Scene) -> None:
    """A day, and a VM appears."""
    set_clock(scene.rig.folder, ahead=-24 * HOUR)
    scene.rounds(2)
    scene.appear(vm("late", tags=SEED))
    scene.commissioned("stays", "slow", "late")
    scene.page("back", lease=_lease(scene))


def _the_clock_is_wrong_from_the_start(scene: Scene) -> None:
    """Half an hour ahead: a new process has nothing to compare it with. Then it is right again, in another one."""
    scene.operator.kill()
    set_clock(scene.rig.folder, ahead=HOUR / 2)
    scene.operator.start()
    scene.appear(vm("later", tags=SEED))
    scene.tells(later="IdentityMismatch")
    scene.rounds(2)
    scene.page("wrong from the start")
    scene.operator.kill()
    set_clock(scene.rig.folder, ahead=0.0)
    scene.operator.start()
    scene.annotate(f"mh/{scene.hosts()['later'].name}", "microseg.dev/retry=agent")
    scene.commissioned(*STAY)
    scene.page("right again")


def _a_day_passes(scene: Scene) -> None:
    """Two VMs are gone, and the VEN of one was dead before: its PCE waits for ever."""
    scene.worlds.post("/illumio/traits", {"unpair_timeout_seconds": 1e6})
    vm_id = scene.hosts()["dead"].vm_id
    (dead,) = [each for each in scene.worlds.get("/illumio/workloads")["workloads"] if each["hostname"] == "dead"]
    scene.worlds.post(f"/illumio/workloads/{dead['uuid']}/offline")
    scene.worlds.post("/azure/vms/dead/delete", {"at_once": True})
    scene.patch("est/respiro", {"spec": {"retirement": {"after": "1s"}}})
    scene.wait("its unpairing is accepted", lambda: _told(scene, "dead", "still listed"))
    scene.page("accepted")
    scene.wait("its record goes", lambda: vm_id not in {host.vm_id for host in scene.rig.hosts()})
    scene.wait("both are retired", lambda: set(scene.hosts()) == set(STAY))
    scene.rounds(4)
    scene.settled()
    scene.page("a day later", vm_id=vm_id, workload=dead["href"], stone=_stone(scene, vm_id))


def _told(scene: Scene, name: str, text: str) -> bool:
    host = scene.hosts().get(name)
    return host is not None and any(text in condition.message for condition in host.conditions.values())


def _lease(scene: Scene) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(scene.rig.kubectl("get", "lease", "microseg-respiro", "-o", "json"))["spec"]
    return found


def _stone(scene: Scene, vm_id: str) -> dict[str, Any]:
    maps = json.loads(scene.rig.kubectl("get", "cm", "-l", "microseg.dev/tombstones=respiro", "-o", "json"))["items"]
    (found,) = [json.loads(each["data"][vm_id]) for each in maps if vm_id in each["data"]]
    stone: dict[str, Any] = found
    return stone


STORY = Story("whole-life-odd-times", tell, module="lab.stepped", long=True)


def test_hours_that_did_not_pass_start_no_second_installer(tale: Tale) -> None:
    for name in ("forward", "right again"):
        assert tale.page(name).scripts("slow") == 1


def test_hours_that_did_not_pass_retire_nobody(tale: Tale) -> None:
    page = tale.page("right again")

    assert page.hosts["gone"].reason == "NotSeen"
    assert page.objects_of("gone")
    assert page.workload("gone")["managed"]
    assert page.of("checkpoint", "delete-host") == page.of("illumio", "vens.unpair") == []


def test_a_clock_that_is_set_costs_nobody_the_lease(tale: Tale) -> None:
    before, after = tale.page("forward").notes["lease"], tale.page("back").notes["lease"]

    assert before["holderIdentity"] == after["holderIdentity"]
    assert before["leaseTransitions"] == after["leaseTransitions"] == 1


def test_a_clock_that_goes_back_holds_up_nobody(tale: Tale) -> None:
    page = tale.page("back")

    assert page.hosts["late"].commissioned
    assert page.scripts("late") == 1


def test_a_clock_that_was_wrong_from_the_start_makes_the_proof_fail_and_says_so(tale: Tale) -> None:
    page = tale.page("wrong from the start")

    (told,) = [each for each in page.hosts["later"].conditions.values() if "a clock is wrong" in each.message][:1]
    assert told.reason == "IdentityMismatch"
    (workload,) = [each for each in page.workloads if each["hostname"] == "later"]
    assert not workload["external_data_reference"], "hands off"
    assert [page.scripts(name) for name in ("stays", "slow", "late")] == [1, 1, 1]


def test_a_person_says_once_more_and_nothing_is_paired_twice(tale: Tale) -> None:
    page = tale.page("right again")

    assert all(page.hosts[name].commissioned for name in STAY)
    assert {name: page.scripts(name) for name in STAY} == dict.fromkeys(STAY, 1)
    assert page.scripts("later", "probe") == 1
    paired = [entry.changed[0] for entry in page.of("illumio", "world.workload-paired")]
    assert sum("(later)" in text for text in paired) == 1


def test_a_dead_ven_is_waited_for_after_all_else_is_removed(tale: Tale) -> None:
    page = tale.page("accepted")

    assert page.objects_of("dead") == {}
    assert page.workload("dead")["managed"]
    assert page.hosts["dead"].stage == "Retiring"


def test_what_a_dead_ven_leaves_is_noted_and_brings_no_record_back(tale: Tale) -> None:
    page = tale.page("a day later")

    assert set(page.hosts) == set(STAY)
    assert page.notes["stone"]["left"] == page.notes["workload"]
    assert page.notes["stone"]["endedAt"]
    (event,) = [event for event in page.events if event["reason"] == "WorkloadLeft"]
    assert page.notes["workload"] in event["message"]
    assert event["type"] == "Warning"
    (unpaired,) = page.of("illumio", "vens.unpair")
    assert len(unpaired.changed) == 2, "one call for both, and none again"
