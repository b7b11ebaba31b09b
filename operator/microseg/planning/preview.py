"""What a mapping would change, from the hosts' records alone; `microseg plan` prints it.

It asks the same `wishes` and `guard` that the keeper asks, so what it foresees is what then happens.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from microseg.mapping import Mapping as Rules
from microseg.model.host import ManagedHost
from microseg.model.wanted import Wanted
from microseg.planning import guard, wishes


@dataclass(frozen=True, slots=True)
class Preview:
    """A mapping's consequences for the hosts that there are now."""

    rules: Rules
    before: Rules | None
    """The rules whose changes were let through last; None: unknown, so every difference from the records counts."""
    hosts: int
    commissioned: int
    """Hosts that were commissioned once: the guard looks at these."""
    changes: Mapping[str, frozenset[str]]
    """Name of a commissioned host -> the kinds of its changes; hosts that change in nothing are left out."""
    onboarding: Mapping[str, frozenset[str]]
    """The same for hosts that are still being onboarded, where the two mappings differ; the guard never holds them."""
    misses: Mapping[str, str]
    """Name of a host that no rule would know any more -> the sentence: labels and groups stay, a person is needed."""
    unknown: tuple[str, ...]
    """Names of hosts of whose VM nothing is known now."""
    emptied: tuple[str, ...]
    """Groups that would lose the last of our members."""
    hold: guard.Hold | None
    """Why it would wait for approval; None: it goes through."""
    suspended: tuple[str, ...] = ()
    """Names of hosts that would change, and do not as long as they are suspended."""
    wishes: Mapping[str, Wanted] = field(default_factory=dict, repr=False)
    """Name -> what the mapping wants for each host of which something is known."""

    @property
    def empty(self) -> bool:
        """Whether nothing would change for anybody."""
        return not (self.changes or self.onboarding or self.misses)


def preview(
    rules: Rules, before: Rules | None, hosts: Sequence[ManagedHost], *, percent: int, now: datetime
) -> Preview:
    """Foresee what `rules` change. `percent`: the estate's `guard.maxChangedPercent`."""
    after = _all(rules, hosts, now)
    earlier = _all(before, hosts, now) if before is not None else {}
    names = {host.spec.vm_id: host.name for host in hosts}
    settled = {host.name for host in guard.commissioned(hosts)}
    weighed, hold = guard.weigh(hosts, lambda host: after.get(host.name), lambda host: earlier.get(host.name), percent)
    changes = {names[vm_id]: kinds for vm_id, kinds in weighed.items() if kinds}
    onboarding = {
        name: kinds
        for name, wanted in after.items()
        if name not in settled and name in earlier and (kinds := _between(earlier[name], wanted))
    }
    return Preview(
        rules=rules,
        before=before,
        hosts=len(hosts),
        commissioned=len(settled),
        changes=changes,
        onboarding=onboarding,
        misses={name: each.miss for name, each in after.items() if each.miss and not _missed(earlier.get(name))},
        unknown=tuple(sorted(names[vm_id] for vm_id in names if names[vm_id] not in after)),
        emptied=_emptied(hosts, after),
        hold=hold,
        suspended=tuple(sorted(host.name for host in hosts if host.spec.suspend and host.name in changes)),
        wishes=after,
    )


def ranked(changes: Mapping[str, frozenset[str]]) -> list[tuple[str, list[str]]]:
    """(kind of change, names of its hosts in order), the kind that touches most hosts first."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(changes):
        for kind in changes[name]:
            found[kind].append(name)
    return sorted(found.items(), key=lambda row: (-len(row[1]), row[0]))


def _all(rules: Rules, hosts: Iterable[ManagedHost], now: datetime) -> dict[str, Wanted]:
    """Name -> what is wanted, for hosts of which something is known."""
    asked = ((host.name, wishes.as_known(rules, host, now)) for host in hosts)
    return {name: wanted for name, wanted in asked if wanted is not None}


def _missed(before: Wanted | None) -> bool:
    return before is not None and bool(before.miss)


def _between(before: Wanted, after: Wanted) -> frozenset[str]:
    """The kinds of difference between two wishes for one host."""
    if before.miss or after.miss:
        return frozenset(
            {"labels and groups: no longer waiting for a person"} if before.miss and not after.miss else ()
        )
    old, new = dict(before.labels), dict(after.labels)
    kinds = {
        f"label {key}: {old.get(key, '(none)')} -> {new.get(key, '(none)')}"
        for key in old.keys() | new.keys()
        if old.get(key) != new.get(key)
    }
    if not after.pending_groups and not before.pending_groups:
        kinds |= {f"group {name}: join" for name in set(after.groups) - set(before.groups)}
        kinds |= {f"group {name}: leave" for name in set(before.groups) - set(after.groups)}
    return frozenset(kinds)


def _emptied(hosts: Iterable[ManagedHost], after: Mapping[str, Wanted]) -> tuple[str, ...]:
    """Groups with recorded members of ours, and none afterwards."""
    now: Counter[str] = Counter()
    then: Counter[str] = Counter()
    for host in hosts:
        recorded = host.status.check_point.groups if host.status.check_point is not None else ()
        wanted = after.get(host.name)
        stays = wanted is None or wanted.miss or wanted.pending_groups
        now.update(recorded)
        then.update(recorded if wanted is None or stays else wanted.groups)
    return tuple(sorted(name for name in now if not then[name]))
