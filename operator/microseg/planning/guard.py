"""The guard: a change of rules that would touch too many commissioned hosts is held until a person approves its kind (S6).

It compares what the rules want with what the records say was confirmed, so a restart finds the same answer: nothing
about a hold has to be remembered but the approvals that were used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from microseg.model.host import CheckPointRecord, IllumioRecord, ManagedHost
from microseg.model.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Hold:
    """A plan that waits for approval."""

    digest: str
    """Of the kinds of change, without host names, so that it still matches a living fleet."""
    hosts: frozenset[str]
    """vmIds that stay as they are meanwhile."""
    kinds: tuple[str, ...]

    @property
    def approval(self) -> str:
        """What the annotation must say."""
        return f"{self.digest}:{len(self.hosts)}"


def difference(host: ManagedHost, wanted: Wanted) -> frozenset[str]:
    """The kinds of change that the rules ask of a commissioned host, against its record; empty: none."""
    illumio, firewall = host.status.illumio or IllumioRecord(), host.status.check_point or CheckPointRecord()
    recorded = {label.key: label.value for label in illumio.labels}
    kinds = {
        f"label {key}: {recorded.get(key, '(none)')} -> {value}"
        for key, value in wanted.labels
        if recorded.get(key) != value
    }
    kinds |= {f"label {key}: removed" for key in wanted.removed if key in recorded and key in illumio.owned_keys}
    if not wanted.miss and not wanted.pending_groups:
        groups = set(wanted.groups)
        kinds |= {f"group {name}: join" for name in groups - set(firewall.groups)}
        kinds |= {f"group {name}: leave" for name in set(firewall.groups) - groups}
    return frozenset(kinds)


def judge(
    changes: Mapping[str, frozenset[str]], *, commissioned: int, percent: int, approvals: Mapping[str, int]
) -> Hold | None:
    """Hold the changes if they touch more than `percent` of the commissioned hosts and no approval covers them.

    `changes`: vmId -> kinds, for the hosts that would change. `approvals`: digest -> hosts that a person admitted.
    """
    touched = frozenset(vm_id for vm_id, kinds in changes.items() if kinds)
    if not touched or len(touched) * 100 <= percent * commissioned:
        return None
    kinds = tuple(sorted({kind for vm_id in touched for kind in changes[vm_id]}))
    digest = hashlib.sha256("\n".join(kinds).encode()).hexdigest()[:12]
    if len(touched) <= approvals.get(digest, 0):
        return None
    return Hold(digest, touched, kinds)


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


def commissioned(hosts: Iterable[ManagedHost]) -> tuple[ManagedHost, ...]:
    """Hosts that were commissioned once: the ones that a change of rules could take protection from."""
    return tuple(host for host in hosts if host.status.timeline and host.status.timeline.commissioned_at)
