"""Azure's JSON turned into facts: VMs joined with their NICs and power states, instance views, run-commands.

Pure; called by `azure.py` with whole lists. Shapes: Azure/azure-rest-api-specs, specification/compute/resource-manager/
Microsoft.Compute/Compute/stable/2026-04-01/ComputeRP.json and specification/network (NetworkInterface); that a status
list has power states and little else: Azure/azure-sdk-for-go#18565.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from microseg.gateways import azure_ids, shapes
from microseg.gateways.shapes import Json
from microseg.gateways.transport import clean
from microseg.model.estate import Select
from microseg.model.facts import RunCommand, Unsupported, Vm, VmDetail
from microseg.model.host import Address, AzureRecord, Disk, Image, Nic, Tag, clip

_RESULT_BYTES = 4096
_LONGEST_ID = 1024


def by_id(items: Iterable[object]) -> dict[str, Json]:
    """Resources by lower-cased id; Azure changes an id's letter case between calls (Azure/azure-sdk-for-python#574)."""
    return {shapes.text(item["id"]).lower(): item for item in shapes.mappings(list(items)) if "id" in item}


class VmReader:
    """Makes `Vm`s of one subscription's three lists. `problems` collects what was left out."""

    def __init__(self, source: str, select: Select, nics: Iterable[object], statuses: Iterable[object]) -> None:
        self._source = source
        self._select = _Selector(select)
        self._nics = by_id(nics)
        self._statuses = by_id(statuses)
        self.problems: list[str] = []

    def read(self, item: object, subscription: str) -> Vm | None:
        """One VM; None, and a problem, where the item is not one that can be told apart from others."""
        body = shapes.mapping(item)
        resource_id = shapes.text(body.get("id"))
        parts = azure_ids.vm_id(resource_id)
        vm_id = shapes.text(shapes.within(body, "properties", "vmId")).lower()
        if parts is None or len(resource_id) > _LONGEST_ID or parts.subscription != subscription.lower():
            self.problems.append(f"a listed VM has an unusable id: {clean(resource_id, limit=160) or 'none'}")
            return None
        if not azure_ids.is_uuid(vm_id):
            self.problems.append(f"a listed VM has no usable vmId: {clean(resource_id, limit=160)}")
            return None
        record = self._record(body, resource_id, parts)
        return Vm(
            vm_id=vm_id,
            record=record,
            source=self._source,
            unsupported=_unsupported(body, record),
            selected=self._select.covers(record),
        )

    def _record(self, body: Json, resource_id: str, parts: azure_ids.VmId) -> AzureRecord:
        properties = shapes.mapping(body.get("properties"))
        storage = shapes.mapping(properties.get("storageProfile"))
        zones = shapes.listing(body.get("zones"))
        tags = shapes.mapping(body.get("tags"))
        view = shapes.within(self._statuses.get(resource_id.lower()), "properties", "instanceView")
        return AzureRecord(
            resource_id=resource_id,
            name=clip(shapes.text(body.get("name")) or parts.name),
            computer_name=clip(shapes.within(properties, "osProfile", "computerName")),
            subscription=parts.subscription,
            resource_group=clip(parts.group),
            location=clip(shapes.text(body.get("location"))),
            zone=clip(zones[0] if zones else ""),
            vm_size=clip(shapes.within(properties, "hardwareProfile", "vmSize")),
            os_type=clip(shapes.text(shapes.within(storage, "osDisk", "osType")), 16),
            image=_image(storage.get("imageReference")),
            os_disk=_disk(storage.get("osDisk")),
            data_disks=tuple(_disk(disk) for disk in shapes.mappings(storage.get("dataDisks"))[:64]),
            nics=self._joined(properties),
            tags=tuple(Tag(key=clip(key, 512), value=clip(value)) for key, value in sorted(tags.items())[:64]),
            provisioning_state=clip(shapes.text(properties.get("provisioningState"))),
            power_state=power_state(view),
            agent_ready=agent_ready(view),
            created_at=shapes.when(properties.get("timeCreated")),
            scale_set=clip(shapes.text(shapes.within(properties, "virtualMachineScaleSet", "id")), 1024),
        )

    def _joined(self, properties: Json) -> tuple[Nic, ...]:
        """The VM's NICs in the order that it names them; one that is not listed yet has no addresses."""
        references = shapes.mappings(shapes.within(properties, "networkProfile", "networkInterfaces"))[:16]
        return tuple(self._nic(reference, only=len(references) == 1) for reference in references)

    def _nic(self, reference: Json, *, only: bool) -> Nic:
        nic_id = shapes.text(reference.get("id"))
        listed = shapes.mapping(shapes.within(self._nics.get(nic_id.lower()), "properties"))
        said = shapes.within(reference, "properties", "primary")
        addresses = (_address(each) for each in shapes.mappings(listed.get("ipConfigurations"))[:64])
        return Nic(
            id=clip(nic_id, _LONGEST_ID),
            primary=only or said is True or (said is None and listed.get("primary") is True),
            addresses=tuple(address for address in addresses if address is not None),
        )


