"""What a mapping would change, from the hosts' records alone; `microseg plan` prints it.

It calls the same `desired` and `guard` as the reconciler, so what it foresees is what then happens.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from microseg.mapping import MappingDocument
from microseg.model.desired import Desired
from microseg.model.host import ManagedHost
from microseg.model.spelling import fold, same_name
from microseg.planning import desired as desired_state
from microseg.planning import guard
from microseg.planning.known_names import Known


@dataclass(frozen=True, slots=True)
class Preview:
    """A mapping's consequences for the hosts that there are now."""

    rules: MappingDocument
    before: MappingDocument | None
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
    """Names of hosts whose VM Azure does not show now."""
    emptied: tuple[str, ...]
    """Groups that would lose the last of our members."""
    hold: guard.PlanHold | None
    """Why it would wait for approval; None: it goes through."""
    lacking: tuple[str, ...] = ()
    """What the mapping names and the outside lacks, a sentence each."""
    suspended: tuple[str, ...] = ()
    """Names of hosts that would change, and do not as long as they are suspended."""
    desired: Mapping[str, Desired] = field(default_factory=dict, repr=False)
    """Name -> what the mapping wants for each host of which something is known."""

    @property
    def empty(self) -> bool:
        """Whether nothing would change for anybody."""
        return not (self.changes or self.onboarding or self.misses)


def preview(
    rules: MappingDocument,
    before: MappingDocument | None,
    hosts: Sequence[ManagedHost],
    *,
    percent: int,
    now: datetime,
    known: Known | None = None,
) -> Preview:
    """Foresee what `rules` change. `percent`: the estate's `guard.maxChangedPercent`. `known` None: never read."""
    lacking = known.lacking_of(rules) if known is not None else ()
    after = _all(rules, hosts, now)
    earlier = _all(before, hosts, now) if before is not None else {}
    names = {host.spec.vm_id: host.name for host in hosts}
    settled = {host.name for host in guard.commissioned(hosts)}
    touched, hold = guard.evaluate(
        hosts,
        lambda host: after.get(host.name),
        lambda host: earlier.get(host.name),
        percent,
        revision=rules.digest,
        lacking=lacking if known is not None and not known.left_out else (),
    )
    changes = {names[vm_id]: kinds for vm_id, kinds in touched.items() if kinds}
    return Preview(
        rules=rules,
        before=before,
        hosts=len(hosts),
        commissioned=len(settled),
        changes=changes,
        onboarding=_onboarding({name: each for name, each in after.items() if name not in settled}, earlier),
        misses={name: each.miss for name, each in after.items() if each.miss and not _missed(earlier.get(name))},
        unknown=tuple(sorted(names[vm_id] for vm_id in names if names[vm_id] not in after)),
        emptied=_emptied(hosts, after),
        hold=hold,
        lacking=lacking,
        suspended=tuple(sorted(host.name for host in hosts if host.spec.suspend and host.name in changes)),
        desired=after,
    )


def ranked(changes: Mapping[str, frozenset[str]]) -> list[tuple[str, list[str]]]:
    """(kind of change, names of its hosts in order), the kind that touches most hosts first."""
    names_by_kind: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(changes):
        for kind in changes[name]:
            names_by_kind[kind].append(name)
    return sorted(names_by_kind.items(), key=lambda row: (-len(row[1]), row[0]))


def _all(rules: MappingDocument, hosts: Iterable[ManagedHost], now: datetime) -> dict[str, Desired]:
    """Host name -> desired state, for hosts that Azure has shown."""
    pairs = ((host.name, desired_state.as_known(rules, host, now)) for host in hosts)
    return {name: desired for name, desired in pairs if desired is not None}


def _onboarding(after: Mapping[str, Desired], earlier: Mapping[str, Desired]) -> dict[str, frozenset[str]]:
    """The kinds of change of hosts that were never commissioned."""
    return {
        name: kinds
        for name, desired in after.items()
        if name in earlier and (kinds := _between(earlier[name], desired))
    }


def _missed(before: Desired | None) -> bool:
    return before is not None and bool(before.miss)


def _between(before: Desired, after: Desired) -> frozenset[str]:
    """The kinds of difference between two desired states of one host."""
    if before.miss or after.miss:
        ended = {"labels and groups: no longer waiting for a person"} if before.miss and not after.miss else set[str]()
        return frozenset(ended) | _groups_between(before, after)
    old, new = dict(before.labels), dict(after.labels)
    kinds = {
        f"label {key}: {old.get(key, '(none)')} -> {new.get(key, '(none)')}"
        for key in old.keys() | new.keys()
        if not same_name(old.get(key, ""), new.get(key, ""))
    }
    return frozenset(kinds) if after.pending_groups or before.pending_groups else _groups_between(before, after) | kinds


def _groups_between(before: Desired, after: Desired) -> frozenset[str]:
    """Groups that are joined and left; what waits before or afterwards is told as waiting."""
    joins = guard.without(after.groups, (*before.groups, *before.pending_groups))
    leaves = guard.without(before.groups, (*after.groups, *after.pending_groups))
    return frozenset({f"group {name}: join" for name in joins} | {f"group {name}: leave" for name in leaves})


def _emptied(hosts: Iterable[ManagedHost], after: Mapping[str, Desired]) -> tuple[str, ...]:
    """Groups that have recorded members now and would have none afterwards."""
    now: Counter[str] = Counter()
    then: Counter[str] = Counter()
    for host in hosts:
        recorded = host.status.check_point.groups if host.status.check_point is not None else ()
        desired = after.get(host.name)
        now.update(recorded)
        if desired is None or (desired.pending_groups and not desired.miss):
            then.update(map(fold, recorded))
        else:
            waiting = set(map(fold, desired.pending_groups))
            then.update(set(map(fold, desired.groups)) | (set(map(fold, recorded)) & waiting))
    return tuple(sorted(name for name in now if not then[fold(name)]))
