"""What the outside systems show of one host, and nothing else. Immutable; the host table keeps it, stages read it.

`Seen`, `Absent` and `Unreadable` are three different things: a thing that is not there is known, a thing that could
not be read is not.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Generic, TypeVar

from microseg.model.agent_record import AgentOutcome
from microseg.model.azure_facts import RunCommand, Vm
from microseg.model.checkpoint_facts import HostObject
from microseg.model.condition import Reason
from microseg.model.host import GoneProof
from microseg.model.illumio_facts import Workload
from microseg.model.untaken import Untaken

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """The system showed it."""

    value: T


@dataclass(frozen=True, slots=True)
class Absent:
    """The system answered completely, and it is not there."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The system was never read, or could not be read: nothing is concluded from it."""


ABSENT = Absent()
UNREADABLE = Unreadable()
_NO_RIVALS: Mapping[str, tuple[Rival, ...]] = MappingProxyType({})
_LOST_AFTER = 2
"""Readings in a row that must find a recorded workload gone before it counts as gone (S1)."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """Why a script was not started, and until when it is not tried again."""

    reason: Reason
    message: str
    until: datetime


@dataclass(frozen=True, slots=True)
class WorkloadMatches:
    """What the PCE shows that can be this host's."""

    stamped: Workload | None = None
    """It carries our mark and this vmId, and is known to be this host's."""
    doubtful: tuple[Workload, ...] = ()
    """They carry the same, and are not known to be: whoever may write workloads may write that."""
    claimed: Workload | None = None
    """It has the uuid that the script printed (`status.agent.workload`)."""
    claim_rivals: tuple[Workload, ...] = ()
    """Without our mark, and with the VM's primary address beside the claimed one."""
    recorded: Workload | None = None
    """It is the one that the record names (`status.illumio.workload`), stamped or not."""
    candidates: tuple[Workload, ...] = ()
    """Unstamped, and sharing this VM's hostname or an address: may be its own."""


@dataclass(frozen=True, slots=True)
class ObjectMatches:
    """What Check Point has published that touches this host."""

    own: tuple[HostObject, ...] = ()
    """Marked with our owner and this vmId, and provably made by us."""
    copies: tuple[HostObject, ...] = ()
    """Marked so too, and not made by us: a person's clones. They are left alone."""
    name_clashes: Mapping[str, HostObject] = field(default_factory=dict)
    """Lower-cased desired name -> a foreign object that has it."""
    address_clashes: Mapping[str, tuple[HostObject, ...]] = field(default_factory=dict)
    """Address -> the other objects that have it."""


class Presence(enum.Enum):
    """What the latest complete poll shows of another VM and one address."""

    HAS_IT = enum.auto()
    WITHOUT_IT = enum.auto()
    """The VM is there, and no NIC of it has the address."""
    MISSING = enum.auto()
    """The VM is not there, or a NIC of it is not, and it is not proven gone: absence says nothing about its address."""
    GONE = enum.auto()
    """Its retirement began."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another VM whose NIC, or whose published object, has an address of this one."""

    vm_id: str
    name: str
    """Of its record; of the VM where there is none."""
    presence: Presence
    primary: bool = False
    """Whether the address is its first one."""
    onboarded: bool = False
    """Whether the estate brings it under protection: it is selected and supported."""
    created_at: datetime | None = None
    """When Azure created it."""
    recorded: bool = False
    """Whether its record says that it was published with the address: a person may have deleted the object since."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Everything known now about one host outside the cluster."""

    azure: Seen[Vm] | Absent | Unreadable = UNREADABLE
    illumio: Seen[WorkloadMatches] | Unreadable = UNREADABLE
    check_point: Seen[ObjectMatches] | Unreadable = UNREADABLE
    rivals: Mapping[str, tuple[Rival, ...]] = field(default_factory=lambda: _NO_RIVALS)
    """Address of this VM -> the other VMs that have it, or an object of ours with it."""
    run_command: Seen[RunCommand] | Absent | Unreadable = UNREADABLE
    """The current attempt's, where it was looked at."""
    looked_at: datetime | None = None
    """When the current attempt's run-command was last read."""
    looks: int = 0
    """How often it was read."""
    look_failed: str = ""
    """Why the latest try to read it failed; empty: it did not."""
    starting: bool = False
    """Whether the start of the current attempt is being carried out just now."""
    postponed: Postponed | None = None
    """Why the lane would not let an attempt begin just now; no intent was written."""
    not_taken: bool = False
    """Whether Azure did not take the latest start, and nothing of it began."""
    key_until: datetime | None = None
    """Until when the key of that start may be used once more; None: it had none."""
    concluded: AgentOutcome | None = None
    """What the start of the current attempt itself answered, where it is certain that nothing began."""
    refusal: str = ""
    """Azure's code and words where it refused the start of the current attempt."""
    commands_deleted: bool = False
    """Whether the run-commands of this paired VM were deleted."""
    delete_after: datetime | None = None
    """When their deletion, which failed, is tried again."""
    missed_polls: int = 0
    """Complete polls in a row that lacked the VM, since this process watches."""
    gone: GoneProof | Unreadable | None = None
    """Azure's answer for the VM's id; None: no request was made, or the VM is there. Unreadable: no proof."""
    last_resource_id: str = ""
    """ARM id that the VM had when its retirement began, where its record was lost since."""
    tombstone: Seen[datetime] | Absent | Unreadable = UNREADABLE
    """When the retirement that runs began, by its tombstone. A record alone begins nothing: many may write one."""
    was_grouped: bool = False
    """Whether it was in groups of ours when its retirement began, by its tombstone."""
    retirement_held: str = ""
    """Why the retirement may not begin now; empty: it may."""
    unpaired_readings: int = 0
    """Readings of the PCE in a row whose list lacked the recorded workload and that found it gone by its href, too.

    0 while a list lacks it: nobody knows whether it is gone, for a list has gaps."""
    unpair_accepted: bool = False
    """Whether the PCE accepted the unpairing."""
    illumio_complaint: str = ""
    """Why the PCE refused the latest change for this host; empty: it did not."""
    rejection: str = ""
    """Why Check Point refused this host's object in the latest flush; empty: it did not."""
    untaken: tuple[Untaken, ...] = ()
    """Effects that their system accepted and that it still does not show after several complete readings."""
    held_up: str = ""
    """What held this host's change up in the latest flush: a lock, another session; empty: nothing."""

    @property
    def workload_lost(self) -> bool:
        """Whether two readings found that the recorded workload is gone from the PCE."""
        return self.unpaired_readings >= _LOST_AFTER
