"""What people change behind the operator's back: told with time and writer, put right, and never fought over."""

from __future__ import annotations

import functools

import pytest
from tests.integration.library import Story
from tests.integration.life import SEED, Scene, vm
from tests.integration.pages import Page, Tale

NAMES = ("relabelled", "ungrouped", "renamed", "removed", "lowered", "reimaged", "moved")


def tell(scene: Scene) -> None:
    """Seven hosts, a person for each; then the policy; then a quarrel about one of them."""
    scene.begin(*(vm(name, tags=SEED) for name in NAMES))
    scene.commissioned(*NAMES)
    scene.settled()
    objects = {name: f"az-{host.name}" for name, host in scene.hosts().items()}
    scene.patch("est/respiro", {"spec": {"drift": "Report"}})
    scene.rounds(2)
    scene.page("before")

    worlds = scene.worlds
    worlds.post("/illumio/workloads/relabelled/relabel", {"env": "Prod", "role": None})
    worlds.post("/illumio/workloads/lowered/enforce", {"mode": "idle"})
    worlds.post("/checkpoint/edit", {"do": "remove-member", "host": objects["ungrouped"], "group": "SO"})
    worlds.post("/checkpoint/edit", {"do": "rename-host", "host": objects["renamed"], "name": "old-web"})
    worlds.post("/checkpoint/edit", {"do": "delete-host", "host": objects["removed"]})
    worlds.post("/azure/vms/reimaged/guest", {"wipe": True})
    worlds.post("/illumio/workloads/reimaged/unpair", {})
    worlds.post("/azure/vms/moved/move", {"resourceGroup": "elsewhere"})
    changed = set(NAMES) - {"moved"}
    scene.wait("all changes found", lambda: changed <= {n for n, host in scene.hosts().items() if host.true("Drifted")})
    scene.rounds(2)
    scene.page("reported")

    scene.patch("est/respiro", {"spec": {"drift": "Repair"}})
    scene.wait("everything put right", lambda: all(h.commissioned and not h.true("Drifted") for h in scene.rig.hosts()))
    scene.settled()
    scene.page("repaired")

    for number in (2, 3):  # the first was in the chapter before
        _take_out(scene, objects["ungrouped"])
        scene.wait(f"repair {number}", functools.partial(_repaired, scene, number))
    _take_out(scene, objects["ungrouped"])
    scene.tells(ungrouped="Contention")
    scene.rounds(2)
    scene.page("contended")
    scene.annotate(f"mh/{scene.hosts()['ungrouped'].name}", "microseg.dev/retry=drift")
    scene.commissioned(*NAMES)
    scene.settled()
    scene.page("settled by a person")


def _take_out(scene: Scene, name: str) -> None:
    scene.worlds.post("/checkpoint/edit", {"do": "remove-member", "host": name, "group": "SO"})


def _repaired(scene: Scene, times: int) -> bool:
    host = scene.hosts()["ungrouped"]
    closed = [
        each for each in host.raw["status"].get("drift", []) if each["stage"] == "Grouped" and not each.get("open")
    ]
    return host.commissioned and bool(closed) and int(closed[0]["repairs"]) == times


STORY = Story("whole-life-drift", tell)

TOLD = {
    "relabelled": ("label env is Prod instead of Dev", "label role=Web was taken off", "last written by /users/7"),
    "ungrouped": ("was taken out of group SO", "last written by alice"),
    "renamed": ("was renamed to old-web", "last written by alice"),
    "removed": ("was deleted", "the latest publish is by alice"),
    "lowered": ("Enforcement was lowered to idle, below visibility_only", "last written by /users/7"),
    "reimaged": ("was unpaired",),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_was_changed_is_told_with_its_writer(tale: Tale, name: str) -> None:
    host = tale.page("reported").hosts[name]

    told = host.condition("Drifted")
    assert told.reason == "DriftFound"
    for words in (*TOLD[name], "Found 20"):
        assert words in told.message
    (record,) = host.raw["status"]["drift"]
    assert record["open"]


def test_what_is_only_reported_is_not_touched(tale: Tale) -> None:
    before, reported = tale.page("before"), tale.page("reported")

    assert reported.publishes(before.seq) == []
    assert reported.of("azure", "commands.put", since=before.seq) == []
    assert reported.hosts["reimaged"].condition("AgentPaired").reason == "DriftFound"
    assert reported.hosts["lowered"].true("Ready")


def test_everything_is_put_right(tale: Tale) -> None:
    page = tale.page("repaired")

    assert page.workload("relabelled")["labels"] == tale.page("before").workload("relabelled")["labels"]
    assert page.workload("lowered")["enforcement_mode"] == "visibility_only"
    for name in ("ungrouped", "renamed", "removed"):
        (found,) = page.objects_of(name).values()
        assert found["name"] == f"az-{page.hosts[name].name}"
        assert "SO" in found["groups"]


def test_a_renamed_object_keeps_its_uid(tale: Tale) -> None:
    before, after = tale.page("before"), tale.page("repaired")

    def uid(page: Page) -> str:
        return next(str(each["uid"]) for each in page.objects_of("renamed").values())

    assert uid(before) == uid(after)


def test_a_reimaged_vm_is_installed_once_more(tale: Tale) -> None:
    page = tale.page("settled by a person")

    assert {name: page.scripts(name) for name in NAMES} == dict.fromkeys(NAMES, 1) | {"reimaged": 2}


def test_a_vm_that_moved_is_the_same_host(tale: Tale) -> None:
    before, page = tale.page("before"), tale.page("repaired")

    assert page.hosts["moved"].name == before.hosts["moved"].name
    assert page.hosts["moved"].raw["status"]["azure"]["resourceGroup"].lower() == "elsewhere"
    assert "/resourcegroups/elsewhere/" in page.hosts["moved"].raw["status"]["azure"]["resourceId"].lower()
    assert page.hosts["moved"].raw["status"].get("history") == before.hosts["moved"].raw["status"].get("history")


def test_a_quarrel_is_left_alone_and_named(tale: Tale) -> None:
    before, page = tale.page("repaired"), tale.page("contended")
    host = page.hosts["ungrouped"]

    for kind in ("Drifted", "Stalled"):
        assert host.condition(kind).reason == "Contention"
        assert host.true(kind)
    message = host.condition("Stalled").message
    assert "it was put right 3 times and changed back each time" in message
    assert "alice" in message
    assert "microseg.dev/retry=drift" in message
    assert len(page.publishes(before.seq)) == 2
    assert page.estate["status"]["hosts"]["blocked"] == 1
    (found,) = page.objects_of("ungrouped").values()
    assert "SO" not in found["groups"]


def test_a_person_settles_it(tale: Tale) -> None:
    page = tale.page("settled by a person")

    assert "microseg.dev/retry" not in page.hosts["ungrouped"].raw["metadata"].get("annotations", {})
    (found,) = page.objects_of("ungrouped").values()
    assert "SO" in found["groups"]
