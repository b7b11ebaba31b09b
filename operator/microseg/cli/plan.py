"""`microseg plan`: what a mapping would change on the live hosts. Exit 0: nothing, 2: changes, 1: it cannot be told.

The operator's own planner is asked (`planning.preview`), with the facts that the hosts' records hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from microseg.cli import documents
from microseg.cli.cluster import Cluster, Live
from microseg.cli.rendering import Lines, Report, Section, Table, show
from microseg.cli.sorry import Sorry
from microseg.cli.where import Where
from microseg.mapping import Mapping as Rules
from microseg.mapping import Problem, lint, run_tests
from microseg.model.condition import Reason
from microseg.model.host import ManagedHost
from microseg.planning.decide import WOULD
from microseg.planning.guard import APPROVE_ANNOTATION
from microseg.planning.preview import Preview, preview, ranked
from microseg.stages import STAGES

NO_CHANGE, CHANGES = 0, 2
_EXAMPLES = 5
_PROGRESS = tuple(stage.condition for stage in STAGES)


def plan(where: Where, file: Path | None, revision: str, output: str) -> int:
    """Foresee a file's, a kept revision's, or (neither named) the newest accepted mapping's changes."""
    document = documents.read(file) if file is not None else None
    rules = document.parsed() if document is not None else None
    with Cluster(where) as cluster:
        live = cluster.live(rules.name if rules is not None else "")
    if rules is None:
        rules = _kept(live, revision)
    elif document is not None:
        _refuse_unfit(document, rules, live)
    found = foresee(live, rules)
    show(report(live, found), output)
    return NO_CHANGE if found.empty else CHANGES


def foresee(live: Live, rules: Rules) -> Preview:
    """The preview as the estate's guard would see it."""
    before = live.rules(live.let_through)
    percent = live.estate.spec.guard.max_changed_percent
    return preview(rules, before, live.hosts, percent=percent, now=live.now)


def _kept(live: Live, revision: str) -> Rules:
    """A revision that was accepted."""
    digest = live.revision(revision).digest if revision else live.in_force
    rules = live.rules(digest)
    if rules is None:
        name = live.estate.spec.mapping.name
        told = f"revision {digest} of {name} is not kept" if digest else f"no revision of {name} was ever accepted"
        raise Sorry(f"{told}: name a file with -f")
    return rules


def _refuse_unfit(document: documents.Document, rules: Rules, live: Live) -> None:
    """The operator would refuse it: then there is nothing to foresee."""
    allowed = live.estate.spec.check_point.allowed_groups
    wrong: list[documents.Finding] = [
        *run_tests(rules),
        *(each for each in lint(rules, allowed or None) if isinstance(each, Problem)),
    ]
    if rules.name != live.estate.spec.mapping.name:
        raise Sorry(f"the mapping is named {rules.name}, but Estate {live.key} uses {live.estate.spec.mapping.name}")
    if wrong:
        raise Sorry("\n".join(str(each) for each in document.placed(wrong)))


def report(live: Live, found: Preview) -> Report:
    """The preview for programs and for people."""
    return Report(_data(live, found), tuple(_sections(live, found)))


def _sections(live: Live, found: Preview) -> Iterator[Section]:
    names = _names(live.hosts)
    before = found.before.digest if found.before is not None else "what is recorded"
    of = f"{len(found.changes)} of {found.commissioned} commissioned hosts change"
    yield Lines("", [f"{live.key}: mapping {found.rules.name}, revision {before} -> {found.rules.digest}", f"{of}."])
    yield Table("Changes of commissioned hosts", *_changes(found.changes, names))
    yield Table("Hosts that are still being onboarded", *_changes(found.onboarding, names))
    yield Table("Not done, because the estate observes: enforcing, it would go on with", *_observing(live.hosts, names))
    yield Table("Would wait for a person: no rule knows them (MappingMiss)", *_misses(found, names))
    yield Lines("Groups that lose their last member of ours", list(found.emptied), loud=True)
    yield Lines("Guard", [verdict(live, found)], loud=found.hold is not None)
    yield Lines("Mind", list(_notes(live, found, names)))


