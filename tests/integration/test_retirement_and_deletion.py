"""Retirement of VMs, and deletion of ManagedHosts, Estates and a namespace: no other host loses its protection."""

from __future__ import annotations

import re
from typing import Any

from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording

from lab.controlplane import ControlPlane
from lab.oracles import effects, operators_writes

STAY = ("keep", "again")


def _soon(estate: dict[str, Any]) -> None:
    estate["spec"]["retirement"] = {"missedPolls": 3, "after": "2s", "maxPerHour": {"count": 20, "percent": 5}}
    (source,) = estate["spec"]["azure"]["sources"]
    source["subscriptions"] = source["subscriptions"][:1]


def _delete_hosts_with_estate(estate: dict[str, Any]) -> None:
    _soon(estate)
    estate["spec"]["recordsOnDeletion"] = "Delete"


def scenario(run: ScenarioRun) -> None:
    """Move a VM away and back; delete VMs; then a ManagedHost; then the Estate, twice; then the namespace."""
    run.worlds.post("/illumio/traits", {"goodbye_seconds": 40, "unpair_timeout_seconds": 40})
    run.start(*(vm(name, tags=SEED) for name in (*STAY, "gone", "orphan")), change=_soon)
    run.wait_commissioned(*STAY, "gone", "orphan")
    run.wait_settled()
    run.snapshot("all live")
    _move_out_of_sight(run)
    _delete_vms(run)
    _delete_the_estate(run)
    _delete_the_namespace(run)


def _move_out_of_sight(run: ScenarioRun) -> None:
    """Move a VM to a subscription that the estate does not read; then bring it back."""
    (keep,) = (each for each in run.worlds.get("/azure/vms")["vms"] if each["name"] == "keep")
    there = next(each for each in run.worlds.described["azure"]["subscriptions"] if each != keep["subscription"])
    run.worlds.post("/azure/vms/keep/move", {"resourceGroup": "landing-zone", "subscription": there})
    run.wait("the moved VM is unproven", lambda: run.hosts()["keep"].reason == "GoneUnproven")
    run.wait_polls(3)
    run.snapshot("moved away")
    run.worlds.post(
        "/azure/vms/keep/move", {"resourceGroup": keep["resourceGroup"], "subscription": keep["subscription"]}
    )
    run.wait_commissioned("keep")
    run.wait_settled()


def _vouched(run: ScenarioRun, before: dict[str, Any]) -> str:
    """What the condition says that a person must write."""
    found = re.search(r"approve gone (\S+)`", _orphan(run, before).condition("Stalled").message)
    assert found is not None
    return found[1]


def _delete_vms(run: ScenarioRun) -> None:
    before = run.hosts()
    run.worlds.post("/azure/vms/gone/delete", {"at_once": True})
    run.worlds.post("/azure/vms/again/recreate", {})
    run.worlds.post("/azure/vms/orphan/delete", {"at_once": True})
    run.rig.kubectl("delete", "mh", before["orphan"].name)
    run.wait("the orphan has its record back and is unproven", lambda: _orphan(run, before).reason == "GoneUnproven")
    run.snapshot("an orphan", vm_ids={name: host.vm_id for name, host in before.items()})
    run.annotate(f"mh/{_orphan(run, before).name}", f"microseg.dev/confirm-gone={_vouched(run, before)}")
    _approve_the_unpairing(run, before)
    ids = {before[name].vm_id for name in ("gone", "again", "orphan")}
    run.wait("all three retired", lambda: not ids & {host.vm_id for host in run.rig.hosts()})
    run.wait_commissioned(*STAY)
    run.wait_settled()
    tombstones = run.rig.kubectl(
        "get", "cm", "-l", "microseg.dev/tombstones=respiro", "-o", "jsonpath={.items[*].data}"
    )
    vm_ids = {name: host.vm_id for name, host in before.items()}
    run.snapshot("retired", tombstones=tombstones, vm_ids=vm_ids, written=_written(run))