class _Selector:
    """A source's `select`, folded once. Every field that is set must hold."""

    def __init__(self, select: Select) -> None:
        self._groups = {group.lower() for group in select.resource_groups}
        self._locations = {_place(location) for location in select.locations}
        self._tags = {key.lower(): value for key, value in select.tags.items()}
        self._not_tags = {key.lower(): value for key, value in select.not_tags.items()}

    def covers(self, record: AzureRecord) -> bool:
        """Whether the VM belongs to the estate."""
        if self._groups and record.resource_group.lower() not in self._groups:
            return False
        if self._locations and _place(record.location) not in self._locations:
            return False
        tags = {tag.key.lower(): tag.value for tag in record.tags}
        if any(_has(tags, key, value) for key, value in self._not_tags.items()):
            return False
        return all(_has(tags, key, value) for key, value in self._tags.items())


def detail(body: Json) -> VmDetail | None:
    """One VM with its instance view; None where it has no vmId."""
    vm_id = shapes.text(shapes.within(body, "properties", "vmId")).lower()
    view = shapes.within(body, "properties", "instanceView")
    if not azure_ids.is_uuid(vm_id):
        return None
    return VmDetail(vm_id=vm_id, power_state=power_state(view), agent_ready=agent_ready(view) is True)


def run_command(item: object) -> RunCommand | None:
    """A managed run-command; None where it has no name. Every field of the view may be missing while it begins."""
    body = shapes.mapping(item)
    properties = shapes.mapping(body.get("properties"))
    view = shapes.mapping(properties.get("instanceView"))
    name = shapes.text(body.get("name"))
    if not name:
        return None
    return RunCommand(
        name=name,
        execution_state=clip(shapes.text(view.get("executionState")), 32),
        provisioning_state=clip(shapes.text(properties.get("provisioningState")), 64),
        exit_code=shapes.number(view.get("exitCode")),
        output=shapes.text(view.get("output"))[-_RESULT_BYTES:],
        started_at=shapes.when(view.get("startTime")),
        ended_at=shapes.when(view.get("endTime")),
        tags={key: clip(value) for key, value in shapes.mapping(body.get("tags")).items()},
    )


def uniform_members(scale_set: object) -> int:
    """How many machines a scale set has that are no VMs of their own; 0 for a flexible one, whose members are."""
    mode = shapes.text(shapes.within(scale_set, "properties", "orchestrationMode"))
    return 0 if mode == "Flexible" else shapes.number(shapes.within(scale_set, "sku", "capacity")) or 0


def power_state(view: object) -> str:
    """`running`, `deallocated`, …; empty where Azure does not say (a VM that is being created has none)."""
    codes = (shapes.text(status.get("code")) for status in shapes.mappings(shapes.within(view, "statuses")))
    return next((clip(code.partition("/")[2].lower(), 32) for code in codes if code.startswith("PowerState/")), "")


def agent_ready(view: object) -> bool | None:
    """Whether the VM agent reports ready; None where the view says nothing of it."""
    statuses: Sequence[Json] = shapes.mappings(shapes.within(view, "vmAgent", "statuses"))
    return None if not statuses else statuses[0].get("displayStatus") == "Ready"


def _unsupported(body: Json, record: AzureRecord) -> Unsupported | None:
    properties = shapes.mapping(body.get("properties"))
    profile = shapes.mapping(properties.get("osProfile"))
    systems = (profile.get("windowsConfiguration"), profile.get("linuxConfiguration"))
    managed_by = shapes.text(body.get("managedBy")).lower()
    if any(shapes.mapping(system).get("provisionVMAgent") is False for system in systems):
        return Unsupported.NO_AGENT
    if profile.get("allowExtensionOperations") is False:
        return Unsupported.EXTENSIONS_DISALLOWED
    # A member of a flexible scale set is an ordinary VM, and says that the scale set manages it.
    if managed_by and "/virtualmachinescalesets/" not in managed_by:
        return Unsupported.MANAGED_BY_SERVICE
    return None if record.os_type in ("Windows", "Linux") else Unsupported.UNKNOWN_OS


def _image(value: object) -> Image | None:
    body = shapes.mapping(value)
    if not body:
        return None
    other = next((body[key] for key in ("id", "sharedGalleryImageId", "communityGalleryImageId") if body.get(key)), "")
    return Image(
        publisher=clip(shapes.text(body.get("publisher"))),
        offer=clip(shapes.text(body.get("offer"))),
        sku=clip(shapes.text(body.get("sku"))),
        version=clip(shapes.text(body.get("exactVersion")) or shapes.text(body.get("version"))),
        id=clip(shapes.text(other), _LONGEST_ID),
    )


def _disk(value: object) -> Disk:
    body = shapes.mapping(value)
    return Disk(
        name=clip(shapes.text(body.get("name"))),
        size_gb=shapes.number(body.get("diskSizeGB")) or 0,
        type=clip(shapes.text(shapes.within(body, "managedDisk", "storageAccountType"))),
    )


def _address(configuration: Json) -> Address | None:
    properties = shapes.mapping(configuration.get("properties"))
    ip = shapes.address(properties.get("privateIPAddress"))
    if not ip:
        return None
    return Address(ip=ip, version="IPv6" if ":" in ip else "IPv4", primary=properties.get("primary") is True)


def _has(tags: Mapping[str, str], key: str, value: str) -> bool:
    return key in tags and value in ("*", tags[key])


def _place(location: str) -> str:
    """`West Europe` and `westeurope` are one place."""
    return location.replace(" ", "").lower()
