"""A mapping that is missing or wrong changes nothing: the last good one stays in force, and the estate says why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.integration.library import Story
from tests.integration.life import SEED, Scene, vm
from tests.integration.pages import Page, Tale

from lab.cluster import apply
from lab.oracles import effects

_MAP = "cm/microseg-mapping"
BAD = {
    "broken": ("MappingInvalid", "mapping.yaml:3:1"),
    "failing": ("MappingInvalid", "the seed's host"),
    "missing": ("MappingMissing", "platform"),
}
"""Page -> reason and words of MappingValid."""


def tell(scene: Scene) -> None:
    """No mapping at first; then a good one, which is spoilt in three ways while VMs go on appearing."""
    scene.rig.apply_estate()
    document = json.loads(scene.rig.kubectl("get", _MAP, "-o", "json"))
    text: str = document["data"]["mapping.yaml"]
    scene.rig.kubectl("delete", _MAP)
    scene.appear(vm("first", tags=SEED))
    scene.operator.start()
    scene.obstacle("first", "Labelled", "NoMapping")
    scene.tells_of_estate("MappingValid", "False", "MappingMissing")
    scene.settled()
    scene.page("never one")
    _put(scene, document, text)
    scene.commissioned("first")
    scene.settled()
    scene.page("a good one")

    _spoilt(
        scene, "broken", lambda: _put(scene, document, "apiVersion: mapping.microseg.dev/v1\nname: platform\n\t- x\n")
    )
    _spoilt(scene, "failing", lambda: _put(scene, document, text.replace("rol: [web]", "rol: [site]", 1)))
    _spoilt(scene, "missing", lambda: scene.rig.kubectl("delete", _MAP))
    _put(scene, document, text)
    scene.tells_of_estate("MappingValid", "True")
    scene.settled()
    scene.page("good again")


def _put(scene: Scene, document: dict[str, Any], text: str) -> None:
    metadata = {key: document["metadata"][key] for key in ("name", "namespace", "labels")}
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mapping.yaml": text}}
    apply(scene.rig.cluster, [made])


def _spoilt(scene: Scene, name: str, spoil: Any) -> None:
    """Spoil it; a VM that comes afterwards goes by the last good one."""
    spoil()
    scene.tells_of_estate("MappingValid", "False", *BAD[name])
    scene.appear(vm(f"while-{name}", tags=SEED))
    scene.commissioned(f"while-{name}")
    scene.settled()
    scene.page(name)


STORY = Story("mapping", tell)


def test_a_mapping_that_never_was_is_not_an_empty_one(tale: Tale) -> None:
    page = tale.page("never one")

    first = page.hosts["first"]
    assert first.true("AgentPaired")
    assert {first.condition(kind).reason for kind in ("Labelled", "Grouped")} == {"NoMapping"}
    assert set(effects(page.entries)) & {"illumio workloads.set_labels", "checkpoint publish"} == set()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_mapping_is_refused_and_named(tale: Tale, name: str) -> None:
    page = tale.page(name)

    reason, words = BAD[name]
    told = page.condition("MappingValid")
    assert (told["status"], told["reason"]) == ("False", reason)
    assert words in told["message"]


@pytest.mark.parametrize("name", BAD)
def test_the_last_good_mapping_stays_in_force(tale: Tale, name: str) -> None:
    good, page = tale.page("a good one"), tale.page(name)

    assert page.estate["status"]["mapping"] == good.estate["status"]["mapping"]
    assert page.workload("first")["labels"] == good.workload("first")["labels"]
    assert page.workload(f"while-{name}")["labels"] == good.workload("first")["labels"]
    assert page.hosts["first"].commissioned


@pytest.fixture
def again(tale: Tale) -> Page:
    return tale.page("good again")


def test_a_refusal_stands_on_its_config_map(again: Page) -> None:
    told = [
        event["reason"]
        for event in again.events
        if event["involvedObject"]["kind"] == "ConfigMap" and event["type"] == "Warning"
    ]

    assert told.count("MappingInvalid") == 2


def test_a_good_one_is_taken_up_again_and_changes_nothing(tale: Tale, again: Page) -> None:
    before = tale.page("missing")

    assert effects(entry for entry in again.entries if entry.seq > before.seq) == {}
    assert again.condition("MappingValid")["status"] == "True"
