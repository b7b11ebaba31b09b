"""Which addresses may enter the firewall: those of the estate's networks, and never one that stands for no single VM.

A NIC's address is the word of whoever may write networks in the subscription. A group of the firewall that has 8.8.8.8,
169.254.169.254 or 0.0.0.0 in it means something else than the VM. `grouping` asks it per address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
"""What a source that names no networks may bring in: RFC 1918, RFC 6598, RFC 4193."""

_NEVER = {
    "0.0.0.0/8": "unspecified",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local, and Azure's metadata",
    "168.63.129.16/32": "Azure's platform service",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved or broadcast",
    "::/96": "unspecified, loopback or an embedded IPv4 address",
    "::ffff:0:0/96": "an embedded IPv4 address",
    "64:ff9b::/96": "an embedded IPv4 address",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
"""Refused whatever an Estate says: RFC 6890 and learn.microsoft.com, what-is-ip-address-168-63-129-16."""


@lru_cache(maxsize=256)
def parsed(networks: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks that a source allows; none named: the private ones. Raises ValueError for a text that is none."""
    return tuple(map(ipaddress.ip_network, networks or PRIVATE))


def refusal(ip: str, allowed: Iterable[Network]) -> str:
    """Why an address, or a block in CIDR form, may not enter the firewall, as the end of a sentence; empty: it may."""
    if "/" in ip:
        return "is a block of addresses, while an object has one"
    address = ipaddress.ip_address(ip)
    for network, what in _REFUSED.items():
        if address in network:
            return f"is {what}"
    return "" if any(address in network for network in allowed) else "is in none of the source's allowedNetworks"


_REFUSED = {ipaddress.ip_network(network): what for network, what in _NEVER.items()}
