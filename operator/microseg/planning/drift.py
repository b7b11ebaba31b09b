"""Drift: the record says that what the mapping asks for was confirmed, yet the owning system shows something else.

It follows from the differences on the stages' verdicts and from the record, so an obstacle to the repair does not hide
it. What was repaired again and again is left alone: somebody else changes it, and a person must decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from microseg.model.checkpoint_facts import EnforcementPoint, HostObject
from microseg.model.condition import ConditionType
from microseg.model.facts import ObjectMatches, Seen
from microseg.model.host import DriftRecord, ManagedHost
from microseg.model.names import Annotation
from microseg.model.plan import DropObject, PutObject, RaiseEnforcement
from microseg.model.spelling import same_name
from microseg.model.verdict import Done, LabelDifference, PolicyDifference, Verdict, Wait
from microseg.stages import agent
from microseg.stages.context import HostContext, Policy
from microseg.stages.object_names import without_mark

MOST_REPAIRS = 3
"""Repairs of one stage in one series; then it is left alone."""
QUIET = timedelta(days=1)
"""Without a change from outside for so long, a series is forgotten."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One host's."""

    messages: Mapping[ConditionType, str] = field(default_factory=dict)
    """Condition -> what differs, since when, and who wrote last where the system shows it."""
    contended: Mapping[ConditionType, str] = field(default_factory=dict)
    """Those that are left alone, with the whole sentence."""
    records: tuple[DriftRecord, ...] = ()
    """What status remembers."""


def judge(
    before: ManagedHost, context: HostContext, verdicts: Mapping[ConditionType, Verdict], *, repairing: bool
) -> Drift:
    """Compare, and count. `repairing`: what is found is repaired by us."""
    if context.host.status.retirement is not None:
        return Drift()
    texts = {kind: text for kind, look in _LOOKS if (text := look(before, context, verdicts[kind]))}
    records_before = {record.stage: record for record in before.status.drift}
    records = {}
    for kind, verdict in verdicts.items():
        record = records_before.get(kind.value)
        if kind in texts:
            record = _opened(kind, record, context.now.replace(microsecond=0), retry=_retry_wanted(before, kind))
        elif record is not None:
            record = _closed(record, verdict, context.now.replace(microsecond=0), repairing=repairing)
        if record is not None:
            records[kind] = record
    messages = {kind: f"{text} Found {_at(records[kind].at)}." for kind, text in texts.items()}
    return Drift(
        messages=messages,
        contended={kind: _contention(messages[kind], records[kind]) for kind in texts if _exhausted(records[kind])},
        records=tuple(records.values()),
    )


def contended(host: ManagedHost) -> bool:
    """Whether the record shows that something is left alone."""
    return any(_exhausted(record) for record in host.status.drift)


def _exhausted(record: DriftRecord) -> bool:
    return record.open and record.repairs >= MOST_REPAIRS


def _retry_wanted(host: ManagedHost, kind: ConditionType) -> bool:
    """Whether a person has looked, and wants it repaired again."""
    word = host.annotations.get(Annotation.RETRY)
    return word == agent.DRIFT or (kind == ConditionType.AGENT_PAIRED and agent.retry_wanted(host))


def _opened(kind: ConditionType, record: DriftRecord | None, now: datetime, *, retry: bool) -> DriftRecord:
    """It differs now."""
    if record is None or (not record.open and now - record.at > QUIET) or (retry and _exhausted(record)):
        return DriftRecord(stage=kind.value, since=now, at=now, open=True)
    return record if record.open else msgspec.structs.replace(record, at=now, open=True)


def _closed(record: DriftRecord, verdict: Verdict, now: datetime, *, repairing: bool) -> DriftRecord | None:
    """It does not differ, or that is not known. None: the series is over, or has another cause."""
    if not record.open:
        return None if now - record.at > QUIET else record
    if isinstance(verdict, Done):
        ours = repairing and not _exhausted(record)
        return msgspec.structs.replace(record, at=now, open=False, repairs=record.repairs + (1 if ours else 0))
    return record if isinstance(verdict, Wait) and verdict.doubt else None


def _contention(text: str, record: DriftRecord) -> str:
    return (
        f"{text} Since {_at(record.since)} it was repaired {record.repairs} times and changed back each time, so it "
        "is left alone. Find out who changes it, or change the desired state; then annotate the host with "
        f"{Annotation.RETRY}={agent.DRIFT}."
    )


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _agent(before: ManagedHost, context: HostContext, verdict: Verdict) -> str:
    """The workload lost our stamp, or enforces less than it did."""
    matches, recorded = context.facts.illumio, before.status.illumio
    if not isinstance(matches, Seen) or recorded is None or not recorded.workload:
        return ""
    stamped = matches.value.stamped
    if stamped is None:
        gone = matches.value.recorded is None
        change = "was unpaired" if gone else "lost our stamp"
        return f"Workload {recorded.workload} {change}.{_writer(matches.value.recorded)}"
    open_before = any(record.open and record.stage == ConditionType.AGENT_PAIRED for record in before.status.drift)
    floor = context.estate.enforcement_floor
    lowered = agent.rank(recorded.enforcement_mode) >= agent.rank(floor) or open_before
    raised = isinstance(verdict, Done) and any(isinstance(each, RaiseEnforcement) for each in verdict.actions)
    if lowered and raised:  # the stage raises it again
        return f"Enforcement was lowered to {stamped.enforcement_mode}, below {floor}.{_writer(stamped)}"
    return ""


