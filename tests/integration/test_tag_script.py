"""A script of somebody's retags the whole fleet: a handful of hosts follow, the others wait for a person."""

from __future__ import annotations

from collections.abc import Iterator

from tests.integration.mapping_edits import events, held
from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, Snapshot

FLEET = tuple(f"box-{number}" for number in range(1, 9))
TAGS = {"app": "shop", "env": "dev"}
"""What is left of the tags: `az tag update --operation Replace` (Azure/azure-cli)."""
AT_ONCE = 5
"""So many may change within an hour in an estate of any size (S6)."""


def scenario(run: ScenarioRun) -> None:
    """Eight hosts are done; their tags are replaced, one VM after another; a restart; then a person approves."""
    run.start(*(vm(name, tags=SEED) for name in FLEET))
    run.wait_commissioned(*FLEET)
    run.wait_settled()
    for name in FLEET:
        run.worlds.post(f"/azure/vms/{name}/retag", {"tags": TAGS})
    run.wait("each host has followed or is held", lambda: len(list(_followed(run))) + _held(run) == len(FLEET))
    run.wait_settled()
    waiting = sorted(set(FLEET) - set(_followed(run)))
    approve, asked = held(run), run.microseg("explain", waiting[0], "-o", "json")
    run.wait_polls(2)
    run.snapshot("held", waiting=waiting, approve=approve, explained=asked)

    run.operator.restart()
    run.wait_polls(2)
    run.snapshot("restarted", waiting=sorted(set(FLEET) - set(_followed(run))), approve=held(run))

    run.annotate("est/respiro", f"microseg.dev/approve={approve}")
    run.wait("all have followed", lambda: len(list(_followed(run))) == len(FLEET))
    run.wait_commissioned(*FLEET)
    run.wait_settled()
    run.snapshot("approved", explained=run.microseg("explain", waiting[0], "-o", "json"))


def _followed(run: ScenarioRun) -> Iterator[str]:
    return (name for name, host in run.hosts().items() if "app=shop" in host.labels and "SO" not in host.groups)


def _held(run: ScenarioRun) -> int:
    return sum(plan["hosts"] for plan in run.rig.estate()["status"].get("held", ()) if plan["kind"] == "facts")


def _outside(snapshot: Snapshot, name: str) -> tuple[str, bool]:
    """The label `app` in the PCE, and whether the object at Check Point is in SO."""
    (item,) = snapshot.objects_of(name).values()
    return snapshot.workload(name)["labels"]["app"], "SO" in item["groups"]


SCENARIO = Scenario("tag-script", scenario)


def test_a_script_that_retags_the_fleet_changes_five_hosts_at_most_and_the_others_wait_as_they_are(
    recording: Recording,
) -> None:
    snapshot = recording.snapshot("held")
    waiting = snapshot.notes["waiting"]

    assert len(FLEET) - len(waiting) <= AT_ONCE
    assert {name: _outside(snapshot, name) for name in waiting} == dict.fromkeys(waiting, ("ServiceOrchestrate", True))
    assert all(snapshot.hosts[name].commissioned for name in FLEET)
    message = snapshot.condition("PlanHeld")["message"]
    assert f"within one hour, would change {len(waiting)} commissioned hosts" in message
    assert snapshot.notes["approve"].endswith(f":{len(waiting)}")
    assert events(snapshot, "PlanHeld")


def test_a_restart_within_the_hour_lets_none_of_them_through(recording: Recording) -> None:
    before, after = recording.snapshot("held"), recording.snapshot("restarted")
    waiting = before.notes["waiting"]

    assert (after.notes["waiting"], after.notes["approve"]) == (waiting, before.notes["approve"])
    assert {name: _outside(after, name) for name in waiting} == dict.fromkeys(waiting, ("ServiceOrchestrate", True))


def test_explain_tells_a_held_host_what_it_has_what_it_would_get_and_what_to_approve(recording: Recording) -> None:
    held, after = (recording.snapshot(name).notes["explained"].data for name in ("held", "approved"))

    assert held["held"] == recording.snapshot("held").notes["approve"]
    assert any(line.startswith("app = ServiceOrchestrate <- confirmed last") for line in held["has"])
    assert any(line.startswith('app = shop <- tag app="shop"') for line in held["why"])
    assert "label app: ServiceOrchestrate -> shop" in held["differences"]
    assert (after["held"], after["has"], after["differences"]) == (None, [], [])


def test_the_approval_of_the_digest_lets_the_others_follow(recording: Recording) -> None:
    snapshot = recording.snapshot("approved")

    assert {name: _outside(snapshot, name) for name in FLEET} == dict.fromkeys(FLEET, ("shop", False))
    assert snapshot.condition("PlanHeld")["status"] == "False"
    assert len(events(snapshot, "PlanApproved")) == 1
