"""kill -9 of the operator in the midst of its work: nothing is done twice, nothing is lost, no session stays open."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.integration.library import Story
from tests.integration.life import SEED, Scene, vm
from tests.integration.pages import Page, Tale

FOLLOWED = ("after-put", "publishing", "uninstalled", "half-labelled")
"""VMs in whose lives a kill changes nothing but the time. (`before-put` waits until its attempt is sealed.)"""
_SLOW_PUBLISH = 320.0
"""Vendor seconds: longer than the dead holder's Lease runs, so that its successor meets the publish under way."""


def tell(scene: Scene) -> None:
    """Five VMs, one after the other; each is met by a kill at a moment of its own."""
    scene.begin(vm("first", tags=SEED))
    scene.commissioned("first")
    scene.page("before")

    # Its intent is in the record, its key is being made, and nothing was sent to Azure.
    with scene.killed_at("illumio", "pairing_keys.create", phase="before"):
        scene.appear(vm("before-put"))
    scene.operator.start()
    scene.obstacle("before-put", "AgentPaired", "OutcomeUnknown")
    scene.page("before the PUT")

    # Azure has the run-command; nobody heard its answer. Two successors are killed while they start.
    with scene.killed_at("azure", "commands.put", phase="after"):
        scene.appear(vm("after-put"))
    for seconds in (0.5, 2.0):
        scene.operator.start(wait=False)
        scene.let_pass(seconds)
        scene.operator.kill()
    scene.operator.start()
    scene.commissioned("after-put")
    scene.page("after the PUT")

    # The publish runs on in Check Point, into the next holder's term.
    scene.worlds.post("/checkpoint/durations", {"publish": _SLOW_PUBLISH})
    with scene.killed_at("checkpoint", "show-task", phase="before"):
        scene.appear(vm("publishing", tags=SEED))
    scene.operator.start()
    scene.commissioned("publishing")
    scene.worlds.post("/checkpoint/durations", {"publish": 20.0})
    scene.page("during the publish")

    # Published; the install's intent is written, the call was not made.
    with scene.killed_at("checkpoint", "install-policy", phase="before"):
        scene.appear(vm("uninstalled", tags=SEED))
    scene.operator.start()
    scene.commissioned("uninstalled")
    scene.page("before the install")

    # The labels are set; nobody heard the answer.
    with scene.killed_at("illumio", "workloads.set_labels", phase="after"):
        scene.appear(vm("half-labelled", tags={"app": "billing", "env": "test"}))
    scene.operator.start()
    scene.commissioned("half-labelled")
    scene.rounds()
    scene.page("the end")


STORY = Story("killed", tell, long=True)


@pytest.fixture
def end(tale: Tale) -> Page:
    return tale.page("the end")


def test_an_attempt_that_never_began_is_not_begun_again_before_it_is_sealed(tale: Tale, end: Page) -> None:
    for page in (tale.page("before the PUT"), end):
        record: dict[str, Any] = page.hosts["before-put"].raw["status"]["agent"]
        assert (record["attempt"], page.scripts("before-put")) == (1, 0)
        assert "sealed" in page.hosts["before-put"].condition("AgentPaired").message
    assert not end.of_vm("azure", "before-put", "commands.put")


def test_a_run_command_whose_answer_was_lost_is_followed(tale: Tale) -> None:
    page = tale.page("after the PUT")

    assert len(page.of_vm("azure", "after-put", "commands.put")) == 1
    assert page.scripts("after-put") == 1
    assert page.hosts["after-put"].raw["status"]["agent"]["attempt"] == 1


def test_a_publish_that_outlives_its_operator_is_not_repeated(tale: Tale) -> None:
    before, after = tale.page("after the PUT"), tale.page("during the publish")

    assert len(after.publishes(since=before.seq)) == 1
    assert len(after.of("checkpoint", "publish", since=before.seq)) == 1


def test_what_was_published_and_not_installed_is_installed_once(tale: Tale) -> None:
    before, after = tale.page("during the publish"), tale.page("before the install")

    assert len(after.publishes(since=before.seq)) == 1
    done = [entry for entry in after.of("checkpoint", "install-policy", since=before.seq) if entry.status == 200]
    assert len(done) == 1


def test_labels_whose_answer_was_lost_are_as_wanted(end: Page) -> None:
    assert end.workload("half-labelled")["labels"] == {"app": "billing", "env": "Test", "loc": "Elsewhere"}


def test_no_vm_saw_a_second_installer(end: Page) -> None:
    assert {name: end.scripts(name) for name in FOLLOWED} == dict.fromkeys(FOLLOWED, 1)


def test_no_record_and_no_moment_of_a_life_was_lost(tale: Tale, end: Page) -> None:
    before = tale.page("before").hosts["first"]

    assert end.hosts["first"].timeline == before.timeline
    assert end.hosts["first"].raw["metadata"]["uid"] == before.raw["metadata"]["uid"]
    assert all(len(end.hosts[name].timeline) == 7 for name in FOLLOWED)


def test_every_object_exists_once(end: Page) -> None:
    names = Counter(thing["name"] for thing in end.objects)

    assert [name for name, number in names.items() if number > 1] == []
    assert all(len(end.objects_of(name)) == 1 for name in ("first", "publishing", "uninstalled"))


def test_only_the_living_holders_session_is_open(end: Page) -> None:
    ours = [each["name"] for each in end.firewall["sessions"] if str(each.get("name", "")).startswith("microseg/")]

    assert len(ours) <= 1, ours
