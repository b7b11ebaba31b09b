"""The CMDB part of the next status: what each stage's verdict and facts add to the host's record."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from microseg.model.condition import ConditionType
from microseg.model.facts import Absent, Gateway, HostObject, Seen
from microseg.model.host import (
    CheckPointRecord,
    FirewallObject,
    HostStatus,
    IllumioRecord,
    InstalledAt,
    LabelRecord,
    ManagedHost,
    MappingRecord,
    RetirementRecord,
    clip,
)
from microseg.model.plan import Action, SetLabels
from microseg.model.verdict import Done, Verdict
from microseg.model.wanted import Wanted
from microseg.stages.situation import Situation

Recorder = Callable[[HostStatus, Verdict, Situation], HostStatus]


def retiring(situation: Situation) -> ManagedHost:
    """The host with since when it is missing and how far its retirement is; one that is seen again is neither."""
    status = situation.host.status
    if isinstance(situation.facts.azure, Seen):
        status = msgspec.structs.replace(status, missing_since=None, retirement=None)
    elif isinstance(situation.facts.azure, Absent):
        since = status.missing_since or situation.now.replace(microsecond=0)
        status = msgspec.structs.replace(status, missing_since=since, retirement=_removed(situation))
    return msgspec.structs.replace(situation.host, status=status)


def _removed(situation: Situation) -> RetirementRecord | None:
    """The retirement with the steps that the owning systems have shown."""
    record, known = situation.host.status.retirement, situation.host.status.check_point
    if record is None:
        return None
    view, last = situation.facts.firewall, situation.estate.last_revision
    objects_gone = isinstance(view, Seen) and not view.value.own
    if record.ungrouped_at is None and objects_gone and last is not None and known is not None and known.groups:
        record = msgspec.structs.replace(record, ungrouped_at=last.published_at)
    if record.unpaired_at is None and situation.facts.unpair_accepted:
        record = msgspec.structs.replace(record, unpaired_at=situation.now.replace(microsecond=0))
    return record


def after(kind: ConditionType, verdict: Verdict, situation: Situation) -> ManagedHost:
    """The host with what this stage confirmed in its record."""
    status = _RECORDERS[kind](situation.host.status, verdict, situation)
    return msgspec.structs.replace(situation.host, status=status)


def _azure(status: HostStatus, _: Verdict, situation: Situation) -> HostStatus:
    """Stage 1's richer record, as the latest complete poll shows it."""
    vm = situation.vm
    if vm is None:
        return status
    addresses = vm.record.addresses()
    return msgspec.structs.replace(status, azure=vm.record, ip=addresses[0].ip if addresses else "")


def _illumio(status: HostStatus, verdict: Verdict, situation: Situation) -> HostStatus:
    """The stamped workload; its labels are recorded by the labels stage."""
    view = situation.facts.pce
    if not isinstance(view, Seen) or view.value.stamped is None or not isinstance(verdict, Done):
        return status
    workload = view.value.stamped
    before = status.illumio or IllumioRecord()
    labels = before.labels if before.workload == workload.href else ()
    return msgspec.structs.replace(
        status,
        illumio=IllumioRecord(
            workload=clip(workload.href),
            ven=clip(workload.ven),
            hostname=clip(workload.hostname),
            enforcement_mode=clip(workload.enforcement_mode, 32),
            labels=labels,
            owned_keys=before.owned_keys if before.workload == workload.href else (),
        ),
    )


def _labels(status: HostStatus, verdict: Verdict, situation: Situation) -> HostStatus:
    """The labels as confirmed, and which rules decided. A key that is not carried any more is no longer ours."""
    view, wanted = situation.facts.pce, situation.wanted
    if status.illumio is None or wanted is None or not isinstance(view, Seen) or view.value.stamped is None:
        return status
    if not isinstance(verdict, Done):
        return status
    carried = {label.key for label in view.value.stamped.labels}
    labels = tuple(
        LabelRecord(key=clip(label.key, 64), value=clip(label.value), href=clip(label.href))
        for label in sorted(view.value.stamped.labels, key=lambda label: label.key)
    )
    return msgspec.structs.replace(
        status,
        illumio=msgspec.structs.replace(
            status.illumio, labels=labels, owned_keys=tuple(key for key in status.illumio.owned_keys if key in carried)
        ),
        mapping=_rules(status, situation, changed=_differ(status.illumio.labels, labels, wanted)),
    )


