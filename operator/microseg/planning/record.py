"""The CMDB part of the next status: what each stage's verdict and facts add to the host's record."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from microseg.model.checkpoint_facts import EnforcementPoint, HostObject
from microseg.model.checkpoint_record import CheckPointRecord, FirewallObject, InstalledAt
from microseg.model.condition import ConditionType, Reason
from microseg.model.desired import Desired
from microseg.model.facts import Absent, ObjectMatches, Seen
from microseg.model.fields import clip
from microseg.model.host import HostStatus, ManagedHost, MappingRecord, RetirementRecord
from microseg.model.illumio_facts import Workload
from microseg.model.illumio_record import IllumioRecord, LabelRecord
from microseg.model.plan import Action, SetLabels
from microseg.model.verdict import Done, Verdict, Wait
from microseg.stages import proof, retirement
from microseg.stages.context import HostContext
from microseg.stages.object_names import without_mark

RecordUpdate = Callable[[HostStatus, Verdict, HostContext], HostStatus]


def with_counted_change(host: ManagedHost, desired: Desired | None) -> ManagedHost:
    """The host with when it last changed unapproved, before anything of that change is confirmed in its record."""
    timeline = host.status.timeline
    if timeline is None or desired is None or desired.changed_at in {None, timeline.changed_at}:
        return host
    timeline = msgspec.structs.replace(timeline, changed_at=desired.changed_at)
    return msgspec.structs.replace(host, status=msgspec.structs.replace(host.status, timeline=timeline))


def with_retirement(context: HostContext) -> ManagedHost:
    """The host with since when it is missing and how far its retirement is; one that is seen again is neither."""
    status = context.host.status
    if isinstance(context.facts.azure, Seen) and (status.missing_since or status.retirement):
        status = msgspec.structs.replace(status, missing_since=None, retirement=None)
    elif isinstance(context.facts.azure, Absent):
        since = status.missing_since or context.now.replace(microsecond=0)
        status = msgspec.structs.replace(status, missing_since=since, retirement=_retirement_progress(context))
    return _with_status(context.host, status)


def _with_status(host: ManagedHost, status: HostStatus) -> ManagedHost:
    """The host with another status; the same host where nothing was added to it."""
    return host if status is host.status else msgspec.structs.replace(host, status=status)


def _retirement_progress(context: HostContext) -> RetirementRecord | None:
    """The retirement with the steps that the owning systems have shown."""
    record = retirement.believed(context)
    if record is None:
        return None
    matches, last = context.facts.check_point, context.estate.last_revision
    objects_gone = (
        isinstance(matches, Seen)
        and not matches.value.own
        and not without_mark(matches.value, context.host.status.check_point)
    )
    if record.ungrouped_at is None and objects_gone and last is not None and _may_have_been_grouped(context):
        record = msgspec.structs.replace(record, ungrouped_at=last.published_at)
    if record.unpaired_at is None and context.facts.unpair_accepted:
        record = msgspec.structs.replace(record, unpaired_at=context.now.replace(microsecond=0))
    return record


def _may_have_been_grouped(context: HostContext) -> bool:
    """Whether its removal must reach the gateways: by its record, by its tombstone, or because its record was lost."""
    status = context.host.status
    recorded = status.check_point is not None and bool(status.check_point.groups)
    return recorded or context.facts.was_grouped or status.azure is None


def with_stage(kind: ConditionType, verdict: Verdict, context: HostContext) -> ManagedHost:
    """The host with what this stage confirmed in its record."""
    return _with_status(context.host, _UPDATES[kind](context.host.status, verdict, context))


def _azure(status: HostStatus, _: Verdict, context: HostContext) -> HostStatus:
    """Stage 1's richer record, as the latest complete poll shows it."""
    vm = context.vm
    if vm is None:
        return status
    if not vm.record.primary_known:
        return msgspec.structs.replace(status, azure=vm.record)
    addresses = vm.record.addresses()
    return msgspec.structs.replace(status, azure=vm.record, ip=addresses[0].ip if addresses else "")


def _illumio(status: HostStatus, _: Verdict, context: HostContext) -> HostStatus:
    """The stamped workload, whether its VEN is there or not; its labels are recorded by the labels stage."""
    matches = context.facts.illumio
    if not isinstance(matches, Seen) or matches.value.stamped is None or status.retirement is not None:
        return status
    workload = matches.value.stamped
    before = status.illumio or IllumioRecord()
    labels = before.labels if before.workload == workload.href else ()
    return msgspec.structs.replace(
        status,
        illumio=IllumioRecord(
            workload=clip(workload.href),
            ven=clip(workload.ven),
            paired_by_us=proof.paired_by_us(status, workload),
            hostname=clip(workload.hostname),
            enforcement_mode=clip(workload.enforcement_mode, 32),
            labels=labels,
            owned_keys=before.owned_keys if before.workload == workload.href else (),
        ),
    )


def _labels(status: HostStatus, verdict: Verdict, context: HostContext) -> HostStatus:
    """The labels as confirmed, and which rules decided. A key that the workload lost is no longer owned."""
    matches, desired = context.facts.illumio, context.desired
    if status.illumio is None or desired is None or not isinstance(matches, Seen) or matches.value.stamped is None:
        return status
    if not isinstance(verdict, Done):
        return status
    carried = {label.key for label in matches.value.stamped.labels}
    labels = label_records(matches.value.stamped)
    return msgspec.structs.replace(
        status,
        illumio=msgspec.structs.replace(
            status.illumio, labels=labels, owned_keys=tuple(key for key in status.illumio.owned_keys if key in carried)
        ),
        mapping=_mapping_record(status, context, changed=_differ(status.illumio.labels, labels, desired)),
    )


