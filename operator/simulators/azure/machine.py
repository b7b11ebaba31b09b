"""A virtual machine: its specification and its current state.

`specs.py` reads specifications into it, `world.py` changes it, `render.py` writes its JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from simulators.azure.command import Command

Os = Literal["Linux", "Windows"]
Power = Literal["creating", "starting", "running", "stopping", "stopped", "deallocating", "deallocated", "deleting"]
PowerOff = Literal["stopped", "deallocated"]
Machine = Literal["started", "stopped", "wiped"]
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Address:
    """One private address of a NIC."""

    ip: str
    version: Literal["IPv4", "IPv6"]


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface; its first address is the primary one. `group`: its resource group; empty: the VM's."""

    name: str
    primary: bool
    addresses: tuple[Address, ...]
    mac: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """A managed disk; `size_gb` 0: Azure does not report it."""

    name: str
    size_gb: int
    kind: str = "Premium_LRS"


@dataclass(frozen=True, slots=True)
class ScaleSet:
    """The scale set that a VM belongs to. VM lists do not show members of uniform ones."""

    name: str
    uniform: bool


@dataclass(slots=True)
class Vm:
    """One VM. `vm_id` is new at every creation; `agent_ready_at` is epoch seconds (inf: never).

    `attached`: whether its NICs name it; `gone`: it was deleted, but lists may still show it; `cached`: kind of list ->
    what that list shows of it; `processed`: name of a run-command -> its highest sequence number that ran, on the
    VM's disk (`handler.py`); `deleted`: run-commands that were deleted while their scripts ran; `executed`: names and
    numbers of which the handler only reports that they were executed; `obstacle`: why no script begins in it (a name
    of `handler.ENDS`, or `handler.NO_NUMBER`).
    """

    subscription: str
    group: str
    name: str
    os: Os
    vm_id: str
    created_at: float
    location: str
    size: str
    computer_name: str
    image: dict[str, str]
    os_disk: Disk
    data_disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    tags: dict[str, str]
    zone: str
    managed_by: str
    scale_set: ScaleSet | None
    specialised: bool
    provision_agent: bool
    allow_extensions: bool
    agent_delay: float
    power: Power = "running"
    power_changed_at: float = 0.0
    agent_ready_at: float = NEVER
    sequence: int = 0
    revision: int = 1
    attached: bool = True
    gone: bool = False
    commands: dict[str, Command] = field(default_factory=dict)
    processed: dict[str, int] = field(default_factory=dict)
    deleted: list[Command] = field(default_factory=list)
    executed: set[tuple[str, int]] = field(default_factory=set)
    obstacle: str = ""
    cached: dict[str, bytes] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        """The key of its ARM id: subscription, group and name in lower case."""
        return vm_key(self.subscription, self.group, self.name)

    @property
    def on(self) -> bool:
        """Whether scripts can run in it."""
        return self.power == "running"

    def agent_ready(self, now: float) -> bool:
        """Return whether its agent is ready."""
        return self.on and self.provision_agent and now >= self.agent_ready_at


def vm_key(subscription: str, group: str, name: str) -> tuple[str, str, str]:
    """Return the key of a VM: ARM compares ids case-insensitively."""
    return subscription.lower(), group.lower(), name.lower()
