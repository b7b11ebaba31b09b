"""A fleet whose lists are longer than Azure's rate limit allows at once: it is read to its end, and protected (L6)."""

from __future__ import annotations

from typing import Any

from tests.integration.scenario import ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording

CROWD = 100
"""VMs that were never started. With one VM per page they make the three lists longer than the 250 reads at once."""
LISTS = ("vms.list", "vms.list-status", "nics.list")
NAMES = ("near", "far")


def scenario(run: ScenarioRun) -> None:
    """Enforce Azure's limits, and let two pages in the middle of the first poll fail."""
    run.worlds.post("/limits", {"enforced": True})
    run.worlds.post("/azure/traits", {"page_size": 1})
    second = run.worlds.described["azure"]["subscriptions"][1]
    broken = run.inject_faults(
        {"system": "azure", "operation": "vms.list", "nth": 40, "status": 503},
        {"system": "azure", "operation": "nics.list", "nth": 50, "action": "throttle", "retry_after": "1"},
    )
    crowd = [vm(f"crowd-{number}", power="deallocated") for number in range(CROWD)]
    run.start(*crowd, vm("near"), vm("far", subscription=second))
    first = run.wait("the first complete poll", lambda: _complete(run))
    end = run.ledger_end()
    run.wait("the faults", lambda: all(map(run.fault_was_met, broken)))
    run.wait_commissioned(*NAMES)
    run.snapshot("commissioned", first=first, end=end)


def _complete(run: ScenarioRun) -> dict[str, Any] | None:
    poll: dict[str, Any] = run.rig.estate().get("status", {}).get("poll") or {}
    return poll if poll.get("complete") else None


SCENARIO = Scenario("large-fleet", scenario)


def test_a_list_longer_than_the_rate_limit_is_read_to_its_end(recording: Recording) -> None:
    snapshot = recording.snapshot("commissioned")

    assert snapshot.notes["first"]["vms"] == CROWD + len(NAMES)
    assert len(snapshot.of("azure", *LISTS)) > 250
    assert len(snapshot.hosts) == CROWD + len(NAMES)


def test_what_was_read_before_a_page_failed_is_not_read_again(recording: Recording) -> None:
    snapshot = recording.snapshot("commissioned")
    pages = [len([each for each in snapshot.of("azure", name) if each.seq <= snapshot.notes["end"]]) for name in LISTS]
    assert pages == [pages[1] + 1, pages[1], pages[1] + 1], "the failed page of a list is asked again, and no other"


def test_azure_refused_nothing_but_what_was_ordered(recording: Recording) -> None:
    snapshot = recording.snapshot("commissioned")
    refused = [entry for entry in snapshot.entries if entry.system == "azure" and entry.status == 429]
    assert len(refused) == 1, "lists wait for their turns"
