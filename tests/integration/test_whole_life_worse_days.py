"""Worse days: every certificate is another authority's, Check Point's database goes back, VMs change hands."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.library import Story
from tests.integration.life import REACHABLE, SEED, Scene, vm
from tests.integration.pages import Tale

from lab.oracles import effects

NAMES = ("one", "two")


def _targets(estate: dict[str, Any]) -> None:
    estate["spec"]["checkPoint"]["policies"] = [{"package": "Standard", "targets": ["gw-east", "gw-west"]}]


def tell(scene: Scene) -> None:
    """One worse day after the other."""
    scene.begin(vm("one", tags=SEED), change=_targets)
    scene.commissioned("one")
    scene.appear(vm("two", tags=SEED))
    scene.commissioned(*NAMES)
    scene.settled()
    scene.page("before")
    _the_database_goes_back(scene)
    _a_vm_changes_hands(scene)
    _every_certificate_changes(scene)
    _it_looks_when_it_is_told(scene)


def _the_database_goes_back(scene: Scene) -> None:
    """To the revision before the second host was published; the gateways keep what they have installed."""
    since = scene.seq()
    scene.worlds.post("/checkpoint/revert", {"revisions": 1})
    scene.wait("the second host is published again", lambda: _published(scene, since))
    scene.commissioned(*NAMES)
    scene.settled()
    scene.page("reverted", since=since)


def _published(scene: Scene, since: int) -> bool:
    return any(entry.who == "microseg" for entry in scene.worlds.ledger("checkpoint", "world.published", since=since))


def _a_vm_changes_hands(scene: Scene) -> None:
    """It is moved to another subscription of the estate: another ARM id, the same machine."""
    since = scene.seq()
    second = scene.worlds.described["azure"]["subscriptions"][1]
    scene.worlds.post("/azure/vms/one/move", {"resourceGroup": "new-owner", "subscription": second})
    scene.wait("the record knows", lambda: _azure(scene)["subscription"] == second)
    scene.commissioned(*NAMES)
    scene.settled()
    scene.rounds(4)
    scene.page("moved", since=since, subscription=second)


def _azure(scene: Scene) -> dict[str, Any]:
    found: dict[str, Any] = scene.hosts()["one"].raw["status"]["azure"]
    return found


def _every_certificate_changes(scene: Scene) -> None:
    """Nobody told us: the old authority is trusted no more, and the new one not yet."""
    since = scene.seq()
    scene.worlds.post("/certificates/rotate")
    for kind in REACHABLE:
        scene.tells_of_estate(kind, "False", "Unreachable")
    scene.let_pass(2.0)
    scene.page("nobody is trusted", since=since)
    scene.patch("cm/respiro-ca", {"data": {"ca.crt": scene.worlds.ca_file.read_text()}})
    for kind in REACHABLE:
        scene.tells_of_estate(kind, "True")
    scene.appear(vm("three", tags=SEED))
    scene.commissioned(*NAMES, "three")
    scene.settled()
    scene.page("the new authority")


def _it_looks_when_it_is_told(scene: Scene) -> None:
    """The estate polls once an hour, and a person wants to know now."""
    scene.patch("est/respiro", {"spec": {"azure": {"pollInterval": "1h"}}})
    scene.rounds(1)
    scene.settled()
    polled = len(scene.worlds.ledger("azure", "vms.list"))
    scene.worlds.post("/azure/vms/two/retag", {"tags": SEED | {"note": "retagged"}})
    scene.let_pass(4.0)
    quiet = len(scene.worlds.ledger("azure", "vms.list")) - polled
    scene.annotate("est/respiro", "microseg.dev/reconcile-at=2026-11-28T10:00:00Z")
    scene.wait("the new tag", lambda: "retagged" in json.dumps(scene.hosts()["two"].raw["status"]["azure"]))
    scene.page("told to look", quiet=quiet)


STORY = Story("whole-life-worse-days", tell, long=True)


def test_a_database_that_went_back_gets_the_host_again_and_nothing_else(tale: Tale) -> None:
    before, page = tale.page("before"), tale.page("reverted")

    (found,) = page.objects_of("two").values()
    (old,) = before.objects_of("two").values()
    assert (found["name"], found["groups"]) == (old["name"], old["groups"])
    assert page.objects_of("one") == before.objects_of("one")
    assert len(page.publishes(page.notes["since"])) == 1
    assert page.of("azure", "commands.put", since=page.notes["since"]) == []


def test_policy_that_covers_what_went_back_is_installed_again(tale: Tale) -> None:
    page = tale.page("reverted")

    assert page.hosts["two"].true("PolicyInstalled")
    assert page.of("checkpoint", "world.installed", since=page.notes["since"])


def test_a_vm_in_another_subscription_is_the_same_host(tale: Tale) -> None:
    before, page = tale.page("before"), tale.page("moved")

    old, new = before.hosts["one"], page.hosts["one"]
    assert (new.name, new.vm_id) == (old.name, old.vm_id)
    assert new.raw["status"]["azure"]["subscription"] == page.notes["subscription"]
    assert effects(entry for entry in page.entries if entry.seq > page.notes["since"]) == {}


def test_servers_that_cannot_prove_who_they_are_are_not_spoken_to(tale: Tale) -> None:
    page = tale.page("nobody is trusted")

    assert [e for e in page.entries if e.seq > page.notes["since"] and not e.operation.startswith("world.")] == []
    for kind in REACHABLE:
        assert "certificate" in page.condition(kind)["message"].lower(), page.condition(kind)
    assert all(page.hosts[name].commissioned for name in NAMES), "what was confirmed stays confirmed"


def test_a_new_authority_in_the_bundle_is_enough(tale: Tale) -> None:
    page = tale.page("the new authority")

    assert page.hosts["three"].commissioned
    assert {name: page.scripts(name) for name in page.hosts} == dict.fromkeys(page.hosts, 1)


def test_reconcile_at_makes_it_look_at_once(tale: Tale) -> None:
    page = tale.page("told to look")

    assert page.notes["quiet"] == 0