def _approve_the_unpairing(run: ScenarioRun, before: dict[str, Any]) -> None:
    """Say that the orphan's VEN may go: a record that was lost no longer proves that the operator paired it."""
    (workload,) = [each for each in run.worlds.get("/illumio/workloads")["workloads"] if each["hostname"] == "orphan"]
    run.wait("its VEN waits for a person", lambda: workload["uuid"] in _orphan(run, before).condition("Ready").message)
    run.annotate(f"mh/{_orphan(run, before).name}", f"microseg.dev/adopt={workload['uuid']}")


def _written(run: ScenarioRun) -> dict[str, Any]:
    """Return when the operator first wrote a ConfigMap (a tombstone), and when it deleted each ManagedHost."""
    plane = run.rig.cluster
    assert isinstance(plane, ControlPlane)
    events = operators_writes(plane, run.rig.namespace)
    tombstones = [at for at, verb, resource, _ in events if resource == "configmaps" and verb != "delete"]
    records = {name: at for at, verb, resource, name in events if (resource, verb) == ("managedhosts", "delete")}
    return {"configmaps": min(tombstones), "managedhosts": records}


def _orphan(run: ScenarioRun, before: dict[str, Any]) -> Any:
    found = {host.vm_id: host for host in run.rig.hosts()}
    return found.get(before["orphan"].vm_id, before["keep"])


def _delete_the_estate(run: ScenarioRun) -> None:
    run.rig.kubectl("delete", "est", "respiro", "--timeout=20s")
    run.wait("the session is closed", lambda: not _sessions(run))
    assert len(run.rig.hosts()) == len(STAY), "the records stay unless the Estate says otherwise"
    run.rig.apply_estate(_delete_hosts_with_estate)
    run.wait_commissioned(*STAY)
    run.wait_settled()
    run.snapshot("adopted")

    run.create_vms(vm("late", tags=SEED))
    fault = run.inject_fault("checkpoint", "publish", action="delay", seconds=3, phase="after")
    run.wait("a publish under way", lambda: run.fault_was_met(fault))
    run.rig.kubectl("delete", "est", "respiro", "--timeout=20s")
    run.wait("the records went", lambda: not run.rig.hosts())
    run.wait("the session is closed", lambda: not _sessions(run))


def _delete_the_namespace(run: ScenarioRun) -> None:
    """Delete what the namespace controller deletes, in the worst order: first RBAC, then the rest."""
    run.rig.apply_estate(_soon)
    run.wait_commissioned(*STAY, "late")
    run.wait_settled()
    run.snapshot("all live again")
    run.rig.kubectl("delete", "rolebinding", "--all")
    for kinds in ("configmap,secret,serviceaccount", "estate", "managedhost", "lease,controllerrevision"):
        run.rig.kubectl("delete", kinds, "--all", "--timeout=20s")
    run.wait("the session is closed", lambda: not _sessions(run))


def _sessions(run: ScenarioRun) -> list[Any]:
    prefix = f"microseg/{run.rig.namespace}/"
    return [each for each in run.worlds.get("/checkpoint/summary")["sessions"] if each["name"].startswith(prefix)]


SCENARIO = Scenario("retirement-and-deletion", scenario)


def test_a_lost_record_of_a_vm_that_is_gone_comes_back_and_nothing_is_removed_without_proof(
    recording: Recording,
) -> None:
    snapshot = recording.snapshot("an orphan")

    vm_id = snapshot.notes["vm_ids"]["orphan"]
    assert [each for each in snapshot.workloads if each["external_data_reference"] == vm_id and not each["deleted"]]
    assert [each for each in snapshot.objects if each["comments"].endswith(vm_id)]


def test_a_vm_that_moved_out_of_sight_is_not_gone_while_the_pce_shows_its_ven(recording: Recording) -> None:
    before, snapshot = recording.snapshot("all live"), recording.snapshot("moved away")

    (asked,) = {entry.status for entry in snapshot.of("azure", "vms.get", since=before.seq)}
    assert asked == 404, "Azure's own word is that it is gone"
    assert effects(entry for entry in snapshot.entries if entry.seq > before.seq) == {}
    told = next(each for each in snapshot.hosts["keep"].raw["status"]["conditions"] if each["type"] == "Stalled")
    assert told["reason"] == "GoneUnproven"
    assert "online" in told["message"]
    assert f"microseg approve gone {snapshot.hosts['keep'].vm_id}@" in told["message"]


