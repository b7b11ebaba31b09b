"""What an outside system said, and nothing else. Immutable; `gateways/` make it, the ledger keeps it, stages read it.

`Seen`, `Absent` and `Unreadable` are three different things: a thing that is not there is known, a thing that could
not be read is not.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from microseg.model.condition import Reason
from microseg.model.host import AgentOutcome, AzureRecord, GoneProof

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

# Azure ----------------------------------------------------------------------------------------------------------


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
    provisioning_state: str = ""
    exit_code: int | None = None
    output: str = field(default="", repr=False)
    """The last 4 KiB of standard output: an attacker's words. Only the result line is ever taken out of it."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def terminal(self) -> bool:
        """Whether the execution is over with an end time."""
        return self.ended_at is not None and self.execution_state in {"Succeeded", "Failed", "TimedOut", "Canceled"}


# Illumio --------------------------------------------------------------------------------------------------------


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
    hostname: str
    enforcement_mode: str
    labels: tuple[Label, ...]
    external_set: str
    external_reference: str
    addresses: frozenset[str]
    created_at: datetime | None
    online: bool
    updated_by: str = field(default="", compare=False)
    """Who wrote it last, as an href such as `/users/7`; no news by itself."""

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


# Check Point ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HostObject:
    """A published host object of the domain, ours or not."""

    uid: str
    name: str
    address: str
    """IPv4 or IPv6; an object with both stands here once for each."""
    groups: frozenset[str]
    owner: str
    """The ownerId in its mark; empty: not made by any operator."""
    vm_id: str
    """The vmId in its mark; empty without one."""
    modifier: str = field(default="", compare=False)
    """Administrator who wrote it last; no news by itself."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of the domain, and who holds it."""

    name: str
    uid: str
    locked_by: str = ""
    """Administrator whose other session holds a lock on it; empty: free, or ours."""
    modifier: str = field(default="", compare=False)
    """Administrator who wrote it last: also who took a member out. No news by itself."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A published state of the domain's database."""

    uid: str
    published_at: datetime
    by: str = field(default="", compare=False)
    """Administrator who published it."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway or server, and the revision that its access policy was installed from."""

    name: str
    policy: str
    """Package that is installed; empty: none."""
    revision: Revision | None
    installed_at: datetime | None


class TaskState(enum.StrEnum):
    """State of a Check Point task. Partial success is not success."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Task:
    """A long operation of the management server."""

    id: str
    state: TaskState
    revision: str = ""
    """Of a publish that succeeded."""
    messages: tuple[str, ...] = ()
    failed_targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the management server. Its sid is a secret and stays in the gateway."""

    uid: str
    name: str
    application: str = ""
    user: str = ""
    changes: int = 0
    locks: int = 0
    open: bool = True


@dataclass(frozen=True, slots=True)
class PutOff:
    """Why a script was not started, and until when it is not tried again."""

    reason: Reason
    message: str
    until: datetime


# One host's view of all of them ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """What the PCE shows that can be this host's."""

    stamped: Workload | None = None
    """It carries our mark and this vmId."""
    claimed: Workload | None = None
    """It has the uuid that the script printed (`status.agent.workload`)."""
    recorded: Workload | None = None
    """It is the one that the record names (`status.illumio.workload`), stamped or not."""
    candidates: tuple[Workload, ...] = ()
    """Unstamped, and sharing this VM's hostname or an address: may be its own."""


@dataclass(frozen=True, slots=True)
class FirewallView:
    """What Check Point has published that touches this host."""

    own: tuple[HostObject, ...] = ()
    """Marked with our owner and this vmId."""
    name_clashes: Mapping[str, HostObject] = field(default_factory=dict)
    """Lower-cased wanted name -> a foreign object that has it."""
    address_clashes: Mapping[str, HostObject] = field(default_factory=dict)
    """Address -> another object that has it."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Everything known now about one host outside the cluster."""

    azure: Seen[Vm] | Absent | Unreadable = UNREADABLE
    pce: Seen[WorkloadView] | Unreadable = UNREADABLE
    firewall: Seen[FirewallView] | Unreadable = UNREADABLE
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
    put_off: PutOff | None = None
    """Why the lane would not let an attempt begin just now; no intent was written."""
    concluded: AgentOutcome | None = None
    """What the start of the current attempt itself answered, where it is certain that nothing began."""
    missed_polls: int = 0
    """Complete polls in a row that lacked the VM, since this process watches."""
    gone: GoneProof | Unreadable | None = None
    """What Azure said when it was asked for the VM by its id; None: not asked, or it is there. Unreadable: no proof."""
    last_resource_id: str = ""
    """ARM id that the VM had when its retirement began, where its record was lost since."""
    retirement_held: str = ""
    """Why the retirement may not begin now; empty: it may."""
    unpaired_readings: int = 0
    """Complete readings of the PCE in a row that lacked the stamped workload of the record."""
    unpair_accepted: bool = False
    """Whether the PCE accepted the unpairing."""
    illumio_complaint: str = ""
    """Why the PCE refused the latest change for this host; empty: it did not."""
    rejection: str = ""
    """Why Check Point refused this host's object in the latest flush; empty: it did not."""
    held_up: str = ""
    """What held this host's change up in the latest flush: a lock, another session; empty: nothing."""
