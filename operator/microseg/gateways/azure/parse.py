"""Azure's JSON parsed into facts: VMs joined with their NICs and power states, instance views, run-commands.

Pure; `azure/gateway.py` calls it with whole lists.

Shapes: Azure/azure-rest-api-specs, specification/compute/resource-manager/
Microsoft.Compute/Compute/stable/2026-04-01/ComputeRP.json and specification/network (NetworkInterface); that a status
list has power states and little else: Azure/azure-sdk-for-go#18565.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from microseg.gateways.azure import ids
from microseg.gateways.azure.selector import Selector
from microseg.gateways.http.client import sanitize
from microseg.gateways.http.json_access import (
    Json,
    get_address,
    get_list,
    get_number,
    get_object,
    get_objects,
    get_text,
    get_time,
    get_value,
)
from microseg.gateways.http.rows import decoded, id_of
from microseg.model.azure_facts import RunCommand, Unsupported, Vm, VmDetail
from microseg.model.azure_record import Address, AzureRecord, Disk, Image, Nic, Tag
from microseg.model.azure_spec import Select
from microseg.model.fields import clip
from microseg.model.sharing import Sharing

_OUTPUT_LENGTH = 4096
"""Characters at the end of a run-command's output: what Azure keeps of it at most."""
_LONGEST_ID = 1024
MOST_NICS, _MOST_ADDRESSES = 16, 64
"""Per VM, and per NIC: what a record can hold. Azure allows more addresses (256 per NIC): what is cut is told."""


def by_id(rows: Iterable[object]) -> dict[str, object]:
    """Rows by lower-cased id; Azure changes an id's letter case between calls (Azure/azure-sdk-for-python#574)."""
    return {resource_id.lower(): row for row in rows if (resource_id := id_of(row))}


