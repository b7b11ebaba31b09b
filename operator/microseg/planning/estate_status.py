"""The Estate's status from the state of its hosts and systems. Pure; the reconciler calls it after decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from microseg.model.condition import ConditionType
from microseg.model.estate import Estate
from microseg.model.estate_status import (
    EstateStatus,
    HeldPlan,
    HostCounts,
    PollRecord,
    TargetState,
    UnselectedCount,
    UnsupportedCount,
)
from microseg.model.fields import clip
from microseg.model.names import Annotation
from microseg.planning import estate_conditions
from microseg.planning.decide import Standing
from microseg.planning.estate_conditions import EstateOverview
from microseg.planning.guard import PlanHold, remembered

_POLL_WRITTEN_EVERY = 600.0


def status(estate: Estate, overview: EstateOverview, now: datetime) -> EstateStatus:
    """The next status: equal to the present one where nothing that is shown has changed."""
    now = now.replace(microsecond=0)
    conditions = tuple(estate_conditions.all_of(estate, overview, now))
    ready = next(each for each in conditions if each.type == ConditionType.READY)
    return msgspec.structs.replace(
        estate.status,
        observed_generation=estate.generation,
        conditions=conditions,
        ready=ready.status.value,
        reason=ready.reason,
        **({} if overview.stalled is not None else _counted(estate, overview, now)),
        mapping=(overview.mapping if overview.judged else None) or estate.status.mapping,
        known=overview.known or estate.status.known,
        held=_held_plans(estate.status.held, overview, now) if overview.holds_known else estate.status.held,
        approvals=remembered(estate.status.approvals, estate.annotations.get(Annotation.APPROVE, "")),
        last_handled_reconcile_at=clip(estate.annotations.get(Annotation.RECONCILE_AT, ""), 1024),
    )


def _counted(estate: Estate, overview: EstateOverview, now: datetime) -> dict[str, Any]:
    """What is counted while the estate is reconciled. One that is stalled keeps what it counted last, with its time."""
    counts: dict[str, Any] = {"poll": _poll(estate.status.poll, overview, now)}
    if overview.counted or estate.status.hosts is None:
        counts |= {"hosts": _counts(overview), "unsupported": _unsupported(overview)}
        counts["unselected"] = _unselected(overview)
    return counts | ({"targets": _targets(overview)} if overview.gateways else {})


def _counts(overview: EstateOverview) -> HostCounts:
    hosts = overview.standings
    return HostCounts(
        total=sum(hosts.values()),
        commissioned=hosts.get(Standing.COMMISSIONED, 0),
        in_progress=hosts.get(Standing.IN_PROGRESS, 0),
        waiting=hosts.get(Standing.WAITING, 0),
        blocked=hosts.get(Standing.BLOCKED, 0),
        retiring=hosts.get(Standing.RETIRING, 0),
        deselected=hosts.get(Standing.DESELECTED, 0),
        unsupported=sum(overview.unsupported.values()),
        unselected=sum(overview.unselected.values()),
    )


def _unsupported(overview: EstateOverview) -> tuple[UnsupportedCount, ...]:
    counted = sorted(overview.unsupported.items())
    return tuple(UnsupportedCount(reason=reason, vms=number) for reason, number in counted)


def _unselected(overview: EstateOverview) -> tuple[UnselectedCount, ...]:
    counted = sorted(overview.unselected.items())
    return tuple(UnselectedCount(field=field, vms=number) for field, number in counted)


def _poll(before: PollRecord | None, overview: EstateOverview, now: datetime) -> PollRecord | None:
    """Written when it changes, and every ten minutes while something is under way: a settled estate writes nothing."""
    fresh = msgspec.structs.replace(overview.poll, at=now)
    if before is None or before.at is None:
        return fresh
    same = msgspec.structs.replace(fresh, at=before.at) == before
    settled = not overview.standings.get(Standing.IN_PROGRESS, 0)
    return before if same and (settled or (now - before.at).total_seconds() < _POLL_WRITTEN_EVERY) else fresh


def _targets(overview: EstateOverview) -> tuple[TargetState, ...]:
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


def _held_plans(before: tuple[HeldPlan, ...], overview: EstateOverview, now: datetime) -> tuple[HeldPlan, ...]:
    """What waits for approval, with the time since when it does."""
    kind = overview.hold.cause if overview.hold is not None else ""
    waiting = ((kind, overview.hold), ("retirement", overview.retirement_hold))
    since = {plan.digest: plan.since for plan in before}
    return tuple(
        HeldPlan(
            kind=kind,
            digest=hold.digest,
            hosts=len(hold.hosts),
            since=since.get(hold.digest, now),
            instead=hold.instead if isinstance(hold, PlanHold) else "",
        )
        for kind, hold in waiting
        if hold is not None
    )
