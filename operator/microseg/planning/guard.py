"""The guard: a change of rules that touches too many commissioned hosts is held until a person approves its kind (S6).

It compares what the rules want with what the records say was confirmed, so a restart finds the same answer. `microseg
plan` calls the same functions, so what it prints is what happens.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from microseg.model.approval import Approval
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.condition import ConditionType, Reason, find
from microseg.model.desired import Desired
from microseg.model.estate_status import UsedApproval
from microseg.model.host import ManagedHost
from microseg.model.illumio_record import IllumioRecord
from microseg.model.spelling import fold, same_name
from microseg.planning.approvals import use


@dataclass(frozen=True, slots=True)
class PlanHold:
    """A plan that waits for approval."""

    digest: str
    """SHA-256 of the revision, and of each host with its changes: an approval lets through what a person saw."""
    hosts: frozenset[str]
    """vmIds that stay as they are meanwhile."""
    kinds: tuple[str, ...]
    counts: tuple[int, ...] = ()
    """Hosts of each kind."""
    used_at: datetime | None = None
    """When an approval of this very text was used up."""
    instead: str = ""
    """Revision whose changes were let through last; empty: unknown."""
    changes: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False, compare=False)
    """vmId -> its kinds of change."""
    cause: str = "mapping"
    """What changed: `mapping`, or `facts`: tags, addresses and whatever else the rules look at."""
    lacking: tuple[str, ...] = ()
    """What it names and the outside lacks, a sentence each: as long as there is any, no approval counts."""

    @property
    def approval(self) -> str:
        """What an Approval must name."""
        return f"{self.digest}:{len(self.hosts)}"

    def summary(self, most: int) -> str:
        """The kinds that touch most hosts, for a person."""
        counts = self.counts or (0,) * len(self.kinds)
        ranked = sorted(zip(self.kinds, counts, strict=True), key=lambda row: (-row[1], row[0]))
        texts = [f"{kind} ({count})" if count else kind for kind, count in ranked[:most]]
        more = [f"{len(ranked) - most} more kinds"] if len(ranked) > most else []
        return "; ".join([*texts, *more])

    @property
    def obstacle(self) -> str:
        """What must come before an approval, as a further sentence; empty: nothing."""
        return obstacle(self.lacking)


def obstacle(lacking: Sequence[str]) -> str:
    """What must come before an approval, as a further sentence; empty: nothing. `lacking`: names, a sentence each."""
    if not lacking:
        return ""
    more = f" There are {len(lacking) - _MOST_SHOWN} more such names." if len(lacking) > _MOST_SHOWN else ""
    return (
        f" {' '.join(lacking[:_MOST_SHOWN])}{more} Hosts that need it would be blocked, so no approval counts before "
        "that: create it, or correct the mapping."
    )


def difference(host: ManagedHost, desired: Desired) -> frozenset[str]:
    """The kinds of change that the rules ask of a commissioned host, against its record; empty: none."""
    if desired.miss:  # what depends on the miss waits for a person and stays, but the host is Ready no more
        return _group_kinds(host, desired) | frozenset(() if missed(host) else (NO_ANSWER,))
    illumio = host.status.illumio or IllumioRecord()
    recorded = {label.key: label.value for label in illumio.labels}
    kinds = {
        f"label {key}: {recorded.get(key, '(none)')} -> {value}"
        for key, value in desired.labels
        if not same_name(recorded.get(key, ""), value)
    }
    owned = set(illumio.owned_keys)
    kinds |= {f"label {key}: {recorded[key]} -> (none)" for key in desired.removed if key in recorded and key in owned}
    return frozenset(kinds) if desired.pending_groups else _group_kinds(host, desired) | kinds


def _group_kinds(host: ManagedHost, desired: Desired) -> frozenset[str]:
    """The groups to join and to leave; those that wait stay as they are. Where only such are left, all stay (S4)."""
    recorded = host.status.check_point.groups if host.status.check_point is not None else ()
    leaves = without(recorded, (*desired.groups, *desired.pending_groups))
    if desired.pending_groups and not desired.groups and len(leaves) == len(recorded):
        return frozenset()
    kinds = {f"group {name}: join" for name in without(desired.groups, recorded)}
    return frozenset(kinds | {f"group {name}: leave" for name in leaves})


_MOST_SHOWN = 3
NO_ANSWER = "no rule of the mapping matches any more"


def missed(host: ManagedHost) -> bool:
    """Whether the rules have no answer for the host already."""
    labelled = find(host.status.conditions, ConditionType.LABELLED)
    return labelled is not None and labelled.reason == Reason.MAPPING_MISS


def without(names: Iterable[str], others: Iterable[str]) -> frozenset[str]:
    """The names that the others lack in any letter case: a spelling alone is no change."""
    folded = set(map(fold, others))
    return frozenset(name for name in names if fold(name) not in folded)


def caused(host: ManagedHost, desired: Desired, before: Desired | None) -> frozenset[str]:
    """The part of `difference` that a change of rules brings: nothing where the rules `before` ask for the very same.

    So a VM whose tags changed, or whose override ended, is never held. `before` None: nobody knows the rules before.
    """
    kinds = difference(host, desired)
    return frozenset() if not kinds or (before is not None and kinds == difference(host, before)) else kinds


def judge(
    changes: Mapping[str, frozenset[str]],
    *,
    revision: str,
    commissioned: int,
    percent: int,
    lacking: tuple[str, ...] = (),
) -> PlanHold | None:
    """Hold the changes if they touch more than `percent` of the commissioned hosts, or if a name is missing outside.

    `changes`: vmId -> kinds, for the hosts that would change. Slices below it are counted by `hourly_guard`.
    """
    touched = {vm_id: kinds for vm_id, kinds in changes.items() if kinds}
    if not touched or (not lacking and len(touched) * 100 <= percent * commissioned):
        return None
    return replace(hold_of(revision, touched), lacking=lacking)


def hold_of(revision: str, touched: Mapping[str, frozenset[str]]) -> PlanHold:
    """The hold of these hosts. `revision`: of the mapping that changes them; empty: what the rules look at does."""
    cause = "mapping" if revision else "facts"
    counted = Counter(kind for kinds in touched.values() for kind in kinds)
    kinds = tuple(sorted(counted))
    return PlanHold(
        digest=_digest(f"{cause} {revision}", touched),
        hosts=frozenset(touched),
        kinds=kinds,
        counts=tuple(counted[kind] for kind in kinds),
        cause=cause,
        changes=touched,
    )


def _digest(revision: str, changes: Mapping[str, frozenset[str]]) -> str:
    """Whole, because it is what a person trusts; JSON, so that no text can look like two."""
    listed = [revision, sorted((vm_id, sorted(kinds)) for vm_id, kinds in changes.items())]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def shown(digest: str, changes: Mapping[str, frozenset[str]], revision: str) -> PlanHold | None:
    """The hold of these changes, as an Approval lists them; None: the digest is not theirs under this revision.

    `revision` empty: they are changes of facts.
    """
    found = hold_of(revision, changes)
    return found if found.digest == digest else None


def beyond(hold: PlanHold, approved: PlanHold) -> dict[str, frozenset[str]]:
    """What `hold` changes that a person did not see in the list that was approved."""
    return {vm_id: kinds for vm_id, kinds in hold.changes.items() if approved.changes.get(vm_id) != kinds}


def evaluate(
    hosts: Iterable[ManagedHost],
    desired: Callable[[ManagedHost], Desired | None],
    before: Callable[[ManagedHost], Desired | None],
    percent: int,
    *,
    revision: str,
    lacking: tuple[str, ...] = (),
) -> tuple[dict[str, frozenset[str]], PlanHold | None]:
    """What new rules change on commissioned hosts (vmId -> kinds), and the hold where that must not happen yet.

    `desired`, `before`: what the new rules and those before ask for; None: nothing is known of the VM, or of the rules.
    `lacking`: what the new rules name and the outside lacks (`known_names`).
    """
    settled = commissioned(hosts)
    changes = {}
    for host in settled:
        target = desired(host)
        if target is not None:
            changes[host.spec.vm_id] = caused(host, target, before(host))
    held = judge(changes, revision=revision, commissioned=len(settled), percent=percent, lacking=lacking)
    return changes, held


def as_recorded(host: ManagedHost, desired: Desired) -> Desired:
    """The desired state of a held host: what its record shows as confirmed."""
    illumio, check_point = host.status.illumio or IllumioRecord(), host.status.check_point or CheckPointRecord()
    keys = set(illumio.owned_keys)
    mapping = host.status.mapping
    return Desired(
        revision=mapping.revision if mapping else desired.revision,
        labels=tuple((label.key, label.value) for label in illumio.labels if label.key in keys),
        groups=check_point.groups,
        cases=mapping.cases if mapping else (),
    )


def parse_approvals(text: str) -> dict[str, int]:
    """`<digest>:<maxHosts>` pairs of the annotation, comma-separated. What is malformed approves nothing."""
    approvals: dict[str, int] = {}
    for part in text.split(","):
        digest, _, hosts = part.strip().partition(":")
        if digest and re.fullmatch(r"[0-9]{1,9}", hosts):
            approvals[digest] = int(hosts)
    return approvals


def admitting(
    hold: PlanHold,
    annotation: str,
    used: Iterable[UsedApproval],
    now: datetime,
    given: Mapping[str, Approval] = MappingProxyType({}),
) -> UsedApproval | None:
    """What lets `hold` through: an Approval, or one of the annotation that was not used yet. Each admits once.

    None does while the outside lacks what the hold names: it is kept, and counts as soon as that is there. `given`: the
    Approvals that are open, by digest.
    """
    approval = given.get(hold.digest)
    if approval is not None and approval.most >= len(hold.hosts) and not hold.lacking:
        return use(approval, now)
    hosts = parse_approvals(annotation).get(hold.digest, 0)
    if hold.lacking or hosts < len(hold.hosts) or spent(hold.digest, hosts, used) is not None:
        return None
    return UsedApproval(digest=hold.digest, max_hosts=hosts, at=now.replace(microsecond=0))


def spent(digest: str, hosts: int, used: Iterable[UsedApproval]) -> datetime | None:
    """When this very approval was used; None: never, as long as the annotation has named it."""
    return next((each.at for each in used if (each.digest, each.max_hosts, each.uid) == (digest, hosts, "")), None)


def remembered(used: Iterable[UsedApproval], annotation: str) -> tuple[UsedApproval, ...]:
    """Used Approvals, and what the annotation still names. Whoever takes one off and sets it again approves anew."""
    named = parse_approvals(annotation)
    return tuple(each for each in used if each.uid or named.get(each.digest) == each.max_hosts)


def commissioned(hosts: Iterable[ManagedHost]) -> tuple[ManagedHost, ...]:
    """The hosts that a change of rules could take protection from."""
    return tuple(host for host in hosts if was_commissioned(host))


def was_commissioned(host: ManagedHost) -> bool:
    """Whether the record says that all stages held once, or that it was made again for a host with protection."""
    held_once = host.status.timeline is not None and host.status.timeline.commissioned_at is not None
    return held_once or is_made_again(host)


def is_made_again(host: ManagedHost) -> bool:
    """Whether the record is what the systems showed in place of a lost one, and no rules decided about it since."""
    status = host.status
    held_once = status.timeline is not None and status.timeline.commissioned_at is not None
    return not held_once and status.mapping is not None and not status.mapping.revision