def label_records(workload: Workload) -> tuple[LabelRecord, ...]:
    """The workload's labels in the record's form."""
    return tuple(
        LabelRecord(key=clip(label.key, 64), value=clip(label.value), href=clip(label.href))
        for label in sorted(workload.labels, key=lambda label: label.key)
    )


def _differ(before: tuple[LabelRecord, ...], after: tuple[LabelRecord, ...], desired: Desired) -> bool:
    """Whether a label that the rules speak of is another one now."""
    keys = {*(key for key, _ in desired.labels), *desired.removed}
    return {(each.key, each.value) for each in before if each.key in keys} != {
        (each.key, each.value) for each in after if each.key in keys
    }


def with_owned_labels(host: ManagedHost, actions: Iterable[Action]) -> ManagedHost:
    """The host with the label keys that are about to be set: the lane acts once the record shows them as owned."""
    illumio = host.status.illumio
    keys = {key for action in actions if isinstance(action, SetLabels) for key, _ in action.labels}
    if illumio is None or keys <= set(illumio.owned_keys):
        return host
    owned = tuple(sorted(keys | set(illumio.owned_keys)))
    status = msgspec.structs.replace(host.status, illumio=msgspec.structs.replace(illumio, owned_keys=owned))
    return msgspec.structs.replace(host, status=status)


def _mapping_record(status: HostStatus, context: HostContext, *, changed: bool) -> MappingRecord | None:
    """Which rules decided. A revision that changes nothing for this host is not written on it."""
    desired = context.desired
    if desired is None:
        return status.mapping
    cases = tuple(clip(case) for case in desired.cases)
    if not changed and status.mapping is not None and status.mapping.cases == cases and status.mapping.revision:
        return status.mapping
    return MappingRecord(revision=desired.revision, cases=cases)


def _check_point(status: HostStatus, verdict: Verdict, context: HostContext) -> HostStatus:
    """Objects, the operator's memberships, and the revision that first published them in this form."""
    matches, desired = context.facts.check_point, context.desired
    if not isinstance(matches, Seen) or desired is None or not (isinstance(verdict, Done) or _partly(verdict)):
        return status
    before = status.check_point or CheckPointRecord()
    hosts = tuple(firewall_object(item) for item in sorted(matches.value.own, key=lambda item: item.name))
    kept = _partly(verdict) and verdict.reason != Reason.MAPPING_MISS  # there `desired` has the kept ones
    groups = tuple(sorted(_groups_with_kept(before, desired, matches.value) if kept else desired.groups))
    put_right = any(each.open and each.stage == ConditionType.GROUPED for each in status.drift)
    same = before.hosts == hosts and before.groups == groups and before.published_at is not None
    unchanged = same and not put_right  # what was repaired came with a later revision
    revision = context.estate.last_revision
    if unchanged:
        return status
    return msgspec.structs.replace(
        status,
        check_point=CheckPointRecord(
            hosts=hosts,
            groups=groups,
            published_revision=clip(revision.uid) if revision else "",
            published_at=revision.published_at if revision else None,
            installed_at=(),
        ),
        mapping=_mapping_record(status, context, changed=before.groups != groups),
    )


def _partly(verdict: Verdict) -> bool:
    """Whether all is published that is known, beside objects of NICs that cannot be read and keep their groups."""
    return isinstance(verdict, Wait) and verdict.partly


def _groups_with_kept(before: CheckPointRecord, desired: Desired, matches: ObjectMatches) -> set[str]:
    """Groups of ours while some objects stay as they are: those of before, and the desired ones that are joined."""
    joined = {group for item in matches.own for group in item.groups}
    return set(before.groups) | (set(desired.groups) & joined)


def firewall_object(item: HostObject) -> FirewallObject:
    """One object in the record's form."""
    if ":" in item.address:
        return FirewallObject(name=clip(item.name), uid=clip(item.uid), ipv6=clip(item.address, 45))
    return FirewallObject(name=clip(item.name), uid=clip(item.uid), ipv4=clip(item.address, 45))


def _policy(status: HostStatus, verdict: Verdict, context: HostContext) -> HostStatus:
    """The first install on each target that covered this host, frozen: later installs are not written on hosts."""
    record = status.check_point
    if not isinstance(verdict, Done) or record is None or not record.groups or record.installed_at:
        return status
    installed = tuple(
        InstalledAt(target=clip(name), at=gateway.installed_at or context.now)
        for policy in context.estate.policies
        for name in policy.targets
        if isinstance(gateway := context.estate.gateways.get(name), EnforcementPoint)
    )
    return msgspec.structs.replace(status, check_point=msgspec.structs.replace(record, installed_at=installed))


_UPDATES: dict[ConditionType, RecordUpdate] = {
    ConditionType.DISCOVERED: _azure,
    ConditionType.AGENT_PAIRED: _illumio,
    ConditionType.LABELLED: _labels,
    ConditionType.GROUPED: _check_point,
    ConditionType.POLICY_INSTALLED: _policy,
}
