"""Whether the VEN of a stamped workload is there: paired once is not protected now.

A VM that was re-imaged, or whose VEN was uninstalled, stays in the PCE's list for as long as the PCE likes (Azure's
reimage keeps the vmId: Azure/azure-cli#25722; workloads that outlive their VEN: cpainchaud/pylo,
ven_duplicate_remover). What counts is what the PCE says of the VEN, and what the VM itself answered when a keyless
script asked it. `agent` calls it.

VEN states and timers: the vendor's manual 25.2. A VEN that says goodbye is offline after 15 minutes, one that falls
silent after an hour; a PCE can be set to wait for ever.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.condition import Reason
from microseg.model.illumio_facts import Workload
from microseg.model.names import Annotation
from microseg.model.verdict import Blocked, Verdict, Wait
from microseg.stages.context import HostContext

_NOT_ACTIVE = {"suspended", "uninstalled"}
_OFF = {"stopped", "stopping", "deallocated", "deallocating", "starting"}
"""Power states in which a VEN is silent as it should be."""
_HEARTBEATS = timedelta(minutes=15)
"""In which a VEN that lives is heard three times."""


def judge(context: HostContext, workload: Workload, record: AgentRecord) -> Verdict | None:
    """Why the VEN is not there, in the PCE's own words; None: it is, or its VM is stopped."""
    if workload.ven_status in _NOT_ACTIVE:
        return Blocked(
            Reason.VEN_NOT_ACTIVE,
            f"The PCE shows the VEN of workload {workload.uuid} as {workload.ven_status}: it enforces nothing. "
            f"{_REMEDIES[workload.ven_status]}",
        )
    answer = _answer(context, workload, record)
    if answer is not None:
        return answer
    if offline_at(context, workload) > context.now or stopped(context):
        return None
    what = "stopped" if workload.ven_status == "stopped" else "offline" if workload.online is False else "silent"
    said = ""
    if record.outcome == AgentOutcome.ALREADY_PAIRED and _newer(context, workload, record):
        said = " The VM itself answers that it is paired with this workload: look at the VEN's service and its network."
    return Wait(
        Reason.VEN_OFFLINE,
        f"The PCE shows the VEN of workload {workload.uuid} as {what}{_since(workload)}, and {_runs(context)}."
        f"{said} Whether the VM is protected is not known. To ask the VM itself, annotate the host with "
        f"{Annotation.RETRY}=agent.",
        doubt=True,
        moving=False,
    )


def stopped(context: HostContext) -> bool:
    """Whether Azure shows, or showed last, the VM stopped."""
    return _power_state(context) in _OFF


def offline_at(context: HostContext, workload: Workload) -> datetime:
    """When the VEN counts as offline; far ahead: the PCE shows it online and hears it."""
    if workload.online is not False and workload.ven_status != "stopped" and not workload.silent:
        return datetime.max.replace(tzinfo=context.now.tzinfo)
    if workload.heartbeat_at is None:
        return context.now
    return workload.heartbeat_at - context.estate.illumio_ahead + timedelta(seconds=context.estate.offline_after)


def silence(context: HostContext, workload: Workload) -> str:
    """Since when the VEN of a stopped VM is silent, as a further sentence; empty: it is not."""
    if offline_at(context, workload) > context.now:
        return ""
    return f" The VM is {_power_state(context)}, and the PCE shows its VEN offline{_since(workload)}."


def _answer(context: HostContext, workload: Workload, record: AgentRecord) -> Verdict | None:
    """What the VM answered that contradicts the PCE, as long as no heartbeat came after it."""
    if not _newer(context, workload, record) or record.finished_at is None:
        return None
    match record.outcome:
        case AgentOutcome.NOT_PAIRED:
            fact = "it has no VEN: it was re-imaged, or the VEN was removed"
        case AgentOutcome.PAIRED_ELSEWHERE:
            fact = "its VEN is paired with another PCE"
        case AgentOutcome.ALREADY_PAIRED if record.workload.lower() != workload.uuid.lower():
            fact = f"its VEN is paired as workload {record.workload}"
        case _:
            return None
    text = (
        f"The VM answered at {record.finished_at:%Y-%m-%d %H:%M} UTC that {fact}, and the PCE still lists workload "
        f"{workload.uuid} as this VM's."
    )
    settled_at = record.finished_at + _HEARTBEATS
    if workload.online is not False and context.now < settled_at:
        return Wait(Reason.VEN_GONE, f"{text} A heartbeat would settle it.", until=settled_at, doubt=True)
    return Blocked(
        Reason.VEN_GONE,
        f"{text} The VM is not protected by it. Unpair that workload in the PCE: the VM is then paired anew without "
        "another word.",
    )


def _newer(context: HostContext, workload: Workload, record: AgentRecord) -> bool:
    """Whether the VM was asked by a probe, and its VEN was not heard since."""
    if record.mode != "probe" or record.finished_at is None:
        return False
    heard = workload.heartbeat_at
    if heard is None:
        return workload.online is False
    return heard - context.estate.illumio_ahead <= record.finished_at


def _runs(context: HostContext) -> str:
    """What Azure says of the VM, which is not known to be stopped."""
    return "Azure shows the VM running" if _power_state(context) == "running" else "Azure does not say whether it runs"


def _power_state(context: HostContext) -> str:
    """As Azure's list shows it, else as the record has it: a restart changes no word."""
    record = context.vm.record if context.vm is not None else context.host.status.azure
    return record.power_state if record is not None else ""


def _since(workload: Workload) -> str:
    heartbeat = workload.heartbeat_at
    return f" (last heartbeat {heartbeat:%Y-%m-%d %H:%M:%S} UTC by the PCE's clock)" if heartbeat is not None else ""


_REMEDIES = {
    "suspended": "If it should protect the VM, end the suspension on the VM (illumio-ven-ctl unsuspend) or in the PCE.",
    "uninstalled": "Once the PCE drops the workload, the VM is paired anew; unpair it there if it stays.",
}
