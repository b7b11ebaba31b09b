"""How things end: VMs, records, Estates and a namespace. Nothing that lives loses its protection by it."""

from __future__ import annotations

from typing import Any

from tests.integration.library import Story
from tests.integration.life import SEED, Scene, vm
from tests.integration.pages import Tale

from lab.controlplane import ControlPlane
from lab.oracles import effects, operators_writes

STAY = ("keep", "again")


def _soon(estate: dict[str, Any]) -> None:
    estate["spec"]["retirement"] = {"missedPolls": 3, "after": "2s", "maxPerHour": {"count": 20, "percent": 5}}


def _records_go(estate: dict[str, Any]) -> None:
    _soon(estate)
    estate["spec"]["recordsOnDeletion"] = "Delete"


def tell(scene: Scene) -> None:
    """VMs go; then a record; then the Estate, twice; then the namespace."""
    scene.begin(*(vm(name, tags=SEED) for name in (*STAY, "gone", "orphan")), change=_soon)
    scene.commissioned(*STAY, "gone", "orphan")
    scene.settled()
    scene.page("all live")
    _vms_go(scene)
    _the_estate_goes(scene)
    _the_namespace_goes(scene)


def _vms_go(scene: Scene) -> None:
    before = scene.hosts()
    scene.worlds.post("/azure/vms/gone/delete", {"at_once": True})
    scene.worlds.post("/azure/vms/again/recreate", {})
    scene.worlds.post("/azure/vms/orphan/delete", {"at_once": True})
    scene.rig.kubectl("delete", "mh", before["orphan"].name)
    scene.wait(
        "the orphan has its record back and is unproven", lambda: _orphan(scene, before).reason == "GoneUnproven"
    )
    scene.page("an orphan", vm_ids={name: host.vm_id for name, host in before.items()})
    scene.annotate(f"mh/{_orphan(scene, before).name}", f"microseg.dev/confirm-gone={before['orphan'].vm_id}")
    ids = {before[name].vm_id for name in ("gone", "again", "orphan")}
    scene.wait("all three retired", lambda: not ids & {host.vm_id for host in scene.rig.hosts()})
    scene.commissioned(*STAY)
    scene.settled()
    stones = scene.rig.kubectl("get", "cm", "-l", "microseg.dev/tombstones=respiro", "-o", "jsonpath={.items[*].data}")
    vm_ids = {name: host.vm_id for name, host in before.items()}
    scene.page("retired", stones=stones, vm_ids=vm_ids, written=_written(scene))


def _written(scene: Scene) -> dict[str, Any]:
    """When the operator first wrote a ConfigMap, which can only be a tombstone, and when it deleted which record."""
    plane = scene.rig.cluster
    assert isinstance(plane, ControlPlane)
    events = operators_writes(plane, scene.rig.namespace)
    stones = [at for at, verb, resource, _ in events if resource == "configmaps" and verb != "delete"]
    records = {name: at for at, verb, resource, name in events if (resource, verb) == ("managedhosts", "delete")}
    return {"configmaps": min(stones), "managedhosts": records}


def _orphan(scene: Scene, before: dict[str, Any]) -> Any:
    found = {host.vm_id: host for host in scene.rig.hosts()}
    return found.get(before["orphan"].vm_id, before["keep"])


def _the_estate_goes(scene: Scene) -> None:
    scene.rig.kubectl("delete", "est", "respiro", "--timeout=20s")
    scene.wait("the session is closed", lambda: not _sessions(scene))
    assert len(scene.rig.hosts()) == len(STAY), "the records stay unless the Estate says otherwise"
    scene.rig.apply_estate(_records_go)
    scene.commissioned(*STAY)
    scene.settled()
    scene.page("adopted")

    scene.appear(vm("late", tags=SEED))
    fault = scene.order_fault("checkpoint", "publish", action="delay", seconds=3, phase="after")
    scene.wait("a publish under way", lambda: scene.met(fault))
    scene.rig.kubectl("delete", "est", "respiro", "--timeout=20s")
    scene.wait("the records went", lambda: not scene.rig.hosts())
    scene.wait("the session is closed", lambda: not _sessions(scene))


