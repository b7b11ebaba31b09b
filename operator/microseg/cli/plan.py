"""`microseg plan`: what a mapping would change on the live hosts. Exit 0: nothing, 2: changes, 1: it cannot be done.

The operator's own planner is asked (`planning.preview`), with the facts that the hosts' records hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from microseg.cli import documents
from microseg.cli.cluster import Cluster, Live
from microseg.cli.errors import CommandError
from microseg.cli.output import Lines, Report, Section, Table, show
from microseg.cli.target import ClusterOptions
from microseg.mapping import MappingDocument, Problem, lint, run_tests
from microseg.model.approval import ApprovalAction, command
from microseg.model.condition import Reason
from microseg.model.host import ManagedHost
from microseg.planning import fitness, hourly_guard, known_names
from microseg.planning.decide import WOULD
from microseg.planning.preview import Preview, preview, ranked
from microseg.stages import STAGES

NO_CHANGE, MISSING, CHANGES = 0, 1, 2
_EXAMPLES = 5
_PROGRESS = tuple(stage.condition for stage in STAGES)


def plan(where: ClusterOptions, file: Path | None, revision: str, output: str) -> int:
    """Foresee a file's, a kept revision's, or (neither named) the newest accepted mapping's changes."""
    document = documents.read(file) if file is not None else None
    rules = document.parsed() if document is not None else None
    with Cluster(where) as cluster:
        live = cluster.live(rules.name if rules is not None else "")
    poll = live.estate.status.poll
    if not live.hosts and (poll is None or not poll.complete):
        raise CommandError(
            f"Estate {live.key} was never read, so nobody can say what would change: `microseg status` says why"
        )
    if rules is None:
        rules = _kept(live, revision)
    elif document is not None:
        refuse_unfit(document, rules, live)
    preview = foresee(live, rules)
    show(report(live, preview), output)
    if missing(live, preview):
        return MISSING
    return NO_CHANGE if preview.empty else CHANGES


def foresee(live: Live, rules: MappingDocument) -> Preview:
    """The preview as the estate's guard would see it."""
    before, known = live.rules(live.let_through), known_names.as_recorded(live.estate)
    percent = live.estate.spec.guard.max_changed_percent
    return preview(rules, before, live.hosts, percent=percent, now=live.now, known=known)


def missing(live: Live, preview: Preview) -> tuple[str, ...]:
    """What the mapping or the Estate's spec names and the outside lacks, and what nobody knows of that."""
    known = live.estate.status.known
    if known is None or known_names.as_recorded(live.estate) is None:
        return (
            f"Which names the PCE and Check Point have was never read: `microseg status -n {live.estate.namespace}`.",
        )
    return (*preview.lacking, *known.mistakes)


def _kept(live: Live, revision: str) -> MappingDocument:
    """A revision that was accepted. Raises CommandError where the operator would not use it."""
    digest, name = live.in_force, live.estate.spec.mapping.name
    kept = live.revision(revision) if revision else live.kept(digest)
    if kept is None:
        problem = f"revision {digest} of {name} is not kept" if digest else f"no revision of {name} was ever accepted"
        raise CommandError(f"{problem}: name a file with -f")
    return live.verified(kept)


def refuse_unfit(document: documents.Document, rules: MappingDocument, live: Live) -> None:
    """The operator would refuse it: then there is nothing to foresee."""
    allowed = live.estate.spec.check_point.allowed_groups
    wrong: list[documents.Finding] = [
        *run_tests(rules),
        *(each for each in lint(rules, allowed or None) if isinstance(each, Problem)),
    ]
    if rules.name != live.estate.spec.mapping.name:
        raise CommandError(
            f"the mapping is named {rules.name}, but Estate {live.key} uses {live.estate.spec.mapping.name}"
        )
    if wrong:
        raise CommandError("\n".join(str(each) for each in document.placed(wrong)))
    if unread := fitness.unread_tag(rules, fitness.allowed_in(live.estate.spec)):
        raise CommandError(f"the operator would refuse this mapping: {unread}")


def report(live: Live, preview: Preview) -> Report:
    """The preview for programs and for people."""
    return Report(_data(live, preview), tuple(_sections(live, preview)))


def _sections(live: Live, preview: Preview) -> Iterator[Section]:
    names = _names(live.hosts)
    before = preview.before.digest if preview.before is not None else "what is recorded"
    of = f"{len(preview.changes)} of {preview.commissioned} commissioned hosts change"
    yield Lines(
        "", [f"{live.key}: mapping {preview.rules.name}, revision {before} -> {preview.rules.digest}", f"{of}."]
    )
    yield Table("Changes of commissioned hosts", *_changes(preview.changes, names))
    yield Table("Hosts that are still being onboarded", *_changes(preview.onboarding, names))
    yield Table(
        "Not done, because the estate only observes; with mode Enforce it would continue with",
        *_observing(live.hosts, names),
    )
    yield Table("Would wait for a person: no rule matches them (MappingMiss)", *_misses(preview, names))
    yield Lines("Groups that lose their last member of ours", list(preview.emptied), loud=True)
    yield Lines("Missing outside", list(missing(live, preview)), loud=True)
    yield Lines("Guard", [verdict(live, preview)], loud=preview.hold is not None)
    yield Lines("Mind", list(_notes(live, preview, names)))


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
        condition.type.value: condition.message.partition(WOULD)[2] or condition.message
        for condition in host.status.conditions
        if condition.type in _PROGRESS and condition.reason == Reason.OBSERVING
    }


