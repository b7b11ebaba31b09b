"""The objects of the management database: hosts, groups and tags, and who changed them when.

A `ManagementObject` of the published database never changes: a session changes its own copy, and publishing puts that
copy in its place.
"""

from __future__ import annotations

import ipaddress
import uuid
from dataclasses import dataclass, field, replace
from typing import Literal

Kind = Literal["host", "group", "tag"]

# fmt: off
COLORS = frozenset({
    "aquamarine", "black", "blue", "crete blue", "burlywood", "cyan", "dark green", "khaki", "orchid",
    "dark orange", "dark sea green", "pink", "turquoise", "dark blue", "firebrick", "brown", "forest green",
    "gold", "dark gold", "gray", "dark gray", "light green", "lemon chiffon", "coral", "sea green", "sky blue",
    "magenta", "purple", "slate blue", "violet red", "navy blue", "olive", "orange", "red", "sienna", "yellow",
    "none",
})
# fmt: on
"""The colours of the vendor's reference (chkp-antonr/checkpoint-api-ref `jmd/add-host.j.md`)."""

RESERVED = frozenset({"any", "host", "gateways", "domain", "all", "none", "internal", "external"})
"""Names that `add-host` takes and publishing refuses (community.checkpoint.com thread 101669, "Gateways")."""

DOMAIN = {"uid": "41e821a0-3720-11e3-aa6e-0800200c9fde", "name": "SMC User", "domain-type": "domain"}
"""The one domain of a server that is not multi-domain (chkp-antonr/checkpoint-api-ref examples)."""


@dataclass(slots=True)
class ManagementObject:
    """One object. A missing address is ""; `tags` and `members` hold uids; times are epoch seconds."""

    uid: str
    kind: Kind
    name: str
    ipv4: str = ""
    ipv6: str = ""
    comments: str = ""
    color: str = "black"
    tags: tuple[str, ...] = ()
    members: set[str] = field(default_factory=set)
    creator: str = ""
    created: float = 0.0
    modifier: str = ""
    modified: float = 0.0

    @property
    def key(self) -> str:
        """The name for comparisons, which ignore case."""
        return self.name.casefold()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that are set."""
        return tuple(address for address in (self.ipv4, self.ipv6) if address)

    def copy(self) -> ManagementObject:
        """Return a copy that may be changed."""
        return replace(self, members=set(self.members))


def new_uid() -> str:
    """Return a new object uid."""
    return str(uuid.uuid4())


def parse_address(text: object) -> tuple[str, int]:
    """Return the address in canonical form and its IP version; raises ValueError if it is invalid."""
    if not isinstance(text, str):
        message = "an address is a string"
        raise ValueError(message)  # noqa: TRY004 (the caller treats every bad address alike)
    address = ipaddress.ip_address(text)
    return str(address), address.version


def by_key(cp_object: ManagementObject) -> tuple[str, str]:
    """Sort order of every listing: by name, then uid."""
    return cp_object.key, cp_object.uid