def _the_namespace_goes(scene: Scene) -> None:
    """What the namespace controller does, in the order that is worst for us: first the rights, then the rest."""
    scene.rig.apply_estate(_soon)
    scene.commissioned(*STAY, "late")
    scene.settled()
    scene.page("all live again")
    scene.rig.kubectl("delete", "rolebinding", "--all")
    for kinds in ("configmap,secret,serviceaccount", "estate", "managedhost", "lease,controllerrevision"):
        scene.rig.kubectl("delete", kinds, "--all", "--timeout=20s")
    scene.wait("the session is closed", lambda: not _sessions(scene))


def _sessions(scene: Scene) -> list[Any]:
    prefix = f"microseg/{scene.rig.namespace}/"
    return [each for each in scene.worlds.get("/checkpoint/summary")["sessions"] if each["name"].startswith(prefix)]


STORY = Story("whole-life-endings", tell)


def test_a_lost_record_of_a_vm_that_is_gone_comes_back_and_nothing_is_removed_without_proof(tale: Tale) -> None:
    page = tale.page("an orphan")

    vm_id = page.notes["vm_ids"]["orphan"]
    assert [each for each in page.workloads if each["external_data_reference"] == vm_id and not each["deleted"]]
    assert [each for each in page.objects if each["comments"].endswith(vm_id)]


def test_every_trace_of_the_gone_is_removed(tale: Tale) -> None:
    page = tale.page("retired")

    for name in ("gone", "again", "orphan"):
        vm_id = page.notes["vm_ids"][name]
        assert not [each for each in page.workloads if each["external_data_reference"] == vm_id and not each["deleted"]]
        assert not [each for each in page.objects if each["comments"].endswith(vm_id)]
        assert vm_id in page.notes["stones"]
    assert page.notes["stones"].count("endedAt") == 3


def test_traces_go_in_the_order_that_is_safe_at_every_stop(tale: Tale) -> None:
    """Tombstone; out of the groups, deleted, published; installed; unpaired; the record last."""
    before, page = tale.page("all live"), tale.page("retired")
    gone = before.hosts["gone"]
    (thing,) = before.objects_of("gone").values()
    ven = before.workload("gone")["href"].replace("/workloads/", "/vens/")

    def at(system: str, operation: str, about: str = "") -> float:
        entries = page.of(system, operation, since=before.seq)
        return next(entry.at for entry in entries if about in " ".join(entry.changed))

    deleted = at("checkpoint", "delete-host", thing["name"])
    published = at("checkpoint", "world.published", thing["name"])
    installs = [entry.at for entry in page.of("checkpoint", "world.installed") if entry.at > published]
    unpaired = at("illumio", "vens.unpair", ven)
    stone, record = (page.notes["written"][kind] for kind in ("configmaps", "managedhosts"))
    steps = (stone, deleted, published, installs[0], unpaired, record[gone.name])
    assert list(steps) == sorted(steps)


def test_the_recreated_vm_is_a_new_host_with_the_old_ones_address(tale: Tale) -> None:
    before, page = tale.page("all live"), tale.page("retired")

    assert page.hosts["again"].vm_id != before.hosts["again"].vm_id
    assert page.hosts["again"].ip == before.hosts["again"].ip
    (found,) = page.objects_of("again").values()
    assert "SO" in found["groups"]
    assert page.scripts("again") == 1


def test_an_address_belongs_to_one_of_them_in_every_publish(tale: Tale) -> None:
    """The publish that brings the new holder takes the old one out of the group."""
    before, page = tale.page("all live"), tale.page("retired")

    old, new = (f"az-{each.hosts['again'].name}" for each in (before, page))
    first = next(entry for entry in page.publishes(before.seq) if any(new in change for change in entry.changed))
    assert any(old in change for change in first.changed) or any("SO" in change for change in first.changed)


def test_a_deleted_estate_leaves_everything_outside_as_it_is(tale: Tale) -> None:
    before, adopted = tale.page("retired"), tale.page("adopted")

    changed = effects(entry for entry in adopted.entries if entry.seq > before.seq)
    assert changed == {}
    assert {name: host.vm_id for name, host in adopted.hosts.items()} == {n: h.vm_id for n, h in before.hosts.items()}


def test_records_that_went_with_their_estate_are_rebuilt_without_an_installer(tale: Tale) -> None:
    page = tale.page("all live again")

    assert {name: page.scripts(name) for name in (*STAY, "late")} == dict.fromkeys((*STAY, "late"), 1)
    assert page.hosts["keep"].vm_id == tale.page("all live").hosts["keep"].vm_id


def test_the_namespace_goes_and_leaves_no_session(tale: Tale) -> None:
    tale.finish()
