"""What Approvals let through, what came of them, and which are old. Pure; the engine lists and writes them.

An Approval lets things through for a day. One for a plan or a retirement does so once. What was used of those is in the
Estate's status, written before anything happens, so an Approval whose own status could not be written is no second one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

import msgspec

from microseg.model.approval import Approval, ApprovalAction, ApprovalOutcome, ApprovalStatus
from microseg.model.estate_status import EstateStatus, UsedApproval
from microseg.model.fields import clip

LIFE = timedelta(days=1)
"""So long one that was not used may be used. What it names has changed by then, or nobody remembers."""
USED = 16
"""Used approvals that an Estate's status keeps."""
_ONCE = (ApprovalAction.PLAN, ApprovalAction.RETIREMENT)


def open_for(
    action: ApprovalAction, approvals: Iterable[Approval], used: Iterable[UsedApproval], now: datetime
) -> dict[str, Approval]:
    """Digest -> the Approval that lets it through, once."""
    spent = {each.uid for each in used}
    return {
        each.subject: each
        for each in approvals
        if each.spec.action == action and not each.status.outcome and each.uid not in spent and _young(each, now)
    }


def use(approval: Approval, now: datetime) -> UsedApproval:
    """What is written down before anything is let through."""
    return UsedApproval(
        digest=approval.subject,
        max_hosts=approval.most,
        at=now.replace(microsecond=0),
        by=clip(f"{approval.source}: {approval.spec.reason}"),
        uid=approval.uid,
    )


def used(status: EstateStatus, approval: Approval, now: datetime) -> EstateStatus:
    """The Estate's status with one more Approval that was used."""
    return msgspec.structs.replace(status, approvals=(*status.approvals, use(approval, now))[-USED:])


def standing(approvals: Iterable[Approval], now: datetime) -> frozenset[tuple[ApprovalAction, str]]:
    """What persons vouch for, each with its `what`: as long as the Approval is kept, if it was used within its day."""
    return frozenset((each.spec.action, each.spec.what) for each in approvals if _stands(each, now))


def pin(approvals: Iterable[Approval], now: datetime) -> Approval | None:
    """The Approval whose revision is to be kept in force; None: there is none, or a newer one ended it."""
    pins = [each for each in approvals if each.spec.action == ApprovalAction.PIN and _stands(each, now)]
    newest = max(pins, key=lambda each: (each.created_at, each.name), default=None)
    return newest if newest is not None and newest.spec.what != "none" else None


def listed(approval: Approval) -> dict[str, frozenset[str]]:
    """The list that the person saw: vmId -> kinds of change; empty where none came along."""
    return {vm_id: frozenset(seen.kinds) for seen in approval.spec.seen for vm_id in seen.hosts}


def settled(approval: Approval, used: Iterable[UsedApproval], now: datetime, *, happened: bool) -> ApprovalStatus:
    """The next status; the present one as long as nothing came of it.

    `used`: of plans and retirements, from the Estate's status. `happened`: whether what was vouched for took place.
    """
    if approval.status.outcome:
        return approval.status
    once = next((each for each in used if each.uid == approval.uid), None)
    if once is not None:
        return _status(ApprovalOutcome.USED, once.at, "It was let through.")
    if happened:
        return _status(ApprovalOutcome.USED, now, "It was acted on.")
    if not _young(approval, now):
        return _status(ApprovalOutcome.EXPIRED, now, "Nothing that it names was waiting within a day.")
    return approval.status


def outlived(
    approvals: Iterable[Approval], hosts: Collection[str], keep_for: timedelta, now: datetime
) -> list[Approval]:
    """Which may be deleted: settled so long ago, and nothing rests on them any more. `hosts`: vmIds with a record."""
    approvals = list(approvals)
    pinned = pin(approvals, now)
    return [
        each
        for each in approvals
        if each.status.at is not None
        and now - each.status.at > keep_for
        and each is not pinned
        and not (each.spec.action == ApprovalAction.ADOPT and each.spec.what.partition("@")[0] in hosts)
    ]


def _young(approval: Approval, now: datetime) -> bool:
    return now - approval.created_at < LIFE


def _stands(approval: Approval, now: datetime) -> bool:
    if approval.spec.action in _ONCE:
        return False
    return approval.status.outcome == ApprovalOutcome.USED or (not approval.status.outcome and _young(approval, now))


def _status(outcome: ApprovalOutcome, at: datetime, message: str) -> ApprovalStatus:
    return ApprovalStatus(outcome=outcome.value, at=at.replace(microsecond=0), message=message)
