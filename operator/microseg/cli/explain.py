"""`microseg explain HOST`: why each label and group, what lost and why, what is next and when, what a person can do.

Read from the host's record and the accepted mapping, with the functions that decide. Exit 0 told, 1 no such host.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from microseg.cli.advice import advice
from microseg.cli.cluster import Cluster, Live
from microseg.cli.rendering import Lines, Report, Section, Table, show
from microseg.cli.sorry import Sorry
from microseg.cli.where import Where
from microseg.estate.view import opens
from microseg.mapping import Mapping as Rules
from microseg.mapping import explain as why
from microseg.mapping import override_ends
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.host import ManagedHost
from microseg.planning import guard, wishes
from microseg.planning.preview import preview
from microseg.stages import STAGES
from microseg.stages.attempt import bounds, under_way
from microseg.stages.situation import Timing

_STAGES = {stage.condition for stage in STAGES}
_FIT = 8
"""Names that a sentence lists."""


def explain(where: Where, name: str, output: str) -> int:
    """Tell everything about one host."""
    with Cluster(where) as cluster:
        live = cluster.live()
    show(report(live, find(live, name)), output)
    return 0


def find(live: Live, name: str) -> ManagedHost:
    """The host of this record name, VM name, computer name, vmId or address. Raises Sorry for none or several."""
    wanted = name.lower()
    exact = [host for host in live.hosts if wanted in {host.name, host.spec.vm_id}]
    found = exact or [host for host in live.hosts if wanted in _called(host)]
    if len(found) == 1:
        return found[0]
    if found:
        told = ", ".join(host.name for host in found[:_FIT])
        raise Sorry(f"{len(found)} hosts are called {name}: name one of {told}")
    near = [host.name for host in live.hosts if wanted in host.name][:_FIT]
    hint = f"did you mean {', '.join(near)}?" if near else "`kubectl get mh` lists them"
    raise Sorry(f"no host of Estate {live.key} is called {name} ({hint})")


def _called(host: ManagedHost) -> set[str]:
    """What a person may call it, in lower case."""
    azure = host.status.azure
    if azure is None:
        return set()
    return {azure.name.lower(), azure.computer_name.lower(), *(address.ip for address in azure.addresses())} - {""}


def report(live: Live, host: ManagedHost) -> Report:
    """All there is to tell, for programs and for people."""
    rules = live.rules(live.in_force)
    told = _why(live, host, rules)
    differences = _differences(live, host, rules)
    stages = [made for made in host.status.conditions if made.type in _STAGES]
    following, person = list(_next(live, host, rules, stages)), list(_person(live, host, stages))
    head = _head(live, host)
    history = [(_at(line.at), line.what, line.revision) for line in host.status.history]
    sections: tuple[Section, ...] = (
        Lines("", head),
        Lines("Why", told),
        Lines("Differs from what the mapping wants", differences),
        Table("Stages", ("stage", "holds", "reason", "message"), [_row(made) for made in stages]),
        Lines("Next", following),
        Lines("What a person can do", person, loud=True),
        Table("History", ("at", "what", "revision"), history),
    )
    return Report(_data(live, host, told, differences, following, person), sections)


def _head(live: Live, host: ManagedHost) -> list[str]:
    azure, status = host.status.azure, host.status
    vm = f"VM {azure.name} in {azure.resource_group}, {azure.location}" if azure is not None else "VM not read yet"
    since = status.timeline.commissioned_at if status.timeline is not None else None
    commissioned = f", commissioned since {_at(since)}" if since is not None else ""
    return [
        f"{host.namespace}/{host.name}: {vm}, vmId {host.spec.vm_id}",
        f"Estate {live.key}, stage {status.stage or 'none yet'}{commissioned}",
    ]


def _why(live: Live, host: ManagedHost, rules: Rules | None) -> list[str]:
    """One line a label key and a group, by the rules in force."""
    azure = host.status.azure
    if rules is None:
        return [f"No mapping is known: revision {live.in_force or '(none)'} is not kept or does not parse."]
    if azure is None:
        return ["Azure has not told of this VM yet."]
    subject = wishes.subject(azure, host.spec.vm_id)
    return list(why(rules, subject, current=wishes.recorded_labels(host), now=live.now))


def _differences(live: Live, host: ManagedHost, rules: Rules | None) -> list[str]:
    """What the rules in force want otherwise than it is recorded."""
    wanted = wishes.as_known(rules, host, live.now) if rules is not None else None
    return sorted(guard.difference(host, wanted)) if wanted is not None else []


def held(live: Live, host: ManagedHost, rules: Rules | None) -> str:
    """What must be approved for this host to change; empty: it is not held."""
    if rules is None or not live.held:
        return ""
    percent = live.estate.spec.guard.max_changed_percent
    hold = preview(rules, live.rules(live.let_through), live.hosts, percent=percent, now=live.now).hold
    return hold.approval if hold is not None and host.spec.vm_id in hold.hosts else ""


def _next(live: Live, host: ManagedHost, rules: Rules | None, stages: Sequence[Condition]) -> Iterator[str]:
    """What happens by itself, and when."""
    waits = held(live, host, rules)
    if waits:
        yield "It stays as it is recorded: a change of the mapping is held until a person approves it."
    for names, reason in _open(stages):
        yield f"{names} ({reason}): {advice(reason).next}{_when(live, host, reason)}."
    yield from _attempt(host)
    end = override_ends(rules, host.spec.vm_id, live.now) if rules is not None else None
    if end is not None:
        yield f"An override ends {_at(end)}; from then on the rules decide."
    if not stages:
        yield f"It is decided for the first time within a poll, every {live.estate.spec.azure.poll_interval}."
    elif not waits and all(made.status == ConditionStatus.TRUE for made in stages):
        yield f"Nothing is open: it is compared with all three systems at every poll, {_pace(live)}."


def _open(stages: Sequence[Condition]) -> Iterator[tuple[str, str]]:
    """Names of the stages that do not hold, together where they say the same reason; and that reason."""
    found: dict[str, list[str]] = {}
    for made in stages:
        if made.status != ConditionStatus.TRUE:
            found.setdefault(made.reason, []).append(made.type.value)
    return ((", ".join(names), reason) for reason, names in found.items())


def _when(live: Live, host: ManagedHost, reason: str) -> str:
    """The time that goes with what is next, where there is one."""
    if reason == Reason.OUTSIDE_INSTALL_WINDOW.value:
        at = opens(live.estate.spec.check_point.install_window, live.now)
        return f", {_at(at)}" if at is not None else ", now"
    if reason == Reason.NOT_SEEN.value and host.status.missing_since is not None:
        return f"; missing since {_at(host.status.missing_since)}"
    return f", {_pace(live)}" if "next poll" in advice(reason).next or "next reading" in advice(reason).next else ""


def _pace(live: Live) -> str:
    return f"every {live.estate.spec.azure.poll_interval}"


def _attempt(host: ManagedHost) -> Iterator[str]:
    """The times of the installer's attempt."""
    agent = host.status.agent
    if agent is None or not agent.attempt:
        return
    if under_way(agent):
        timing = Timing()
        limit, began = bounds(agent, timing), agent.started_at or agent.intended_at
        usually = began + timedelta(seconds=timing.expected) if began is not None else None
        yield f"Attempt {agent.attempt} ({agent.mode}) began {_at(began)}; a script usually ends by {_at(usually)}."
        yield f"It can begin no later than {_at(limit.seals_at)}; it is over at {_at(limit.over_at)} in any case."
    elif agent.failures and agent.retry_at is not None and host.status.stage == "Pairing":
        yield f"Attempt {agent.attempt} failed ({agent.outcome}); the next may begin {_at(agent.retry_at)}."


