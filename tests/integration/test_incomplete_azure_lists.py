"""Incomplete or wrong lists of Azure: no host loses its protection (S5).

Retirement is as fast as possible here, so that a wrong decision would show within seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.integration.scenario import SEED, ScenarioRun, fast_retirement, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, assert_untouched

NAMES = ("near", "far", "tagged", "split")
NET = "net-rg"
"""A resource group that has only a NIC, of `split`."""
NICS = (
    {"name": "near-one", "addresses": ["10.9.0.4"]},
    {"name": "far-one", "addresses": ["10.9.8.4"], "resourceGroup": NET},
)
CROWD = 55
"""VMs that were never started: they fill more than one page and need no work."""
POLLS = 4
"""Twice as many polls as a VM must be missing from before the operator asks Azure for it."""

NO_SUBSCRIPTION = {"error": {"code": "SubscriptionNotFound", "message": "The subscription could not be found."}}
DISABLED = {"error": {"code": "ReadOnlyDisabledSubscription", "message": "The subscription is disabled."}}
FORBIDDEN = {"error": {"code": "AuthorizationFailed", "message": "The client does not have authorization."}}
ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "empty": {"status": 200, "body": {"value": []}},
    "without its last page": {"action": "link-missing", "phase": "after"},
    "with an empty page": {"action": "page-missing", "phase": "after"},
    "forbidden": {"status": 403, "body": FORBIDDEN},
    "of a subscription that is gone": {"status": 404, "body": NO_SUBSCRIPTION},
    "of a disabled subscription": {"status": 409, "body": DISABLED},
}
"""Name -> the wrong answer of the VM list for some polls; a GET of each VM is right."""


def scenario(run: ScenarioRun) -> None:
    """One wrong list after the other."""
    crowd = [vm(f"crowd-{number}", power="deallocated") for number in range(CROWD)]
    orders = [vm(name, tags=SEED) for name in NAMES if name not in ("far", "split")]
    orders.append(vm("split", tags=SEED, nics=list(NICS)))
    second = _subscriptions(run)[1]
    far = vm("far", tags=SEED, subscription=second, resourceGroup="far-rg")
    run.start(*crowd, *orders, far, change=fast_retirement)
    run.wait_commissioned(*NAMES)
    run.wait_settled()
    run.snapshot("before")
    for name, answer in ANSWERS.items():
        _wrong(run, name, answer)
    _stale(run)
    _denied(run)
    _rows_that_cannot_be_read(run)
    _nics_that_are_not_listed(run)


def _wrong(run: ScenarioRun, name: str, answer: Mapping[str, Any]) -> None:
    """Make the list of VMs wrong for some polls. What is refused is told before the list is right again."""
    refused = int(answer.get("status", 200)) >= 400
    count = len(_subscriptions(run)) * POLLS
    fault = run.inject_fault("azure", "vms.list", count=count, **answer)
    if refused:
        run.wait_for_estate_condition("AzureReachable", "False")
    else:
        run.wait(f"{count} lists {name}", lambda: run.fault_was_met(fault))
    run.snapshot(f"a list {name}")
    _wait_until_listed(run)


def _subscriptions(run: ScenarioRun) -> list[str]:
    found: list[str] = run.worlds.described["azure"]["subscriptions"]
    return found


def _wait_until_listed(run: ScenarioRun) -> None:
    """Wait until every VM is listed again."""
    run.wait_for_estate_condition("AzureReachable", "True")
    run.wait_commissioned(*NAMES)
    run.wait("nobody is missed", lambda: not [host for host in run.rig.hosts() if "missingSince" in host.raw["status"]])


def _stale(run: ScenarioRun) -> None:
    """Make lists stale for longer than a retirement takes, and re-create a VM meanwhile."""
    since = run.ledger_end()
    run.inject_fault("azure", "vms.list", action="stale", seconds=4.0)
    run.wait_for_entry("azure", "vms.list", since=since)
    run.worlds.post("/azure/vms/near/retag", {"tags": SEED | {"note": "retagged"}})
    run.wait_polls(3)
    run.snapshot("a list that is stale")
    run.wait("the new tag", lambda: "retagged" in json.dumps(run.hosts()["near"].raw["status"]["azure"]))


def _denied(run: ScenarioRun) -> None:
    """Remove the right to read one resource group: a shorter list, and 403 for each of its VMs."""
    run.worlds.post("/azure/traits", {"denied": ["far-rg"]})
    run.wait_for_reasons(far="GoneUnproven")
    run.wait_polls(2)
    run.snapshot("a list that is short")
    run.worlds.post("/azure/traits", {"denied": []})
    _wait_until_listed(run)


def _rows_that_cannot_be_read(run: ScenarioRun) -> None:
    """Take the vmId from a page of rows, and move a VM into a group whose name begins with a parenthesis."""
    asked = run.ledger_end()
    crowd = [f"crowd-{number}" for number in range(CROWD)]
    run.worlds.post("/azure/traits", {"unidentified": ["near", *crowd]})
    run.wait_for_reasons(near="RowsUnreadable")
    run.wait_polls(POLLS)
    told = run.wait_for_estate_condition("Ready", "False", "RowsUnreadable", f"rows that cannot be read: {CROWD + 1}")
    run.snapshot("a list with rows that cannot be read", told=told["message"], asked=asked)
    run.worlds.post("/azure/traits", {"unidentified": []})
    _wait_until_listed(run)
    run.worlds.post("/azure/vms/near/move", {"resourceGroup": "(prod)"})
    run.wait("the move", lambda: "(PROD)" in json.dumps(run.hosts()["near"].raw["status"]["azure"]))
    run.wait_polls(2)
    run.snapshot("a list with a parenthesis")


def _nics_that_are_not_listed(run: ScenarioRun) -> None:
    """Remove the right to read one of two NICs, and the only NIC of another VM."""
    run.worlds.post("/azure/traits", {"denied": [NET, "tagged-nic0"]})
    run.wait_for_reasons(split="NicUnreadable", tagged="NicUnreadable")
    told = run.wait_for_estate_condition("Ready", "False", "NicUnreadable", "far-one of VM split")
    run.wait_polls(2)
    run.snapshot("a list of NICs that is short", told=told["message"])
    run.worlds.post("/azure/traits", {"denied": []})
    _wait_until_listed(run)


SCENARIO = Scenario("incomplete-azure-lists", scenario, long=True)


SHORT = (
    "that is stale",
    "that is short",
    "with rows that cannot be read",
    "with a parenthesis",
    "of NICs that is short",
)


@pytest.mark.parametrize("name", [*ANSWERS, *SHORT])
def test_a_wrong_list_retires_nobody_and_changes_nothing_outside(recording: Recording, name: str) -> None:
    before, snapshot = recording.snapshot("before"), recording.snapshot(f"a list {name}")

    assert_untouched(before, snapshot)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("forbidden", "AuthorizationFailed"),
        ("of a subscription that is gone", "SubscriptionNotFound"),
        ("of a disabled subscription", "ReadOnlyDisabledSubscription"),
    ],
)
def test_a_list_that_is_refused_is_told_with_azures_own_code(recording: Recording, name: str, words: str) -> None:
    told = recording.snapshot(f"a list {name}").condition("AzureReachable")

    assert told["status"] == "False"
    assert words in told["message"]


def test_who_cannot_be_read_is_told_what_to_do_about_it(recording: Recording) -> None:
    host = recording.snapshot("a list that is short").hosts["far"]

    told = host.condition("Stalled")
    assert (told.status, told.reason) == ("True", "GoneUnproven")
    assert f"microseg approve gone {host.vm_id}@" in told.message


def test_a_vm_that_an_unreadable_row_may_be_is_not_even_asked_for(recording: Recording) -> None:
    snapshot = recording.snapshot("a list with rows that cannot be read")

    assert [
        each for each in snapshot.entries if each.operation == "vms.get" and each.seq > snapshot.notes["asked"]
    ] == []
    assert "missingSince" not in snapshot.hosts["near"].raw["status"]
    assert snapshot.hosts["near"].condition("Discovered").status == "Unknown"
    assert snapshot.hosts["tagged"].commissioned
    assert snapshot.estate["status"]["poll"]["unreadableRows"] == CROWD + 1
    assert "has no usable vmId: /subscriptions/" in snapshot.notes["told"]


def test_a_vm_in_a_group_that_begins_with_a_parenthesis_is_a_vm_like_any_other(recording: Recording) -> None:
    assert recording.snapshot("a list with a parenthesis").hosts["near"].commissioned


@pytest.mark.parametrize(("name", "nic"), [("split", "far-one"), ("tagged", "tagged-nic0")])
def test_a_nic_that_is_not_listed_is_unknown_and_its_object_stays(recording: Recording, name: str, nic: str) -> None:
    before, snapshot = recording.snapshot("before"), recording.snapshot("a list of NICs that is short")

    grouped = snapshot.hosts[name].condition("Grouped")
    assert (grouped.status, grouped.reason) == ("Unknown", "NicUnreadable")
    assert nic in grouped.message
    assert nic in snapshot.notes["told"]
    assert snapshot.hosts[name].ip == before.hosts[name].ip
    assert snapshot.objects_of(name) == before.objects_of(name)
    assert snapshot.hosts[name].true("PolicyInstalled")
