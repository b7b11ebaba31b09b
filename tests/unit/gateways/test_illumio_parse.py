from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.gateways.illumio import parse
from microseg.model.illumio_facts import Label

NOW = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)
APP = Label("app", "shop", "/orgs/1/labels/3")
ENV = Label("env", "prod", "/orgs/1/labels/4")
INDEX = {APP.href: APP, ENV.href: ENV}


def workload(**more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "href": "/orgs/1/workloads/6f3a6f4e-0000-4000-8000-000000000001",
        "name": None,
        "hostname": "web1.corp.example",
        "created_at": "2026-02-01T10:00:00.123Z",
        "enforcement_mode": "visibility_only",
        "online": True,
        "ven": {"href": "/orgs/1/vens/6f3a6f4e-0000-4000-8000-000000000001"},
        "labels": [{"href": APP.href, "key": "app", "value": "shop"}],
        "interfaces": [
            {"name": "lo", "address": "127.0.0.1", "loopback": True},
            {"name": "eth0", "address": "10.0.0.4", "cidr_block": 24},
            {"name": "eth0", "address": "FD00::1"},
            {"name": "eth1", "address": None},
            {"name": "eth2", "address": "nonsense"},
        ],
        "public_ip": "20.1.2.3",
        "external_data_set": "microseg.dev/a/b",
        "external_data_reference": "vm",
    }
    return body | more


def test_a_workload_is_read_with_its_own_addresses_only() -> None:
    found = parse.workload(workload(), 1, {}, NOW)
    assert found is not None
    assert found.addresses == {"10.0.0.4", "fd00::1"}
    assert found.labels == (APP,)
    assert (found.uuid, found.external_reference) == ("6f3a6f4e-0000-4000-8000-000000000001", "vm")


@pytest.mark.parametrize(
    "stamp", ["2026-02-01T10:00:00Z", "2026-02-01T10:00:00.123456Z", "2026-02-01T10:00:00.1+00:00"]
)
def test_times_are_read_with_any_number_of_digits(stamp: str) -> None:
    found = parse.workload(workload(created_at=stamp), 1, {}, NOW)
    assert found is not None
    assert found.created_at is not None


def test_a_time_of_another_zone_is_told_in_utc() -> None:
    found = parse.workload(workload(created_at="2026-02-01T23:00:00+13:00"), 1, {}, NOW)
    assert found is not None
    assert f"{found.created_at:%Y-%m-%d %H:%M}" == "2026-02-01 10:00"


