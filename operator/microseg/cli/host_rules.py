"""What the rules gave one host, what they give it now, and what a file would; and what holds a change of it.

`explain` calls it. It asks the functions that decide, with the facts of the host's record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from microseg.cli import plan
from microseg.cli.cluster import Live
from microseg.mapping import MappingDocument
from microseg.mapping import explain as why
from microseg.model.condition import ConditionStatus, ConditionType, find
from microseg.model.host import ManagedHost
from microseg.model.shown import plain
from microseg.planning import desired as desired_state
from microseg.planning import guard, hourly_guard, known_names

_COMPARED = (ConditionType.LABELLED, ConditionType.GROUPED)


@dataclass(frozen=True, slots=True)
class Held:
    """Why a host that the rules would change stays as it is."""

    what: str
    """What changed, as the rest of a sentence."""
    approval: str
    """The value that the Estate's annotation must have."""
    obstacle: str
    """What must come before an approval, as a further sentence; empty: nothing."""


def lines(live: Live, host: ManagedHost, rules: MappingDocument | None) -> list[str]:
    """One line per label key and per group, by these rules and the tags of now."""
    azure = host.status.azure
    if rules is None:
        return [f"No mapping is known: revision {live.in_force or '(none)'} is not kept or not used."]
    if azure is None:
        return ["Azure has not shown this VM yet."]
    subject = desired_state.subject(azure, host.spec.vm_id)
    return list(why(rules, subject, current=desired_state.recorded_labels(host), now=live.now))


def differences(live: Live, host: ManagedHost, rules: MappingDocument | None) -> list[str]:
    """What these rules want otherwise than it is recorded."""
    desired = desired_state.as_known(rules, host, live.now) if rules is not None else None
    if desired is None:
        return []
    addresses = _addresses(live, host) if desired.groups or desired.pending_groups else None
    return sorted(guard.difference(host, desired) | hourly_guard.moved(host, addresses))


def _addresses(live: Live, host: ManagedHost) -> frozenset[str] | None:
    """The addresses that stand for the VM in the firewall; None: not all of them are known."""
    azure, primary_only = host.status.azure, live.estate.spec.check_point.addresses == "primary"
    if azure is None or azure.unreadable_nics() or (primary_only and not azure.primary_known):
        return None
    shown = azure.addresses()
    return frozenset(each.ip for each in (shown[:1] if primary_only else shown))


def held(live: Live, host: ManagedHost) -> Held | None:
    """What holds the host; None: nothing does."""
    rules = live.rules(live.in_force)
    if rules is None or not guard.was_commissioned(host):
        return None
    if live.plan_held:
        hold = plan.foresee(live, rules).hold
        if hold is not None and host.spec.vm_id in hold.hosts:
            return Held("a change of the mapping", hold.approval, hold.obstacle)
    facts = next((each for each in live.estate.status.held if each.kind == "facts"), None)
    if facts is None or not waiting(live, host, rules):
        return None
    what = "what changed on too many hosts within an hour, such as their tags or addresses,"
    return Held(what, f"{facts.digest}:{facts.hosts}", guard.obstacle(_lacking(live, host, rules)))


def waiting(live: Live, host: ManagedHost, rules: MappingDocument) -> frozenset[str]:
    """What these rules would change on a commissioned host that stays as it is; empty: nothing, or it changes now."""
    settled = all(
        (made := find(host.status.conditions, kind)) and made.status == ConditionStatus.TRUE for kind in _COMPARED
    )
    return frozenset(differences(live, host, rules)) if settled and guard.was_commissioned(host) else frozenset()


def _lacking(live: Live, host: ManagedHost, rules: MappingDocument) -> tuple[str, ...]:
    """What the host would get by these rules and the outside lacks, as far as the Estate keeps that."""
    desired, known = desired_state.as_known(rules, host, live.now), known_names.as_recorded(live.estate)
    if desired is None or known is None or known.left_out:
        return ()
    return known.lacking(*known_names.added(host, desired.labels, desired.groups))


def decided_by(host: ManagedHost) -> str:
    """Digest of the revision that gave the host what it has; empty: none did."""
    return host.status.mapping.revision if host.status.mapping is not None else ""


def had(live: Live, host: ManagedHost) -> list[str]:
    """Which rules gave what the host has, where those in force give it something else now; else empty."""
    digest = decided_by(host)
    if not digest or not differences(live, host, live.rules(live.in_force)):
        return []
    rules = live.rules(digest)
    if rules is not None and not differences(live, host, rules):
        return lines(live, host, rules)
    return list(_recorded(host, digest, kept=rules is not None))


def _recorded(host: ManagedHost, digest: str, *, kept: bool) -> Iterator[str]:
    """What was confirmed last, where nobody can say any more by which tags, or by which rules."""
    lost = "the tags of that time are not kept" if kept else "its rules are not kept or not used any more"
    cause = f"confirmed last, by revision {digest[:12]}; {lost}"
    illumio, check_point = host.status.illumio, host.status.check_point
    for label in illumio.labels if illumio is not None else ():
        if illumio is not None and label.key in illumio.owned_keys:
            yield f"{label.key} = {plain(label.value)} <- {cause}"
    for name in check_point.groups if check_point is not None else ():
        yield f"group {plain(name)}: member <- {cause}"


def foretold(live: Live, host: ManagedHost, candidate: MappingDocument) -> tuple[list[str], str]:
    """What this mapping would change on the host, and when that would happen, in a sentence."""
    changes = differences(live, host, candidate)
    preview = plan.foresee(live, candidate)
    if preview.hold is not None and host.spec.vm_id in preview.hold.hosts:
        return changes, plan.verdict(live, preview)
    if not changes:
        return changes, "Nothing of this host would change."
    at_once = "It would be changed as soon as the mapping is accepted"
    if host.spec.suspend or not live.estate.enforcing:
        return changes, f"{at_once}, and host and estate are no longer suspended or observing."
    return changes, f"{at_once}: the guard would not hold it."