def _differ(before: tuple[LabelRecord, ...], after: tuple[LabelRecord, ...], wanted: Wanted) -> bool:
    """Whether a label that the rules speak of is another one now."""
    keys = {*(key for key, _ in wanted.labels), *wanted.removed}
    return {(each.key, each.value) for each in before if each.key in keys} != {
        (each.key, each.value) for each in after if each.key in keys
    }


def owning(host: ManagedHost, actions: Iterable[Action]) -> ManagedHost:
    """The host with the label keys that are about to be set: the lane calls when the record says that they are ours."""
    illumio = host.status.illumio
    keys = {key for action in actions if isinstance(action, SetLabels) for key, _ in action.labels}
    if illumio is None or keys <= set(illumio.owned_keys):
        return host
    owned = tuple(sorted(keys | set(illumio.owned_keys)))
    status = msgspec.structs.replace(host.status, illumio=msgspec.structs.replace(illumio, owned_keys=owned))
    return msgspec.structs.replace(host, status=status)


def _rules(status: HostStatus, situation: Situation, *, changed: bool) -> MappingRecord | None:
    """Which rules decided. A revision that changes nothing for this host is not written on it."""
    wanted = situation.wanted
    if wanted is None:
        return status.mapping
    cases = tuple(clip(case) for case in wanted.cases)
    if not changed and status.mapping is not None and status.mapping.cases == cases and status.mapping.revision:
        return status.mapping
    return MappingRecord(revision=wanted.revision, cases=cases)


def _check_point(status: HostStatus, verdict: Verdict, situation: Situation) -> HostStatus:
    """Objects, memberships that are ours, and the revision that first published them in this form."""
    view, wanted = situation.facts.firewall, situation.wanted
    if not isinstance(verdict, Done) or not isinstance(view, Seen) or wanted is None:
        return status
    before = status.check_point or CheckPointRecord()
    hosts = tuple(_object(item) for item in sorted(view.value.own, key=lambda item: item.name))
    groups = tuple(sorted(wanted.groups))
    put_right = any(made.open and made.stage == ConditionType.GROUPED for made in status.drift)
    same = before.hosts == hosts and before.groups == groups and before.published_at is not None
    unchanged = same and not put_right  # what was put right came with a later revision
    revision = situation.estate.last_revision
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
        mapping=_rules(status, situation, changed=before.groups != groups),
    )


def _object(item: HostObject) -> FirewallObject:
    """One object in the record's form."""
    if ":" in item.address:
        return FirewallObject(name=clip(item.name), uid=clip(item.uid), ipv6=clip(item.address, 45))
    return FirewallObject(name=clip(item.name), uid=clip(item.uid), ipv4=clip(item.address, 45))


def _policy(status: HostStatus, verdict: Verdict, situation: Situation) -> HostStatus:
    """The first install on each target that covered this host, frozen: later installs are not written on hosts."""
    record = status.check_point
    if not isinstance(verdict, Done) or record is None or not record.groups or record.installed_at:
        return status
    installed = tuple(
        InstalledAt(target=clip(name), at=gateway.installed_at or situation.now)
        for policy in situation.estate.policies
        for name in policy.targets
        if isinstance(gateway := situation.estate.gateways.get(name), Gateway)
    )
    return msgspec.structs.replace(status, check_point=msgspec.structs.replace(record, installed_at=installed))


_RECORDERS: dict[ConditionType, Recorder] = {
    ConditionType.DISCOVERED: _azure,
    ConditionType.AGENT_PAIRED: _illumio,
    ConditionType.LABELLED: _labels,
    ConditionType.GROUPED: _check_point,
    ConditionType.POLICY_INSTALLED: _policy,
}