@pytest.mark.parametrize("never", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.9999999Z"])
def test_a_time_that_means_never_is_none(never: str) -> None:
    agent = {"href": "/orgs/1/agents/7", "status": {"status": "active", "last_heartbeat_on": never}}
    found = parse.workload(workload(agent=agent, created_at=never), 1, {}, NOW)
    assert found is not None
    assert (found.heartbeat_at, found.created_at, found.silent) == (None, None, False)


def test_a_heartbeat_that_advances_is_no_change_and_one_that_stays_away_is() -> None:
    def beat(at: datetime) -> Any:
        status = {"status": "active", "last_heartbeat_on": at.isoformat()}
        return parse.workload(workload(agent={"href": "/orgs/1/agents/7", "status": status}), 1, {}, NOW)

    fresh, newer, old = (beat(NOW - age) for age in (timedelta(minutes=9), timedelta(minutes=4), timedelta(hours=2)))
    assert fresh == newer != old
    assert newer.heartbeat_at - fresh.heartbeat_at == timedelta(minutes=5)
    assert (fresh.online, fresh.ven_status, fresh.silent, old.silent) == (True, "active", False, True)


@pytest.mark.parametrize("ahead", [timedelta(days=2), timedelta(days=26000)])
def test_a_heartbeat_of_a_day_that_is_still_to_come_is_none(ahead: timedelta) -> None:
    status = {"status": "active", "last_heartbeat_on": (NOW + ahead).isoformat()}
    found = parse.workload(workload(agent={"href": "/orgs/1/agents/7", "status": status}, online=False), 1, {}, NOW)
    assert found is not None
    assert (found.heartbeat_at, found.online, found.silent) == (None, False, True)


def test_what_the_pce_does_not_say_of_a_ven_is_not_known() -> None:
    found = parse.workload(workload(online=None, created_at=NOW.isoformat()), 1, {}, NOW)
    assert found is not None
    assert (found.online, found.ven_status, found.silent, found.heartbeat_at) == (None, "", False, None)


@pytest.mark.parametrize(("online", "silent"), [(True, False), (None, True), (False, True)])
def test_without_a_heartbeat_the_word_of_the_pce_decides(*, online: bool | None, silent: bool) -> None:
    found = parse.workload(workload(online=online, created_at="2025-01-01T00:00:00Z"), 1, {}, NOW)
    assert found is not None
    assert (found.online, found.silent, found.heartbeat_at) == (online, silent, None)


def test_labels_without_keys_are_found_in_the_index() -> None:
    item = workload(labels=[{"href": ENV.href}, {"href": "/orgs/1/labels/99"}])
    assert parse.lacks_label_keys(item)
    found = parse.workload(item, 1, INDEX, NOW)
    assert found is not None
    assert found.labels == (ENV,)


@pytest.mark.parametrize(
    "href", ["", "/orgs/2/workloads/a", "/orgs/1/labels/a", "/orgs/1/workloads/../x", "/orgs/1/workloads/a?b=c"]
)
def test_an_href_of_another_organisation_or_kind_is_rejected(href: str) -> None:
    assert parse.workload(workload(href=href), 1, {}, NOW) is None


AGENT = {"href": "/orgs/1/agents/7"}


@pytest.mark.parametrize("row", [workload(), workload(ven=None, agent=AGENT)])
def test_a_workload_has_a_ven_or_the_older_agent(row: dict[str, Any]) -> None:
    found = parse.workload(row, 1, {}, NOW)
    assert parse.is_there(row)
    assert found is not None
    assert found.has_ven


def test_a_row_without_ven_and_agent_cannot_be_read_and_is_no_absence() -> None:
    row = workload(ven=None)
    assert parse.is_there(row)
    assert parse.workload(row, 1, {}, NOW) is None


@pytest.mark.parametrize("row", [workload(deleted=True), workload(ven=None, managed=False)])
def test_a_workload_that_the_pce_says_is_none_is_passed_over(row: dict[str, Any]) -> None:
    assert not parse.is_there(row)


def test_an_unlimited_profile_has_no_limit() -> None:
    found = parse.pairing_profile(
        {
            "href": "/orgs/1/pairing_profiles/7",
            "name": "n",
            "enabled": True,
            "allowed_uses_per_key": "unlimited",
            "key_lifespan": 600,
        },
        1,
    )
    assert found is not None
    assert (found.number, found.uses_per_key, found.key_life) == (7, None, 600)
    assert parse.pairing_profile({"href": "/orgs/1/pairing_profiles/x"}, 1) is None


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"href": "h", "status": "updated"}, None),
        ({"href": "h", "status": "error", "token": "t", "message": "m"}, "t: m"),
        ({"href": "h", "status": "validation_failure"}, "validation_failure"),
        ({"href": "h"}, "the PCE gave no reason"),
        ({"href": "h", "errors": [{"token": "t", "message": "m"}]}, "t: m"),
        ({"status": "error"}, None),
    ],
)
def test_a_bulk_answer_names_what_failed(item: dict[str, Any], why: str | None) -> None:
    assert parse.bulk_failures([item, "rubbish"]) == ({} if why is None else {"h": why})


def test_labels_are_merged_by_key() -> None:
    bank = Label("app", "bank", "/orgs/1/labels/9")
    item = workload(labels=[{"href": APP.href}, {"href": ENV.href}])
    assert parse.merged_labels(item, 1, INDEX, [bank], set()) == [ENV.href, bank.href]
    assert parse.merged_labels(item, 1, INDEX, [], {"env"}) == [APP.href]


def test_a_label_that_the_list_lacks_stays_and_one_without_an_href_stops_the_write() -> None:
    theirs = "/orgs/1/labels/77"
    item = workload(labels=[{"href": APP.href}, {"href": theirs}, {"href": "/orgs/1/labels/78", "key": "env"}])
    assert parse.merged_labels(item, 1, INDEX, [ENV], set()) == [APP.href, theirs, ENV.href]
    for broken in ({}, {"href": "/orgs/2/labels/1"}, {"href": "/orgs/1/labels/../x"}):
        assert parse.merged_labels(workload(labels=[broken]), 1, INDEX, [ENV], set()) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["href", "labels", "interfaces", "ven", "key", "value"]), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(JSON)
def test_no_shape_of_json_breaks_the_parser(data: object) -> None:
    parse.workload(workload(labels=data, interfaces=data, ven=data), 1, INDEX, NOW)
    parse.workload(data, 1, INDEX, NOW)
    parse.label(data, 1)
    parse.pairing_profile(data, 1)
    parse.bulk_failures(data)
    parse.is_there(data)
    parse.lacks_label_keys([data])
