"""The ports: what the engine's lanes need of the three outside systems, and the errors that a call can raise.

    GatewayError ─┬─ Unreachable       nothing was changed; tried again
                  │   └─ ProxyFailed   nothing was sent; `ProxyRefused`: a person is needed
                  ├─ Throttled         nothing was changed; tried again after `retry_after`
                  ├─ Busy              nothing was changed; a lock or another operation is in the way
                  ├─ Refused           nothing was changed; the credential or its permissions, a person is needed
                  ├─ Rejected          nothing was changed; the request itself is wrong
                  └─ OutcomeUnknown    something may have been changed: look before anything else is done

Where a method makes several calls, it says what may have been changed before the error. All calls are synchronous and
safe to call from a worker thread; none sleeps, and none sends an effect again. A list is a `Reading`: it is complete or
raises. Gateways turn every exception of a client library into one of this family, without its URLs and secrets.

An effect is *repeatable*: doing it again changes nothing; *named*: its name finds what an earlier try made; or *once*:
neither, so the caller records its intent first and settles a lost answer by looking.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias, TypeVar

from microseg.model.azure_facts import RunCommand, Vm, VmDetail, VmListing
from microseg.model.azure_glimpse import Sighting
from microseg.model.checkpoint_facts import EnforcementPoint, Group, HostObject, Package, Revision, Session, Task
from microseg.model.checkpoint_tasks import TaskList
from microseg.model.facts import Absent
from microseg.model.illumio_facts import Label, PairingProfile, Workload
from microseg.model.script import Script
from microseg.model.secret import Secret

T = TypeVar("T")
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 900.0  # seconds: bounds of a pause that a system asks for
MOST_PROBLEMS = 20  # items of a list that `problems()` names; one more sentence counts the rest


class GatewayError(Exception):
    """Root of the closed family. `str()` is one sentence without full stop, free of secrets, fit for a condition."""


class Unreachable(GatewayError):
    """Network, time-out, 5xx, an answer that does not follow the protocol, or an incomplete collection. Tried again."""


class ProxyFailed(Unreachable):
    """The egress proxy of the spec opened no way to the system, which was sent nothing. Tried again."""


class ProxyRefused(ProxyFailed):
    """The proxy refuses the operator, or the address. A person is needed; it is tried again all the same."""


class Throttled(GatewayError):
    """The system asks for a pause of `retry_after` seconds, 1 to 900. Nothing was changed."""

    def __init__(self, message: str, retry_after: float = 30.0) -> None:
        """`message`: the sentence."""
        super().__init__(message)
        self.retry_after = min(max(retry_after, SHORTEST_PAUSE), LONGEST_PAUSE)


class Busy(GatewayError):
    """A lock, a conflict, an operation in progress. `holder`: who holds the lock; empty where that is not known."""

    def __init__(self, message: str, holder: str = "") -> None:
        """`message`: the sentence."""
        super().__init__(message)
        self.holder = holder


class Refused(GatewayError):
    """401 or 403: a person is needed. It is tried again all the same, but for the log-in that `login` names."""

    login: str = ""
    again_in: float | None = None
    """Seconds until that log-in is tried again; None: not before something changes."""


class Rejected(GatewayError):
    """The request itself is wrong. `code`: the vendor's own code; `detail`: its sentence, clipped, without secrets."""

    def __init__(self, message: str, code: str = "", detail: str = "") -> None:
        """`message`: the sentence."""
        super().__init__(message)
        self.code, self.detail = code, detail


class OutcomeUnknown(GatewayError):
    """An effect was sent and its answer was lost: look whether it happened before doing anything else."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What the next request of a reading waits for, beside its turn in the system's budget."""

    seconds: float = 0.0
    throttled: bool = False
    """The system asked for the pause (429): it is the whole budget's."""


Reading: TypeAlias = Generator[Wait, None, T]
"""A list of any size, one request at a time: it yields before each request, and is resumed when that may be sent. One
that fails is asked again, so what was read before it is kept (`gateways/readings.py`)."""
# Azure ----------------------------------------------------------------------------------------------------------


class AzureGateway(Protocol):
    """One source of the estate: subscriptions that are read with one identity."""

    def list_vms(self, subscription: str) -> Reading[VmListing]:
        """All VMs of one of its subscriptions."""

    def sightings(self) -> Reading[tuple[Sighting, ...]]:
        """What Azure Resource Graph shows of the VMs of all its subscriptions: reasons to look, no facts."""

    def read_vm(self, resource_id: str) -> Reading[Vm | Absent]:
        """One VM with its NICs, as the lists would show it."""

    def vm(self, resource_id: str) -> VmDetail | Absent:
        """One VM with its instance view."""

    def run_commands(self, resource_id: str) -> tuple[RunCommand, ...]:
        """All managed run-commands of a VM, without their instance views."""

    def run_command(self, resource_id: str, name: str) -> RunCommand | Absent:
        """One run-command with its instance view."""

    def start_run_command(self, resource_id: str, script: Script) -> None:
        """Start it (once); returns when Azure has accepted it. Every error but OutcomeUnknown: it did not start."""

    def delete_run_command(self, resource_id: str, name: str) -> None:
        """Delete one that has ended (repeatable); an absent one is fine."""


# Illumio --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkloadChange:
    """Attributes of one workload to write; None: unchanged, an empty text: removed."""

    href: str
    external_set: str | None = None
    external_reference: str | None = None
    enforcement_mode: str | None = None