class VmParser:
    """Joins the three lists of one subscription into `Vm`s.

    `unreadable`: one sentence per row that names no VM which can be identified. Such a row may be any VM, so it is no
    proof that another one is absent. `problems`: one sentence per VM with a NIC that the list of NICs lacks.
    """

    def __init__(
        self,
        source: str,
        select: Select,
        nics: Iterable[object],
        statuses: Iterable[object],
        recorded_tags: Iterable[str] = (),
    ) -> None:
        """`recorded_tags`: keys of the tags that the record gets; none: all."""
        self._source = source
        self._recorded_tags = frozenset(key.lower() for key in recorded_tags)
        self._select = Selector(select)
        self._nics_by_id = by_id(nics)
        self._statuses_by_id = by_id(statuses)
        self._sharing = Sharing()
        self.unreadable: list[str] = []
        self.problems: list[str] = []

    def parse(self, item: object, subscription: str) -> Vm | None:
        """One VM; None, and one more unreadable row, for an item without a usable identity."""
        body = get_object(decoded(item))
        resource_id = get_text(body, "id")
        parts = ids.parse_vm_resource_id(resource_id)
        vm_id = get_text(body, "properties", "vmId").lower()
        if parts is None or parts.subscription != subscription.lower():
            shown = sanitize(resource_id, limit=160) or "none"
            self.unreadable.append(f"A listed VM has an unusable ARM id ({len(resource_id)} characters): {shown}")
            return None
        if not ids.is_vm_id(vm_id):
            self.unreadable.append(f"A listed VM has no usable vmId: {sanitize(resource_id, limit=160)}")
            return None
        record = self._record(body, resource_id, parts)
        unselected = self._select.leaves_out(record)
        names = record.unreadable_nics()
        if names and not unselected:
            self.problems.append(f"The list of NICs does not show {', '.join(names)} of VM {record.name}")
        return Vm(
            vm_id=vm_id,
            record=self._sharing.once(self._with_recorded_tags(record)),
            source=self._source,
            unsupported=_unsupported(body, record),
            selected=not unselected,
            unselected_by=unselected,
        )

    def _with_recorded_tags(self, record: AzureRecord) -> AzureRecord:
        if not self._recorded_tags:
            return record
        kept = tuple(tag for tag in record.tags if tag.key.lower() in self._recorded_tags)
        return msgspec.structs.replace(record, tags=kept)

    def _record(self, body: Json, resource_id: str, parts: ids.VmResourceId) -> AzureRecord:
        properties = get_object(body, "properties")
        storage = get_object(properties, "storageProfile")
        zones = get_list(body, "zones")
        tags = get_object(body, "tags")
        name = clip(get_text(body, "name") or parts.name)
        view = get_value(decoded(self._statuses_by_id.get(resource_id.lower())), "properties", "instanceView")
        return AzureRecord(
            resource_id=resource_id,
            name=name,
            computer_name=clip(get_value(properties, "osProfile", "computerName")),
            subscription=parts.subscription,
            resource_group=clip(parts.group),
            location=clip(get_text(body, "location")),
            zone=clip(zones[0] if zones else ""),
            vm_size=clip(get_value(properties, "hardwareProfile", "vmSize")),
            os_type=clip(get_text(storage, "osDisk", "osType"), 16),
            image=_image(storage.get("imageReference")),
            os_disk=_disk(storage.get("osDisk")),
            data_disks=tuple(_disk(disk) for disk in get_objects(storage, "dataDisks")[:64]),
            nics=self._nics_of(name, properties),
            tags=tuple(Tag(key=clip(key, 512), value=clip(value)) for key, value in sorted(tags.items())[:64]),
            provisioning_state=clip(get_text(properties, "provisioningState")),
            power_state=power_state(view),
            agent_ready=agent_ready(view),
            created_at=get_time(properties, "timeCreated"),
            scale_set=clip(get_text(properties, "virtualMachineScaleSet", "id"), 1024),
        )

    def _nics_of(self, vm: str, properties: Json) -> tuple[Nic, ...]:
        """The VM's NICs in its own order; one that is not known where the VM does not say which it has.

        What of the network is more than a record holds becomes a problem: the VM's objects and groups lack it.
        """
        if not isinstance(get_value(properties, "networkProfile", "networkInterfaces"), list):
            return (Nic(id="", primary=True, unreadable=True),)
        references = get_list(properties, "networkProfile", "networkInterfaces")
        if len(references) > MOST_NICS:
            self.problems.append(f"VM {vm} has {len(references)} NICs, of which {MOST_NICS} are taken")
        only = len(references) == 1
        return tuple(self._nic(vm, get_object(reference), only=only) for reference in references[:MOST_NICS])

    def _nic(self, vm: str, reference: Json, *, only: bool) -> Nic:
        nic_id = get_text(reference, "id")
        nic = get_object(decoded(self._nics_by_id.get(nic_id.lower())), "properties")
        primary = get_value(reference, "properties", "primary")
        addresses, shown = _addresses(nic), len(get_list(nic, "ipConfigurations"))
        if shown > _MOST_ADDRESSES:
            self.problems.append(f"A NIC of VM {vm} has {shown} addresses, of which {_MOST_ADDRESSES} are taken")
        return Nic(
            id=clip(nic_id, _LONGEST_ID),
            primary=only or primary is True or (primary is None and nic.get("primary") is True),
            addresses=addresses or (),
            unreadable=addresses is None,
        )


def vm_detail(body: Json) -> VmDetail | None:
    """One VM with its instance view; None if it has no vmId."""
    vm_id = get_text(body, "properties", "vmId").lower()
    view = get_value(body, "properties", "instanceView")
    if not ids.is_vm_id(vm_id):
        return None
    return VmDetail(vm_id=vm_id, power_state=power_state(view), agent_ready=agent_ready(view) is True)


def run_command(item: object) -> RunCommand | None:
    """A managed run-command; None if it has no name. While it starts, every field of its view may be missing."""
    body = get_object(decoded(item))
    properties = get_object(body, "properties")
    view = get_object(properties, "instanceView")
    name = get_text(body, "name")
    if not name:
        return None
    return RunCommand(
        name=name,
        execution_state=clip(get_text(view, "executionState"), 32),
        exit_code=get_number(view, "exitCode"),
        output=get_text(view, "output")[-_OUTPUT_LENGTH:],
        message=get_text(view, "executionMessage")[-_OUTPUT_LENGTH:],
        error=get_text(view, "error")[-_OUTPUT_LENGTH:],
        started_at=get_time(view, "startTime"),
        ended_at=get_time(view, "endTime"),
        tags={key: clip(value) for key, value in get_object(body, "tags").items()},
        deleting=get_text(properties, "provisioningState") == "Deleting",
    )


