"""A virtual machine as this world holds it: what was ordered, and what became of it.

`specs.py` reads orders into it, `world.py` changes it, `render.py` writes its JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from simulators.azure.command import Command

Os = Literal["Linux", "Windows"]
Power = Literal["creating", "starting", "running", "stopping", "stopped", "deallocating", "deallocated", "deleting"]
PowerOff = Literal["stopped", "deallocated"]
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Address:
    """One private address of a NIC."""

    ip: str
    version: Literal["IPv4", "IPv6"]


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface; its first address is the primary one."""

    name: str
    primary: bool
    addresses: tuple[Address, ...]
    mac: str


@dataclass(frozen=True, slots=True)
class Disk:
    """A managed disk; `size_gb` 0 means that Azure does not say."""

    name: str
    size_gb: int
    kind: str = "Premium_LRS"


@dataclass(frozen=True, slots=True)
class ScaleSet:
    """The scale set that a VM belongs to. Members of uniform ones are no virtual machines to the VM lists."""

    name: str
    uniform: bool


@dataclass(slots=True)
class Vm:
    """One VM. `vm_id` is new at every creation; `agent_ready_at` is epoch seconds (inf: never).

    `attached`: whether its NICs name it; `gone`: it was deleted, though lists may still show it; `cached`: what lists
    show of it, by kind of list.
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
    cached: dict[str, bytes] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        """What its ARM id is compared by: subscription, group and name in lower case."""
        return vm_key(self.subscription, self.group, self.name)

    @property
    def on(self) -> bool:
        """Whether scripts can run in it."""
        return self.power == "running"

    def agent_ready(self, now: float) -> bool:
        """Whether Azure hears the agent."""
        return self.on and self.provision_agent and now >= self.agent_ready_at


def vm_key(subscription: str, group: str, name: str) -> tuple[str, str, str]:
    """The key of a VM: ARM compares ids without regard to case."""
    return subscription.lower(), group.lower(), name.lower()
