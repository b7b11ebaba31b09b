"""A fleet with long lists: Resource Graph hints at what changed, Resource Manager answers, the lists come rarely (S5).

The trait `page_size` makes the lists of two dozen VMs as long as those of a thousand.
"""

from __future__ import annotations

import time
from typing import Any

from tests.integration.scenario import SEED, ScenarioRun, fast_retirement, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, condition

CROWD = 20
"""VMs that were never started: with one VM per page they make the lists longer than 50 requests."""
NAMES = ("near", "doomed")
LISTS = ("vms.list", "vms.list-status", "nics.list")
GRAPH, ALONE = "graph.query", "vms.get"
RIGHT = "Microsoft.ResourceGraph/resources/read"
TOLD = "what Azure Resource Graph tells of changes"
FOR_EVER = 1_000_000
OTHER = SEED | {"env": "prd"}


def scenario(run: ScenarioRun) -> None:
    """A newcomer and a change by hints; a graph that lags, and one that refuses; and a VM that is deleted."""
    run.worlds.post("/azure/traits", {"page_size": 1})
    crowd = [vm(f"crowd-{number}", power="deallocated") for number in range(CROWD)]
    run.start(*crowd, *(vm(name, tags=SEED) for name in NAMES), change=fast_retirement)
    run.wait_commissioned(*NAMES)
    run.wait_settled()
    _wait_looks(run, 2)

    since = run.ledger_end()
    run.create_vms(vm("newcomer", tags=SEED))
    run.wait_commissioned("newcomer")
    run.worlds.post("/azure/vms/near/retag", {"tags": OTHER})
    run.wait("the label of near follows", lambda: _env(run, "near") == "Prod")
    run.wait_commissioned("near")
    run.snapshot("hints", since=since)

    _lag(run)
    _refuse(run)

    since = run.ledger_end()
    doomed = run.hosts()["doomed"].vm_id
    run.worlds.post("/azure/vms/doomed/delete", {"at_once": True})
    run.wait("doomed is retired", lambda: "doomed" not in run.hosts())
    run.snapshot("retired", since=since, doomed=doomed)


def _lag(run: ScenarioRun) -> None:
    """The graph stops; a VM changes and another one comes, which a person has read; then it catches up."""
    run.worlds.post("/azure/traits", {"graph_lag": FOR_EVER})
    run.worlds.post("/azure/vms/near/retag", {"tags": SEED})
    run.create_vms(vm("unseen", tags=SEED))
    run.annotate("est/respiro", f"microseg.dev/reconcile-at={time.time():.0f}")
    run.wait("the label of near is as it was", lambda: _env(run, "near") == "Dev")
    run.wait_commissioned("near", "unseen")
    since = run.ledger_end()
    run.wait("the lists tell of what the graph lacks", lambda: _ended_lists(run, since, 1))
    run.wait_settled()
    since = run.ledger_end()
    _wait_looks(run, 4)
    run.snapshot("stale", since=since)
    run.worlds.post("/azure/traits", {"graph_lag": 0})
    _wait_looks(run, 2)
    run.snapshot("caught up", since=since)


def _refuse(run: ScenarioRun) -> None:
    """The graph refuses for a while."""
    lacking = run.worlds.get("/azure/traits")["lacking"]
    since = run.ledger_end()
    run.worlds.post("/azure/traits", {"lacking": [*lacking, RIGHT]})
    run.wait_for_estate_condition("AzureReachable", "True", text=TOLD)
    run.wait("the lists are read each time", lambda: _ended_lists(run, since, 2))
    run.snapshot("refused", since=since)
    run.worlds.post("/azure/traits", {"lacking": lacking})
    run.wait("it answers again", lambda: TOLD not in condition(run.rig.estate(), "AzureReachable")["message"])
    run.snapshot("answers again")


def _wait_looks(run: ScenarioRun, number: int) -> None:
    """Wait for so many more looks; each is a query for NICs and one for VMs."""
    since = run.ledger_end()
    run.wait(f"{number} looks", lambda: len(run.worlds.ledger("azure", GRAPH, since=since)) >= 2 * number + 1)


def _ended_lists(run: ScenarioRun, since: int, times: int) -> bool:
    """Whether the lists of both subscriptions were read so often."""
    return len(run.worlds.ledger("azure", "scale-sets.list", since=since)) >= 2 * times


def _env(run: ScenarioRun, name: str) -> str:
    """The value of the label `env` of a host's workload."""
    labels: list[dict[str, Any]] = run.hosts()[name].raw["status"].get("illumio", {}).get("labels", [])
    return next((str(each["value"]) for each in labels if each["key"] == "env"), "")


SCENARIO = Scenario("resource-graph", scenario, long=True)


def test_a_newcomer_and_a_changed_tag_are_seen_by_hints_and_read_by_themselves(recording: Recording) -> None:
    snapshot = recording.snapshot("hints")
    since = snapshot.notes["since"]
    assert snapshot.of("azure", *LISTS, since=since) == []
    assert snapshot.of("azure", GRAPH, since=since) != []
    assert snapshot.of("azure", "nics.get", since=since) != []
    assert snapshot.scripts("newcomer") == 1


def test_what_the_graph_lacks_and_azure_shows_is_not_missed(recording: Recording) -> None:
    unseen = recording.snapshot("stale").hosts["unseen"]
    assert unseen.commissioned
    assert unseen.raw["status"].get("missingSince") is None


def test_a_graph_that_lags_is_contradicted_once_and_flaps_nothing(recording: Recording) -> None:
    snapshot = recording.snapshot("stale")
    since = snapshot.notes["since"]
    assert snapshot.of("azure", *LISTS, ALONE, "nics.get", since=since) == []
    assert snapshot.hosts["near"].commissioned
    later = recording.snapshot("caught up")
    assert later.of("illumio", "workloads.set_labels", "workloads.update", since=since) == []
    assert later.publishes(since) == []


def test_where_the_graph_refuses_the_lists_are_read_each_time_and_it_is_told(recording: Recording) -> None:
    snapshot = recording.snapshot("refused")
    since = snapshot.notes["since"]
    refused = [each for each in snapshot.of("azure", GRAPH, since=since) if each.status == 403]
    readings = len(snapshot.of("azure", "scale-sets.list", since=since)) // 2
    assert 1 <= len(refused) <= readings + 2, "one question for each reading of the lists"
    found = snapshot.condition("AzureReachable")
    assert (found["status"], RIGHT in found["message"]) == ("True", True)
    assert recording.snapshot("answers again").condition("AzureReachable")["status"] == "True"


def test_a_deleted_vm_is_retired_by_the_lists_and_azures_word(recording: Recording) -> None:
    snapshot = recording.snapshot("retired")
    since, doomed = snapshot.notes["since"], snapshot.notes["doomed"]
    readings = len(snapshot.of("azure", "scale-sets.list", since=since)) // 2
    assert readings >= 2, "it was missing from as many complete lists as the spec demands"
    assert 404 in {each.status for each in snapshot.of("azure", ALONE, since=since)}
    assert [each for each in snapshot.objects if doomed in each.get("comments", "")] == []
