"""Changes of a VM (size, host name, power, NICs, addresses, VEN): in the status, and where they matter also outside."""

from __future__ import annotations

from typing import Any

from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, Snapshot

from lab.oracles import effects

NAMES = ("fitted", "walker")
SIZE, INSIDE = "Standard_E8s_v5", "walker-inside"
SECOND, LAST = "10.9.3.4", "10.9.3.9"


def scenario(run: ScenarioRun) -> None:
    """Changes of the status only; then one more NIC; then other addresses at once; then of the VENs."""
    run.worlds.post("/illumio/traits", {"goodbye_seconds": 40})
    run.start(*(vm(name, tags=SEED) for name in NAMES))
    run.wait_commissioned(*NAMES)
    run.wait_settled()
    run.snapshot("before")

    since = run.ledger_end()
    run.worlds.post("/azure/vms/fitted/resize", {"size": SIZE})
    run.worlds.post("/azure/vms/walker/rename", {"computerName": INSIDE})
    run.worlds.post("/azure/vms/fitted/stop")
    run.wait("the records know", lambda: _recorded(run))
    run.wait("its VEN is silent", lambda: "offline (last heartbeat" in _paired(run, "fitted")["message"])
    run.wait_polls(4)
    run.wait_settled()
    run.snapshot("recorded", since=since)

    since = run.ledger_end()
    run.worlds.post("/azure/vms/fitted/start")
    run.worlds.post("/azure/vms/walker/attach", {"addresses": [SECOND]})
    run.wait("the second address is protected", lambda: len(_addresses(run, "walker")) == 2)
    run.wait_commissioned(*NAMES)
    run.wait_settled()
    run.snapshot("one more NIC", since=since)

    since = run.ledger_end()
    run.worlds.post("/azure/vms/walker/readdress", {"addresses": [LAST]})
    run.wait("the last address is protected", lambda: _addresses(run, "walker") == {LAST})
    run.wait_commissioned(*NAMES)
    run.wait_settled()
    run.snapshot("other addresses", since=since)
    _change_vens(run)


def _change_vens(run: ScenarioRun) -> None:
    """Suspend one VEN, and wipe the disk of the other VM; ask it; unpair what the PCE still lists of it."""
    since = run.ledger_end()
    suspended, wiped = (run.hosts()[name].raw["status"]["illumio"]["workload"].rsplit("/", 1)[1] for name in NAMES)
    run.worlds.post(f"/illumio/workloads/{suspended}/suspend", {})
    run.worlds.post("/azure/vms/walker/guest", {"wipe": True})
    run.worlds.post(f"/illumio/workloads/{wiped}/offline", {})
    run.wait("both are told", lambda: [run.hosts()[name].reason for name in NAMES] == ["VENNotActive", "VENOffline"])
    run.wait_polls(2)
    run.snapshot("not there", since=since)

    run.annotate(f"mh/{run.hosts()['walker'].name}", "microseg.dev/retry=agent")
    run.wait("the VM has answered", lambda: run.hosts()["walker"].reason == "VENGone")
    run.snapshot("asked", since=since)

    run.worlds.post(f"/illumio/workloads/{suspended}/resume", {})
    run.worlds.post(f"/illumio/workloads/{wiped}/unpair", {})
    run.wait("paired anew", lambda: run.hosts()["walker"].raw["status"]["agent"]["attempt"] > 2)
    run.wait_commissioned(*NAMES)
    run.wait_settled()
    run.snapshot("there again", since=since)


def _paired(run: ScenarioRun, name: str) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = run.hosts()[name].raw["status"]["conditions"]
    return next(each for each in conditions if each["type"] == "AgentPaired")


def _azure(run: ScenarioRun, name: str) -> dict[str, Any]:
    found: dict[str, Any] = run.hosts()[name].raw["status"]["azure"]
    return found


def _recorded(run: ScenarioRun) -> bool:
    fitted, walker = (_azure(run, name) for name in NAMES)
    return (fitted["vmSize"], fitted["powerState"], walker["computerName"]) == (SIZE, "deallocated", INSIDE)


def _addresses(run: ScenarioRun, name: str) -> set[str]:
    record = run.hosts()[name].raw["status"].get("checkPoint") or {}
    return {str(each.get("ipv4") or each["ipv6"]) for each in record.get("hosts", ())}


