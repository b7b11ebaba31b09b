"""What the mapping wants for a host, in the stages' words. Pure; called when tags, labels or rules changed.

The keeper asks with what was read just now, `microseg plan` with what the host's record holds of it.
"""

from __future__ import annotations

from collections.abc import Mapping as Labels
from datetime import datetime

from microseg.mapping import Keep, Mapping, Miss, Remove, Subject, Value, evaluate
from microseg.model.facts import Vm, Workload
from microseg.model.host import AzureRecord, ManagedHost, clip
from microseg.model.wanted import Wanted


def subject(record: AzureRecord, vm_id: str) -> Subject:
    """What rules may read of a VM."""
    return Subject(
        name=record.name,
        location=record.location,
        resource_group=record.resource_group,
        subscription=record.subscription,
        os=record.os_type,
        tags=tuple((tag.key, tag.value) for tag in record.tags),
        vm_id=vm_id,
    )


def wanted(mapping: Mapping, vm: Vm, workload: Workload | None, *, pce_read: bool, now: datetime) -> Wanted:
    """Labels and groups for one VM. `pce_read`: whether the absence of a workload is known, or only not read yet."""
    current = {label.key: label.value for label in workload.labels} if workload is not None else None
    if current is None and pce_read:
        current = {}
    return _asked(mapping, subject(vm.record, vm.vm_id), current, now)


def as_known(mapping: Mapping, host: ManagedHost, now: datetime) -> Wanted | None:
    """Labels and groups for one host by its own record; None: Azure has not told of it, or it is missing there."""
    azure = host.status.azure
    if azure is None or host.status.missing_since is not None:
        return None
    return _asked(mapping, subject(azure, host.spec.vm_id), recorded_labels(host), now)


def recorded_labels(host: ManagedHost) -> dict[str, str]:
    """The workload's labels as they were last confirmed, key -> value."""
    illumio = host.status.illumio
    return {label.key: label.value for label in illumio.labels} if illumio is not None else {}


def _asked(mapping: Mapping, asked: Subject, current: Labels[str, str] | None, now: datetime) -> Wanted:
    answer = evaluate(mapping, asked, current=current, now=now)
    return Wanted(
        revision=mapping.digest,
        labels=tuple((item.key, item.value) for item in answer.labels if isinstance(item, Value)),
        removed=tuple(item.key for item in answer.labels if isinstance(item, Remove)),
        kept=tuple(item.key for item in answer.labels if isinstance(item, Keep)),
        groups=tuple(sorted(group.name for group in answer.groups if group.member)),
        pending_groups=tuple(sorted(group.name for group in answer.groups if group.member is None)),
        cases=answer.cases,
        miss=_miss(answer.labels) if answer.held else "",
    )


def _miss(labels: tuple[object, ...]) -> str:
    """The sentence for a host that no rule knows: key and tag are named, the value is clipped."""
    misses = [item for item in labels if isinstance(item, Miss)]
    told = "; ".join(
        f"label {item.key}: tag {clip(item.tag, 64)} has the unknown value {clip(item.value, 64)!r}"
        if item.tag and item.value is not None
        else f"label {item.key}: no rule matches"
        for item in misses
    )
    return f"The mapping has no answer for this VM ({told}). Add a rule or change the tag; labels and groups wait."
