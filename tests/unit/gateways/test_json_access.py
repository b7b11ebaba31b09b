"""Addresses in JSON from outside."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.gateways.http.json_access import get_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.1.0.4", "10.1.0.4"),
        ("10.1.0.4/28", "10.1.0.4"),
        ("FD00::0001%eth0", "fd00::1"),
        ("255.255.255.255", "255.255.255.255"),
        ("10.1.0.256", ""),
        ("010.1.0.4", ""),
        ("10.1.0", ""),
        ("10.1.0.4\n", ""),
        ("\u0661\u0660.1.0.4", ""),
        ("", ""),
    ],
)
def test_an_address_is_canonical_or_none(text: str, address: str) -> None:
    assert get_address({"ip": text}, "ip") == address


@given(st.one_of(st.ip_addresses(), st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", fullmatch=True)))
def test_it_is_what_the_standard_library_says(text: object) -> None:
    try:
        expected = str(ipaddress.ip_address(str(text)))
    except ValueError:
        expected = ""
    assert get_address(str(text)) == expected
