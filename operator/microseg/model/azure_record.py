"""Stage 1's part of a host's record: the VM as Azure shows it. `gateways/azure` fills it in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from microseg.model.fields import Frozen, LongText, Text


class Address(Frozen, frozen=True, kw_only=True):
    """One private address of a NIC."""

    ip: Annotated[str, Meta(max_length=45, description="The address; with a prefix length: a block of addresses.")]
    version: Annotated[str, Meta(max_length=4, description="IPv4 or IPv6.")] = "IPv4"
    primary: Annotated[bool, Meta(description="Whether it is the primary address of its NIC.")] = False


class Nic(Frozen, frozen=True, kw_only=True):
    """One network interface."""

    id: Annotated[str, Meta(max_length=1024, description="ARM id of the interface.")]
    primary: Annotated[bool, Meta(description="Whether it is the VM's primary interface.")] = False
    addresses: Annotated[tuple[Address, ...], Meta(max_length=64, description="Its private addresses.")] = ()
    unreadable: Annotated[
        bool, Meta(description="The VM names it and Azure's list does not show it; its addresses are those last seen.")
    ] = False


class Image(Frozen, frozen=True, kw_only=True):
    """What the VM was made from: a marketplace image, or the id of another."""

    publisher: Annotated[Text, Meta(description="Publisher of the marketplace image.")] = ""
    offer: Annotated[Text, Meta(description="Offer of the marketplace image.")] = ""
    sku: Annotated[Text, Meta(description="SKU of the marketplace image.")] = ""
    version: Annotated[Text, Meta(description="Version of the marketplace image.")] = ""
    id: Annotated[LongText, Meta(description="ARM id of an image that is not the marketplace's.")] = ""


class Disk(Frozen, frozen=True, kw_only=True):
    """A disk of the VM."""

    name: Annotated[Text, Meta(description="Name of the disk.")] = ""
    size_gb: Annotated[int, Meta(description="Size in GiB; 0 where Azure does not say.")] = 0
    type: Annotated[Text, Meta(description="Storage type, such as Premium_LRS.")] = ""


class Tag(Frozen, frozen=True, kw_only=True):
    """A tag of the VM. A list and not a map, because Azure flips the case of keys."""

    key: Annotated[str, Meta(max_length=512, description="Key, in the case that Azure showed.")]
    value: Annotated[str, Meta(max_length=256, description="Value.")] = ""


class AzureRecord(Frozen, frozen=True, kw_only=True):
    """Stage 1's record: what Azure shows of the VM."""

    resource_id: Annotated[str, Meta(max_length=1024, description="ARM id. It is not the identity: a VM may move.")]
    name: Annotated[Text, Meta(description="Name of the VM.")]
    computer_name: Annotated[str, Meta(max_length=256, description="Hostname inside the VM.")] = ""
    subscription: Annotated[Text, Meta(description="Id of its subscription.")] = ""
    resource_group: Annotated[Text, Meta(description="Its resource group.")] = ""
    location: Annotated[Text, Meta(description="Its region.")] = ""
    zone: Annotated[Text, Meta(description="Its availability zone.")] = ""
    vm_size: Annotated[Text, Meta(description="Its size, such as Standard_D2s_v5.")] = ""
    os_type: Annotated[str, Meta(max_length=16, description="Windows or Linux.")] = ""
    image: Image | None = None
    os_disk: Disk | None = None
    data_disks: Annotated[tuple[Disk, ...], Meta(max_length=64, description="Its data disks.")] = ()
    nics: Annotated[tuple[Nic, ...], Meta(max_length=16, description="Its network interfaces.")] = ()
    tags: Annotated[tuple[Tag, ...], Meta(max_length=64, description="Its tags, sorted by key.")] = ()
    provisioning_state: Annotated[Text, Meta(description="Azure's provisioning state of the VM.")] = ""
    power_state: Annotated[
        str, Meta(max_length=32, description="running, stopped, deallocated, …; empty: unknown.")
    ] = ""
    agent_ready: Annotated[
        bool | None, Meta(description="Whether Azure's VM agent reported ready at the last check.")
    ] = None
    created_at: Annotated[datetime | None, Meta(description="When Azure created the VM.")] = None
    scale_set: Annotated[LongText, Meta(description="ARM id of its flexible scale set.")] = ""

    def addresses(self) -> tuple[Address, ...]:
        """Every private address, the primary NIC's primary IPv4 first, then in a stable order.

        Of an unreadable NIC those that were seen last: the VM may have them still.
        """
        return tuple(address for address, _ in self.addresses_with_nics())

    def addresses_with_nics(self) -> tuple[tuple[Address, Nic], ...]:
        """The same addresses, each with its NIC. One that is shown twice counts once."""
        if len(self.nics) == 1 and len(self.nics[0].addresses) == 1:  # as of most VMs, asked at every decision
            return ((self.nics[0].addresses[0], self.nics[0]),)
        ranked = [
            (not nic.primary, not address.primary, address.version != "IPv4", address.ip, address, nic)
            for nic in self.nics
            for address in nic.addresses
        ]
        found: dict[str, tuple[Address, Nic]] = {}
        for *_, ip, address, nic in sorted(ranked, key=lambda row: row[:-2]):
            found.setdefault(ip, (address, nic))
        return tuple(found.values())

    def unreadable_nics(self) -> tuple[str, ...]:
        """Names of the NICs that the VM has and Azure's list does not show."""
        return tuple(nic.id.rpartition("/")[2] or "a NIC without an id" for nic in self.nics if nic.unreadable)

    @property
    def primary_known(self) -> bool:
        """Whether the first of `addresses()` is certainly the primary one: no unreadable NIC can have it."""
        first = next(iter(self.addresses_with_nics()), None)
        if first is not None and first[1].primary:
            return True
        return not any(nic.unreadable for nic in self.nics)
