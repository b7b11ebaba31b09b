"""The vendor's own client (`illumio` 1.1.3) meets every fault of the PCE."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from tests.worlds.illumio.conftest import sdk as illumio

from simulators.faults import Action

from .conftest import Pce
from .fault_coverage import covers, inject, refusal


def hosts(client: Any) -> list[str]:
    return [str(workload.hostname) for workload in client.workloads.get(params={"managed": True})]


def patient(pce: Pce) -> Any:
    """The SDK with its usual retries."""
    client = illumio.PolicyComputeEngine(
        "https://127.0.0.1", port=pce.host.rpartition(":")[2], org_id=str(pce.world.org_id), retry_count=2
    )
    client.set_credentials(pce.world.api_user, pce.world.api_secret)
    client.set_tls_settings(verify=str(pce.authority))
    client._session.trust_env = False
    pce.sessions.append(client._session)
    return client


@covers("illumio", "status")
def test_a_status_before_the_effect_prevents_it_and_its_token_is_read(pce: Pce) -> None:
    body = [{"token": "hard_limit_exceeded", "message": "too many labels"}]
    inject(pce.control, "illumio", "labels.create", "status", status=406, body=body)
    client = pce.sdk()
    with pytest.raises(illumio.IllumioApiException, match=r"(?s)code 406.*hard_limit_exceeded: too many labels"):
        client.labels.create(illumio.Label(key="role", value="web"))
    assert client.labels.get() == []


@covers("illumio", "status")
def test_a_status_after_the_effect_hides_a_label_that_is_there(pce: Pce) -> None:
    inject(pce.control, "illumio", "labels.create", "status", status=500, phase="after")
    client = pce.sdk()
    with pytest.raises(illumio.IllumioApiException, match="500"):
        client.labels.create(illumio.Label(key="role", value="web"))
    assert [label.value for label in client.labels.get()] == ["web"]


@covers("illumio", "delay")
def test_a_delay_is_waited_for(pce: Pce) -> None:
    inject(pce.control, "illumio", "workloads.list", "delay", seconds=0.3)
    started = time.monotonic()
    assert hosts(pce.sdk()) == []
    assert time.monotonic() - started >= 0.3


@covers("illumio", "cut")
@pytest.mark.parametrize(("phase", "labels"), [("before", []), ("after", ["web"])])
def test_a_cut_looks_the_same_before_and_after_the_effect(pce: Pce, phase: str, labels: list[str]) -> None:
    inject(pce.control, "illumio", "labels.create", "cut", phase=phase)
    client = pce.sdk()
    with pytest.raises(illumio.IllumioApiException, match="aborted"):
        client.labels.create(illumio.Label(key="role", value="web"))
    assert [label.value for label in client.labels.get()] == labels


@covers("illumio", "hang")
def test_a_hang_is_given_up_after_the_clients_own_time(pce: Pce) -> None:
    inject(pce.control, "illumio", "workloads.list", "hang")
    client = pce.sdk()
    client.set_timeout(0.2)
    with pytest.raises(illumio.IllumioApiException, match="timed out"):
        hosts(client)


@covers("illumio", "html")
def test_html_of_a_maintenance_page_leaves_the_status_only(pce: Pce) -> None:
    inject(pce.control, "illumio", "workloads.list", "html", status=503)
    with pytest.raises(illumio.IllumioApiException, match="too many 503 error responses"):
        hosts(pce.sdk())


@covers("illumio", "truncate")
def test_truncated_json_is_an_error_and_no_short_list(pce: Pce) -> None:
    pce.preload("web1")
    inject(pce.control, "illumio", "workloads.list", "truncate", phase="after")
    with pytest.raises(requests.JSONDecodeError):
        hosts(pce.sdk())


@covers("illumio", "throttle")
def test_a_429_without_a_header_loses_its_token_in_the_sdk(pce: Pce) -> None:
    inject(pce.control, "illumio", "workloads.list", "throttle", count=2)
    with pytest.raises(illumio.IllumioApiException, match="too many 429 error responses"):
        hosts(pce.sdk())
    answer = pce.call("GET", "/workloads")
    assert (answer.status_code, answer.json()[0]["token"]) == (429, "too_many_requests_error")
    assert "Retry-After" not in answer.headers


@covers("illumio", "throttle")
@pytest.mark.parametrize(("seconds", "at_least"), [("7", 7), ("999999999", 6 * 3600)])
def test_the_sdk_sleeps_as_long_as_a_429_says_or_for_hours(
    pce: Pce, monkeypatch: pytest.MonkeyPatch, seconds: str, at_least: float
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time", SimpleNamespace(sleep=slept.append, time=time.time))
    inject(pce.control, "illumio", "workloads.list", "throttle", retry_after=seconds)
    assert hosts(patient(pce)) == []
    assert len(slept) == 1
    assert slept[0] >= at_least


@covers("illumio", "throttle")
def test_a_429_with_a_word_for_a_time_is_an_error(pce: Pce) -> None:
    inject(pce.control, "illumio", "workloads.list", "throttle", retry_after="soon")
    with pytest.raises(illumio.IllumioApiException, match="soon"):
        hosts(patient(pce))


@covers("illumio", "expire")
def test_a_key_that_dies_is_refused_until_it_is_good_again(pce: Pce) -> None:
    client = pce.sdk()
    assert hosts(client) == []
    inject(pce.control, "illumio", "workloads.list", "expire")
    for _ in range(2):
        with pytest.raises(illumio.IllumioApiException, match="code 401"):
            hosts(client)
    pce.order("key", {"alive": True}, 200)
    assert hosts(client) == []


@covers("illumio", "stale")
def test_a_stale_list_misses_a_workload_and_shows_old_labels_while_a_get_knows_better(pce: Pce) -> None:
    first = pce.preload("web1")
    inject(pce.control, "illumio", "workloads.list", "stale", seconds=60)
    client = pce.sdk()
    assert hosts(client) == ["web1"]
    second = pce.preload("web2")
    label = client.labels.create(illumio.Label(key="role", value="web"))
    client.workloads.update(first, {"labels": [{"href": label.href}]})
    (row,) = client.workloads.get(params={"managed": True})
    assert not row.labels
    assert client.workloads.get_by_reference(second).hostname == "web2"
    assert [each.href for each in client.workloads.get_by_reference(first).labels] == [label.href]


@covers("illumio", "stale")
def test_a_stale_list_is_true_again_after_its_time(pce: Pce) -> None:
    inject(pce.control, "illumio", "workloads.list", "stale", seconds=0.2)
    client = pce.sdk()
    hosts(client)
    pce.preload("web1")
    pce.until(lambda: hosts(client) == ["web1"], "the list is true again")


def rows(pce: Pce, monkeypatch: pytest.MonkeyPatch, polls: int = 50) -> list[Any]:
    """An asynchronous list by the SDK, which polls for ever: TimeoutError after so many polls."""
    naps: list[float] = []

    def nap(_: float) -> None:
        naps.append(0.0)
        if len(naps) > polls:
            raise TimeoutError
        pce.background.run(asyncio.sleep(0.01))

    monkeypatch.setattr(
        "illumio.pce.time", SimpleNamespace(sleep=nap)
    )  # not the module's: scenarios sleep in other threads
    return list(pce.sdk().workloads.get_async(params={"managed": True}))


@covers("illumio", "operation-lost")
def test_a_lost_job_is_a_404_at_its_first_poll(pce: Pce, monkeypatch: pytest.MonkeyPatch) -> None:
    inject(pce.control, "illumio", "workloads.list", "operation-lost")
    with pytest.raises(illumio.IllumioApiException) as caught:
        rows(pce, monkeypatch)
    assert "not_found_error" in str(caught.value.__cause__)


@covers("illumio", "task-fails")
def test_a_job_that_fails_says_so(pce: Pce, monkeypatch: pytest.MonkeyPatch) -> None:
    inject(pce.control, "illumio", "workloads.list", "task-fails")
    with pytest.raises(illumio.IllumioApiException) as caught:
        rows(pce, monkeypatch)
    assert "Async collection job failed" in str(caught.value.__cause__)


@covers("illumio", "task-half")
def test_a_job_that_is_done_by_half_looks_done(pce: Pce, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        pce.preload(f"vm{number}")
    inject(pce.control, "illumio", "workloads.list", "task-half")
    assert len(rows(pce, monkeypatch)) == 2


@covers("illumio", "task-endless")
def test_a_job_that_never_ends_is_polled_for_ever(pce: Pce, monkeypatch: pytest.MonkeyPatch) -> None:
    inject(pce.control, "illumio", "workloads.list", "task-endless")
    with pytest.raises(illumio.IllumioApiException) as caught:
        rows(pce, monkeypatch, polls=20)
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert len(pce.entries("jobs.get")) == 20


@covers("illumio", "item-duplicated")
def test_an_item_comes_twice(pce: Pce) -> None:
    pce.preload("web1")
    pce.preload("web2")
    inject(pce.control, "illumio", "workloads.list", "item-duplicated")
    assert hosts(pce.sdk()) == ["web1", "web2", "web1"]


@covers("illumio", "page-missing")
def test_a_list_is_empty_beside_its_true_count(pce: Pce) -> None:
    pce.preload("web1")
    inject(pce.control, "illumio", "workloads.list", "page-missing", count=2)
    assert hosts(pce.sdk()) == []
    answer = pce.call("GET", "/workloads", params={"managed": "true"})
    assert (answer.json(), answer.headers["X-Total-Count"]) == ([], "1")


@covers("illumio", "page-repeated")
def test_all_rows_come_twice(pce: Pce) -> None:
    pce.preload("web1")
    pce.preload("web2")
    inject(pce.control, "illumio", "workloads.list", "page-repeated")
    assert hosts(pce.sdk()) == ["web1", "web2"] * 2


@covers("illumio", "bulk-partial")
def test_half_of_a_bulk_fails_and_says_so_with_status_200(pce: Pce) -> None:
    client, hrefs = pce.sdk(), [pce.preload(f"vm{number}") for number in range(4)]
    inject(pce.control, "illumio", "workloads.bulk_update", "bulk-partial")
    results = client.workloads.bulk_update([illumio.Workload(href=href, name="new") for href in hrefs])
    failed = [result["href"] for result in results if result["errors"]]
    assert len(failed) == 2
    renamed = [href for href in hrefs if client.workloads.get_by_reference(href).name == "new"]
    assert sorted(renamed + failed) == sorted(hrefs)


@covers("illumio", "human-edit")
def test_somebody_relabels_between_a_look_and_the_write(pce: Pce) -> None:
    client, href = pce.sdk(), pce.preload("web1")
    edit = {"workload": "web1", "do": "relabel", "role": "db"}
    inject(pce.control, "illumio", "workloads.update", "human-edit", body=edit)
    seen = client.workloads.get_by_reference(href)
    assert not seen.labels
    client.workloads.update(href, {"name": "mine"})
    workload = client.workloads.get_by_reference(href)
    assert workload.name == "mine"
    assert [client.labels.get_by_reference(label).value for label in workload.labels] == ["db"]
    events = client.events.get(params={"event_type": "workloads.set_labels"})
    assert all(event.created_by["user"]["href"] != pce.world.user for event in events)


@covers("illumio", "human-edit")
def test_an_edit_that_cannot_be_done_is_told_in_the_ledger_and_not_to_the_caller(pce: Pce) -> None:
    inject(pce.control, "illumio", "workloads.list", "human-edit", body={"workload": "nobody", "do": "unpair"})
    assert hosts(pce.sdk()) == []
    (entry,) = pce.entries("workloads.list")
    assert entry.note.startswith("fault before: human-edit not possible:")


@covers("illumio", "foreign-lock", "link-missing", "link-to-itself", "link-elsewhere")
@pytest.mark.parametrize(
    ("action", "more", "complaint"),
    [
        ("foreign-lock", {"target": "x", "seconds": 1.0}, "locks nothing"),
        ("link-missing", {}, "no links"),
        ("link-to-itself", {}, "no links"),
        ("link-elsewhere", {}, "no links"),
        ("stale", {}, "needs 'seconds'"),
        ("bulk-partial", {}, "only bulk operations"),
        ("human-edit", {}, "needs 'body'"),
    ],
)
def test_what_a_pce_does_not_have_cannot_be_ordered_of_it(
    pce: Pce, action: Action, more: dict[str, object], complaint: str
) -> None:
    assert complaint in refusal(pce.control, "illumio", "workloads.list", action, **more)
