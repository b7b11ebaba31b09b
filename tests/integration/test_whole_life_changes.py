"""A VM changes while it lives: size, name inside, power, NICs and addresses. Recorded; carried where it matters."""

from __future__ import annotations

from typing import Any

from tests.integration.library import Story
from tests.integration.life import SEED, Scene, vm
from tests.integration.pages import Tale

from lab.oracles import effects

NAMES = ("fitted", "walker")
SIZE, INSIDE = "Standard_E8s_v5", "walker-inside"
SECOND, LAST = "10.9.3.4", "10.9.3.9"


def tell(scene: Scene) -> None:
    """What concerns the record alone; then one more NIC; then other addresses at once."""
    scene.begin(*(vm(name, tags=SEED) for name in NAMES))
    scene.commissioned(*NAMES)
    scene.settled()
    scene.page("before")

    since = scene.seq()
    scene.worlds.post("/azure/vms/fitted/resize", {"size": SIZE})
    scene.worlds.post("/azure/vms/walker/rename", {"computerName": INSIDE})
    scene.worlds.post("/azure/vms/fitted/stop")
    scene.wait("the records know", lambda: _recorded(scene))
    scene.rounds(4)
    scene.settled()
    scene.page("recorded", since=since)

    since = scene.seq()
    scene.worlds.post("/azure/vms/fitted/start")
    scene.worlds.post("/azure/vms/walker/attach", {"addresses": [SECOND]})
    scene.wait("the second address is protected", lambda: len(_addresses(scene, "walker")) == 2)
    scene.commissioned(*NAMES)
    scene.settled()
    scene.page("one more NIC", since=since)

    since = scene.seq()
    scene.worlds.post("/azure/vms/walker/readdress", {"addresses": [LAST]})
    scene.wait("the last address is protected", lambda: _addresses(scene, "walker") == {LAST})
    scene.commissioned(*NAMES)
    scene.settled()
    scene.page("other addresses", since=since)


def _azure(scene: Scene, name: str) -> dict[str, Any]:
    found: dict[str, Any] = scene.hosts()[name].raw["status"]["azure"]
    return found


def _recorded(scene: Scene) -> bool:
    fitted, walker = (_azure(scene, name) for name in NAMES)
    return (fitted["vmSize"], fitted["powerState"], walker["computerName"]) == (SIZE, "deallocated", INSIDE)


def _addresses(scene: Scene, name: str) -> set[str]:
    record = scene.hosts()[name].raw["status"].get("checkPoint") or {}
    return {str(each.get("ipv4") or each["ipv6"]) for each in record.get("hosts", ())}


STORY = Story("whole-life-changes", tell)


def test_size_name_and_power_are_recorded_and_nothing_outside_changes(tale: Tale) -> None:
    page = tale.page("recorded")

    assert effects(entry for entry in page.entries if entry.seq > page.notes["since"]) == {}
    assert all(page.hosts[name].commissioned for name in NAMES), "what is protected stays so, running or not"


def test_a_new_name_inside_is_the_same_host(tale: Tale) -> None:
    before, after = tale.page("before").hosts["walker"], tale.page("recorded").hosts["walker"]

    assert (after.name, after.vm_id) == (before.name, before.vm_id)
    assert tale.page("other addresses").scripts("walker") == 1


def test_one_more_nic_is_one_more_object_in_the_same_groups(tale: Tale) -> None:
    before, page = tale.page("before").objects_of("walker"), tale.page("one more NIC")
    objects = page.objects_of("walker")

    assert objects.keys() - before.keys() == {SECOND}
    ((address, old),) = before.items()
    assert objects[address] == old
    assert objects[SECOND]["groups"] == old["groups"]
    assert len(page.publishes(page.notes["since"])) == 1


def test_old_addresses_are_gone_in_the_publish_that_brings_the_new_one(tale: Tale) -> None:
    old, page = tale.page("one more NIC").objects_of("walker"), tale.page("other addresses")

    assert set(page.objects_of("walker")) == {LAST}
    (publish,) = page.publishes(page.notes["since"])
    assert {thing["name"] for thing in old.values()} <= set(publish.changed)


def test_the_gateways_get_every_change_and_the_neighbour_none(tale: Tale) -> None:
    before = tale.page("before")
    for name in ("one more NIC", "other addresses"):
        page = tale.page(name)
        assert page.hosts["walker"].true("PolicyInstalled")
        assert page.of("checkpoint", "world.installed", since=page.notes["since"])
        assert page.objects_of("fitted") == before.objects_of("fitted")
