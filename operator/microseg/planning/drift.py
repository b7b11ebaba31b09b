"""Drift: what the record says was confirmed still satisfies the mapping, yet the owning system shows something else.

Compared from facts and record alone, so that nothing which stands in the way of a repair hides it. What was put right
again and again is left alone: somebody else wants it otherwise, and a person must settle that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from microseg.model.condition import ConditionType
from microseg.model.facts import FirewallView, Gateway, HostObject, Seen
from microseg.model.host import DriftRecord, ManagedHost
from microseg.model.plan import DropObject, PutObject
from microseg.model.verdict import Done, Verdict, Wait
from microseg.stages import agent, firewall, policy, retirement
from microseg.stages.situation import Policy, Situation

MOST_REPAIRS = 3
"""Repairs of one stage in one series; then it is left alone."""
QUIET = timedelta(days=1)
"""Without a change from outside for so long, a series is forgotten."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One host's."""

    found: Mapping[ConditionType, str] = field(default_factory=dict)
    """Condition -> what differs, since when, and who wrote last where the system says so."""
    contended: Mapping[ConditionType, str] = field(default_factory=dict)
    """Those that are left alone, with the whole sentence."""
    records: tuple[DriftRecord, ...] = ()
    """What status remembers."""


def judge(
    before: ManagedHost, situation: Situation, verdicts: Mapping[ConditionType, Verdict], *, repairing: bool
) -> Drift:
    """Compare, and count. `repairing`: what is found is put right by us."""
    if retirement.begun(situation):
        return Drift()
    said = {kind: text for kind, look in _LOOKS if (text := look(before, situation))}
    known = {record.stage: record for record in before.status.drift}
    records = {}
    for kind, verdict in verdicts.items():
        record = known.get(kind.value)
        if kind in said:
            record = _opened(kind, record, situation.now.replace(microsecond=0), asked=_asked(before, kind))
        elif record is not None:
            record = _closed(record, verdict, situation.now.replace(microsecond=0), repairing=repairing)
        if record is not None:
            records[kind] = record
    found = {kind: f"{text} Found {_at(records[kind].at)}." for kind, text in said.items()}
    return Drift(
        found=found,
        contended={kind: _contention(found[kind], records[kind]) for kind in said if _exhausted(records[kind])},
        records=tuple(records.values()),
    )


def contended(host: ManagedHost) -> bool:
    """Whether the record says that something is left alone."""
    return any(_exhausted(record) for record in host.status.drift)


def _exhausted(record: DriftRecord) -> bool:
    return record.open and record.repairs >= MOST_REPAIRS


def _asked(host: ManagedHost, kind: ConditionType) -> bool:
    """Whether a person has looked, and wants it put right again."""
    word = host.annotations.get(agent.RETRY_ANNOTATION)
    return word == agent.DRIFT or (kind == ConditionType.AGENT_PAIRED and agent.retry_wanted(host))


def _opened(kind: ConditionType, record: DriftRecord | None, now: datetime, *, asked: bool) -> DriftRecord:
    """It differs now."""
    if record is None or (not record.open and now - record.at > QUIET) or (asked and _exhausted(record)):
        return DriftRecord(stage=kind.value, since=now, at=now, open=True)
    return record if record.open else msgspec.structs.replace(record, at=now, open=True)


def _closed(record: DriftRecord, verdict: Verdict, now: datetime, *, repairing: bool) -> DriftRecord | None:
    """It does not differ, or nobody can say. None: the series is over, or has another cause."""
    if not record.open:
        return None if now - record.at > QUIET else record
    if isinstance(verdict, Done):
        ours = repairing and not _exhausted(record)
        return msgspec.structs.replace(record, at=now, open=False, repairs=record.repairs + (1 if ours else 0))
    return record if isinstance(verdict, Wait) and verdict.doubt else None


def _contention(text: str, record: DriftRecord) -> str:
    return (
        f"{text} Since {_at(record.since)} it was put right {record.repairs} times and changed back each time, so it "
        "is left alone. Find who changes it, or change what is wanted; then annotate the host with "
        f"{agent.RETRY_ANNOTATION}={agent.DRIFT}."
    )


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _agent(before: ManagedHost, situation: Situation) -> str:
    """The workload is not ours any more, or enforces less than it did."""
    view, known = situation.facts.pce, before.status.illumio
    if not isinstance(view, Seen) or known is None or not known.workload:
        return ""
    stamped = view.value.stamped
    if stamped is None:
        gone = view.value.recorded is None
        return (
            f"Workload {known.workload} {'was unpaired' if gone else 'lost our stamp'}.{_writer(view.value.recorded)}"
        )
    open_before = any(record.open and record.stage == ConditionType.AGENT_PAIRED for record in before.status.drift)
    lowered = agent.rank(known.enforcement_mode) >= agent.rank(situation.estate.enforcement_floor) or open_before
    if lowered and agent.below_floor(situation, stamped):
        floor = situation.estate.enforcement_floor
        return f"Enforcement was lowered to {stamped.enforcement_mode}, below {floor}.{_writer(stamped)}"
    return ""


