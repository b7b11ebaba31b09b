"""Check Point has its own people and its own mind: a lock is waited for, and a poisoned host stops only itself."""

from __future__ import annotations

import hashlib

from tests.integration.library import Story
from tests.integration.life import SEED, Scene, vm
from tests.integration.pages import Tale

POISON = "0d1e7f00-1111-4222-8333-444455556666"
"""vmId of the VM whose object an administrator's own one will collide with."""
_OBJECT = f"az-poison-{hashlib.sha256(POISON.encode()).hexdigest()[:8]}"


def tell(scene: Scene) -> None:
    """A group is held by an administrator and let go; later one of three hosts fails Check Point's validation."""
    scene.worlds.post("/checkpoint/lock", {"group": "az-web", "admin": "alice", "seconds": 600})
    scene.begin(vm("web", tags=SEED), vm("plain", tags=SEED | {"rol": "batch"}))
    scene.commissioned("plain")
    scene.obstacle("web", "Grouped", "GroupLocked")
    scene.rounds()
    scene.page("locked")
    scene.worlds.post("/checkpoint/lock", {"group": "az-web", "admin": "alice", "release": True})
    scene.commissioned("web")
    scene.settled()
    scene.page("unlocked")

    by_hand = {"do": "add-host", "host": _OBJECT, "ip-address": "10.77.0.1"}
    scene.order_fault("checkpoint", "show-validations", action="human-edit", body=by_hand)
    scene.appear(vm("good-1", tags=SEED), vm("poison", tags=SEED, vmId=POISON), vm("good-2", tags=SEED))
    scene.commissioned("good-1", "good-2")
    scene.obstacle("poison", "Grouped", "ObjectRejected")
    scene.settled()
    scene.page("poisoned")


STORY = Story("firewall", tell)


def test_a_lock_of_somebody_else_is_waited_for_and_named(tale: Tale) -> None:
    page = tale.page("locked")

    grouped = page.hosts["web"].condition("Grouped")
    assert "az-web is locked by alice" in grouped.message
    assert page.hosts["web"].condition("Stalled").status == "False"
    sessions = {each["user-name"] for each in page.firewall["sessions"]}
    assert "alice" in sessions
    assert not page.of("checkpoint", "discard", "disconnect", "take-over-session")


def test_a_locked_group_holds_up_only_who_needs_it(tale: Tale) -> None:
    page = tale.page("locked")

    assert page.hosts["plain"].commissioned
    assert page.hosts["web"].true("AgentPaired")
    assert page.hosts["web"].true("Labelled")


def test_when_the_lock_is_gone_the_host_comes_through(tale: Tale) -> None:
    page = tale.page("unlocked")

    (found,) = page.objects_of("web").values()
    assert found["groups"] == ["SO", "az-web"]


def test_a_host_that_fails_validation_is_named_and_published_without(tale: Tale) -> None:
    before, page = tale.page("unlocked"), tale.page("poisoned")

    poison = page.hosts["poison"]
    assert poison.stage == "Blocked"
    assert f"More than one object named '{_OBJECT}' exists" in poison.condition("Grouped").message
    assert page.objects_of("poison") == {}
    assert poison.true("AgentPaired")
    assert poison.true("Labelled")
    assert [page.hosts[name].stage for name in ("good-1", "good-2")] == ["Commissioned"] * 2
    assert len(page.publishes(since=before.seq)) == 1


def test_the_administrators_object_is_not_touched(tale: Tale) -> None:
    (found,) = [thing for thing in tale.page("poisoned").objects if thing["name"] == _OBJECT]

    assert (found["creator"], found["modifier"], found["groups"]) == ("alice", "alice", [])
