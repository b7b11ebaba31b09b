"""The plan as data: every effect on an outside system that a decision asks for. The lanes carry them out.

Each effect says in its docstring what may be done after an answer was lost:

    repeatable   do it again: the second call changes nothing
    named        do it again: the second call finds what the first one made, by its name
    once         never do it again: an intent is written first, and looking settles what came of it
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from microseg.model.host import GoneProof


@dataclass(frozen=True, slots=True)
class StartScript:
    """Run the constant script on the VM once, by the effect protocol (once)."""

    vm_id: str
    mode: str
    """`install` (makes a key) or `probe` (keyless: asks only whether the VM is paired)."""


@dataclass(frozen=True, slots=True)
class ReadRunCommand:
    """Look at one run-command: at its expected end, or in doubt (repeatable)."""

    vm_id: str
    name: str


@dataclass(frozen=True, slots=True)
class DeleteRunCommands:
    """Delete our run-commands of a VM that is paired, with the settings that hold the used key (repeatable)."""

    vm_id: str


@dataclass(frozen=True, slots=True)
class StampWorkload:
    """Write our mark and the vmId on the proven workload (repeatable)."""

    vm_id: str
    workload: str


@dataclass(frozen=True, slots=True)
class RaiseEnforcement:
    """Bring a workload that we paired up to the estate's floor; never down (repeatable)."""

    vm_id: str
    workload: str
    mode: str


@dataclass(frozen=True, slots=True)
class CreateLabel:
    """Create a label that the mapping names and the PCE lacks (named by key and value)."""

    vm_id: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class SetLabels:
    """Set labels by key on one workload; other keys stay (repeatable)."""

    vm_id: str
    workload: str
    labels: tuple[tuple[str, str], ...]
    """(key, href) to set."""
    clear: tuple[str, ...] = ()
    """Keys to take off."""


@dataclass(frozen=True, slots=True)
class PutObject:
    """Create one host object, or bring it to its desired form (named)."""

    vm_id: str
    name: str
    uid: str
    """Empty: it does not exist yet."""
    address: str
    join: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    shares_address: bool = False
    """Another object of ours still has the address: it gives up its groups in the same publish."""


@dataclass(frozen=True, slots=True)
class DropObject:
    """Take one host object of ours out of its groups and delete it (named)."""

    vm_id: str
    name: str
    uid: str
    leave: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InstallPolicy:
    """Bring targets of a package to a revision published at or after `published_at` (once; one per package)."""

    vm_id: str
    package: str
    targets: tuple[str, ...]
    published_at: datetime


@dataclass(frozen=True, slots=True)
class ReleaseAddress:
    """Take another VM's object of ours out of its groups, in the publish of the address's new holder (S2; named)."""

    vm_id: str
    """The new holder."""
    name: str
    uid: str
    leave: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProveGone:
    """Ask Azure for one VM by its id, because lists may lie (repeatable: a look)."""

    vm_id: str
    resource_id: str


@dataclass(frozen=True, slots=True)
class BeginRetirement:
    """Write the tombstone, then the record's retirement: before the first trace is removed (named by vmId)."""

    vm_id: str
    proof: GoneProof


@dataclass(frozen=True, slots=True)
class UnpairWorkload:
    """Unpair the VEN of a VM that is gone; its workload leaves the PCE with it (repeatable)."""

    vm_id: str
    ven: str
    restore: str
    """What it leaves of a firewall: saved, default or disable."""


@dataclass(frozen=True, slots=True)
class DeleteRecord:
    """Delete the ManagedHost: the last step of a retirement (named by uid)."""

    vm_id: str
    left: str = ""
    """Href of a workload that the PCE still lists: its VEN never acknowledged, or was adopted. Empty: none is left."""


AzureAction = StartScript | ReadRunCommand | ProveGone | DeleteRunCommands
IllumioAction = StampWorkload | RaiseEnforcement | CreateLabel | SetLabels | UnpairWorkload
FirewallChange = PutObject | DropObject | ReleaseAddress
CheckPointAction = FirewallChange | InstallPolicy
RecordAction = BeginRetirement | DeleteRecord
Action = AzureAction | IllumioAction | CheckPointAction | RecordAction
