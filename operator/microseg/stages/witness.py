"""The second witness of a retirement: a VM whose VEN still reaches the PCE lives, wherever Azure shows it (S5).

A VM that moves to a subscription which nobody here may read is gone from every list, and a GET of its old id answers
404 (`az resource move`; MicrosoftDocs/azure-docs#17228). Its VEN moves with it and goes on sending heartbeats. Times of
heartbeats are the PCE's own: ours are converted by the Date of its answers. `retirement` calls it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from microseg.model.approval import ApprovalAction, command
from microseg.model.condition import Reason
from microseg.model.facts import Seen
from microseg.model.illumio_facts import Workload
from microseg.model.names import Annotation
from microseg.model.verdict import Blocked, Verdict, Wait
from microseg.stages.context import HostContext

MARGIN = timedelta(minutes=1)
"""How exactly the two clocks are compared. A VEN that lives is heard again within five minutes."""
_SILENCE = timedelta(minutes=15)
"""Three heartbeats missed: so long after the last one a VEN that the PCE still counts as online is silent."""


def confirmation(context: HostContext) -> str:
    """What a person writes to vouch that this VM is gone: the vmId, and since when it is missing.

    So nobody can write it before the VM was last seen, and it means nothing once the VM was seen again.
    """
    since = context.host.status.missing_since
    return f"{context.vm_id}@{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if since is not None else context.vm_id


def confirmed(context: HostContext) -> bool:
    """Whether a person vouches that this very VM is gone since it is missing."""
    said = context.host.annotations.get(Annotation.CONFIRM_GONE, "").lower()
    named = confirmation(context)
    approved = (ApprovalAction.CONFIRM_GONE, named) in context.estate.vouched
    return context.host.status.missing_since is not None and (approved or said == named.lower())


def objection(context: HostContext, read_after: datetime, *, vouched: bool = False) -> Verdict | None:
    """What stands against the retirement, which Azure's word alone must not begin; None: no VEN speaks against it.

    `read_after`: an older reading of the PCE says nothing. `vouched`: a person says that the VM is gone. That overrules
    a VEN that was heard or is shown online, never one that is heard now.
    """
    unknown = _unknown(context, read_after)
    if unknown is not None:
        return unknown
    for workload in _witnesses(context):
        fact = _alive(context, workload) if vouched else _alive(context, workload) or _lived(context, workload)
        if fact:
            return _unproven(context, fact, workload)
    return None


def contradiction(context: HostContext, began_at: datetime, *, vouched: bool) -> Verdict | None:
    """What stops a retirement that began: a VEN that was heard since, or a PCE that was not read since."""
    unknown = _unknown(context, began_at)
    if unknown is not None:
        return unknown
    for workload in _witnesses(context):
        fact = _alive(context, workload) if vouched else _returned(context, workload)
        if fact:
            return _unproven(context, fact, workload)
    return None


def _unknown(context: HostContext, read_after: datetime) -> Wait | None:
    """Why it is not known what the PCE hears of this VM; None: it is."""
    matches, read_at = context.facts.illumio, context.estate.illumio_read_at
    if not isinstance(matches, Seen) or read_at is None or read_at < read_after:
        return Wait(
            Reason.PROVING_GONE,
            "Azure no longer shows the VM. The PCE, which may show its VEN alive, has not been read since; until then "
            "nothing is concluded, and nothing is removed.",
            doubt=True,
            moving=False,
        )
    recorded = context.host.status.illumio
    shown = {each.href for each in (matches.value.stamped, matches.value.recorded) if each is not None}
    if recorded is None or not recorded.workload or recorded.workload in shown or context.facts.workload_lost:
        return None
    return Wait(
        Reason.PROVING_GONE,
        "Azure no longer shows the VM. The PCE's list lacks the workload of its VEN, and the PCE has not answered that "
        "it is gone; until then nothing is concluded, and nothing is removed.",
        doubt=True,
        moving=False,
    )


def _witnesses(context: HostContext) -> tuple[Workload, ...]:
    """The workloads with a VEN that are, were or may be the VM's: with its stamp, recorded, and named by the VM itself.

    One that carries another VM's stamp is that one's, whatever this VM said.
    """
    if not isinstance(context.facts.illumio, Seen):
        return ()
    matches = context.facts.illumio.value
    claimed = matches.claimed
    if claimed is not None and claimed.external_reference.lower() not in {"", context.vm_id}:
        claimed = None
    known = (matches.stamped, matches.recorded, claimed, *matches.doubtful)
    found = {each.href: each for each in known if each is not None}
    return tuple(each for each in found.values() if each.has_ven)


def _alive(context: HostContext, workload: Workload) -> str:
    """Whether the PCE hears the VEN now, which nobody's word overrules; empty: it does not."""
    if workload.online is False or workload.heartbeat_at is None or not heard(context, workload):
        return ""
    return "heard" if _silence(context, workload) < _SILENCE else ""


def _lived(context: HostContext, workload: Workload) -> str:
    """What shows that the VEN lived after Azure's list first lacked the VM, or may live; empty: nothing."""
    if heard(context, workload):
        return "heard"
    return "" if workload.online is False or _silence(context, workload) >= _SILENCE else "online"


def _silence(context: HostContext, workload: Workload) -> timedelta:
    """For how long the PCE had not heard the VEN when it was read; none where it shows no time of a heartbeat."""
    heartbeat, read_at = workload.heartbeat_at, context.estate.illumio_read_at
    return read_at + context.estate.illumio_ahead - heartbeat if heartbeat and read_at else timedelta()


def _returned(context: HostContext, workload: Workload) -> str:
    """What shows that the VEN lives; empty: nothing. Without a time of a heartbeat, the PCE's word `online` decides."""
    if workload.heartbeat_at is None:
        return "online" if workload.online is True else ""
    return "heard" if heard(context, workload) else ""


def heard(context: HostContext, workload: Workload) -> bool:
    """Whether a heartbeat reached the PCE after Azure's list first lacked the VM."""
    since, heartbeat = context.host.status.missing_since, workload.heartbeat_at
    return since is not None and heartbeat is not None and heartbeat > since + context.estate.illumio_ahead + MARGIN


def _unproven(context: HostContext, fact: str, workload: Workload) -> Blocked:
    """Both facts, and what a person can do. No time of a heartbeat: it advances, and each would be a write."""
    shown = {
        "heard": "the PCE has had heartbeats of its VEN since then",
        "online": "the PCE still shows its VEN online",
    }[fact]
    return Blocked(
        Reason.GONE_UNPROVEN,
        f"Azure no longer shows the VM at its id, but {shown} (workload {workload.uuid}): it may have moved to a "
        "group or subscription that the operator cannot read. Its protection stays. Let the estate read where it is "
        "now; or, once the PCE has not heard the VEN for 15 minutes, confirm that the VM is gone by "
        f"`{command(ApprovalAction.CONFIRM_GONE, confirmation(context))}`.",
    )
