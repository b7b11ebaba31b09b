"""The ports: what the lanes ask of the outside systems, in this project's own words, and the errors they can meet.

All calls are synchronous and safe to call from a worker thread; none sleeps or retries an effect by itself. Reads of
collections are complete or raise. Every exception of a client library ends in a gateway as one of `GatewayError`'s
family; its text never travels on, because it can hold URLs and secrets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from microseg.model.facts import (
    Absent,
    Gateway,
    Group,
    HostObject,
    Label,
    PairingProfile,
    Revision,
    RunCommand,
    Session,
    Task,
    Vm,
    VmDetail,
    Workload,
)
from microseg.model.secret import Secret


class GatewayError(Exception):
    """Root of the closed family. `str()` is one sentence without secrets, fit for a condition."""


class Unreachable(GatewayError):
    """Network, time-out, 5xx, an answer that is not of the protocol, or an incomplete collection. Tried again."""


class Throttled(GatewayError):
    """The system asks for a pause. `retry_after` in seconds, capped at 15 minutes."""

    def __init__(self, message: str, retry_after: float = 30.0) -> None:
        """Take the sentence and the pause."""
        super().__init__(message)
        self.retry_after = min(max(retry_after, 1.0), 900.0)


class Busy(GatewayError):
    """A lock, a conflict, an operation in progress. `holder`: who holds it, where the system says so."""

    def __init__(self, message: str, holder: str = "") -> None:
        """Take the sentence and the holder."""
        super().__init__(message)
        self.holder = holder


class Refused(GatewayError):
    """401 or 403: the credential or the right. A person is needed, but it is looked at again."""


class Rejected(GatewayError):
    """The request itself is wrong. `code`: the vendor's own word; `detail`: its sentence, clipped, without secrets."""

    def __init__(self, message: str, code: str = "", detail: str = "") -> None:
        """Take sentence, code and detail."""
        super().__init__(message)
        self.code = code
        self.detail = detail


class OutcomeUnknown(GatewayError):
    """An effect was sent and its answer was lost: look before anything else is done."""


# Azure ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Script:
    """A constant script with this VM's parameters; `protected` values never come back from Azure."""

    name: str
    location: str
    windows: bool
    text: str
    parameters: Mapping[str, str]
    protected: Mapping[str, Secret]
    timeout: int
    """Seconds."""
    tags: Mapping[str, str]


class AzureGateway(Protocol):
    """One source of the estate: subscriptions read with one identity."""

    def list_vms(self) -> tuple[Vm, ...]:
        """All VMs of all subscriptions with NICs, addresses and power state; complete, or an error. Unordered."""

    def problems(self) -> tuple[str, ...]:
        """What the latest complete `list_vms` left out or doubted, a sentence an item; the rest of it stands."""

    def uniform_members(self) -> int:
        """Machines of uniform scale sets, which no list of VMs shows, as of the latest complete `list_vms`."""

    def list_cost(self) -> int:
        """List calls that the latest complete `list_vms` used (high-cost VM list pages), for the poll's pace."""

    def vm(self, resource_id: str) -> VmDetail | Absent:
        """One VM with its instance view."""

    def run_commands(self, resource_id: str) -> tuple[RunCommand, ...]:
        """All managed run-commands of a VM, without their instance views."""

    def run_command(self, resource_id: str, name: str) -> RunCommand | Absent:
        """One run-command with its instance view."""

    def start_run_command(self, resource_id: str, script: Script) -> None:
        """PUT it once; returns when Azure accepted it. Rejected/Busy/Refused: it never began. OutcomeUnknown: look."""

    def delete_run_command(self, resource_id: str, name: str) -> None:
        """Delete one that is over; absent is fine."""


# Illumio --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkloadChange:
    """Attributes of one workload to write; None: left as it is."""

    href: str
    external_set: str | None = None
    external_reference: str | None = None
    enforcement_mode: str | None = None


