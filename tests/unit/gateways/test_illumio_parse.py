from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.gateways import illumio_reading as reading
from microseg.model.facts import Label

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
    found = reading.workload(workload(), 1, {})
    assert found is not None
    assert found.addresses == {"10.0.0.4", "fd00::1"}
    assert found.labels == (APP,)
    assert (found.uuid, found.external_reference) == ("6f3a6f4e-0000-4000-8000-000000000001", "vm")


@pytest.mark.parametrize(
    "stamp", ["2026-02-01T10:00:00Z", "2026-02-01T10:00:00.123456Z", "2026-02-01T10:00:00.1+00:00"]
)
def test_times_are_read_with_any_number_of_digits(stamp: str) -> None:
    found = reading.workload(workload(created_at=stamp), 1, {})
    assert found is not None
    assert found.created_at is not None


def test_labels_without_keys_are_found_in_the_index() -> None:
    item = workload(labels=[{"href": ENV.href}, {"href": "/orgs/1/labels/99"}])
    assert reading.lacks_keys([item])
    found = reading.workload(item, 1, INDEX)
    assert found is not None
    assert found.labels == (ENV,)


@pytest.mark.parametrize(
    "href", ["", "/orgs/2/workloads/a", "/orgs/1/labels/a", "/orgs/1/workloads/../x", "/orgs/1/workloads/a?b=c"]
)
def test_an_href_of_another_place_is_none(href: str) -> None:
    assert reading.workload(workload(href=href), 1, {}) is None


def test_managed_means_that_an_agent_stands_behind_it() -> None:
    assert reading.is_managed(workload())
    assert reading.is_managed(workload(ven=None, agent={"href": "/orgs/1/agents/7"}))
    assert not reading.is_managed(workload(ven=None))
    assert not reading.is_managed(workload(deleted=True))


def test_a_profile_says_unlimited_as_none() -> None:
    found = reading.profile(
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
    assert reading.profile({"href": "/orgs/1/pairing_profiles/x"}, 1) is None


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
    assert reading.bulk_failures([item, "rubbish"]) == ({} if why is None else {"h": why})


def test_labels_are_merged_by_key() -> None:
    bank = Label("app", "bank", "/orgs/1/labels/9")
    item = workload(labels=[{"href": APP.href}, {"href": ENV.href}])
    assert reading.merged(item, 1, INDEX, [bank], set()) == [ENV.href, bank.href]
    assert reading.merged(item, 1, INDEX, [], {"env"}) == [APP.href]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["href", "labels", "interfaces", "ven", "key", "value"]), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(JSON)
def test_no_shape_of_json_breaks_the_reader(data: object) -> None:
    reading.workload(workload(labels=data, interfaces=data, ven=data), 1, INDEX)
    reading.workload(data, 1, INDEX)
    reading.label(data, 1)
    reading.profile(data, 1)
    reading.bulk_failures(data)
    reading.is_managed(data)
    reading.lacks_keys([data])
