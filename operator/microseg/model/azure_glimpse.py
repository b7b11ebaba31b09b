"""What Azure Resource Graph shows of a VM: a reason to look, never a fact. `gateways/azure` makes it, a lane compares.

Its content may be older than Resource Manager's, it proves no absence, and it shows only what the caller may read
(learn.microsoft.com/azure/governance/resource-graph/overview). A type of its own, so that nothing can take it for a VM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from microseg.model.azure_facts import Vm
from microseg.model.azure_record import Address, AzureRecord

Nics = Mapping[str, frozenset[Address] | None]
"""Lower-cased ARM id of each NIC -> its addresses; None: they are not known."""


@dataclass(frozen=True, slots=True)
class Glimpse:
    """The part of a VM in which both can be compared, in one spelling."""

    vm_id: str
    resource_id: str
    """In the letter case that was shown."""
    unselected_by: str
    """The field of `select` that leaves it out; empty: none does."""
    tags: frozenset[tuple[str, str]]
    """Keys in lower case, with their values."""
    told: tuple[str, ...]
    """Location, zone, size, operating system, host name and power state; empty where it is not told."""
    nics: Nics | None
    """None: it is not told which there are."""

    @classmethod
    def of(cls, vm: Vm) -> Glimpse:
        """The comparable part of a VM."""
        record = vm.record
        told = (
            record.location.replace(" ", ""), record.zone, record.vm_size, record.os_type, record.computer_name,
            record.power_state,
        )  # fmt: skip
        return cls(
            vm_id=vm.vm_id,
            resource_id=record.resource_id,
            unselected_by=vm.unselected_by,
            tags=frozenset((tag.key.lower(), tag.value) for tag in record.tags),
            told=tuple(text.lower() for text in told),
            nics=_nics(record),
        )

    def contradicts(self, vm: Vm) -> bool:
        """Whether it differs from the VM as Resource Manager showed it. What it does not tell differs from nothing."""
        other = Glimpse.of(vm)
        if (self.vm_id, self.resource_id.lower()) != (other.vm_id, other.resource_id.lower()):
            return True
        if (self.unselected_by, self.tags) != (other.unselected_by, other.tags):
            return True
        if any(told and told != known for told, known in zip(self.told, other.told, strict=True)):
            return True
        return _differ(self.nics, other.nics)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One VM as Resource Graph shows it, which is read only where it differs from what was shown before."""

    vm_id: str
    resource_id: str
    """In the letter case that was shown."""
    mark: bytes
    """A digest of all that is shown of it: while it stays, so does what it is compared with."""
    glimpse: Callable[[], Glimpse | None] = field(compare=False)
    """Reads it; None: it names no VM that can be identified."""


def _nics(record: AzureRecord) -> Nics | None:
    if any(not nic.id for nic in record.nics):
        return None
    return {nic.id.lower(): None if nic.unreadable else frozenset(nic.addresses) for nic in record.nics}


def _differ(shown: Nics | None, known: Nics | None) -> bool:
    if shown is None or known is None:
        return False
    if shown.keys() != known.keys():
        return True
    pairs = ((addresses, known[nic]) for nic, addresses in shown.items())
    return any(None not in (addresses, before) and addresses != before for addresses, before in pairs)
