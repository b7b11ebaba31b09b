"""The Estate's status from how its hosts and systems stand. Pure; the keeper calls it after decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason, find
from microseg.model.estate import (
    Estate,
    EstateStatus,
    HeldPlan,
    HostCounts,
    MappingState,
    PollRecord,
    TargetState,
    UnsupportedCount,
)
from microseg.model.facts import Gateway, Unsupported, Vm
from microseg.model.host import clip
from microseg.planning.decide import Standing
from microseg.planning.guard import APPROVE_ANNOTATION, Hold, RetirementHold, remembered
from microseg.planning.report import condition
from microseg.stages.situation import Policy


@dataclass(frozen=True, slots=True)
class SystemState:
    """One condition's worth of a system or of the mapping."""

    status: ConditionStatus
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the Estate's status is made of."""

    systems: Mapping[ConditionType, SystemState]
    """AzureReachable, IllumioReachable, CheckPointReachable, MappingValid."""
    standings: Mapping[Standing, int]
    vms: tuple[Vm, ...]
    poll_complete: bool
    mapping: MappingState | None
    hold: Hold | None
    retirement_hold: RetirementHold | None
    policies: tuple[Policy, ...]
    gateways: Mapping[str, Gateway]
    stalled: SystemState | None = None
    """What keeps the whole estate from being reconciled."""
    uniform: int = 0
    """Machines of uniform scale sets: no VMs to Azure's list, so they are only counted."""
    judged: bool = True
    """Whether the guard has judged the rules in force; until then what was told of mapping and holds stays."""


_SYSTEMS = (
    ConditionType.AZURE_REACHABLE,
    ConditionType.ILLUMIO_REACHABLE,
    ConditionType.CHECK_POINT_REACHABLE,
    ConditionType.MAPPING_VALID,
)
_POLL_WRITTEN_EVERY = 600.0


def status(estate: Estate, overview: Overview, now: datetime) -> EstateStatus:
    """The next status: equal to the present one where nothing that is shown has changed."""
    now = now.replace(microsecond=0)
    conditions = tuple(_conditions(estate, overview, now))
    ready = next(made for made in conditions if made.type == ConditionType.READY)
    return msgspec.structs.replace(
        estate.status,
        observed_generation=estate.generation,
        conditions=conditions,
        ready=ready.status.value,
        reason=ready.reason,
        hosts=_counts(overview),
        unsupported=_unsupported(overview),
        poll=_poll(estate.status.poll, overview, now),
        mapping=(overview.mapping if overview.judged else None) or estate.status.mapping,
        targets=_targets(overview),
        held=_held(estate.status.held, overview, now) if overview.judged else estate.status.held,
        approvals=remembered(estate.status.approvals, estate.annotations.get(APPROVE_ANNOTATION, "")),
        last_handled_reconcile_at=clip(estate.annotations.get("microseg.dev/reconcile-at", ""), 1024),
    )


def _conditions(estate: Estate, overview: Overview, now: datetime) -> Iterable[Condition]:
    """Every condition of an Estate."""

    def make(kind: ConditionType, state: SystemState) -> Condition:
        return condition(
            kind, state.status, state.reason, state.message,
            before=estate.status.conditions, generation=estate.generation, now=now,
        )  # fmt: skip

    for kind in _SYSTEMS:
        yield make(kind, overview.systems[kind])
    told = find(estate.status.conditions, ConditionType.PLAN_HELD)
    held = _retirements_held(overview.retirement_hold) or _plan_held(overview.hold)
    yield told if told and not overview.judged else make(ConditionType.PLAN_HELD, held)
    yield make(ConditionType.READY, _ready(overview))
    busy = overview.standings.get(Standing.IN_PROGRESS, 0) + overview.standings.get(Standing.RETIRING, 0)
    if busy and overview.stalled is None:
        moving = SystemState(ConditionStatus.TRUE, Reason.IN_PROGRESS, "Hosts are being worked on, or retired.")
    else:
        moving = SystemState(ConditionStatus.FALSE, Reason.SETTLED, "Nothing is under way.")
    yield make(ConditionType.RECONCILING, moving)
    nothing = SystemState(ConditionStatus.FALSE, Reason.NOTHING_BLOCKS, "No person is needed for the estate itself.")
    yield make(ConditionType.STALLED, overview.stalled or nothing)


def _retirements_held(hold: RetirementHold | None) -> SystemState | None:
    if hold is None:
        return None
    return SystemState(
        ConditionStatus.TRUE,
        Reason.RETIREMENT_HELD,
        f"{len(hold.hosts)} VMs are gone at once, more than the estate's maxPerHour. Nothing of theirs is removed. "
        "`kubectl get mh --field-selector status.reason=RetirementHeld` lists them; to let it through, annotate the "
        f"Estate with {APPROVE_ANNOTATION}={hold.approval}.",
    )


