"""`microseg approve`: creates an Approval, with the list that its digest is of where the records still show it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from microseg.cli import host_rules
from microseg.cli import plan as plan_command
from microseg.cli.cluster import Cluster, Live
from microseg.cli.errors import CommandError
from microseg.cli.output import Lines, Report, show
from microseg.cli.target import ClusterOptions
from microseg.mapping import MappingDocument
from microseg.model.approval import ApprovalAction, ApprovalSpec, SeenChange
from microseg.model.condition import ConditionType, Reason, find
from microseg.model.estate_status import HeldPlan
from microseg.planning import guard, retirement_guard

_KINDS = {ApprovalAction.PLAN: ("mapping", "facts"), ApprovalAction.RETIREMENT: ("retirement",)}
_SHORTEST = 6
"""Digits of a digest that name one."""
_ONE_HOST = {ApprovalAction.CONFIRM_GONE, ApprovalAction.ADOPT}
"""What is about one host each: of these a person may name several."""
_MOST = {"groups": 64, "kinds": 32, "hosts": 5000}
"""What the CustomResourceDefinition takes; a longer list is not sent, and the digest stands alone."""


def approve(where: ClusterOptions, word: str, what: Sequence[str], reason: str, output: str) -> int:
    """Create one for each that is named, all or, if one is not well named, none; and say what to expect."""
    action = next(each for each in ApprovalAction if each.word == word)
    if len(what) > 1 and action not in _ONE_HOST:
        raise CommandError(f"an approval of this kind is of one thing: {action.form}")
    with Cluster(where) as cluster:
        live, by = cluster.live(hosts=action in _KINDS), cluster.user_name()
        specs = [_spec(live, action, each, by, reason) for each in dict.fromkeys(what)]
        made = [(cluster.approve(spec), spec) for spec in specs]
    lines = [f"Approval {one.namespace}/{one.name} by {by}: {action.value} {spec.what}." for one, spec in made]
    hint = (
        "The operator looks within seconds; `kubectl get approvals` then says what came of it. It is void after a day."
    )
    data = [
        {"approval": one.name, "estate": live.key, "action": action.value, "what": spec.what, "by": by,
         "hosts": sum(len(each.hosts) for each in spec.seen) or None}
        for one, spec in made
    ]  # fmt: skip
    show(Report(data[0] if len(data) == 1 else {"approvals": data}, (Lines("", [*lines, hint]),)), output)
    return 0


def _spec(live: Live, action: ApprovalAction, what: str, by: str, reason: str) -> ApprovalSpec:
    """One approval. Raises CommandError where nothing is so named."""
    meant = _meant(live, action, what)
    if re.fullmatch(action.pattern.strip("^$"), meant) is None:
        raise CommandError(f"{what!r} is not what an approval of this kind names: {action.form}")
    seen = _seen(live, action, meant)
    return ApprovalSpec(estate=live.estate.name, action=action, what=meant, by=by, reason=reason, seen=seen)


def _meant(live: Live, action: ApprovalAction, what: str) -> str:
    """The whole of what a person named by its beginning. Raises CommandError where nothing fit is so named."""
    if action == ApprovalAction.PIN:
        return what if what == "none" else _usable(live, what)
    if action not in _KINDS or re.fullmatch(action.pattern.strip("^$"), what):
        return what
    held = [each for each in live.estate.status.held if each.kind in _KINDS[action]]
    named = [each for each in held if len(what) >= _SHORTEST and _whole(each).startswith(what)]
    if len(named) == 1:
        return _whole(named[0])
    texts = ", ".join(map(_whole, held)) or "nothing"
    raise CommandError(f"nothing that is held begins with {what!r}; what waits now: {texts}")


def _usable(live: Live, what: str) -> str:
    """Digest of a kept revision that the operator would use."""
    revision = live.revision(what)
    live.verified(revision)
    return revision.digest


def _whole(held: HeldPlan) -> str:
    return f"{held.digest}:{held.hosts}"


def _seen(live: Live, action: ApprovalAction, what: str) -> tuple[SeenChange, ...]:
    """The list, if it is the one that the digest is of; else none: the operator remembers it until it ends."""
    digest = what.partition(":")[0]
    match action:
        case ApprovalAction.PLAN:
            rules = live.rules(live.in_force)
            return _grouped(_held_changes(live, rules, digest)) if rules is not None else ()
        case ApprovalAction.RETIREMENT:
            hosts = retirement_guard.shown(digest, _held_retirements(live))
            return _grouped(dict.fromkeys(hosts, frozenset[str]())) if hosts else ()
        case _:
            return ()


def _held_changes(live: Live, rules: MappingDocument, digest: str) -> Mapping[str, frozenset[str]]:
    """The list that the digest is of, of a change of rules or of what they look at; none, if it is another by now."""
    hold = plan_command.foresee(live, rules).hold
    if hold is not None and hold.digest == digest:
        return hold.changes
    held = {host.spec.vm_id: kinds for host in live.hosts if (kinds := host_rules.waiting(live, host, rules))}
    return held if guard.shown(digest, held, "") is not None else {}


def _held_retirements(live: Live) -> Iterable[str]:
    for host in live.hosts:
        found = find(host.status.conditions, ConditionType.DISCOVERED)
        if found is not None and found.reason == Reason.RETIREMENT_HELD:
            yield host.spec.vm_id


def _grouped(changes: Mapping[str, frozenset[str]]) -> tuple[SeenChange, ...]:
    """The list by what changes; none where it is longer than an Approval may be."""
    groups: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for vm_id in sorted(changes):
        groups[tuple(sorted(changes[vm_id]))].append(vm_id)
    too_long = len(groups) > _MOST["groups"] or any(
        len(kinds) > _MOST["kinds"] or len(hosts) > _MOST["hosts"] for kinds, hosts in groups.items()
    )
    return () if too_long else tuple(SeenChange(kinds=kinds, hosts=tuple(hosts)) for kinds, hosts in groups.items())
