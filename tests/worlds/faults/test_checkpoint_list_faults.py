"""The vendor's own client meets every fault that alters a list of Check Point or makes it stale."""

from __future__ import annotations

import time

from cpapi import APIClient

from .checkpoint_client import add, call, hosts
from .conftest import Management
from .fault_coverage import covers, inject


@covers("checkpoint", "stale")
def test_a_stale_answer_misses_what_was_published_while_another_question_knows_it(management: Management) -> None:
    client = management.login()
    inject(management.control, "checkpoint", "show-hosts", "stale", seconds=60)
    assert hosts(client) == []
    management.order("edit", {"do": "add-host", "host": "new", "ip-address": "10.0.0.9"})
    assert hosts(client) == []
    assert management.ok(client, "show-host", name="new")["ipv4-address"] == "10.0.0.9"


@covers("checkpoint", "stale")
def test_a_stale_answer_is_true_again_after_its_time(management: Management) -> None:
    client = management.login()
    inject(management.control, "checkpoint", "show-hosts", "stale", seconds=0.2)
    hosts(client)
    management.order("edit", {"do": "add-host", "host": "new", "ip-address": "10.0.0.9"})
    until = time.monotonic() + 5
    while hosts(client) != ["new"]:
        assert time.monotonic() < until
        time.sleep(0.05)


@covers("checkpoint", "item-duplicated")
def test_an_item_comes_twice(management: Management) -> None:
    client = management.login()
    for number in (1, 2):
        assert add(client, number).success
    inject(management.control, "checkpoint", "show-hosts", "item-duplicated")
    assert [host["name"] for host in call(client, "show-hosts").data["objects"]] == ["h1", "h2", "h1"]


def many(management: Management) -> APIClient:
    """A session with 120 hosts: three of the SDK's pages."""
    client = management.login()
    batch = [{"name": f"h{number:03}", "ip-address": f"10.0.1.{number}"} for number in range(120)]
    management.ok(client, "add-objects-batch", objects=[{"type": "host", "list": batch}])
    return client


@covers("checkpoint", "page-missing")
def test_a_page_is_empty_beside_its_true_positions(management: Management) -> None:
    client = many(management)
    inject(management.control, "checkpoint", "show-hosts", "page-missing", nth=2)
    seen = hosts(client)
    assert len(seen) == 70
    assert set(seen).isdisjoint({f"h{number:03}" for number in range(50, 100)})


@covers("checkpoint", "page-repeated")
def test_a_page_comes_again_instead_of_the_next_one(management: Management) -> None:
    client = many(management)
    inject(management.control, "checkpoint", "show-hosts", "page-repeated", nth=2)
    seen = hosts(client)
    assert len(seen) == 120
    assert seen[:50] == seen[50:100]
