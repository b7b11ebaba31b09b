"""The state that the mapping asks for: labels and groups of one host. Pure; called when tags, labels or rules changed.

The reconciler calls it with what was read just now, `microseg plan` with what the host's record has.
"""

from __future__ import annotations

from collections.abc import Mapping as Labels
from dataclasses import replace
from datetime import datetime

from microseg.mapping import MappingDocument, Miss, Remove, Subject, Value, evaluate
from microseg.model.azure_facts import Vm
from microseg.model.azure_record import AzureRecord
from microseg.model.desired import Desired
from microseg.model.facts import HostFacts, Seen
from microseg.model.fields import clip
from microseg.model.host import ManagedHost
from microseg.model.illumio_facts import Workload
from microseg.model.spelling import fold
from microseg.stages.context import EstateContext


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


def desired(
    mapping: MappingDocument, vm: Vm, workload: Workload | None, *, illumio_read: bool, now: datetime
) -> Desired:
    """Labels and groups for one VM. `illumio_read`: whether a workload that is not there is known to be absent."""
    current = {label.key: label.value for label in workload.labels} if workload is not None else None
    if current is None and illumio_read:
        current = {}
    return _evaluate(mapping, subject(vm.record, vm.vm_id), current, now)


def as_known(mapping: MappingDocument, host: ManagedHost, now: datetime) -> Desired | None:
    """Labels and groups for one host by its own record; None: Azure has not shown it, or it is missing there."""
    azure = host.status.azure
    if azure is None or host.status.missing_since is not None:
        return None
    return _evaluate(mapping, subject(azure, host.spec.vm_id), recorded_labels(host), now)


def recorded_labels(host: ManagedHost) -> dict[str, str]:
    """The workload's labels as they were last confirmed, key -> value."""
    illumio = host.status.illumio
    return {label.key: label.value for label in illumio.labels} if illumio is not None else {}


def as_spelled(desired: Desired | None, estate: EstateContext) -> Desired | None:
    """The same with labels and groups as the PCE and Check Point spell them, if they have them in any letter case."""
    if desired is None:
        return None
    labels = tuple((key, estate.label_value(key, value)) for key, value in desired.labels)
    groups = tuple(sorted({estate.group_name(name) for name in desired.groups}))
    if (labels, groups) == (desired.labels, desired.groups):
        return desired
    return replace(desired, labels=labels, groups=groups)


def with_kept_groups(desired: Desired | None, host: ManagedHost, facts: HostFacts) -> Desired | None:
    """While labels miss: the groups that depend on them as they are, by the record or by the published objects."""
    if desired is None or not desired.miss:
        return desired
    waiting = set(map(fold, desired.pending_groups))
    recorded = host.status.check_point.groups if host.status.check_point is not None else ()
    own = facts.check_point.value.own if isinstance(facts.check_point, Seen) else ()
    kept = {group for group in (*recorded, *(name for item in own for name in item.groups)) if fold(group) in waiting}
    return replace(desired, groups=tuple(sorted({*desired.groups, *kept})))


def _evaluate(mapping: MappingDocument, vm: Subject, current: Labels[str, str] | None, now: datetime) -> Desired:
    answer = evaluate(mapping, vm, current=current, now=now)
    return Desired(
        revision=mapping.digest,
        labels=tuple((item.key, item.value) for item in answer.labels if isinstance(item, Value)),
        removed=tuple(item.key for item in answer.labels if isinstance(item, Remove)),
        groups=tuple(sorted(group.name for group in answer.groups if group.member)),
        pending_groups=tuple(sorted(group.name for group in answer.groups if group.member is None)),
        cases=answer.cases,
        miss=_miss(answer.labels) if answer.undecided else "",
    )


def _miss(labels: tuple[object, ...]) -> str:
    """The sentence for a host that no rule knows: key and tag are named, the value is clipped."""
    misses = [item for item in labels if isinstance(item, Miss)]
    details = "; ".join(
        f"label {item.key}: tag {clip(item.tag, 64)} has the unknown value {clip(item.value, 64)!r}"
        if item.tag and item.value is not None
        else f"label {item.key}: no rule matches"
        for item in misses
    )
    return (
        f"The mapping has no answer for this VM ({details}). Add a rule or change the tag; labels, and groups that "
        "depend on them, wait."
    )
