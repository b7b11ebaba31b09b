"""Mode Observe and suspend change nothing outside; when they end, the planned changes follow."""

from __future__ import annotations

from typing import Any

from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording

from lab.oracles import effects


def _observe(estate: dict[str, Any]) -> None:
    estate["spec"]["mode"] = "Observe"


def scenario(run: ScenarioRun) -> None:
    """Observe, then Enforce with one suspended host, then a suspended Estate, then neither."""
    began = run.ledger_end()
    run.start(vm("first", tags=SEED), vm("frozen", tags=SEED), change=_observe)
    run.wait_for_reasons(first="Observing", frozen="Observing")
    run.wait_settled()
    run.wait_polls()
    run.snapshot("observing", began=began, planned=run.microseg("plan", "-o", "json"))

    frozen = f"mh/{run.hosts()['frozen'].name}"
    run.patch(frozen, {"spec": {"suspend": True}})
    run.patch("est/respiro", {"spec": {"mode": "Enforce"}})
    run.wait_commissioned("first")
    run.wait_for_reasons(frozen="Suspended")
    run.wait_settled()
    run.snapshot("one host is frozen")

    run.patch("est/respiro", {"spec": {"suspend": True}})
    run.patch(frozen, {"spec": {"suspend": False}})
    run.create_vms(vm("newcomer"))
    run.worlds.post("/azure/vms/first/retag", {"tags": SEED | {"rol": "db"}})
    run.wait_for_reasons(newcomer="Suspended", frozen="Suspended", first="Suspended")
    run.wait_settled()
    run.wait_polls()
    run.snapshot("the estate is frozen")

    run.patch("est/respiro", {"spec": {"suspend": False}})
    run.wait_commissioned("first", "frozen", "newcomer")
    run.wait_settled()
    run.snapshot("free")


SCENARIO = Scenario("observe-and-suspend", scenario)


def test_an_estate_that_observes_plans_everything_and_changes_nothing_outside(recording: Recording) -> None:
    snapshot = recording.snapshot("observing")

    assert effects(entry for entry in snapshot.entries if entry.seq > snapshot.notes["began"]) == {}
    host = snapshot.hosts["first"]
    assert host.true("Discovered")
    assert (host.condition("AgentPaired").reason, host.condition("Grouped").reason) == ("Observing", "Observing")
    assert "az-" in host.condition("Grouped").message
    planned = snapshot.notes["planned"].data["observing"]
    assert set(planned) == {each.name for each in snapshot.hosts.values()}
    assert f"az-{host.name}" in planned[host.name]["Grouped"]


def test_a_frozen_host_is_left_alone_and_others_are_not(recording: Recording) -> None:
    snapshot = recording.snapshot("one host is frozen")

    assert snapshot.hosts["first"].commissioned
    assert (snapshot.scripts("frozen"), snapshot.objects_of("frozen")) == (0, {})
    assert snapshot.hosts["frozen"].condition("AgentPaired").reason == "Suspended"
    assert snapshot.hosts["frozen"].condition("Stalled").status == "False"


def test_a_frozen_estate_reads_on_and_changes_nothing(recording: Recording) -> None:
    before, snapshot = recording.snapshot("one host is frozen"), recording.snapshot("the estate is frozen")

    assert effects(entry for entry in snapshot.entries if entry.seq > before.seq) == {}
    newcomer = snapshot.hosts["newcomer"]
    assert newcomer.true("Discovered")
    assert "The estate is suspended" in newcomer.condition("AgentPaired").message
    assert {"key": "rol", "value": "db"} in snapshot.hosts["first"].raw["status"]["azure"]["tags"]
    assert snapshot.workload("first")["labels"]["role"] == "Web"


def test_what_was_planned_is_done_when_it_may_be(recording: Recording) -> None:
    snapshot = recording.snapshot("free")

    assert {host.stage for host in snapshot.hosts.values()} == {"Commissioned"}
    assert {name: snapshot.scripts(name) for name in snapshot.hosts} == dict.fromkeys(snapshot.hosts, 1)
    assert snapshot.workload("first")["labels"]["role"] == "Database"
    told = {event["reason"] for event in snapshot.events if event["involvedObject"]["kind"] == "Estate"}
    assert {"Suspended", "Resumed"} <= told