class IllumioGateway(Protocol):
    """One PCE organisation."""

    def problems(self) -> tuple[str, ...]:
        """What the latest complete `workloads` and `labels` left out, a sentence an item; the rest of them stands."""

    def workloads(self) -> tuple[Workload, ...]:
        """All managed workloads; complete, or an error."""

    def labels(self) -> tuple[Label, ...]:
        """All labels; complete, or an error."""

    def profiles(self) -> tuple[PairingProfile, ...]:
        """All pairing profiles."""

    def make_key(self, profile: PairingProfile) -> Secret:
        """A new activation code. Never called twice for one intent."""

    def create_label(self, key: str, value: str) -> Label:
        """Create a label, or find it where it was created meanwhile."""

    def update_workloads(self, changes: Sequence[WorkloadChange]) -> Mapping[str, str]:
        """Bulk update of at most 1,000; returns href -> why it failed, for those that did."""

    def unpair(self, vens: Sequence[str], restore: str) -> Mapping[str, str]:
        """Unpair VENs (hrefs, at most 1,000); returns href -> why, for those that were refused.

        The PCE drops the workload when the VEN has acknowledged, or by itself later.
        """

    def set_labels(self, workloads: Sequence[str], labels: Sequence[str], clear: Sequence[str]) -> None:
        """Set labels (hrefs) by key on up to 1,000 workloads (hrefs); `clear`: keys to take off. Other keys stay."""


# Check Point ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObjectForm:
    """The wanted form of one host object of ours."""

    name: str
    address: str
    owner: str
    vm_id: str
    join: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    uid: str = ""
    """Set: change this object; empty: create it."""
    allow_duplicate_address: bool = False
    """Whether another object may have the same address; if not, that is Rejected with code `duplicate-address`."""


@dataclass(frozen=True, slots=True)
class Validations:
    """What `show-validations` says of the session."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class CheckPointGateway(Protocol):
    """One management domain, spoken to through one session of ours.

    Without an open session, or after the server forgot it (it is then forgotten here too): reads raise Unreachable,
    effects Busy, because they did not happen; `alive()` is None; the changes and locks of the lost one live on.
    """

    def problems(self) -> tuple[str, ...]:
        """What the latest complete `hosts` left out, a sentence an item; the rest of it stands."""

    def open(self, name: str) -> Session:
        """Log in (or keep the living session) under this session name. Busy: throttled or too many sessions."""

    def close(self) -> None:
        """Discard what is not published and log out; an already dead session is fine."""

    def alive(self) -> Session | None:
        """The living session, from memory."""

    def sessions(self) -> tuple[Session, ...]:
        """All open sessions of the domain that the server shows."""

    def discard_session(self, uid: str) -> None:
        """Discard a dead earlier session of ours with its locks; absent is fine."""

    def last_published(self) -> Revision | None:
        """The newest revision; None: never published. One cheap call; keeps the session alive."""

    def hosts(self) -> tuple[HostObject, ...]:
        """All host objects as published plus our own session's; complete, or an error."""

    def groups(self) -> tuple[Group, ...]:
        """All groups with who locks them."""

    def gateways(self) -> tuple[Gateway, ...]:
        """All gateways with the revision that their access policy was installed from."""

    def ensure_tag(self, name: str) -> None:
        """Make sure that our tag exists; `name` is the mark `microseg.dev/<ownerId>`, the gateway spells the tag."""

    def put_host(self, form: ObjectForm) -> str:
        """add-host with its groups in the call, or set-host; returns its uid. Rejected/Busy: nothing was changed.

        Rejected's codes of ours: `duplicate-name`, `duplicate-address`, `foreign-object` (without the owner's mark).
        A change that both joins and leaves groups is two calls: then the first may stand although the second failed.
        """

    def put_hosts(self, forms: Sequence[ObjectForm]) -> Task:
        """add-objects-batch of new hosts (without groups), started; follow the task."""

    def join_group(self, group: str, names: Sequence[str]) -> None:
        """set-group members.add, by names."""

    def leave_group(self, group: str, names: Sequence[str]) -> None:
        """set-group members.remove, by names."""

    def delete_host(self, uid: str) -> None:
        """Delete one host object of ours; absent is fine."""

    def validations(self) -> Validations:
        """What would block the publish."""

    def discard(self) -> None:
        """Throw away the session's unpublished changes."""

    def publish(self) -> str:
        """Start a publish; returns its task id. OutcomeUnknown: look at the session and the last revision."""

    def install(self, package: str, targets: Sequence[str]) -> str:
        """Start install-policy of the access policy; returns its task id. Busy: a gateway is busy."""

    def task(self, task_id: str) -> Task:
        """Where a task stands."""
