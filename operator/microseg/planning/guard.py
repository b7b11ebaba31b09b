"""The guard: a change of rules that touches too many commissioned hosts is held until a person approves its kind (S6).

It compares what the rules want with what the records say was confirmed, so a restart finds the same answer. `microseg
plan` asks the same functions, so what it prints is what then happens.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from microseg.model.estate import Approval
from microseg.model.host import CheckPointRecord, IllumioRecord, ManagedHost
from microseg.model.wanted import Wanted

APPROVE_ANNOTATION = "microseg.dev/approve"


@dataclass(frozen=True, slots=True)
class Hold:
    """A plan that waits for approval."""

    digest: str
    """Of the kinds of change, without host names, so that it still matches a living fleet."""
    hosts: frozenset[str]
    """vmIds that stay as they are meanwhile."""
    kinds: tuple[str, ...]
    counts: tuple[int, ...] = ()
    """Hosts of each kind."""
    used_at: datetime | None = None
    """When an approval of this very text was used up."""
    instead: str = ""
    """Revision whose changes were let through last; empty: unknown."""

    @property
    def approval(self) -> str:
        """What the annotation must say."""
        return f"{self.digest}:{len(self.hosts)}"

    def told(self, most: int) -> str:
        """The kinds that touch most hosts, for a person."""
        counts = self.counts or (0,) * len(self.kinds)
        ranked = sorted(zip(self.kinds, counts, strict=True), key=lambda row: (-row[1], row[0]))
        texts = [f"{kind} ({count})" if count else kind for kind, count in ranked[:most]]
        more = [f"{len(ranked) - most} more kinds"] if len(ranked) > most else []
        return "; ".join([*texts, *more])


def difference(host: ManagedHost, wanted: Wanted) -> frozenset[str]:
    """The kinds of change that the rules ask of a commissioned host, against its record; empty: none."""
    if wanted.miss:
        return frozenset()  # labels and groups wait for a person; what is there stays
    illumio, firewall = host.status.illumio or IllumioRecord(), host.status.check_point or CheckPointRecord()
    recorded = {label.key: label.value for label in illumio.labels}
    kinds = {
        f"label {key}: {recorded.get(key, '(none)')} -> {value}"
        for key, value in wanted.labels
        if recorded.get(key) != value
    }
    owned = set(illumio.owned_keys)
    kinds |= {f"label {key}: {recorded[key]} -> (none)" for key in wanted.removed if key in recorded and key in owned}
    if not wanted.pending_groups:
        groups = set(wanted.groups)
        kinds |= {f"group {name}: join" for name in groups - set(firewall.groups)}
        kinds |= {f"group {name}: leave" for name in set(firewall.groups) - groups}
    return frozenset(kinds)


def caused(host: ManagedHost, wanted: Wanted, before: Wanted | None) -> frozenset[str]:
    """The part of `difference` that a change of rules brings: nothing where the rules `before` ask for the very same.

    So a VM whose tags changed, or whose override ended, is never held. `before` None: nobody knows the rules before.
    """
    kinds = difference(host, wanted)
    return frozenset() if not kinds or (before is not None and kinds == difference(host, before)) else kinds


def judge(
    changes: Mapping[str, frozenset[str]],
    *,
    commissioned: int,
    percent: int,
    approvals: Mapping[str, int],
) -> Hold | None:
    """Hold the changes if they touch more than `percent` of the commissioned hosts and no approval covers them.

    `changes`: vmId -> kinds, for the hosts that would change. `approvals`: digest -> hosts that a person admitted.
    """
    touched = frozenset(vm_id for vm_id, kinds in changes.items() if kinds)
    if not touched or len(touched) * 100 <= percent * commissioned:
        return None
    counted = Counter(kind for vm_id in touched for kind in changes[vm_id])
    kinds = tuple(sorted(counted))
    digest = hashlib.sha256("\n".join(kinds).encode()).hexdigest()[:12]
    if len(touched) <= approvals.get(digest, 0):
        return None
    return Hold(digest, touched, kinds, tuple(counted[kind] for kind in kinds))


def weigh(
    hosts: Iterable[ManagedHost],
    wanted: Callable[[ManagedHost], Wanted | None],
    before: Callable[[ManagedHost], Wanted | None],
    percent: int,
) -> tuple[dict[str, frozenset[str]], Hold | None]:
    """What new rules change on commissioned hosts (vmId -> kinds), and the hold where that is too much.

    `wanted`, `before`: what the new rules and those before ask for; None: nothing is known of the VM, or of the rules.
    """
    settled = commissioned(hosts)
    changes = {}
    for host in settled:
        asked = wanted(host)
        if asked is not None:
            changes[host.spec.vm_id] = caused(host, asked, before(host))
    return changes, judge(changes, commissioned=len(settled), percent=percent, approvals={})


def as_recorded(host: ManagedHost, wanted: Wanted) -> Wanted:
    """What a held host goes on wanting: what its record says was confirmed."""
    illumio, firewall = host.status.illumio or IllumioRecord(), host.status.check_point or CheckPointRecord()
    keys = set(illumio.owned_keys)
    mapping = host.status.mapping
    return Wanted(
        revision=mapping.revision if mapping else wanted.revision,
        labels=tuple((label.key, label.value) for label in illumio.labels if label.key in keys),
        groups=firewall.groups,
        cases=mapping.cases if mapping else (),
    )


def parse_approvals(text: str) -> dict[str, int]:
    """`<digest>:<maxHosts>` pairs of the annotation, comma-separated. What is malformed approves nothing."""
    found: dict[str, int] = {}
    for part in text.split(","):
        digest, _, hosts = part.strip().partition(":")
        if digest and re.fullmatch(r"[0-9]{1,9}", hosts):
            found[digest] = int(hosts)
    return found


def admitting(hold: Hold, annotation: str, used: Iterable[Approval], now: datetime) -> Approval | None:
    """The approval that lets `hold` through, if the annotation has one that was not used yet: each admits once."""
    hosts = parse_approvals(annotation).get(hold.digest, 0)
    if hosts < len(hold.hosts) or spent(hold.digest, hosts, used) is not None:
        return None
    return Approval(digest=hold.digest, max_hosts=hosts, at=now.replace(microsecond=0))


def spent(digest: str, hosts: int, used: Iterable[Approval]) -> datetime | None:
    """When this very approval was used; None: never, as long as the annotation has named it."""
    return next((each.at for each in used if (each.digest, each.max_hosts) == (digest, hosts)), None)


def remembered(used: Iterable[Approval], annotation: str) -> tuple[Approval, ...]:
    """Used approvals that the annotation still names. Whoever takes one off and sets it again approves anew."""
    named = parse_approvals(annotation)
    return tuple(each for each in used if named.get(each.digest) == each.max_hosts)


def commissioned(hosts: Iterable[ManagedHost]) -> tuple[ManagedHost, ...]:
    """Hosts that were commissioned once: the ones that a change of rules could take protection from."""
    return tuple(host for host in hosts if host.status.timeline and host.status.timeline.commissioned_at)


@dataclass(frozen=True, slots=True)
class RetirementHold:
    """Retirements that wait for approval: none of them begins."""

    digest: str
    hosts: frozenset[str]

    @property
    def approval(self) -> str:
        """What the annotation must say."""
        return f"{self.digest}:{len(self.hosts)}"


def judge_retirements(
    wanted: Iterable[str], *, recent: int, commissioned: int, count: int, percent: int, approvals: Mapping[str, int]
) -> RetirementHold | None:
    """Hold them all when, with those of the last hour, they are more than the larger of `count` and `percent` (S6).

    `wanted`: vmIds that are proven gone. The digest is of this exact list: an approval lets through what a person saw.
    """
    hosts = frozenset(wanted)
    most = max(count, commissioned * percent // 100)
    if not hosts or len(hosts) + recent <= most:
        return None
    digest = hashlib.sha256("\n".join(sorted(hosts)).encode()).hexdigest()[:12]
    return None if len(hosts) <= approvals.get(digest, 0) else RetirementHold(digest, hosts)
