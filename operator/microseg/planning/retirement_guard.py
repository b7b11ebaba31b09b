"""How many retirements may begin in an hour, and whose: the oldest first, and no resource group takes them all (S6).

Whoever may create VMs in one resource group may also delete them by the dozen. That fills the hour of that group, and
leaves the other half of the estate's to the others. `engine.retirement` counts the hour by the tombstones.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Gone:
    """A VM that is proven gone and not yet buried."""

    vm_id: str
    since: datetime
    """Since when it is missing."""
    group: str = ""
    """Its subscription and resource group, lower case."""


@dataclass(frozen=True, slots=True)
class RetirementHold:
    """Retirements that wait: for their hour, or for approval."""

    digest: str
    hosts: frozenset[str]

    @property
    def approval(self) -> str:
        """What an Approval must name."""
        return f"{self.digest}:{len(self.hosts)}"

    def admitted(self, approvals: Mapping[str, int]) -> bool:
        """Whether a person approved exactly this list."""
        return len(self.hosts) <= approvals.get(self.digest, 0)


def group_of(resource_id: str) -> str:
    """Subscription and resource group of an ARM id, as the key of its cap; empty: the id is not known."""
    return "/".join(resource_id.lower().split("/")[1:5])


def shown(digest: str, hosts: Iterable[str]) -> frozenset[str]:
    """These hosts, if the digest is theirs; else none."""
    listed = frozenset(hosts)
    return listed if listed and _digest(listed) == digest else frozenset()


def judge(gone: Iterable[Gone], *, recent: Iterable[str], groups: int, most: int) -> RetirementHold | None:
    """What must wait when at most `most` begin in an hour, of one group at most half where the estate has several.

    `recent`: group of each that began in the last hour. `groups`: how many the estate has. The digest is of this exact
    list: an approval lets through what a person saw.
    """
    taken = Counter(recent)
    left, cap = most - taken.total(), most if groups < 2 else (most + 1) // 2
    waiting = []
    for each in sorted(gone, key=lambda each: (each.since, each.vm_id)):
        if left > 0 and taken[each.group] < cap:
            left, taken[each.group] = left - 1, taken[each.group] + 1
        else:
            waiting.append(each.vm_id)
    if not waiting:
        return None
    return RetirementHold(_digest(waiting), frozenset(waiting))


def _digest(hosts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(hosts)).encode()).hexdigest()
