"""One decision about one host: judge the stages in order, then drift, the plan and the next status.

    host, facts ─▶ fold over STAGES ─▶ drift ─▶ what is presented ─▶ plan and next status

The fold runs the stages in their order. After each one the host's record takes over what the stage confirmed, so that
a later stage reads it: stage 5 compares the gateways with the publish time that stage 4's record has just received.
Drift therefore compares with the record from *before* the fold: by the end of it the record holds what the systems
show now, and a label that was changed from outside would no longer differ from it.

Nothing is judged twice in one decision. What a stage compared travels on its verdict (`differences`), what stage 1
concludes decides once whether effects are allowed, and what is satisfied is passed on to the conditions.

The reconciler calls `decide` whenever something about the host changed. It is pure and total: the same arguments give
the same decision, so it may be repeated at will; only a status that differs is written.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from microseg.model.agent_record import AgentRecord
from microseg.model.condition import ConditionStatus, ConditionType, Reason, find
from microseg.model.desired import Desired
from microseg.model.facts import HostFacts, Unreadable
from microseg.model.host import HostStatus, ManagedHost
from microseg.model.plan import Action, ProveGone, ReadRunCommand
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.planning import conditions, drift, not_taking, record
from microseg.planning.desired import as_spelled, with_kept_groups
from microseg.planning.drift import Drift
from microseg.stages import STAGES, discovery, retirement
from microseg.stages.attempt import absorb, moves_at, under_way
from microseg.stages.context import EstateContext, HostContext, Timing

WOULD = "Enforcing, it would: "
"""Precedes the message of an effect that an observing estate does not carry out."""


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
    estate: EstateContext,
    desired: Desired | None,
    now: datetime,
    *,
    repair: bool = True,
) -> Decision:
    """The next status of one host, and the actions that bring it further. `repair`: drift is mended, not only shown."""
    before = host
    agent = absorb(host.status.agent or AgentRecord(), facts, estate.timing, now)
    if agent.attempt:
        host = _with(host, agent=agent)
    known = with_kept_groups(as_spelled(desired, estate), host, facts)
    context = HostContext(record.with_counted_change(host, desired), facts, estate, known, now)
    context = context.after(record.with_retirement(context))
    permission = _permission(context)
    context, verdicts = _judge(context, permission)
    drifted = drift.judge(before, context, verdicts, repairing=repair and permission.upkeep)
    presented = {
        kind: _taking(_presented(verdict, kind, permission, drifted, repair=repair), context)
        for kind, verdict in verdicts.items()
    }
    satisfied = context.satisfied - {kind for kind, verdict in presented.items() if isinstance(verdict, Blocked)}
    actions = tuple(action for verdict in presented.values() for action in _actions(verdict))
    unread = _unread(before, presented, facts, estate)
    moving = _moving(before, presented, unread)
    status = conditions.status(
        record.with_owned_labels(_with(context.host, drift=drifted.records), actions),
        conditions.HostJudgement(before.status, presented, satisfied, drifted, moving=moving, unread=unread),
        now,
    )
    return Decision(
        status=status,
        verdicts=verdicts,
        actions=actions,
        look_again=min(_times((*verdicts.values(), *presented.values()), agent, facts, estate.timing), default=None),
        standing=_standing(status, moving=moving),
    )


@dataclass(frozen=True, slots=True)
class _Permission:
    """What Azure's list says of the VM, and which effects on the host that allows (S11)."""

    discovered: Verdict
    retiring: Verdict | None
    """Replaces `discovered` for a VM that is missing or gone."""
    frozen: tuple[Reason, str] | None
    """Why nothing outside may be changed for this host, as a reason and the beginning of a sentence."""
    missing: tuple[Reason, str] | None
    """Why no stage may change anything: Azure does not show a selected VM. The removal of its traces still may."""

    @property
    def upkeep(self) -> bool:
        """Whether upkeep and repairs are carried out."""
        return self.frozen is None and (self.missing is None or isinstance(self.retiring, Act))


def _permission(context: HostContext) -> _Permission:
    """Judge once what stage 1 says, and whether effects are allowed."""
    discovered = discovery.judge(context)
    frozen = None
    if context.host.spec.suspend or context.estate.suspended:
        what = "host" if context.host.spec.suspend else "estate"
        frozen = Reason.SUSPENDED, f"The {what} is suspended. Otherwise: "
    elif not context.estate.enforcing:
        frozen = Reason.OBSERVING, f"The estate observes. {WOULD}"
    missing = (discovered.reason, f"{discovered.message} Otherwise: ") if isinstance(discovered, Wait) else None
    return _Permission(discovered, retirement.judge(context), frozen, missing)