def _labels(before: ManagedHost, situation: Situation) -> str:
    """Labels that were confirmed as wanted and differ now."""
    view, known, wanted = situation.facts.pce, before.status.illumio, situation.wanted
    if not isinstance(view, Seen) or view.value.stamped is None or known is None or wanted is None or wanted.miss:
        return ""
    stamped = view.value.stamped
    confirmed = {label.key: label.value for label in known.labels}
    if known.workload != stamped.href or any(confirmed.get(key) != value for key, value in wanted.labels):
        return ""
    carried = {label.key: label.value for label in stamped.labels}
    changed = [
        f"label {key} is {carried[key]} instead of {value}" if key in carried else f"label {key}={value} was taken off"
        for key, value in wanted.labels
        if carried.get(key) != value
    ]
    return f"In the PCE {', '.join(changed)}.{_writer(stamped)}" if changed else ""


def _writer(workload: object) -> str:
    """Who wrote a workload last, as a further sentence."""
    by = getattr(workload, "updated_by", "")
    return f" It was last written by {by}." if by else ""


def _objects(before: ManagedHost, situation: Situation) -> str:
    """Objects or memberships that were published as wanted and differ now."""
    record, wanted, view = before.status.check_point, situation.wanted, situation.facts.firewall
    if record is None or wanted is None or situation.vm is None or not isinstance(view, Seen):
        return ""
    if record.published_at is None or wanted.miss or wanted.pending_groups or not record.hosts:
        return ""
    addresses = [address.ip for address in situation.vm.record.addresses()]
    wanted_now = set(addresses if situation.estate.all_addresses else addresses[:1])
    if tuple(sorted(wanted.groups)) != record.groups or wanted_now != {item.address for item in record.hosts}:
        return ""
    told = [
        text
        for change in firewall.differences(situation, wanted, view.value)
        if isinstance(change, PutObject | DropObject)
        for text in _told(change, view.value, situation)
    ]
    return f"In Check Point {', '.join(dict.fromkeys(told))}." if told else ""


def _told(change: PutObject | DropObject, view: FirewallView, situation: Situation) -> Iterator[str]:
    """What a change would put right, with who wrote it last."""
    shown = next((item for item in view.own if item.uid == change.uid), None)
    last = situation.estate.last_revision
    if shown is None:
        yield f"object {change.name} was deleted{_by(last.by if last else '', 'the latest publish is by')}"
    elif isinstance(change, DropObject):
        yield f"object {change.name} carries this host's mark and is not wanted{_by(shown.modifier)}"
    else:
        yield from _altered(change, shown, situation)


def _altered(change: PutObject, shown: HostObject, situation: Situation) -> Iterator[str]:
    if shown.name != change.name:
        yield f"object {change.name} was renamed to {shown.name}{_by(shown.modifier)}"
    if shown.address != change.address:
        yield f"object {change.name} has the address {shown.address} instead of {change.address}{_by(shown.modifier)}"
    for name in change.join:
        group = situation.estate.groups.get(name)
        yield f"object {change.name} was taken out of group {name}{_by(group.modifier if group else '')}"


def _by(name: str, how: str = "last written by") -> str:
    return f" ({how} {name})" if name else ""


def _policy(_: ManagedHost, situation: Situation) -> str:
    """Targets had a policy that covered this host, and have another now."""
    record = situation.host.status.check_point
    if record is None or not record.installed_at or not isinstance(situation.facts.firewall, Seen):
        return ""
    known = {installed.target for installed in record.installed_at}
    told = [
        _shown(target, package.package, situation.estate.gateways.get(target))
        for package, targets in policy.late(situation)
        for target in targets
        if target in known
    ]
    return f"{'; '.join(told)}." if told else ""


def _shown(target: str, package: str, gateway: Gateway | None) -> str:
    if gateway is None:
        return f"Target {target} is not in Check Point's list of gateways any more"
    if gateway.policy != package:
        return f"Target {target} has {gateway.policy or 'no policy'} installed instead of {package}"
    at = gateway.revision.published_at if gateway.revision else gateway.installed_at
    told = f", published {_at(at)}" if at else ""
    return f"Target {target} has an older revision of {package} installed{told}"


def taken_back(before: Mapping[str, Gateway], after: Mapping[str, Gateway], policies: Iterable[Policy]) -> list[str]:
    """Targets that had a package between two readings and do not any more, or an older revision: a sentence each."""
    told = []
    for package in policies:
        had = {name for name, gateway in before.items() if gateway.policy == package.package}
        for target in sorted(had | set(package.targets)):
            old, new = before.get(target), after.get(target)
            if old is not None and old.policy == package.package and (new is None or _is_back(old, new)):
                told.append(f"{_shown(target, package.package, new)}.")
    return told


def _is_back(old: Gateway, new: Gateway) -> bool:
    if new.policy != old.policy:
        return True
    return bool(old.revision and new.revision and new.revision.published_at < old.revision.published_at)


_LOOKS = (
    (ConditionType.AGENT_PAIRED, _agent),
    (ConditionType.LABELLED, _labels),
    (ConditionType.GROUPED, _objects),
    (ConditionType.POLICY_INSTALLED, _policy),
)
