"""What the mapping wants for a host, in the stages' words. Pure; called when tags, labels or rules changed."""

from __future__ import annotations

from datetime import datetime

from microseg.mapping import Keep, Mapping, Miss, Remove, Subject, Value, evaluate
from microseg.model.facts import Vm, Workload
from microseg.model.host import clip
from microseg.model.wanted import Wanted


def subject(vm: Vm) -> Subject:
    """What rules may read of a VM."""
    record = vm.record
    return Subject(
        name=record.name,
        location=record.location,
        resource_group=record.resource_group,
        subscription=record.subscription,
        os=record.os_type,
        tags=tuple((tag.key, tag.value) for tag in record.tags),
        vm_id=vm.vm_id,
    )


def wanted(mapping: Mapping, vm: Vm, workload: Workload | None, *, pce_read: bool, now: datetime) -> Wanted:
    """Labels and groups for one VM. `pce_read`: whether the absence of a workload is known, or only not read yet."""
    current = {label.key: label.value for label in workload.labels} if workload is not None else None
    if current is None and pce_read:
        current = {}
    answer = evaluate(mapping, subject(vm), current=current, now=now)
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
