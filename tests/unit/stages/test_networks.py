"""Only addresses that belong enter the firewall: whoever may write a NIC puts nothing else into a group (S14)."""

from __future__ import annotations

from typing import Any

import pytest

from lab.memory import samples as m
from microseg.model import networks
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.condition import Reason
from microseg.model.facts import Seen
from microseg.model.host import HostStatus
from microseg.model.verdict import Act, Blocked, Verdict
from microseg.stages import grouping

EVERYTHING = ("0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1")
PUBLIC = "203.0.113.7"
"""Of a network that is kept for documentation."""


def judge(*addresses: str, allowed: tuple[str, ...] = (), **estate: Any) -> Verdict:
    known = {"networks": {"main": networks.parsed(allowed)}} | estate
    host = m.host(HostStatus(check_point=CheckPointRecord()))
    facts = m.facts(azure=Seen(m.vm(*addresses)))
    return grouping.judge(m.context(host=host, facts=facts, estate=m.estate(**known)))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - nothing listens on it
        "127.0.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "224.0.0.251",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.4",
        "64:ff9b::a00:4",
        "fe80::1",
        "ff02::1",
    ],
)
@pytest.mark.parametrize("allowed", [(), EVERYTHING])
def test_what_stands_for_no_single_vm_is_refused_whatever_is_allowed(address: str, allowed: tuple[str, ...]) -> None:
    assert networks.refusal(address, networks.parsed(allowed))
    verdict = judge(m.IP, address, allowed=allowed)
    assert isinstance(verdict, Blocked)
    assert verdict.reason == Reason.ADDRESS_NOT_ALLOWED
    assert address in verdict.message
    assert verdict.differences, "what it would have been is told"


@pytest.mark.parametrize("address", ["10.9.9.9", "172.31.0.1", "192.168.1.1", "100.64.0.9", "fd00::4"])
def test_private_addresses_are_allowed_where_nothing_is_named(address: str) -> None:
    assert isinstance(judge(address), Act)
    assert isinstance(judge(address, networks={}), Act), "a source that the spec no longer has"


@pytest.mark.parametrize("address", [PUBLIC, "172.32.0.1", "100.128.0.1", "2001:db8::7"])
def test_a_public_address_enters_only_where_its_network_is_named(address: str) -> None:
    assert isinstance(judge(address), Blocked)
    assert isinstance(
        judge(address, allowed=("203.0.113.0/24", "172.32.0.0/16", "100.128.0.0/16", "2001:db8::/32")), Act
    )


def test_named_networks_take_the_place_of_the_private_ones() -> None:
    verdict = judge("10.9.0.4", allowed=("10.1.0.0/16",))
    assert isinstance(verdict, Blocked)
    assert "allowedNetworks of source main" in verdict.message


def test_an_address_that_gets_no_object_stops_nothing() -> None:
    assert isinstance(judge(m.IP, PUBLIC, all_addresses=False), Act)


def test_a_vm_with_very_many_addresses_gets_no_object() -> None:
    many = tuple(f"10.1.0.{number}" for number in range(4, 21))
    assert isinstance(judge(*many[:16]), Act)
    verdict = judge(*many)
    assert isinstance(verdict, Blocked)
    assert (verdict.reason, "17 private addresses" in verdict.message) == (Reason.TOO_MANY_ADDRESSES, True)
    assert isinstance(judge(*many, max_objects=17), Act)
