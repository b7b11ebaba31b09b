"""What the PCE shows: labels, workloads, pairing profiles. `gateways/illumio` makes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Label:
    """A label of the PCE."""

    key: str
    value: str
    href: str


@dataclass(frozen=True, slots=True)
class Workload:
    """A managed workload of the PCE."""

    href: str
    """`/orgs/{org}/workloads/{uuid}`, without the API prefix."""
    ven: str
    """Href of its VEN, by which it is unpaired; empty: the PCE shows its agent alone, the older form."""
    hostname: str
    enforcement_mode: str
    labels: tuple[Label, ...]
    external_set: str
    external_reference: str
    addresses: frozenset[str]
    created_at: datetime | None
    agent: str = ""
    """Href of its agent."""
    online: bool | None = None
    """Whether the PCE counts its VEN as online; None: it does not say."""
    ven_status: str = ""
    """`active`, `suspended`, `stopped` or `uninstalled`, as the PCE says it."""
    silent: bool = False
    """Whether the VEN sent no heartbeat for longer than the PCE itself waits by default."""
    heartbeat_at: datetime | None = field(default=None, compare=False)
    """Latest heartbeat, by the PCE's clock. A heartbeat that only advances is no change."""
    updated_by: str = field(default="", compare=False)
    """Who wrote it last, as an href such as `/users/7`. A change of it alone is no change."""

    @property
    def has_ven(self) -> bool:
        """Whether a VEN reports for it, in either form."""
        return bool(self.ven or self.agent)

    @property
    def uuid(self) -> str:
        """Last part of the href."""
        return self.href.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class PairingProfile:
    """A pairing profile: its keys must be of one use and a short life before any is made."""

    name: str
    href: str
    enabled: bool
    uses_per_key: int | None
    """None: unlimited."""
    key_life: int | None
    """Seconds; None: unlimited."""

    @property
    def number(self) -> int:
        """The integer at the end of the href, which the pairing script's URL needs."""
        return int(self.href.rsplit("/", 1)[-1])