SCENARIO = Scenario("vm-changes", scenario)


def test_size_name_and_power_are_recorded_and_nothing_outside_changes(recording: Recording) -> None:
    snapshot = recording.snapshot("recorded")

    assert effects(entry for entry in snapshot.entries if entry.seq > snapshot.notes["since"]) == {}
    assert all(snapshot.hosts[name].commissioned for name in NAMES), "what is protected stays so, running or not"


def test_a_new_name_inside_is_the_same_host(recording: Recording) -> None:
    before, after = recording.snapshot("before").hosts["walker"], recording.snapshot("recorded").hosts["walker"]

    assert (after.name, after.vm_id) == (before.name, before.vm_id)
    assert recording.snapshot("other addresses").scripts("walker") == 1


def test_one_more_nic_is_one_more_object_in_the_same_groups(recording: Recording) -> None:
    before, snapshot = recording.snapshot("before").objects_of("walker"), recording.snapshot("one more NIC")
    objects = snapshot.objects_of("walker")

    assert objects.keys() - before.keys() == {SECOND}
    ((address, old),) = before.items()
    assert objects[address] == old
    assert objects[SECOND]["groups"] == old["groups"]
    assert len(snapshot.publishes(snapshot.notes["since"])) == 1


def test_old_addresses_are_gone_in_the_publish_that_brings_the_new_one(recording: Recording) -> None:
    old, snapshot = recording.snapshot("one more NIC").objects_of("walker"), recording.snapshot("other addresses")

    assert set(snapshot.objects_of("walker")) == {LAST}
    (publish,) = snapshot.publishes(snapshot.notes["since"])
    assert {thing["name"] for thing in old.values()} <= set(publish.changed)


def test_the_gateways_get_every_change_and_the_neighbour_none(recording: Recording) -> None:
    before = recording.snapshot("before")
    for name in ("one more NIC", "other addresses"):
        snapshot = recording.snapshot(name)
        assert snapshot.hosts["walker"].true("PolicyInstalled")
        assert snapshot.of("checkpoint", "world.installed", since=snapshot.notes["since"])
        assert snapshot.objects_of("fitted") == before.objects_of("fitted")


def test_a_ven_that_is_not_there_is_told_and_nothing_is_done_about_it(recording: Recording) -> None:
    snapshot = recording.snapshot("not there")

    assert effects(entry for entry in snapshot.entries if entry.seq > snapshot.notes["since"]) == {}
    fitted, walker = (snapshot.hosts[name] for name in NAMES)
    assert (fitted.stage, fitted.raw["status"]["ready"]) == ("Blocked", "False")
    assert (walker.stage, walker.raw["status"]["ready"]) == ("Pairing", "Unknown")
    for host in (fitted, walker):
        assert all(host.true(kind) for kind in ("Discovered", "Labelled", "Grouped", "PolicyInstalled"))


def _activated(snapshot: Snapshot, since: int) -> list[int]:
    """Activations that the PCE accepted. The installer that the fresh disk ran again has a key that is used up."""
    calls = snapshot.of("illumio", "agents.activate", since=since)
    return [entry.status for entry in calls if entry.status == 201]


def test_a_person_who_doubts_it_has_the_vm_asked_without_a_key(recording: Recording) -> None:
    snapshot = recording.snapshot("asked")

    since = snapshot.notes["since"]
    assert not snapshot.of("illumio", "pairing_keys.create", since=since)
    assert not _activated(snapshot, since)
    assert (snapshot.scripts("walker"), snapshot.scripts("walker", "probe")) == (1, 1)


def test_a_wiped_vm_is_paired_anew_once_the_pce_lists_nothing_of_it(recording: Recording) -> None:
    before, snapshot = recording.snapshot("asked"), recording.snapshot("there again")

    stamped = [each for each in snapshot.workloads if each["external_data_reference"] == snapshot.hosts["walker"].vm_id]
    assert [each["deleted"] for each in stamped] == [True, False]
    assert stamped[0]["uuid"] == before.workload("walker")["uuid"]
    assert _activated(snapshot, snapshot.notes["since"]) == [201]
    ready = next(each for each in snapshot.hosts["walker"].raw["status"]["conditions"] if each["type"] == "Ready")
    assert "visible, not enforced" in ready["message"]
