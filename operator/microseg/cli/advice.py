"""For each reason of a stage: what happens next without a person, and what a person can do. `explain` shows it.

The long form, with what happened, is the runbook in docs/operations.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from microseg.model.condition import Reason
from microseg.model.names import Annotation


@dataclass(frozen=True, slots=True)
class Advice:
    """What follows a reason."""

    next: str
    """What happens without a person."""
    person: str = ""
    """What a person can do; empty: nothing is needed."""


_POLL = "it is checked again at the next poll"
_PUBLISHED = "the objects are published with the next flush, then verified"
_BY_ITSELF = "it continues automatically when that is resolved"
NOTHING = "nothing until a person acts"
_RETRY = f"then annotate the ManagedHost with {Annotation.RETRY}=agent"

_ADVICE: dict[Reason, Advice] = {
    # discovered
    Reason.NOT_SEEN: Advice("after more polls without it, the operator asks Azure for the VM by its id"),
    Reason.DESELECTED: Advice(NOTHING, "let the source's `select` cover it again, or leave it as it is"),
    Reason.AZURE_UNREADABLE: Advice("Azure is read again at the next poll", "look at AzureReachable of the Estate"),
    Reason.ROWS_UNREADABLE: Advice(
        "Azure is read again at the next poll; no VM counts as missing before every row can be read",
        "look at AzureReachable of the Estate, which names the rows, and at those VMs in Azure",
    ),
    Reason.SUBSCRIPTION_UNREADABLE: Advice(
        "Azure is read again at the next poll; no VM counts as missing before every subscription was read",
        "look at AzureReachable of the Estate, which names the subscription, and give the identity its role back",
    ),
    Reason.PROVING_GONE: Advice("the operator asks Azure for the VM by its id, and looks in the PCE for its VEN"),
    Reason.GONE_UNPROVEN: Advice(
        "it continues once Azure answers for that id, and shows the VM if it moved",
        "restore the permission to read the VM, or add the subscription it moved to; or confirm with "
        "`microseg approve gone` as the message says",
    ),
    Reason.RETIREMENT_HELD: Advice(
        "it begins when fewer are gone at once", "approve what PlanHeld of the Estate names"
    ),
    Reason.RETIRING: Advice("the next trace is removed once the previous one is confirmed gone"),
    # agent
    Reason.STAMPING: Advice("the stamp is written at once and seen at the next reading of the PCE"),
    Reason.PROBING: Advice("the script's end is read, then the proof is looked for in the PCE"),
    Reason.INSTALLING_AGENT: Advice("the script's end is read at its expected time; the PCE is read at every poll"),
    Reason.OUTCOME_UNKNOWN: Advice("Azure is checked until the attempt is certainly over; nothing is started before"),
    Reason.UNPAIRED: Advice("one more reading of the PCE must find it gone, then the agent is repaired"),
    Reason.WORKLOAD_UNLISTED: Advice(
        "it continues when the PCE lists the workload, or answers 404 for it",
        "look at the role and scope of the operator's API key, and at the PCE's health",
    ),
    Reason.PAIRING_HELD: Advice(
        "it continues when the PCE shows the workload again, or a person approves",
        "see whether the API key still sees all workloads; else approve what PlanHeld of the Estate names",
    ),
    Reason.AWAITING_WORKLOAD: Advice(
        "it continues when the PCE shows the workload", f"look at the VEN on the VM, {_RETRY}"
    ),
    Reason.START_PUT_OFF: Advice("the start is retried automatically"),
    Reason.VM_NOT_RUNNING: Advice("the agent is installed when the VM runs", "start the VM, if it should run"),
    Reason.AGENT_NOT_READY: Advice(
        "the installer starts when Azure's agent reports ready", "look at Azure's VM agent if that takes long"
    ),
    Reason.AGENT_NOT_ALLOWED: Advice(
        _BY_ITSELF, "install Azure's agent and allow extension operations, or install the VEN by hand: it is adopted"
    ),
    Reason.UNSUPPORTED_OS: Advice(NOTHING, "leave the VM out by `select`, or protect it in another way"),
    Reason.PROGRAM_MISSING: Advice(NOTHING, f"install the program that the message names, {_RETRY}"),
    Reason.KEY_REFUSED: Advice(NOTHING, f"look at the pairing profile, the licences and the clocks, {_RETRY}"),
    Reason.PCE_UNREACHABLE_FROM_VM: Advice(
        NOTHING, f"open the path from the VM to the PCE: route, DNS, proxy, trust in its certificate, {_RETRY}"
    ),
    Reason.PAIRED_ELSEWHERE: Advice(NOTHING, f"unpair the VEN from its other PCE, {_RETRY}"),
    Reason.WRONG_VM: Advice(NOTHING, f"see whether the VM was re-created or cloned, {_RETRY}"),
    Reason.SCRIPT_FAILED: Advice(NOTHING, f"look up the code in docs/reference/run-command.md, {_RETRY}"),
    Reason.INSTALLER_TIMED_OUT: Advice(NOTHING, f"look at Azure's agent, the load and the disk of the VM, {_RETRY}"),
    Reason.SCRIPT_NOT_BEGUN: Advice(
        "a keyless script tries again after growing pauses, at most 15 minutes apart, and an installer follows it",
        "mend what the message names on the VM, such as a full disk or noexec under /var/lib/waagent; "
        f"{Annotation.RETRY}=agent tries at once",
    ),
    Reason.NO_RESULT: Advice(
        "a keyless script asks the VM when the PCE shows a newcomer with its address; the next installer waits until "
        "the time in the message",
        f"look at Azure's agent, the load and the memory of the VM; {Annotation.RETRY}=agent asks the VM at once",
    ),
    Reason.RUN_COMMAND_REFUSED: Advice(
        NOTHING,
        "read Azure's answer in the message: tags that an Azure Policy demands go into spec.azure.tags, which tries it "
        f"again; else take the lock off, or exempt the VM from the policy, {_RETRY}",
    ),
    Reason.IDENTITY_MISMATCH: Advice(
        "it continues when the facts agree",
        "compare the workload with the VM: is it a clone? If it is the VM's, approve what the message "
        f"names; else mend the VM, {_RETRY}",
    ),
    Reason.PAIRING_PROFILE_UNSAFE: Advice(
        "it continues at the next reading after the profile is correct", "correct the pairing profile in the PCE"
    ),
    Reason.ADOPTION_CANDIDATE: Advice(
        "enforcing, a keyless probe asks the VM itself", "set spec.mode: Enforce, if the estate should act"
    ),
    Reason.SCRIPTS_OFF: Advice(
        "nothing runs on the VM while the Estate adopts",
        f"pair the VEN, then annotate the host with {Annotation.ADOPT}=<uuid>; or set spec.mode: Enforce",
    ),
    Reason.OWNED_ELSEWHERE: Advice(
        NOTHING, "see which estate should own it, and leave the VM out of the other by `select`"
    ),
    Reason.ILLUMIO_UNREADABLE: Advice(
        "the PCE is read again at the next poll", "look at IllumioReachable of the Estate"
    ),
    Reason.VEN_OFFLINE: Advice(
        "it continues when the PCE hears the VEN again",
        f"look at the VEN's service and network; {Annotation.RETRY}=agent asks the VM itself",
    ),
    Reason.VEN_NOT_ACTIVE: Advice(
        "it continues when the PCE shows the VEN active", "end the suspension, or unpair the workload in the PCE"
    ),
    Reason.VEN_GONE: Advice(
        "the VM is paired anew once the PCE no longer lists the workload", "unpair the workload in the PCE"
    ),
    Reason.VEN_ORPHANED: Advice(
        "it continues if the PCE lists that workload again",
        f"look in the PCE's console; if it is not there, unpair the VEN on the VM, {_RETRY}",
    ),
    # labels
    Reason.SETTING_LABELS: Advice("the labels are set at once and seen at the next reading of the PCE"),
    Reason.CREATING_LABELS: Advice("the labels are created, then set"),
    Reason.LABEL_MISSING: Advice(_BY_ITSELF, "create the labels in the PCE, or set createLabels: true"),
    Reason.AWAITING_AGENT: Advice("the labels follow the agent"),
    Reason.MAPPING_MISS: Advice(
        "labels and groups stay as they are; it continues when a rule matches the tags",
        "add a rule to the mapping, or change the VM's tag; `microseg plan -f` shows what a rule would do",
    ),
    Reason.NO_MAPPING: Advice(
        _BY_ITSELF, "deliver a mapping: docs/mapping.md; MappingValid of the Estate says what is wrong"
    ),
    # firewall
    Reason.PUBLISHING: Advice(_PUBLISHED),
    Reason.GROUP_LOCKED: Advice(
        "it is published when the other session publishes or discards", "ask whoever holds the lock"
    ),
    Reason.GROUP_MISSING: Advice(
        _BY_ITSELF, "create the group in Check Point, or correct its name in the mapping or in allowedGroups"
    ),
    Reason.NAME_TAKEN: Advice(_BY_ITSELF, "rename or remove the other object"),
    Reason.ADDRESS_TAKEN: Advice(_BY_ITSELF, "remove the other object with this address, or give it its own"),
    Reason.ADDRESS_SHARED: Advice(
        "it continues when the first VM is seen without the address, or is retired",
        "give one of the two VMs another address, or leave this one out by `select`",
    ),
    Reason.ADDRESS_HELD: Advice(
        "it continues when the missing VM is retired, or is seen without the address",
        "look at the ManagedHost that the message names; if its VM is gone for certain, confirm that there",
    ),
    Reason.OBJECT_REJECTED: Advice(
        "it is retried when the object or its desired form changes", "read Check Point's answer in the message"
    ),
    Reason.ADDRESS_NOT_ALLOWED: Advice(
        "it continues when the address is another, or its network is allowed",
        "correct the VM's NIC, or add the network to allowedNetworks of the source in the Estate",
    ),
    Reason.TOO_MANY_ADDRESSES: Advice(
        "it continues when the VM has fewer addresses, or the limit is higher",
        "take addresses off, set checkPoint.addresses: primary, or raise checkPoint.maxObjectsPerHost",
    ),
    Reason.NO_ADDRESS: Advice("it continues when Azure shows a private address"),
    Reason.NIC_UNREADABLE: Advice(
        "it continues when Azure's list shows the NIC; a new NIC can take some minutes",
        "give the operator's identity the permission to read the NIC's resource group",
    ),
    Reason.ADDRESS_MOVED: Advice("it continues when the VM has an address of its own again"),
    Reason.CHECK_POINT_UNREADABLE: Advice(
        "Check Point is read again at the next poll", "look at CheckPointReachable of the Estate"
    ),
    # policy
    Reason.AWAITING_PUBLISH: Advice("the policy is installed after the publish"),
    Reason.INSTALLING_POLICY: Advice("the policy is installed once for all that was published, then verified"),
    Reason.OUTSIDE_INSTALL_WINDOW: Advice("the policy is installed when the window opens"),
    Reason.INSTALL_FAILED: Advice("the install is retried automatically", "read the gateway's answer in the message"),
    Reason.NAMES_UNKNOWN: Advice(_BY_ITSELF, "mend the name in the Estate, or create what it names"),
    Reason.NO_POLICY_CONFIGURED: Advice(_BY_ITSELF, "name package and targets in spec.checkPoint.policies"),
    Reason.NOT_TAKING: Advice(
        "it is tried again when the message's two sides change, else every hour",
        "compare what is desired with what is shown: spelling, permissions, another tool, a stuck replica",
    ),
    # modes
    Reason.SUSPENDED: Advice(NOTHING, "set spec.suspend: false on the ManagedHost"),
    Reason.OBSERVING: Advice(NOTHING, "set spec.mode: Enforce on the Estate"),
    Reason.DRIFT_FOUND: Advice("it is only reported", "set spec.drift: Repair, or correct it where it was changed"),
    Reason.CONTENTION: Advice(
        NOTHING, f"settle who is right, then annotate the ManagedHost with {Annotation.RETRY}=drift"
    ),
}
_OTHERWISE = Advice(_POLL)


def advice(reason: str) -> Advice:
    """What comes after the reason of a stage that does not hold."""
    reasons = next((each for each in _ADVICE if each.value == reason), None)
    return _ADVICE[reasons] if reasons is not None else _OTHERWISE


def has_advice(reason: Reason) -> bool:
    """Whether there is advice of its own."""
    return reason in _ADVICE