def _judge(context: HostContext, permission: _Permission) -> tuple[HostContext, dict[ConditionType, Verdict]]:
    """Fold over the stages: the context after the last one, and the verdict of each."""
    verdicts: dict[ConditionType, Verdict] = {}
    stored = {condition.type: condition for condition in reversed(context.host.status.conditions)}
    removing = retirement.begun(context)
    for stage in STAGES:
        if stage.condition == ConditionType.DISCOVERED:
            verdict = permission.retiring or permission.discovered
        elif removing:
            verdict = Wait(Reason.RETIRING, "The VM is gone; its traces are being removed.", moving=False)
        else:
            verdict = stage.judge(context)
        verdicts[stage.condition] = verdict
        satisfied = context.satisfied
        holds = isinstance(verdict, Done) or (isinstance(verdict, Wait) and verdict.partly)
        if holds or conditions.stays_confirmed(stored.get(stage.condition), verdict):
            satisfied |= {stage.condition}
        context = context.after(record.with_stage(stage.condition, verdict, context), satisfied)
    return context, verdicts


def _presented(
    verdict: Verdict, kind: ConditionType, permission: _Permission, drifted: Drift, *, repair: bool
) -> Verdict:
    """The verdict as people see it, with the actions that are carried out; what is not allowed becomes a wait."""
    if isinstance(verdict, Done):
        alone = kind in drifted.messages and (not repair or kind in drifted.contended)
        return replace(verdict, actions=()) if verdict.actions and (alone or not permission.upkeep) else verdict
    if not isinstance(verdict, Act):
        return verdict
    refused = permission.frozen or (None if verdict is permission.retiring else permission.missing)
    if refused is not None:
        return Wait(refused[0], f"{refused[1]}{verdict.message}", moving=False)
    if kind in drifted.contended:
        return Blocked(Reason.CONTENTION, drifted.contended[kind])
    if kind in drifted.messages and not repair:
        message = f"{drifted.messages[kind]} It is only reported, as spec.drift says."
        return Wait(Reason.DRIFT_FOUND, message, moving=False)
    return verdict


def _taking(verdict: Verdict, context: HostContext) -> Verdict:
    """The verdict with only those effects that were not accepted in vain (L6)."""
    return not_taking.judge(verdict, context) if isinstance(verdict, Done | Act) else verdict


def _actions(verdict: Verdict) -> tuple[Action, ...]:
    """The actions of a presented verdict; a wait has looks only, which are always allowed."""
    match verdict:
        case Done() | Act():
            return verdict.actions
        case Wait():
            return tuple(action for action in verdict.actions if isinstance(action, ReadRunCommand | ProveGone))
        case Blocked():
            return ()


def _unread(
    host: ManagedHost, verdicts: Mapping[ConditionType, Verdict], facts: HostFacts, estate: EstateContext
) -> frozenset[ConditionType]:
    """The stages that say nothing new, because a system that they need was not read since the start."""
    never = {
        Reason.AZURE_UNREADABLE: isinstance(facts.azure, Unreadable) and not (estate.unreadable_rows or estate.unread),
        Reason.ILLUMIO_UNREADABLE: isinstance(facts.illumio, Unreadable),
        Reason.CHECK_POINT_UNREADABLE: isinstance(facts.check_point, Unreadable),
    }
    reasons = frozenset(reason for reason, unread in never.items() if unread)
    stored = {condition.type: condition for condition in host.status.conditions}
    return frozenset(
        kind for kind, verdict in verdicts.items() if conditions.stays_as_stored(stored.get(kind), verdict, reasons)
    )


def _moving(host: ManagedHost, verdicts: Mapping[ConditionType, Verdict], unread: frozenset[ConditionType]) -> bool:
    """Whether something is under way; of a stage that says nothing new, as it was."""
    reconciling = find(host.status.conditions, ConditionType.RECONCILING)
    was = reconciling is not None and reconciling.status == ConditionStatus.TRUE
    known = {kind: verdict for kind, verdict in verdicts.items() if kind not in unread}
    return conditions.moving(known) or (bool(unread) and was)


def _standing(status: HostStatus, *, moving: bool) -> Standing:
    """How the host counts."""
    by_type = {condition.type: condition for condition in status.conditions}
    if by_type[ConditionType.DISCOVERED].reason == Reason.DESELECTED:
        return Standing.DESELECTED
    if by_type[ConditionType.STALLED].status == ConditionStatus.TRUE:
        return Standing.BLOCKED
    if status.retirement is not None:
        return Standing.RETIRING
    if status.ready == ConditionStatus.TRUE:
        return Standing.COMMISSIONED
    return Standing.IN_PROGRESS if moving else Standing.WAITING


def _times(verdicts: Iterable[Verdict], agent: AgentRecord, facts: HostFacts, timing: Timing) -> Iterator[datetime]:
    """When something changes by time alone; an attempt ends at its bound even while nobody looks at its host (L2)."""
    if under_way(agent):
        yield from moves_at(agent, facts, timing)
    for verdict in verdicts:
        if isinstance(verdict, Done | Wait | Blocked) and verdict.until is not None:
            yield verdict.until


def _with(host: ManagedHost, **changes: object) -> ManagedHost:
    """The host with parts of its status replaced."""
    return msgspec.structs.replace(host, status=msgspec.structs.replace(host.status, **changes))
