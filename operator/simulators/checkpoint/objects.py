"""The objects of the management database: hosts, groups and tags, and who changed them when.

A `Thing` of the published database is never altered; a session alters its own copy and publishing hands that copy over.
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
class Thing:
    """One object. Addresses are "" where there is none; `tags` and `members` hold uids; times are epoch seconds."""

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
        """The name as it is compared: case does not count."""
        return self.name.casefold()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that it has."""
        return tuple(address for address in (self.ipv4, self.ipv6) if address)

    def copy(self) -> Thing:
        """A copy that may be altered."""
        return replace(self, members=set(self.members))


def new_uid() -> str:
    """A fresh object uid."""
    return str(uuid.uuid4())


def parse_address(text: object) -> tuple[str, int]:
    """The address in its canonical form and its IP version; ValueError if it is none."""
    if not isinstance(text, str):
        message = "an address is a string"
        raise ValueError(message)  # noqa: TRY004 (the caller treats every bad address alike)
    address = ipaddress.ip_address(text)
    return str(address), address.version


def by_key(thing: Thing) -> tuple[str, str]:
    """Sort order of every listing: by name, then uid."""
    return thing.key, thing.uid
