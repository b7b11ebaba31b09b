"""Azure Resource Graph of the Azure simulator: what it shows, how late, how much of it, and to whom."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.azure.machine import Vm

from .conftest import OTHER_SUBSCRIPTION, SUBSCRIPTION, Azure

PATH = "/providers/Microsoft.ResourceGraph/resources?api-version=2021-03-01"
VMS = (
    "Resources | where type =~ 'microsoft.compute/virtualmachines' | project id, type, tags, vmId = properties.vmId, "
    "power = properties.extended.instanceView.powerState.code | order by id asc"
)
NICS = (
    "Resources | where type =~ 'Microsoft.Network/networkInterfaces' | project id, addresses = "
    "properties.ipConfigurations | order by id asc"
)


def ask(azure: Azure, query: str = VMS, **more: Any) -> Any:
    """The answer, whatever its status."""
    options = {"resultFormat": "objectArray", "$top": 1000} | more.pop("options", {})
    body = {"subscriptions": [SUBSCRIPTION, OTHER_SUBSCRIPTION], "query": query, "options": options} | more
    with azure.session() as session:
        return session.post(f"{azure.url}{PATH}", json=body, timeout=5)


def rows(azure: Azure, query: str = VMS) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(azure, query).json()["data"]
    return found


def test_a_query_shows_all_subscriptions_in_one_page_with_lower_cased_types_and_the_power_state(azure: Azure) -> None:
    one, two = azure.add({"name": "b", "tags": {"app": "x"}}, {"name": "a", "subscription": OTHER_SUBSCRIPTION})
    answer = ask(azure).json()
    assert [row["vmId"] for row in answer["data"]] == [one.vm_id, two.vm_id]
    assert {row["type"] for row in answer["data"]} == {"microsoft.compute/virtualmachines"}
    assert answer["data"][0]["tags"] == {"app": "x"}
    assert answer["data"][0]["power"] == "PowerState/running"
    assert (answer["totalRecords"], answer["count"], answer["resultTruncated"]) == (2, 2, "false")
    assert [row["id"].rpartition("/")[2] for row in rows(azure, NICS)] == ["b-nic0", "a-nic0"]


def test_ids_are_spelled_otherwise_than_in_lists(azure: Azure) -> None:
    azure.add({"name": "Web1", "resourceGroup": "Shop-RG"})
    with azure.compute() as compute:
        (listed,) = compute.virtual_machines.list_all()
    (row,) = rows(azure)
    assert (row["id"] == listed.id, row["id"].lower() == str(listed.id).lower()) == (False, True)


def test_pages_are_followed_by_the_skip_token(azure: Azure) -> None:
    azure.add(*({"name": f"vm{number}"} for number in range(5)))
    first = ask(azure, options={"$top": 3}).json()
    second = ask(azure, options={"$top": 3, "$skipToken": first["$skipToken"]}).json()
    assert (len(first["data"]), len(second["data"]), first["totalRecords"]) == (3, 2, 5)
    assert "$skipToken" not in second


def test_without_the_id_there_is_no_next_page(azure: Azure) -> None:
    azure.add({"name": "a"}, {"name": "b"})
    query = VMS.replace("id, type, tags, ", "")
    answer = ask(azure, query, options={"$top": 1}).json()
    assert ("$skipToken" in answer, answer["resultTruncated"]) == (False, "true")


def lag(azure: Azure, seconds: float) -> tuple[Vm, Vm]:
    """Two VMs, of which one is changed and one is deleted, and a third one appears, all while the table lags."""
    old, gone = azure.add({"name": "old", "tags": {"v": "1"}}, {"name": "gone"})
    azure.background.call(lambda: azure.world.traits.change({"graph_lag": seconds}))
    azure.background.call(lambda: azure.world.retag(old, {"v": "2"}))
    azure.background.call(lambda: azure.world.delete(gone))
    azure.add({"name": "new"})
    return old, gone


def named(azure: Azure) -> list[tuple[str, object]]:
    return [(row["id"].rpartition("/")[2], row["tags"]) for row in rows(azure)]


def test_it_shows_what_was_true_some_time_ago(azure: Azure) -> None:
    lag(azure, 1_000_000.0)
    assert named(azure) == [("gone", None), ("old", {"v": "1"})]


def test_what_changed_is_shown_after_the_lag(azure: Azure) -> None:
    _, gone = lag(azure, 5.0)
    azure.wait(lambda: gone.vm_id not in azure.world.graph._vms and len(azure.world.graph._vms) == 2)
    assert named(azure) == [("new", None), ("old", {"v": "2"})]


def test_without_a_lag_everything_is_shown_at_once(azure: Azure) -> None:
    lag(azure, 1_000_000.0)
    azure.background.call(lambda: azure.world.traits.change({"graph_lag": 0.0}))
    assert named(azure) == [("new", None), ("old", {"v": "2"})]


def test_what_the_caller_may_not_read_is_missing_without_an_error(azure: Azure) -> None:
    azure.add({"name": "mine"}, {"name": "theirs", "resourceGroup": "secret"})
    azure.background.call(lambda: azure.world.traits.change({"denied": ["secret", "mine-nic0"]}))
    assert [row["id"].rpartition("/")[2] for row in rows(azure)] == ["mine"]
    assert rows(azure, NICS) == []
    azure.background.call(lambda: azure.world.traits.change({"lacking": ["Microsoft.Compute/virtualMachines/read"]}))
    answer = ask(azure)
    assert (answer.status_code, answer.json()["totalRecords"]) == (200, 0)


@pytest.mark.parametrize(
    ("query", "more", "code"),
    [
        ("Resources | take 5", {}, "InvalidQuery"),
        (VMS + " | limit 5", {}, "InvalidQuery"),
        (VMS.replace("tags", "tolower(tags)"), {}, "InvalidQuery"),
        (VMS, {"subscriptions": ["55555555-5555-5555-5555-555555555555"]}, "NoValidSubscriptionsInQueryRequest"),
        (VMS, {"options": {"$top": 5000}}, "InvalidOptions"),
        (VMS, {"options": {"$skipToken": "nonsense"}}, "InvalidSkipToken"),
    ],
)
def test_a_query_that_it_does_not_know_is_refused(azure: Azure, query: str, more: dict[str, Any], code: str) -> None:
    answer = ask(azure, query, **more)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")
    assert answer.json()["error"]["details"][0]["code"] == code


def test_fifteen_queries_in_five_seconds_are_the_limit_of_a_caller(azure: Azure) -> None:
    azure.environment.limits = True
    azure.background.call(lambda: setattr(azure.world.graph, "_now", lambda: 100.0))
    answers = [ask(azure) for _ in range(16)]
    assert [answer.status_code for answer in answers] == [200] * 15 + [429]
    left = [int(answer.headers["x-ms-user-quota-remaining"]) for answer in answers]
    assert left == [*range(14, -1, -1), 0]
    assert answers[-1].headers["x-ms-user-quota-resets-after"] == "00:00:05"
    assert answers[-1].headers["Retry-After"] == "5"
    azure.background.call(lambda: setattr(azure.world.graph, "_now", lambda: 105.0))
    assert ask(azure).status_code == 200


def test_a_query_counts_against_no_limit_of_resource_manager(azure: Azure) -> None:
    assert not [name for name in ask(azure).headers if name.lower().startswith("x-ms-ratelimit")]
    assert azure.environment.ledger.counts()["azure"]["graph.query"] == 1


def test_one_network_interface_can_be_read(azure: Azure) -> None:
    azure.add({"name": "web", "nics": [{"addresses": ["10.1.0.9"], "resourceGroup": "net"}]})
    path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/NET/providers/Microsoft.Network/networkInterfaces/web-nic0"
    with azure.session() as session:
        url = f"{azure.url}{path}?api-version=2024-05-01"
        nic = session.get(url, timeout=5).json()
        assert nic["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] == "10.1.0.9"
        assert session.get(url.replace("nic0", "nic7"), timeout=5).status_code == 404
        azure.background.call(lambda: azure.world.traits.change({"denied": ["net"]}))
        assert session.get(url, timeout=5).status_code == 403
