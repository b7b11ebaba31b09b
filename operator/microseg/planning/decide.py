"""One decision about one host: run the stages in order, collect the plan, build the next status.

The keeper calls `decide` whenever something about the host changed. The same arguments give the same decision, so a
decision may be taken as often as one likes; only a status that differs is written.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from microseg.model.condition import ConditionStatus, ConditionType, Reason, find
from microseg.model.facts import HostFacts
from microseg.model.host import AgentRecord, HostStatus, ManagedHost
from microseg.model.plan import Action, ProveGone, ReadRunCommand
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.model.wanted import Wanted
from microseg.planning import drift, record, report
from microseg.planning.drift import Drift
from microseg.stages import STAGES, Stage, discovery, retirement
from microseg.stages.attempt import absorb, bounds, under_way
from microseg.stages.situation import EstateView, Situation, Timing

WOULD = "Enforcing, it would: "
"""What stands before the message of an effect that an observing estate does not carry out."""


class Standing(enum.StrEnum):
    """How a host counts in its estate's status."""

    COMMISSIONED = "commissioned"
    IN_PROGRESS = "inProgress"
    WAITING = "waiting"
    BLOCKED = "blocked"
    DESELECTED = "deselected"
    RETIRING = "retiring"


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from the facts."""

    status: HostStatus
    verdicts: Mapping[ConditionType, Verdict]
    actions: tuple[Action, ...]
    look_again: datetime | None
    """When to decide again at the latest, if nothing new is seen before."""
    standing: Standing


def decide(
    host: ManagedHost,
    facts: HostFacts,
    estate: EstateView,
    wanted: Wanted | None,
    now: datetime,
    *,
    repair: bool = True,
) -> Decision:
    """The next status of one host, and the actions that bring it further. `repair`: drift is mended, not only shown."""
    before = host
    agent = absorb(host.status.agent or AgentRecord(), facts, estate.timing, now)
    if agent.attempt:
        host = _with(host, agent=agent)
    verdicts: dict[ConditionType, Verdict] = {}
    held: set[ConditionType] = set()
    situation = Situation(host, facts, estate, wanted, now)
    situation = replace(situation, host=record.retiring(situation))
    gone = retirement.judge(situation)
    for stage in STAGES:
        situation = replace(situation, held=frozenset(held))
        verdict = _judged(stage, situation, gone)
        verdicts[stage.condition] = verdict
        if isinstance(verdict, Done) or report.takes_nothing_back(
            find(before.status.conditions, stage.condition), verdict
        ):
            held.add(stage.condition)
        situation = replace(situation, host=record.after(stage.condition, verdict, situation))
    allowed = _allowed(situation, verdicts)
    drifted = drift.judge(before, situation, verdicts, repairing=repair and allowed)
    shown = {kind: _shown(verdict, kind, situation, drifted, repair=repair) for kind, verdict in verdicts.items()}
    actions = tuple(action for verdict in shown.values() for action in _actions(verdict, allowed=allowed))
    after = record.owning(_with(situation.host, drift=drifted.records), actions)
    status = report.status(after, before=before.status, verdicts=shown, drifted=drifted, now=now)
    return Decision(
        status=status,
        verdicts=verdicts,
        actions=actions,
        look_again=min(_times(verdicts, agent, estate.timing), default=None),
        standing=standing(status, shown, contended=bool(drifted.contended)),
    )


def _judged(stage: Stage, situation: Situation, gone: Verdict | None) -> Verdict:
    """The stage's verdict; a VM that is missing or gone has retirement's in the place of `Discovered`."""
    if gone is not None and stage.condition == ConditionType.DISCOVERED:
        return gone
    if retirement.begun(situation):
        return Wait(Reason.RETIRING, "The VM is gone; its traces are being removed.", moving=False)
    return stage.judge(situation)


def standing(status: HostStatus, verdicts: Mapping[ConditionType, Verdict], *, contended: bool = False) -> Standing:
    """How the host counts."""
    discovered = verdicts[ConditionType.DISCOVERED]
    if isinstance(discovered, Wait) and discovered.reason == Reason.DESELECTED:
        return Standing.DESELECTED
    if contended or any(isinstance(verdict, Blocked) for verdict in verdicts.values()):
        return Standing.BLOCKED
    if status.retirement is not None:
        return Standing.RETIRING
    if status.ready == ConditionStatus.TRUE:
        return Standing.COMMISSIONED
    return Standing.IN_PROGRESS if report.moving(verdicts) else Standing.WAITING


def _times(verdicts: Mapping[ConditionType, Verdict], agent: AgentRecord, timing: Timing) -> Iterator[datetime]:
    """When something changes by time alone; an attempt ends at its bound even while nobody looks at its host (L2)."""
    if under_way(agent):
        yield bounds(agent, timing).over_at
    for verdict in verdicts.values():
        if isinstance(verdict, Wait) and verdict.until is not None:
            yield verdict.until


def _with(host: ManagedHost, **changes: object) -> ManagedHost:
    """The host with parts of its status replaced."""
    return msgspec.structs.replace(host, status=msgspec.structs.replace(host.status, **changes))


def _allowed(situation: Situation, verdicts: Mapping[ConditionType, Verdict]) -> bool:
    """Whether anything outside may change for this host (S11)."""
    verdict = verdicts[ConditionType.DISCOVERED]
    known = isinstance(verdict, Done) or (isinstance(verdict, Act) and verdict.reason == Reason.RETIRING)
    return situation.estate.enforcing and not situation.host.spec.suspend and known


def _shown(verdict: Verdict, kind: ConditionType, situation: Situation, drifted: Drift, *, repair: bool) -> Verdict:
    """The verdict as people see it: an effect that is not allowed is told as what would be done."""
    if isinstance(verdict, Done) and kind in drifted.found and (not repair or kind in drifted.contended):
        return replace(verdict, actions=())
    if not isinstance(verdict, Act):
        return verdict
    if situation.host.spec.suspend or situation.estate.suspended:
        what = "host" if situation.host.spec.suspend else "estate"
        return Wait(Reason.SUSPENDED, f"The {what} is suspended. Otherwise: {verdict.message}", moving=False)
    if not situation.estate.enforcing:
        return Wait(Reason.OBSERVING, f"The estate observes. {WOULD}{verdict.message}", moving=False)
    discovered = discovery.judge(situation)
    if isinstance(discovered, Wait) and verdict.reason != Reason.RETIRING:
        return Wait(discovered.reason, f"{discovered.message} Otherwise: {verdict.message}", moving=False)
    if kind in drifted.contended:
        return Blocked(Reason.CONTENTION, drifted.contended[kind])
    if kind in drifted.found and not repair:
        said = f"{drifted.found[kind]} It is only reported, as spec.drift says."
        return Wait(Reason.DRIFT_FOUND, said, moving=False)
    return verdict


def _actions(verdict: Verdict, *, allowed: bool) -> tuple[Action, ...]:
    """The verdict's actions; looks are always allowed, effects only when the host may be changed."""
    match verdict:
        case Done(_, _, actions) | Act(_, _, actions) if allowed:
            return actions
        case Wait():
            return tuple(action for action in verdict.actions if isinstance(action, ReadRunCommand | ProveGone))
        case _:
            return ()