def _labels(before: ManagedHost, context: HostContext, verdict: Verdict) -> str:
    """Labels that were confirmed and differ now."""
    changed = [each for each in verdict.differences if isinstance(each, LabelDifference)]
    matches, recorded, desired = context.facts.illumio, before.status.illumio, context.desired
    if (
        not changed
        or not isinstance(matches, Seen)
        or matches.value.stamped is None
        or recorded is None
        or desired is None
    ):
        return ""
    stamped = matches.value.stamped
    confirmed = {label.key: label.value for label in recorded.labels}
    if recorded.workload != stamped.href or any(confirmed.get(key) != value for key, value in desired.labels):
        return ""
    return f"In the PCE {', '.join(map(_relabelled, changed))}.{_writer(stamped)}"


def _relabelled(change: LabelDifference) -> str:
    if change.carried is None:
        return f"label {change.key}={change.desired} was removed"
    return f"label {change.key} is {change.carried} instead of {change.desired}"


def _writer(workload: object) -> str:
    """Who wrote a workload last, as a further sentence."""
    by = getattr(workload, "updated_by", "")
    return f" It was last written by {by}." if by else ""


def _objects(before: ManagedHost, context: HostContext, verdict: Verdict) -> str:
    """Objects or memberships that were published and differ now."""
    changed = [each for each in verdict.differences if isinstance(each, PutObject | DropObject)]
    record, desired, matches = before.status.check_point, context.desired, context.facts.check_point
    if not changed or record is None or desired is None or context.vm is None or not isinstance(matches, Seen):
        return ""
    if record.published_at is None or not record.hosts:
        return ""
    addresses = [address.ip for address in context.vm.record.addresses()]
    wanted_now = set(addresses if context.estate.all_addresses else addresses[:1])
    recorded = {item.address for item in record.hosts}
    same = wanted_now <= recorded if context.vm.record.unreadable_nics() else wanted_now == recorded
    if tuple(sorted(desired.groups)) != record.groups or not same:
        return ""
    texts = [text for change in changed for text in _describe(change, matches.value, context)]
    return f"In Check Point {', '.join(dict.fromkeys(texts))}." if texts else ""


def _describe(change: PutObject | DropObject, matches: ObjectMatches, context: HostContext) -> Iterator[str]:
    """What a change would repair, with who wrote it last."""
    existing = next((item for item in matches.own if item.uid == change.uid), None)
    addresses = sorted(item.address for item in matches.own if item.uid == change.uid)
    last = context.estate.last_revision
    unmarked = without_mark(matches, context.host.status.check_point)
    foreign = next((item for item in unmarked if same_name(item.name, change.name)), None)
    if foreign is not None:
        yield f"object {change.name} lost the operator's mark, its comment or its tag{_by(foreign.modifier)}"
    elif existing is None:
        yield f"object {change.name} was deleted{_by(last.by if last else '', 'the latest publish is by')}"
    elif isinstance(change, DropObject):
        yield f"object {change.name} carries this host's mark and is not desired{_by(existing.modifier)}"
    else:
        yield from _altered(change, existing, addresses, context)


def _altered(change: PutObject, existing: HostObject, addresses: list[str], context: HostContext) -> Iterator[str]:
    if existing.name != change.name:
        yield f"object {change.name} was renamed to {existing.name}{_by(existing.modifier)}"
    added = ", ".join(address for address in addresses if address != change.address)
    if added:
        has = (
            f"also has {added}"
            if change.address in addresses
            else f"has the address {added} instead of {change.address}"
        )
        yield f"object {change.name} {has}{_by(existing.modifier)}"
    for name in change.join:
        group = context.estate.groups.get(name)
        yield f"object {change.name} was taken out of group {name}{_by(group.modifier if group else '')}"


def _by(name: str, how: str = "last written by") -> str:
    return f" ({how} {name})" if name else ""


def _policy(_: ManagedHost, context: HostContext, verdict: Verdict) -> str:
    """Targets had a policy that covered this host, and have another now."""
    changed = [each for each in verdict.differences if isinstance(each, PolicyDifference)]
    record = context.host.status.check_point
    if not changed or record is None:
        return ""
    targets = {installed.target for installed in record.installed_at}
    texts = [
        _describe_target(target, change.package, context.estate.gateways.get(target))
        for change in changed
        for target in change.late
        if target in targets
    ]
    return f"{'; '.join(texts)}." if texts else ""


def _describe_target(target: str, package: str, gateway: EnforcementPoint | None) -> str:
    if gateway is None:
        return f"Target {target} is not in Check Point's list of gateways any more"
    if not same_name(gateway.policy, package):
        return f"Target {target} has {gateway.policy or 'no policy'} installed instead of {package}"
    at = gateway.revision.published_at if gateway.revision else gateway.installed_at
    published = f", published {_at(at)}" if at else ""
    return f"Target {target} has an older revision of {package} installed{published}"


def taken_back(
    before: Mapping[str, EnforcementPoint], after: Mapping[str, EnforcementPoint], policies: Iterable[Policy]
) -> list[str]:
    """Targets that had a package between two readings and do not any more, or an older revision: a sentence each."""
    sentences = []
    for package in policies:
        had = {name for name, gateway in before.items() if gateway.policy == package.package}
        for target in sorted(had | set(package.targets)):
            old, new = before.get(target), after.get(target)
            if old is not None and old.policy == package.package and (new is None or _is_back(old, new)):
                sentences.append(f"{_describe_target(target, package.package, new)}.")
    return sentences


def _is_back(old: EnforcementPoint, new: EnforcementPoint) -> bool:
    if new.policy != old.policy:
        return True
    return bool(old.revision and new.revision and new.revision.published_at < old.revision.published_at)


_LOOKS = (
    (ConditionType.AGENT_PAIRED, _agent),
    (ConditionType.LABELLED, _labels),
    (ConditionType.GROUPED, _objects),
    (ConditionType.POLICY_INSTALLED, _policy),
)