def _person(live: Live, host: ManagedHost, stages: Sequence[Condition]) -> Iterator[str]:
    """What somebody can do now."""
    approval = held(live, host, live.rules(live.in_force))
    if approval:
        command = f"kubectl -n {host.namespace} annotate est {live.estate.name} --overwrite"
        yield f"To let the held change through: {command} {guard.APPROVE_ANNOTATION}={approval}"
    for names, reason in _open(stages):
        if what := advice(reason).person:
            yield f"{names} ({reason}): {what}."
    drifted = next((made for made in host.status.conditions if made.type == ConditionType.DRIFTED), None)
    if drifted is not None and drifted.status == ConditionStatus.TRUE and (what := advice(drifted.reason).person):
        yield f"Drifted: {drifted.message} A person can {what}."


def _row(made: Condition) -> tuple[str, str, str, str]:
    return (made.type.value, made.status.value, made.reason, made.message)


def _data(
    live: Live, host: ManagedHost, told: list[str], differences: list[str], following: list[str], person: list[str]
) -> dict[str, Any]:
    status = host.status
    return {
        "host": host.name,
        "namespace": host.namespace,
        "vmId": host.spec.vm_id,
        "vm": status.azure.name if status.azure is not None else None,
        "estate": live.key,
        "stage": status.stage,
        "revision": live.in_force or None,
        "decidedBy": status.mapping.revision if status.mapping is not None else None,
        "why": told,
        "differences": differences,
        "stages": [
            {"stage": one, "status": holds, "reason": reason, "message": message}
            for one, holds, reason, message in (_row(made) for made in status.conditions if made.type in _STAGES)
        ],
        "next": following,
        "person": person,
        "history": [{"at": _at(line.at), "what": line.what, "revision": line.revision} for line in status.history],
    }


def _at(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at is not None else "at an unknown time"