def uniform_members(scale_set: object) -> int:
    """How many machines a scale set has that are not listed as VMs; 0 for a flexible one, whose members are."""
    body = decoded(scale_set)
    mode = get_text(body, "properties", "orchestrationMode")
    return 0 if mode == "Flexible" else get_number(body, "sku", "capacity") or 0


def power_state(view: object) -> str:
    """`running`, `deallocated`, …; empty if Azure shows none, as for a VM that is being created."""
    codes = (get_text(status, "code") for status in get_objects(view, "statuses"))
    return next((clip(code.partition("/")[2].lower(), 32) for code in codes if code.startswith("PowerState/")), "")


def agent_ready(view: object) -> bool | None:
    """Whether the VM agent reports ready; None if the view does not show it."""
    statuses: Sequence[Json] = get_objects(view, "vmAgent", "statuses")
    return None if not statuses else statuses[0].get("displayStatus") == "Ready"


def _unsupported(body: Json, record: AzureRecord) -> Unsupported | None:
    properties = get_object(body, "properties")
    profile = get_object(properties, "osProfile")
    systems = (profile.get("windowsConfiguration"), profile.get("linuxConfiguration"))
    managed_by = get_text(body, "managedBy").lower()
    if any(get_object(system).get("provisionVMAgent") is False for system in systems):
        return Unsupported.NO_AGENT
    if profile.get("allowExtensionOperations") is False:
        return Unsupported.EXTENSIONS_DISALLOWED
    # A member of a flexible scale set is an ordinary VM although the scale set manages it.
    if managed_by and "/virtualmachinescalesets/" not in managed_by:
        return Unsupported.MANAGED_BY_SERVICE
    return None if record.os_type in ("Windows", "Linux") else Unsupported.UNKNOWN_OS


def _image(value: object) -> Image | None:
    body = get_object(value)
    if not body:
        return None
    other = next((body[key] for key in ("id", "sharedGalleryImageId", "communityGalleryImageId") if body.get(key)), "")
    return Image(
        publisher=clip(get_text(body, "publisher")),
        offer=clip(get_text(body, "offer")),
        sku=clip(get_text(body, "sku")),
        version=clip(get_text(body, "exactVersion") or get_text(body, "version")),
        id=clip(get_text(other), _LONGEST_ID),
    )


def _disk(value: object) -> Disk:
    body = get_object(value)
    return Disk(
        name=clip(get_text(body, "name")),
        size_gb=get_number(body, "diskSizeGB") or 0,
        type=clip(get_text(body, "managedDisk", "storageAccountType")),
    )


def _addresses(nic: Json) -> tuple[Address, ...] | None:
    """A NIC's private addresses; None if its row is missing, or has a form in which an address could be overlooked."""
    configurations = get_value(nic, "ipConfigurations")
    if not isinstance(configurations, list):
        return None
    shown = [get_object(item, "properties") for item in configurations[:_MOST_ADDRESSES]]
    found = [_address(properties) for properties in shown]
    read = zip(shown, found, strict=True)
    if any(not properties or (properties.get("privateIPAddress") and address is None) for properties, address in read):
        return None
    return tuple(address for address in found if address is not None)


def _address(properties: Json) -> Address | None:
    """The one address of an IP configuration, else its block in CIDR form, which is no address; None: it has none."""
    ip = get_address(properties, "privateIPAddress")
    version, longest = ("IPv6", 128) if ":" in ip else ("IPv4", 32)
    length: object = get_text(properties, "privateIPAddress").partition("/")[2]
    length = length or get_number(properties, "privateIPAddressPrefixLength") or longest
    if not ip or not str(length).isdecimal():
        return None
    block = f"/{length}" if int(str(length)) < longest else ""
    return Address(ip=f"{ip}{block}", version=version, primary=properties.get("primary") is True)