class IllumioGateway(Protocol):
    """One PCE organisation."""

    def problems(self) -> tuple[str, ...]:
        """What the latest complete lists left out, one sentence per item; `MOST_PROBLEMS`, then a count."""

    def workloads(self) -> Reading[tuple[Workload, ...]]:
        """All managed workloads. One that cannot be read is in `problems`, and no reason to call it absent."""

    def workload(self, href: str) -> Reading[Workload | None]:
        """One workload by its href; None: the PCE says that there is none, or that it is deleted."""

    def time(self) -> datetime | None:
        """Now, by the PCE's clock, as its latest answer shows; None: it does not tell."""

    def labels(self) -> Reading[tuple[Label, ...]]:
        """All labels."""

    def profiles(self) -> Reading[tuple[PairingProfile, ...]]:
        """All pairing profiles."""

    def make_key(self, profile: PairingProfile) -> Secret:
        """Create a new activation code (once): never called twice for one intent."""

    def create_label(self, key: str, value: str) -> Label:
        """Create a label (named), or return the one that was created meanwhile."""

    def update_workloads(self, changes: Sequence[WorkloadChange]) -> Mapping[str, str]:
        """Write attributes (repeatable); returns href -> reason of the failure, for those that failed."""

    def unpair(self, vens: Sequence[str], restore: str) -> Mapping[str, str]:
        """Unpair VENs (repeatable; hrefs, at most 1,000); returns href -> reason, for those that were refused."""

    def set_labels(self, workloads: Sequence[str], labels: Sequence[str], clear: Sequence[str]) -> None:
        """Set labels by key on workloads, both by href, remove the keys in `clear` (repeatable). Rejected: in part."""


# Check Point ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObjectForm:
    """The desired form of one host object of ours."""

    name: str
    address: str
    owner: str
    vm_id: str
    join: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    uid: str = ""
    """The object to change; empty: create one."""
    allow_duplicate_address: bool = False
    """Whether another object may have the same address; if not, it is Rejected with the code `duplicate-address`."""


@dataclass(frozen=True, slots=True)
class Validations:
    """What `show-validations` reports about the session's changes."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class CheckPointGateway(Protocol):
    """One management domain, through one session of ours.

    Without an open session, or once the server no longer knows it (it is then forgotten here too), reads raise
    Unreachable, and effects Busy, because they did not happen. The changes and locks of a lost session live on.
    """

    def problems(self) -> tuple[str, ...]:
        """What the latest complete `hosts` left out, one sentence per item; `MOST_PROBLEMS`, then a count."""

    def open(self, name: str) -> Session:
        """Log in under this session name, or keep the open session of that name. Busy: too many sessions."""

    def close(self) -> None:
        """Discard what is not published and log out; without an open session nothing happens."""

    def sessions(self) -> Reading[tuple[Session, ...]]:
        """All sessions of the domain that the server shows, those of people too."""

    def discard_session(self, uid: str) -> None:
        """Discard an earlier session of ours with its locks (repeatable); an absent one is fine."""

    def last_published(self) -> Revision | None:
        """The newest revision; None: nothing was ever published. One cheap call, which keeps the session open."""

    def hosts(self) -> Reading[tuple[HostObject, ...]]:
        """All host objects as published, with our session's changes."""

    def groups(self) -> Reading[tuple[Group, ...]]:
        """All groups, and who locks them."""

    def packages(self) -> Reading[tuple[Package, ...]]:
        """All policy packages."""

    def gateways(self) -> Reading[tuple[EnforcementPoint, ...]]:
        """All firewall gateways, and the revision from which the access policy of each was installed."""

    def ensure_tag(self, name: str) -> None:
        """Make sure that our tag exists (named). `name`: the mark `microseg.dev/<ownerId>`; the gateway spells it."""

    def put_host(self, form: ObjectForm) -> str:
        """Create a host object with its groups, or change it (named); returns its uid.

        Codes of Rejected that are ours: `duplicate-name`, `duplicate-address`, `foreign-object` (without this owner's
        mark), `not-taken` (accepted, and still shown otherwise). A change that both joins and leaves groups is two
        calls: the first may stand although the second failed.
        """

    def put_hosts(self, forms: Sequence[ObjectForm]) -> Task:
        """Start to create many host objects without groups (named); the task shows how it ends."""

    def join_group(self, group: str, names: Sequence[str]) -> None:
        """Add members by name (repeatable). Busy names who locks the group."""

    def leave_groups(self, uid: str, owner: str, groups: Sequence[str]) -> None:
        """Take a host object with this owner's mark, which is read right before, out of groups (see `delete_host`)."""

    def delete_host(self, uid: str, owner: str, vm_id: str) -> None:
        """Take a host object with this mark, which is read right before, out of all its groups, and delete it.

        Repeatable; an absent one is fine. Rejected `foreign-object`: another mark. Busy names who locks a group.
        """

    def validations(self) -> Validations:
        """What of our own session would block the publish, and what only warns."""

    def pending_changes(self) -> int | None:
        """How many changes our session has that are not published; None: the server does not say."""

    def discard(self) -> None:
        """Discard the session's unpublished changes (repeatable)."""

    def publish(self) -> str:
        """Start a publish (once); returns its task id. OutcomeUnknown: look at the session and the newest revision."""

    def install(self, package: str, targets: Sequence[str]) -> str:
        """Start to install the access policy (once); returns its task id. Busy: a gateway is busy."""

    def task(self, task_id: str) -> Task:
        """The state of a task."""

    def own_tasks(self) -> Reading[TaskList]:
        """Tasks that our administrator began lately. An empty list says nothing: they may be shown to others only."""
