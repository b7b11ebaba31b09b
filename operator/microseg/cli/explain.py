"""`microseg explain HOST`: why each label and group, what lost and why, what is next and when, what a person can do.

Read from the host's record and the accepted mapping, with the functions that decide. Exit 0: shown, 1: no such host.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from microseg.cli import host_rules, outlook
from microseg.cli.advice import advice
from microseg.cli.cluster import Cluster, Live
from microseg.cli.documents import read
from microseg.cli.find_host import find
from microseg.cli.host_rules import Held
from microseg.cli.output import Lines, Report, Section, Table, show
from microseg.cli.plan import refuse_unfit
from microseg.cli.target import ClusterOptions
from microseg.cli.times import Times
from microseg.mapping import MappingDocument, override_ends
from microseg.model.approval import ApprovalAction, command
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.host import ManagedHost
from microseg.planning.install_window import opens
from microseg.stages import STAGES
from microseg.stages.attempt import bounds, under_way

_STAGES = {stage.condition for stage in STAGES}


def explain(where: ClusterOptions, name: str, output: str, file: Path | None = None) -> int:
    """Show everything about one host; with `file` also what that mapping would give it."""
    document = read(file) if file is not None else None
    candidate = document.parsed() if document is not None else None
    with Cluster(where) as cluster:
        live = cluster.live(candidate.name if candidate is not None else "")
        times, leadership = cluster.times(), cluster.leadership()
    if document is not None and candidate is not None:
        refuse_unfit(document, candidate, live)
    show(report(live, find(live, name), times, leadership.began, candidate), output)
    return 0


def report(
    live: Live,
    host: ManagedHost,
    times: Times,
    began: Sequence[datetime] = (),
    candidate: MappingDocument | None = None,
) -> Report:
    """The whole explanation, for programs and for people. `began`: when earlier retirements did."""
    rules, held = live.rules(live.in_force), host_rules.held(live, host)
    why_lines, has = host_rules.lines(live, host, rules), host_rules.had(live, host)
    differences = host_rules.differences(live, host, rules)
    would = host_rules.lines(live, host, candidate) if candidate is not None else []
    would_change, verdict = host_rules.foretold(live, host, candidate) if candidate is not None else ([], "")
    stages = [condition for condition in host.status.conditions if condition.type in _STAGES]
    following = [*_next(live, host, held, stages, times), *outlook.times(live, host, stages, began)]
    person = list(_person(host, held, stages))
    history = [(_at(line.at), line.what, line.revision) for line in host.status.history]
    sections: tuple[Section, ...] = (
        Lines("", _head(live, host)),
        Lines(f"What it has, by revision {host_rules.decided_by(host)}", has),
        Lines("Why" if not has else f"What revision {live.in_force} gives it now", why_lines),
        Lines("What the file would give it", would),
        Lines("What the file would change", [*would_change, verdict] if verdict else []),
        Lines("Differs from what the mapping wants", differences),
        Table("Stages", ("stage", "holds", "reason", "message"), [_row(condition) for condition in stages]),
        Lines("Next", following),
        Lines("What a person can do", person, loud=True),
        Table("History", ("at", "what", "revision"), history),
    )
    data = _data(live, host, why_lines, differences, following, person)
    more: dict[str, Any] = {
        "timesFrom": times.source or "defaults",
        "has": has,
        "would": would,
        "wouldChange": would_change,
    }
    more |= {"wouldVerdict": verdict or None, "held": held.approval if held is not None else None}
    return Report(data | more | outlook.protection_data(host), sections)


def _head(live: Live, host: ManagedHost) -> list[str]:
    azure, status = host.status.azure, host.status
    vm = f"VM {azure.name} in {azure.resource_group}, {azure.location}" if azure is not None else "VM not read yet"
    return [
        f"{host.namespace}/{host.name}: {vm}, vmId {host.spec.vm_id}",
        f"Estate {live.key}, stage {status.stage or 'none yet'}",
        *outlook.protection_lines(host),
    ]


def _next(live: Live, host: ManagedHost, held: Held | None, stages: Sequence[Condition], times: Times) -> Iterator[str]:
    """What happens next without a person, and when."""
    rules = live.rules(live.in_force)
    if held is not None:
        yield f"It stays as it is recorded: {held.what} is held until a person approves it."
    for names, reason in _open(stages):
        yield f"{names} ({reason}): {advice(reason).next}{_when(live, host, reason)}."
    yield from _attempt(host, times)
    end = override_ends(rules, host.spec.vm_id, live.now) if rules is not None else None
    if end is not None:
        yield f"An override ends {_at(end)}; after that the rules decide."
    if not stages:
        yield f"It is decided for the first time within a poll, every {live.estate.spec.azure.poll_interval}."
    elif held is None and all(condition.status == ConditionStatus.TRUE for condition in stages):
        yield f"Nothing is open: it is compared with all three systems at every poll, {_pace(live)}."


def _open(stages: Sequence[Condition]) -> Iterator[tuple[str, str]]:
    """Names of the stages that are not satisfied, grouped by reason; and that reason."""
    names_by_reason: dict[str, list[str]] = {}
    for condition in stages:
        if condition.status != ConditionStatus.TRUE:
            names_by_reason.setdefault(condition.reason, []).append(condition.type.value)
    return ((", ".join(names), reason) for reason, names in names_by_reason.items())


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


def _attempt(host: ManagedHost, times: Times) -> Iterator[str]:
    """The times of the installer's attempt, and whether they are only the defaults."""
    agent = host.status.agent
    if agent is None or not agent.attempt:
        return
    if under_way(agent):
        limit, began = bounds(agent, times.timing), agent.started_at or agent.intended_at
        usually = began + timedelta(seconds=times.timing.expected) if began is not None else None
        yield f"Attempt {agent.attempt} ({agent.mode}) began {_at(began)}; a script usually ends by {_at(usually)}."
        yield f"It can begin no later than {_at(limit.seals_at)}; it is over at {_at(limit.over_at)} in any case."
        if times.notice:
            yield times.notice
    elif agent.failures and agent.retry_at is not None and host.status.stage == "Pairing":
        yield f"Attempt {agent.attempt} failed ({agent.outcome}); the next may begin {_at(agent.retry_at)}."