def _changes(
    changes: Mapping[str, frozenset[str]], names: Mapping[str, str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = [
        (*_parts(kind), str(len(hosts)), _examples(hosts, names)) for kind, hosts in ranked(changes)
    ]
    return ("what", "change", "hosts", "examples"), rows


def observing(host: ManagedHost) -> dict[str, str]:
    """Stage -> what would be done if the estate enforced, as the host's conditions say."""
    return {
        told.type.value: told.message.partition(WOULD)[2] or told.message
        for told in host.status.conditions
        if told.type in _PROGRESS and told.reason == Reason.OBSERVING
    }


def _observing(hosts: Sequence[ManagedHost], names: Mapping[str, str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    waiting: dict[str, list[str]] = {kind.value: [] for kind in _PROGRESS}
    for host in hosts:
        for kind in observing(host):
            waiting[kind].append(host.name)
    rows: list[tuple[str, ...]] = [
        (kind, str(len(found)), _examples(found, names)) for kind, found in waiting.items() if found
    ]
    return ("stage", "hosts", "examples"), rows


def _misses(found: Preview, names: Mapping[str, str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    grouped: dict[str, list[str]] = {}
    for name in sorted(found.misses):
        grouped.setdefault(found.misses[name], []).append(name)
    rows: list[tuple[str, ...]] = [
        (why, str(len(hosts)), _examples(hosts, names))
        for why, hosts in sorted(grouped.items(), key=lambda row: (-len(row[1]), row[0]))
    ]
    return ("why", "hosts", "examples"), rows


def verdict(live: Live, found: Preview) -> str:
    """What the guard says, in a sentence."""
    limit = live.estate.spec.guard.max_changed_percent
    if found.hold is not None:
        approve = f"{APPROVE_ANNOTATION}={found.hold.approval}"
        namespace, name = live.estate.namespace, live.estate.name
        return (
            f"HELD: {len(found.hold.hosts)} of {found.commissioned} commissioned hosts are more than "
            f"maxChangedPercent, {limit} %. They stay as they are until a person approves: "
            f"kubectl -n {namespace} annotate est {name} --overwrite {approve}"
        )
    if not found.changes:
        return "passes: no commissioned host changes."
    return f"passes: {len(found.changes)} of {found.commissioned} commissioned hosts are at most {limit} %."


def _notes(live: Live, found: Preview, names: Mapping[str, str]) -> Iterator[str]:
    if live.held and found.before is not None:
        yield f"A change is held already: until one is approved, hosts follow revision {found.before.digest}."
    if found.before is None:
        yield f"Revision {live.let_through or '(none)'} is not kept, so hosts are compared with their records."
    if not live.estate.enforcing:
        yield "The estate does not enforce now: nothing of this is done before it does."
    if live.estate.spec.mapping.pin and live.estate.spec.mapping.pin != found.rules.digest:
        yield f"PINNED: spec.mapping.pin holds on to {live.estate.spec.mapping.pin}; no other mapping comes into force."
    if found.suspended:
        told = _examples(found.suspended, names)
        yield f"{len(found.suspended)} of them are suspended and change when that ends: {told}"
    if found.unknown:
        told = _examples(found.unknown, names)
        yield f"{len(found.unknown)} hosts are missing in Azure now; nothing is foreseen: {told}"


def _data(live: Live, found: Preview) -> dict[str, Any]:
    names = _names(live.hosts)
    hold = found.hold
    return {
        "estate": live.key,
        "mapping": found.rules.name,
        "revision": found.rules.digest,
        "before": found.before.digest if found.before is not None else None,
        "changed": not found.empty,
        "hosts": {
            "total": found.hosts,
            "commissioned": found.commissioned,
            "changed": len(found.changes),
            "onboarding": len(found.onboarding),
            "missing": len(found.misses),
            "unknown": len(found.unknown),
            "suspended": len(found.suspended),
        },
        "changes": [
            {"kind": kind, "hosts": len(hosts), "examples": [names[host] for host in hosts[:_EXAMPLES]]}
            for kind, hosts in ranked(found.changes)
        ],
        "byHost": {name: sorted(kinds) for name, kinds in sorted({**found.onboarding, **found.changes}.items())},
        "observing": {host.name: told for host in live.hosts if (told := observing(host))},
        "misses": dict(sorted(found.misses.items())),
        "emptiedGroups": list(found.emptied),
        "guard": {
            "held": hold is not None,
            "maxChangedPercent": live.estate.spec.guard.max_changed_percent,
            "digest": hold.digest if hold is not None else None,
            "approve": f"{APPROVE_ANNOTATION}={hold.approval}" if hold is not None else None,
            "verdict": verdict(live, found),
        },
        "notes": list(_notes(live, found, names)),
    }


def _parts(kind: str) -> tuple[str, str]:
    """A kind of change in two columns: what, and how. A group's name may hold anything, so it is split at the end."""
    what, _, change = kind.rpartition(": ") if kind.startswith("group ") else kind.partition(": ")
    return what, change


def _names(hosts: Sequence[ManagedHost]) -> dict[str, str]:
    """Name of the record -> the VM's own name, where only one host has it."""
    shown = {host.name: host.status.azure.name if host.status.azure else host.name for host in hosts}
    taken = Counter(shown.values())
    return {name: vm if taken[vm] == 1 else name for name, vm in shown.items()}


def _examples(hosts: Sequence[str], names: Mapping[str, str]) -> str:
    """The first few by the names that people know, and how many more there are."""
    more = f", … {len(hosts) - _EXAMPLES} more" if len(hosts) > _EXAMPLES else ""
    return ", ".join(names[host] for host in hosts[:_EXAMPLES]) + more
