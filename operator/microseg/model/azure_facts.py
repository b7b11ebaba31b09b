"""What Azure shows: VMs of a poll, one VM by itself, run-commands. `gateways/azure` makes them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from microseg.model.azure_record import AzureRecord


class Unsupported(enum.StrEnum):
    """Why a VM cannot be protected by this operator; counted on the Estate."""

    UNIFORM_SCALE_SET = "UniformScaleSet"
    NO_AGENT = "NoAgent"
    EXTENSIONS_DISALLOWED = "ExtensionsDisallowed"
    MANAGED_BY_SERVICE = "ManagedByService"
    UNKNOWN_OS = "UnknownOS"


@dataclass(frozen=True, slots=True)
class Vm:
    """One VM of a complete poll."""

    vm_id: str
    """Lower case."""
    record: AzureRecord
    source: str
    """Name of the estate's source that it was read through."""
    unsupported: Unsupported | None = None
    selected: bool = True
    """Whether the source's `select` covers it."""
    unselected_by: str = ""
    """The field of `select` that leaves it out; empty: none does."""


@dataclass(frozen=True, slots=True)
class VmDetail:
    """One VM read by itself with its instance view, right before a script is started."""

    vm_id: str
    power_state: str
    agent_ready: bool


@dataclass(frozen=True, slots=True)
class RunCommand:
    """One managed run-command of a VM, as its instance view shows it."""

    name: str
    execution_state: str
    """Pending, Running, Succeeded, Failed, TimedOut, Canceled, Unknown; empty where Azure gives none."""
    exit_code: int | None = None
    output: str = field(default="", repr=False)
    """The last 4 KiB of standard output: an attacker's words. Only the result line is ever taken out of it."""
    message: str = field(default="", repr=False)
    """What Azure's handler on the VM says of the execution; looked up in a table, never repeated."""
    error: str = field(default="", repr=False)
    """The last 4 KiB of standard error; used in the same way."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    deleting: bool = False
    """Whether Azure deletes it already."""

    @property
    def terminal(self) -> bool:
        """Whether the execution is over with an end time."""
        return self.ended_at is not None and self.execution_state in {"Succeeded", "Failed", "TimedOut", "Canceled"}


@dataclass(frozen=True, slots=True)
class VmListing:
    """One subscription, listed to its end."""

    vms: tuple[Vm, ...] = ()
    """With NICs, addresses and power state; unordered."""
    unreadable_rows: int = 0
    """Rows that name no VM which can be identified. Each may be any VM, so with one nobody is known to be absent."""
    unreadable: tuple[str, ...] = ()
    """One sentence per such row; bounded."""
    problems: tuple[str, ...] = ()
    """What else the lists left out, one sentence per item; bounded like `unreadable`."""
    uniform_members: int = 0
    """Machines of uniform scale sets: no list of VMs shows them."""
    cost: int = 0
    """Pages of lists that Azure counts as expensive; the poll interval follows it."""
    requests: int = 0
    """Pages of all its lists."""
