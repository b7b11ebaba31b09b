"""Machines that are not like the seed's: paired long ago, many addresses, unknown tags, late, changed, moved."""

from __future__ import annotations

from tests.integration.library import Story
from tests.integration.life import SEED, Scene, vm
from tests.integration.pages import Tale

OLD = ("old-linux", "old-windows")
ADDRESSES = ("10.9.0.4", "fd00:9::4", "10.9.1.4")
LATE = ("late-1", "late-2", "late-3")


def tell(scene: Scene) -> None:
    """One fleet of odd ones; then one is explained, one changes, and three more come together."""
    scene.appear(
        vm("old-linux"),
        vm("old-windows", "Windows", tags=SEED),
        vm("many", tags=SEED, nics=[{"addresses": list(ADDRESSES[:2])}, {"addresses": [ADDRESSES[2]]}]),
        vm("flex", tags=SEED, scaleSet={"name": "pool", "mode": "flexible"}),
        vm("puzzle", tags={"app": "mystery"}),
        vm("mover", tags=SEED),
    )
    for name in OLD:
        scene.worlds.adopt(name)
    scene.begin()
    scene.commissioned(*OLD, "many", "flex", "mover")
    scene.tells(puzzle="MappingMiss")
    scene.settled()
    scene.page("odd")

    scene.worlds.post("/azure/vms/puzzle/retag", {"tags": {"app": "shop"}})
    scene.worlds.post("/azure/vms/mover/readdress", {"addresses": ["10.9.2.9"]})
    scene.worlds.post("/azure/vms/mover/retag", {"tags": SEED | {"rol": "db"}})
    scene.commissioned("puzzle")
    scene.wait("the mover has moved", lambda: _moved(scene))
    scene.settled()
    scene.page("changed")

    scene.appear(*(vm(name, tags=SEED) for name in LATE))
    scene.commissioned(*LATE)
    scene.settled()
    scene.page("late")


def _moved(scene: Scene) -> bool:
    host = scene.hosts()["mover"]
    return host.commissioned and host.ip == "10.9.2.9" and host.groups == "SO,az-db"


STORY = Story("machines", tell)


def test_a_vm_that_was_paired_long_ago_is_adopted_and_no_installer_runs_on_it(tale: Tale) -> None:
    page = tale.page("odd")

    for name in OLD:
        assert (page.scripts(name), page.scripts(name, "probe")) == (0, 1)
        assert page.hosts[name].raw["status"]["agent"]["outcome"] == "already-paired"
        assert page.workload(name)["hostname"] == name
    assert page.workload("old-windows")["labels"]["role"] == "Web"


def test_no_key_is_made_for_a_question(tale: Tale) -> None:
    page = tale.page("odd")

    assert len(page.of("illumio", "pairing_keys.create")) == len(page.hosts) - len(OLD)


def test_every_private_address_has_an_object_in_the_groups(tale: Tale) -> None:
    page = tale.page("odd")

    objects = page.objects_of("many")
    assert set(objects) == set(ADDRESSES)
    assert {tuple(thing["groups"]) for thing in objects.values()} == {("SO", "az-web")}
    assert len({thing["name"] for thing in objects.values()}) == len(ADDRESSES)
    recorded = page.hosts["many"].raw["status"]["checkPoint"]["hosts"]
    assert {each.get("ipv4") or each["ipv6"] for each in recorded} == set(ADDRESSES)


def test_a_member_of_a_flexible_scale_set_is_a_vm_like_any_other(tale: Tale) -> None:
    page = tale.page("odd")

    assert page.hosts["flex"].commissioned
    assert page.hosts["flex"].raw["status"]["azure"]["scaleSet"].endswith("/virtualMachineScaleSets/pool")


def test_tags_that_no_rule_knows_wait_for_a_person_and_the_agent_does_not(tale: Tale) -> None:
    puzzle = tale.page("odd").hosts["puzzle"]

    assert puzzle.true("AgentPaired")
    for kind in ("Labelled", "Grouped"):
        assert puzzle.condition(kind).reason == "MappingMiss"
        assert "mystery" in puzzle.condition(kind).message
    assert (puzzle.condition("Stalled").status, puzzle.condition("Reconciling").status) == ("False", "False")


def test_tags_that_were_mended_bring_it_through(tale: Tale) -> None:
    page = tale.page("changed")

    assert page.hosts["puzzle"].commissioned
    assert page.workload("puzzle")["labels"]["app"] == "shop"


def test_an_object_follows_its_vm_to_another_address_and_group(tale: Tale) -> None:
    before, after = tale.page("odd").objects_of("mover"), tale.page("changed").objects_of("mover")

    assert list(after) == ["10.9.2.9"]
    ((was,), (now,)) = before.values(), after.values()
    assert now["uid"] == was["uid"]
    assert (was["groups"], now["groups"]) == (["SO", "az-web"], ["SO", "az-db"])
    assert tale.page("changed").workload("mover")["labels"]["role"] == "Database"


def test_a_later_batch_costs_one_publish_and_one_install(tale: Tale) -> None:
    before, page = tale.page("changed"), tale.page("late")

    assert len(page.publishes(since=before.seq)) == 1
    assert len(page.of("checkpoint", "install-policy", since=before.seq)) == 1
    assert {name: page.scripts(name) for name in LATE} == dict.fromkeys(LATE, 1)