def _plan_held(hold: Hold | None) -> SystemState:
    if hold is None:
        return SystemState(ConditionStatus.FALSE, Reason.NOTHING_HELD, "No plan waits for approval.")
    at = hold.used_at
    used = f" An approval admits once, and this one did at {at:%Y-%m-%d %H:%M}: take it off first." if at else ""
    return SystemState(
        ConditionStatus.TRUE,
        Reason.HELD,
        f"The mapping would change {len(hold.hosts)} commissioned hosts ({hold.told(5)}). "
        "They stay as they are; new hosts are onboarded. To let it through, annotate the Estate with "
        f"{APPROVE_ANNOTATION}={hold.approval}.{used}",
    )


def _ready(overview: Overview) -> SystemState:
    """Ready: every system answers and no host is under way or needs a person."""
    if overview.stalled is not None:
        return SystemState(ConditionStatus.FALSE, overview.stalled.reason, overview.stalled.message)
    for kind in _SYSTEMS:
        state = overview.systems[kind]
        if state.status != ConditionStatus.TRUE:
            return SystemState(ConditionStatus.FALSE, state.reason, f"{kind.value}: {state.message}")
    blocked = overview.standings.get(Standing.BLOCKED, 0)
    if overview.standings.get(Standing.IN_PROGRESS, 0):
        return SystemState(ConditionStatus.FALSE, Reason.IN_PROGRESS, "Hosts are being worked on.")
    if blocked:
        return SystemState(
            ConditionStatus.FALSE, Reason.HOSTS_BLOCKED, f"{blocked} hosts need a person; each says why."
        )
    return SystemState(
        ConditionStatus.TRUE, Reason.ALL_COMMISSIONED, "Every host is commissioned or waits for a named fact."
    )


def _counts(overview: Overview) -> HostCounts:
    found = overview.standings
    return HostCounts(
        total=sum(found.values()),
        commissioned=found.get(Standing.COMMISSIONED, 0),
        in_progress=found.get(Standing.IN_PROGRESS, 0),
        waiting=found.get(Standing.WAITING, 0),
        blocked=found.get(Standing.BLOCKED, 0),
        retiring=found.get(Standing.RETIRING, 0),
        deselected=found.get(Standing.DESELECTED, 0),
        unsupported=sum(1 for vm in overview.vms if vm.selected and vm.unsupported) + overview.uniform,
    )


def _unsupported(overview: Overview) -> tuple[UnsupportedCount, ...]:
    counted = Counter(vm.unsupported.value for vm in overview.vms if vm.selected and vm.unsupported)
    if overview.uniform:
        counted[Unsupported.UNIFORM_SCALE_SET.value] = overview.uniform
    return tuple(UnsupportedCount(reason=reason, vms=number) for reason, number in sorted(counted.items()))


def _poll(before: PollRecord | None, overview: Overview, now: datetime) -> PollRecord | None:
    """Written when it is news, and every ten minutes while something is under way: a settled estate writes nothing."""
    fresh = PollRecord(at=now, complete=overview.poll_complete, vms=len(overview.vms))
    if before is None or before.at is None:
        return fresh
    same = (before.complete, before.vms) == (fresh.complete, fresh.vms)
    settled = not overview.standings.get(Standing.IN_PROGRESS, 0)
    return before if same and (settled or (now - before.at).total_seconds() < _POLL_WRITTEN_EVERY) else fresh


def _targets(overview: Overview) -> tuple[TargetState, ...]:
    """What the gateways' side reports of each target."""
    return tuple(
        TargetState(
            package=clip(policy.package),
            target=clip(name),
            revision=clip(gateway.revision.uid) if gateway and gateway.revision else "",
            at=gateway.installed_at if gateway else None,
        )
        for policy in overview.policies
        for name in policy.targets
        for gateway in (overview.gateways.get(name),)
    )


def _held(before: tuple[HeldPlan, ...], overview: Overview, now: datetime) -> tuple[HeldPlan, ...]:
    """What waits for approval, with the time since when it does."""
    waiting = (("mapping", overview.hold), ("retirement", overview.retirement_hold))
    since = {plan.digest: plan.since for plan in before}
    return tuple(
        HeldPlan(
            kind=kind,
            digest=hold.digest,
            hosts=len(hold.hosts),
            since=since.get(hold.digest, now),
            instead=hold.instead if isinstance(hold, Hold) else "",
        )
        for kind, hold in waiting
        if hold is not None
    )