def _observing(hosts: Sequence[ManagedHost], names: Mapping[str, str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    waiting: dict[str, list[str]] = {kind.value: [] for kind in _PROGRESS}
    for host in hosts:
        for kind in observing(host):
            waiting[kind].append(host.name)
    rows: list[tuple[str, ...]] = [
        (kind, str(len(names_of_kind)), _examples(names_of_kind, names))
        for kind, names_of_kind in waiting.items()
        if names_of_kind
    ]
    return ("stage", "hosts", "examples"), rows


def _misses(preview: Preview, names: Mapping[str, str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    grouped: dict[str, list[str]] = {}
    for name in sorted(preview.misses):
        grouped.setdefault(preview.misses[name], []).append(name)
    rows: list[tuple[str, ...]] = [
        (why, str(len(hosts)), _examples(hosts, names))
        for why, hosts in sorted(grouped.items(), key=lambda row: (-len(row[1]), row[0]))
    ]
    return ("why", "hosts", "examples"), rows


def verdict(live: Live, preview: Preview) -> str:
    """What the guard says, in a sentence."""
    limit = live.estate.spec.guard.max_changed_percent
    if preview.hold is not None and preview.hold.lacking:
        return f"HELD: {len(preview.hold.hosts)} commissioned hosts stay as they are.{preview.hold.obstacle}"
    if preview.hold is not None:
        approve = command(ApprovalAction.PLAN, preview.hold.approval)
        return (
            f"HELD: {len(preview.hold.hosts)} of {preview.commissioned} commissioned hosts are more than "
            f"maxChangedPercent, {limit} %. They stay as they are until a person approves: "
            f"{approve} -n {live.estate.namespace} --reason WHY"
        )
    if not preview.changes:
        return "passes: no commissioned host changes."
    return f"passes: {len(preview.changes)} of {preview.commissioned} commissioned hosts are at most {limit} %."


def _notes(live: Live, preview: Preview, names: Mapping[str, str]) -> Iterator[str]:
    if live.plan_held and preview.before is not None:
        yield f"A change is held already: until one is approved, hosts follow revision {preview.before.digest}."
    if preview.before is None:
        yield f"Revision {live.let_through or '(none)'} is not kept or used, so hosts are compared with their status."
    if not live.estate.enforcing:
        yield "The estate does not enforce now: nothing of this is done until it does."
    if live.estate.spec.mapping.pin and live.estate.spec.mapping.pin != preview.rules.digest:
        yield f"PINNED: spec.mapping.pin keeps {live.estate.spec.mapping.pin} in force; every other mapping is ignored."
    if preview.changes and preview.hold is None and preview.commissioned > hourly_guard.AT_LEAST:
        limit = live.estate.spec.guard.max_changed_percent
        yield f"What changed within the last hour counts as well: with it, the part beyond {limit} % would be held."
    if preview.suspended:
        examples = _examples(preview.suspended, names)
        yield f"{len(preview.suspended)} of them are suspended and change when that ends: {examples}"
    if preview.unknown:
        examples = _examples(preview.unknown, names)
        yield f"{len(preview.unknown)} hosts are missing in Azure now; nothing is foreseen: {examples}"


def _data(live: Live, preview: Preview) -> dict[str, Any]:
    names = _names(live.hosts)
    hold = preview.hold
    return {
        "estate": live.key,
        "mapping": preview.rules.name,
        "revision": preview.rules.digest,
        "before": preview.before.digest if preview.before is not None else None,
        "changed": not preview.empty,
        "hosts": {
            "total": preview.hosts,
            "commissioned": preview.commissioned,
            "changed": len(preview.changes),
            "onboarding": len(preview.onboarding),
            "missing": len(preview.misses),
            "unknown": len(preview.unknown),
            "suspended": len(preview.suspended),
        },
        "changes": [
            {"kind": kind, "hosts": len(hosts), "examples": [names[host] for host in hosts[:_EXAMPLES]]}
            for kind, hosts in ranked(preview.changes)
        ],
        "byHost": {name: sorted(kinds) for name, kinds in sorted({**preview.onboarding, **preview.changes}.items())},
        "observing": {host.name: sentence for host in live.hosts if (sentence := observing(host))},
        "misses": dict(sorted(preview.misses.items())),
        "emptiedGroups": list(preview.emptied),
        "missingOutside": list(missing(live, preview)),
        "guard": {
            "held": hold is not None,
            "maxChangedPercent": live.estate.spec.guard.max_changed_percent,
            "digest": hold.digest if hold is not None else None,
            "approve": hold.approval if hold is not None and not hold.lacking else None,
            "verdict": verdict(live, preview),
        },
        "notes": list(_notes(live, preview, names)),
    }


def _parts(kind: str) -> tuple[str, str]:
    """A kind of change in two columns: what, and how. A group's name may hold anything, so it is split at the end."""
    what, _, change = kind.rpartition(": ") if kind.startswith("group ") else kind.partition(": ")
    return what, change


def _names(hosts: Sequence[ManagedHost]) -> dict[str, str]:
    """Name of the record -> the VM's own name, where only one host has it."""
    vm_names = {host.name: host.status.azure.name if host.status.azure else host.name for host in hosts}
    taken = Counter(vm_names.values())
    return {name: vm if taken[vm] == 1 else name for name, vm in vm_names.items()}


def _examples(hosts: Sequence[str], names: Mapping[str, str]) -> str:
    """The first few by the names that people know, and how many more there are."""
    more = f", … {len(hosts) - _EXAMPLES} more" if len(hosts) > _EXAMPLES else ""
    return ", ".join(names[host] for host in hosts[:_EXAMPLES]) + more
