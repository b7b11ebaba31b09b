"""Who only observes, and who is suspended, changes nothing outside; lifting it brings what was planned."""

from __future__ import annotations

from typing import Any

from tests.integration.library import Story
from tests.integration.life import SEED, Scene, vm
from tests.integration.pages import Tale

from lab.oracles import effects


def _observe(estate: dict[str, Any]) -> None:
    estate["spec"]["mode"] = "Observe"


def tell(scene: Scene) -> None:
    """Observe, then Enforce with one frozen host, then the whole estate frozen, then all set free."""
    began = scene.seq()
    scene.begin(vm("first", tags=SEED), vm("frozen", tags=SEED), change=_observe)
    scene.tells(first="Observing", frozen="Observing")
    scene.settled()
    scene.rounds()
    scene.page("observing", began=began, planned=scene.microseg("plan", "-o", "json"))

    frozen = f"mh/{scene.hosts()['frozen'].name}"
    scene.patch(frozen, {"spec": {"suspend": True}})
    scene.patch("est/respiro", {"spec": {"mode": "Enforce"}})
    scene.commissioned("first")
    scene.tells(frozen="Suspended")
    scene.settled()
    scene.page("one host is frozen")

    scene.patch("est/respiro", {"spec": {"suspend": True}})
    scene.patch(frozen, {"spec": {"suspend": False}})
    scene.appear(vm("newcomer"))
    scene.worlds.post("/azure/vms/first/retag", {"tags": SEED | {"rol": "db"}})
    scene.tells(newcomer="Suspended", frozen="Suspended", first="Suspended")
    scene.settled()
    scene.rounds()
    scene.page("the estate is frozen")

    scene.patch("est/respiro", {"spec": {"suspend": False}})
    scene.commissioned("first", "frozen", "newcomer")
    scene.settled()
    scene.page("free")


STORY = Story("modes", tell)


def test_an_estate_that_observes_plans_everything_and_changes_nothing_outside(tale: Tale) -> None:
    page = tale.page("observing")

    assert effects(entry for entry in page.entries if entry.seq > page.notes["began"]) == {}
    host = page.hosts["first"]
    assert host.true("Discovered")
    assert (host.condition("AgentPaired").reason, host.condition("Grouped").reason) == ("Observing", "Observing")
    assert "az-" in host.condition("Grouped").message
    planned = page.notes["planned"].data["observing"]
    assert set(planned) == {each.name for each in page.hosts.values()}
    assert f"az-{host.name}" in planned[host.name]["Grouped"]


def test_a_frozen_host_is_left_alone_and_others_are_not(tale: Tale) -> None:
    page = tale.page("one host is frozen")

    assert page.hosts["first"].commissioned
    assert (page.scripts("frozen"), page.objects_of("frozen")) == (0, {})
    assert page.hosts["frozen"].condition("AgentPaired").reason == "Suspended"
    assert page.hosts["frozen"].condition("Stalled").status == "False"


def test_a_frozen_estate_reads_on_and_changes_nothing(tale: Tale) -> None:
    before, page = tale.page("one host is frozen"), tale.page("the estate is frozen")

    assert effects(entry for entry in page.entries if entry.seq > before.seq) == {}
    newcomer = page.hosts["newcomer"]
    assert newcomer.true("Discovered")
    assert "The estate is suspended" in newcomer.condition("AgentPaired").message
    assert {"key": "rol", "value": "db"} in page.hosts["first"].raw["status"]["azure"]["tags"]
    assert page.workload("first")["labels"]["role"] == "Web"


def test_what_was_planned_is_done_when_it_may_be(tale: Tale) -> None:
    page = tale.page("free")

    assert {host.stage for host in page.hosts.values()} == {"Commissioned"}
    assert {name: page.scripts(name) for name in page.hosts} == dict.fromkeys(page.hosts, 1)
    assert page.workload("first")["labels"]["role"] == "Database"