def test_every_trace_of_the_gone_is_removed(recording: Recording) -> None:
    snapshot = recording.snapshot("retired")

    for name in ("gone", "again", "orphan"):
        vm_id = snapshot.notes["vm_ids"][name]
        assert not [
            each for each in snapshot.workloads if each["external_data_reference"] == vm_id and not each["deleted"]
        ]
        assert not [each for each in snapshot.objects if each["comments"].endswith(vm_id)]
        assert vm_id in snapshot.notes["tombstones"]
    assert snapshot.notes["tombstones"].count("endedAt") == 3


def test_traces_go_in_the_order_that_is_safe_at_every_stop(recording: Recording) -> None:
    """The order: tombstone; removed from groups, deleted, published; installed; unpaired; the ManagedHost last."""
    before, snapshot = recording.snapshot("all live"), recording.snapshot("retired")
    gone = before.hosts["gone"]
    (thing,) = before.objects_of("gone").values()
    ven = before.workload("gone")["href"].replace("/workloads/", "/vens/")

    def at(system: str, operation: str, about: str = "") -> float:
        entries = snapshot.of(system, operation, since=before.seq)
        return next(entry.at for entry in entries if about in " ".join(entry.changed))

    deleted = at("checkpoint", "delete-host", thing["name"])
    published = at("checkpoint", "world.published", thing["name"])
    installs = [entry.at for entry in snapshot.of("checkpoint", "world.installed") if entry.at > published]
    unpaired = at("illumio", "vens.unpair", ven)
    tombstone, record = (snapshot.notes["written"][kind] for kind in ("configmaps", "managedhosts"))
    steps = (tombstone, deleted, published, installs[0], unpaired, record[gone.name])
    assert list(steps) == sorted(steps)


def test_the_recreated_vm_is_a_new_host_with_the_old_ones_address(recording: Recording) -> None:
    before, snapshot = recording.snapshot("all live"), recording.snapshot("retired")

    assert snapshot.hosts["again"].vm_id != before.hosts["again"].vm_id
    assert snapshot.hosts["again"].ip == before.hosts["again"].ip
    (found,) = snapshot.objects_of("again").values()
    assert "SO" in found["groups"]
    assert snapshot.scripts("again") == 1


def test_an_address_belongs_to_one_of_them_in_every_publish(recording: Recording) -> None:
    """The publish with the address's new owner removes the old one from the group."""
    before, snapshot = recording.snapshot("all live"), recording.snapshot("retired")

    old, new = (f"az-{each.hosts['again'].name}" for each in (before, snapshot))
    first = next(entry for entry in snapshot.publishes(before.seq) if any(new in change for change in entry.changed))
    assert any(old in change for change in first.changed) or any("SO" in change for change in first.changed)


def test_a_deleted_estate_leaves_everything_outside_as_it_is(recording: Recording) -> None:
    before, adopted = recording.snapshot("retired"), recording.snapshot("adopted")

    changed = effects(entry for entry in adopted.entries if entry.seq > before.seq)
    assert changed == {}
    assert {name: host.vm_id for name, host in adopted.hosts.items()} == {n: h.vm_id for n, h in before.hosts.items()}


def test_records_that_went_with_their_estate_are_rebuilt_without_an_installer(recording: Recording) -> None:
    snapshot = recording.snapshot("all live again")

    assert {name: snapshot.scripts(name) for name in (*STAY, "late")} == dict.fromkeys((*STAY, "late"), 1)
    assert snapshot.hosts["keep"].vm_id == recording.snapshot("all live").hosts["keep"].vm_id


def test_the_namespace_goes_and_leaves_no_session(recording: Recording) -> None:
    recording.finish()