def _person(host: ManagedHost, held: Held | None, stages: Sequence[Condition]) -> Iterator[str]:
    """What somebody can do now."""
    if held is not None:
        if held.obstacle:
            yield f"First:{held.obstacle}"
        how = command(ApprovalAction.PLAN, held.approval)
        yield f"To let the held change through: {how} -n {host.namespace} --reason WHY"
    for names, reason in _open(stages):
        if what := advice(reason).person:
            yield f"{names} ({reason}): {what}."
    drifted = next((condition for condition in host.status.conditions if condition.type == ConditionType.DRIFTED), None)
    if drifted is not None and drifted.status == ConditionStatus.TRUE and (what := advice(drifted.reason).person):
        yield f"Drifted: {drifted.message} A person can {what}."


def _row(condition: Condition) -> tuple[str, str, str, str]:
    return (condition.type.value, condition.status.value, condition.reason, condition.message)


def _data(
    live: Live, host: ManagedHost, why_lines: list[str], differences: list[str], following: list[str], person: list[str]
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
        "why": why_lines,
        "differences": differences,
        "stages": [
            {"stage": one, "status": holds, "reason": reason, "message": message}
            for one, holds, reason, message in (
                _row(condition) for condition in status.conditions if condition.type in _STAGES
            )
        ],
        "next": following,
        "person": person,
        "history": [{"at": _at(line.at), "what": line.what, "revision": line.revision} for line in status.history],
    }


def _at(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at is not None else "at an unknown time"
