"""VMs of unpeered networks have the same address: the first keeps it, and it moves only when it is free (S14)."""

from __future__ import annotations

from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, Snapshot

SHARED, TWINS, NEXT = "10.1.0.4", "10.1.0.9", "10.1.0.44"
OTHER = {"app": "sap", "env": "prd", "rol": "db"}
"""Tags of another application: other groups."""


def scenario(run: ScenarioRun) -> None:
    """Two come at once, and two with a protected VM's address; a restart; the first VM gets another address."""
    run.start(
        vm("shop", tags=SEED, addresses=[SHARED]),
        vm("late-twin", tags=SEED, addresses=[TWINS], createdAt=1_700_000_000.0),
        vm("early-twin", tags=OTHER, addresses=[TWINS], createdAt=1_600_000_000.0),
    )
    run.wait_commissioned("shop", "early-twin")
    run.wait_for_reasons(late_twin="AddressShared")
    run.wait_settled()
    run.snapshot("before")

    run.create_vms(
        vm("bank", tags=OTHER, addresses=[SHARED], createdAt=1_500_000_000.0),
        vm("copy", tags=SEED, addresses=[SHARED], createdAt=1_600_000_000.0),
    )
    run.wait_for_reasons(bank="AddressShared", copy="AddressShared")
    run.wait_settled()
    run.wait_polls(2)
    run.snapshot("both live")
    run.operator.stop()
    run.operator.start()
    run.wait_polls(1)
    run.snapshot("after a restart")

    run.worlds.post("/azure/vms/shop/readdress", {"addresses": [NEXT]})
    run.wait("the new address is protected", lambda: NEXT in groups(run))
    run.wait_commissioned("shop", "bank")
    run.wait_settled()
    run.snapshot("moved")


def groups(run: ScenarioRun) -> dict[str, list[str]]:
    """Address -> groups, as published."""
    return by_address(run.worlds.get("/checkpoint/objects", type="host")["objects"])


def by_address(objects: object) -> dict[str, list[str]]:
    assert isinstance(objects, list | tuple)
    return {each["ipv4-address"]: each["groups"] for each in objects if each["type"] == "host"}


def blocked_by(snapshot: Snapshot, name: str) -> str:
    grouped = snapshot.hosts[name].condition("Grouped")
    assert (grouped.status, grouped.reason) == ("False", "AddressShared")
    return grouped.message


SCENARIO = Scenario("shared-addresses", scenario)


def test_of_two_that_come_at_once_the_older_one_is_protected(recording: Recording) -> None:
    snapshot = recording.snapshot("before")
    assert snapshot.hosts["early-twin"].commissioned
    assert snapshot.hosts["early-twin"].name in blocked_by(snapshot, "late-twin")
    assert snapshot.objects_of("late-twin") == {}


def test_newcomers_take_nothing_from_a_vm_that_lives_and_name_it(recording: Recording) -> None:
    """Of the same groups and of others; older by Azure's time or not."""
    before, snapshot = recording.snapshot("before"), recording.snapshot("both live")
    assert by_address(snapshot.objects) == by_address(before.objects)
    assert snapshot.hosts["shop"].commissioned
    for name in ("bank", "copy"):
        assert snapshot.hosts["shop"].name in blocked_by(snapshot, name)
        assert snapshot.hosts[name].stage == "Blocked"
    assert snapshot.publishes(since=before.seq) == []


def test_the_estate_counts_them_as_blocked(recording: Recording) -> None:
    hosts = recording.snapshot("both live").estate["status"]["hosts"]
    assert (hosts["commissioned"], hosts["blocked"]) == (2, 3)


def test_after_a_restart_the_same_one_is_first(recording: Recording) -> None:
    before, snapshot = recording.snapshot("both live"), recording.snapshot("after a restart")
    assert by_address(snapshot.objects) == by_address(before.objects)
    assert {name: host.reason for name, host in snapshot.hosts.items()} == {
        name: host.reason for name, host in before.hosts.items()
    }
    assert snapshot.publishes(since=before.seq) == []


def test_a_free_address_moves_to_the_next_one_in_one_publish_and_the_first_keeps_its_groups(
    recording: Recording,
) -> None:
    before, snapshot = recording.snapshot("after a restart"), recording.snapshot("moved")
    shown = by_address(snapshot.objects)
    assert shown[NEXT] == by_address(before.objects)[SHARED]
    (theirs,) = snapshot.objects_of("bank").values()
    assert (theirs["ipv4-address"], theirs["groups"]) == (SHARED, shown[SHARED])
    (publish,) = snapshot.publishes(since=before.seq)
    assert {f"az-{snapshot.hosts[name].name}" for name in ("shop", "bank")} <= set(publish.changed)
    assert snapshot.hosts["bank"].name in blocked_by(snapshot, "copy")
