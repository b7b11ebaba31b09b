"""A lock of another administrator is waited for, and a host that fails validation stops only itself."""

from __future__ import annotations

import hashlib

from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording

POISON = "0d1e7f00-1111-4222-8333-444455556666"
"""vmId of the VM whose object collides with an administrator's own object."""
_OLD_ERROR = "Gateway fw-old has no topology for interface eth9."
"""Published by somebody else long ago; it is there from the beginning to the end."""
_OBJECT = f"az-poison-{hashlib.sha256(POISON.encode()).hexdigest()[:8]}"


def scenario(run: ScenarioRun) -> None:
    """An administrator locks a group, releases it, adds an address; later one of three hosts fails validation."""
    run.worlds.post("/checkpoint/traits", {"old_errors": [_OLD_ERROR]})
    run.worlds.post("/checkpoint/lock", {"group": "az-web", "admin": "alice", "seconds": 600})
    run.start(vm("web", tags=SEED), vm("plain", tags=SEED | {"rol": "batch"}))
    run.wait_commissioned("plain")
    run.wait_for_condition("web", "Grouped", "GroupLocked")
    run.wait_polls()
    run.snapshot("locked")
    run.worlds.post("/checkpoint/lock", {"group": "az-web", "admin": "alice", "release": True})
    run.wait_commissioned("web")
    run.wait_settled()
    run.snapshot("unlocked")

    dual = {"do": "set-host", "host": f"az-{run.hosts()['web'].name}", "ipv6-address": "fd00::99"}
    run.inject_fault("checkpoint", "publish", action="expire")
    run.worlds.post("/checkpoint/edit", dual)
    run.wait("the address is taken off", lambda: not _has_ipv6(run))
    run.wait_settled()
    run.wait_polls(2)
    run.snapshot("address taken off")

    by_hand = {"do": "add-host", "host": _OBJECT, "ip-address": "10.77.0.1"}
    run.inject_fault("checkpoint", "show-validations", action="human-edit", body=by_hand)
    run.create_vms(vm("good-1", tags=SEED), vm("poison", tags=SEED, vmId=POISON), vm("good-2", tags=SEED))
    run.wait_commissioned("good-1", "good-2")
    run.wait_for_condition("poison", "Grouped", "ObjectRejected")
    run.wait("the refused host is labelled", lambda: run.hosts()["poison"].true("Labelled"))
    run.wait_settled()
    run.snapshot("poisoned")


def _has_ipv6(run: ScenarioRun) -> bool:
    return any(each.get("ipv6-address") for each in run.worlds.get("/checkpoint/objects", type="host")["objects"])


SCENARIO = Scenario("firewall-obstacles", scenario)


def test_a_lock_of_somebody_else_is_waited_for_and_named(recording: Recording) -> None:
    snapshot = recording.snapshot("locked")

    grouped = snapshot.hosts["web"].condition("Grouped")
    assert "az-web is locked by alice" in grouped.message
    assert snapshot.hosts["web"].condition("Stalled").status == "False"
    sessions = {each["user-name"] for each in snapshot.firewall["sessions"]}
    assert "alice" in sessions
    assert not snapshot.of("checkpoint", "discard", "disconnect", "take-over-session")


def test_a_locked_group_holds_up_only_who_needs_it(recording: Recording) -> None:
    snapshot = recording.snapshot("locked")

    assert snapshot.hosts["plain"].commissioned
    assert snapshot.hosts["web"].true("AgentPaired")
    assert snapshot.hosts["web"].true("Labelled")


def test_when_the_lock_is_gone_the_host_comes_through(recording: Recording) -> None:
    snapshot = recording.snapshot("unlocked")

    (found,) = snapshot.objects_of("web").values()
    assert found["groups"] == ["SO", "az-web"]


def test_an_old_error_of_another_object_stops_no_publish_and_is_told_to_no_host(recording: Recording) -> None:
    assert recording.snapshot("unlocked").publishes(since=0)
    for name in ("locked", "unlocked", "poisoned"):
        for host in recording.snapshot(name).hosts.values():
            assert _OLD_ERROR not in str(host.raw["status"])


def test_an_address_that_a_person_added_is_taken_off_in_one_publish_and_nothing_is_published_after(
    recording: Recording,
) -> None:
    before, snapshot = recording.snapshot("unlocked"), recording.snapshot("address taken off")

    (found,) = snapshot.objects_of("web").values()
    assert (found.get("ipv6-address"), found["groups"]) == (None, ["SO", "az-web"])
    publishes = snapshot.publishes(since=before.seq)
    assert [entry.changed for entry in publishes if entry.who == "microseg"] == [(f"az-{snapshot.hosts['web'].name}",)]
    (drift,) = snapshot.hosts["web"].raw["status"]["drift"]
    assert (drift["stage"], drift["repairs"]) == ("Grouped", 1)


def test_a_host_that_fails_validation_is_named_and_published_without(recording: Recording) -> None:
    before, snapshot = recording.snapshot("address taken off"), recording.snapshot("poisoned")

    poison = snapshot.hosts["poison"]
    assert poison.stage == "Blocked"
    assert f"More than one object named '{_OBJECT}' exists" in poison.condition("Grouped").message
    assert snapshot.objects_of("poison") == {}
    assert poison.true("AgentPaired")
    assert poison.true("Labelled")
    assert [snapshot.hosts[name].stage for name in ("good-1", "good-2")] == ["Commissioned"] * 2
    assert len(snapshot.publishes(since=before.seq)) == 1


def test_a_session_that_was_lost_before_its_publish_is_discarded_by_the_next_one(recording: Recording) -> None:
    """Its locks would hold the groups until its time-out."""
    before, snapshot = recording.snapshot("unlocked"), recording.snapshot("address taken off")

    (ours,) = [each for each in snapshot.firewall["sessions"] if str(each.get("name", "")).startswith("microseg/")]
    assert ours["expired-session"] is False
    assert snapshot.of("checkpoint", "login", since=before.seq)


def test_the_administrators_object_is_not_touched(recording: Recording) -> None:
    (found,) = [thing for thing in recording.snapshot("poisoned").objects if thing["name"] == _OBJECT]

    assert (found["creator"], found["modifier"], found["groups"]) == ("alice", "alice", [])
