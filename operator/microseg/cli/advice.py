"""For each reason of a stage: what happens next by itself, and what a person can do. `explain` tells it.

The long form, with what happened, is the runbook in docs/operations.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from microseg.model.annotation import Annotation
from microseg.model.condition import Reason


@dataclass(frozen=True, slots=True)
class Advice:
    """What comes after a reason."""

    next: str
    """What happens by itself."""
    person: str = ""
    """What a person can do; empty: nothing is needed."""


_POLL = "it is looked at again at the next poll"
_PUBLISHED = "the objects are published with the next flush, then looked at"
_BY_ITSELF = "it goes on by itself when that is over"
_NOTHING = "nothing by itself"
_RETRY = f"then annotate the ManagedHost with {Annotation.RETRY.value}=agent"

_ADVICE: dict[Reason, Advice] = {
    # discovered
    Reason.NOT_SEEN: Advice("after more polls that lack it, Azure is asked for the VM by its id"),
    Reason.DESELECTED: Advice(_NOTHING, "let the source's `select` cover it again, or leave it as it is"),
    Reason.AZURE_UNREADABLE: Advice("Azure is read again at the next poll", "look at AzureReachable of the Estate"),
    Reason.PROVING_GONE: Advice("Azure is asked for the VM by its id"),
    Reason.GONE_UNPROVEN: Advice(
        "it goes on by itself once Azure answers for that id",
        f"restore the right to read the VM, or vouch with {Annotation.CONFIRM_GONE.value}=<vmId>",
    ),
    Reason.RETIREMENT_HELD: Advice(
        "it begins when fewer are gone at once", "approve what PlanHeld of the Estate names"
    ),
    Reason.RETIRING: Advice("the next trace is removed when the last is seen to be gone"),
    # agent
    Reason.STAMPING: Advice("the stamp is written at once and seen at the next reading of the PCE"),
    Reason.PROBING: Advice("the script's end is read, then the proof is looked for in the PCE"),
    Reason.INSTALLING: Advice("the script's end is read at its expected time; the PCE is read at every poll"),
    Reason.OUTCOME_UNKNOWN: Advice("Azure is looked at until the attempt is certainly over; nothing is started before"),
    Reason.UNPAIRED: Advice("one more reading of the PCE must lack it, then the agent is repaired"),
    Reason.AWAITING_WORKLOAD: Advice(
        "it goes on by itself when the PCE shows the workload", f"look at the VEN on the VM, {_RETRY}"
    ),
    Reason.START_PUT_OFF: Advice("the start is tried again by itself"),
    Reason.VM_NOT_RUNNING: Advice("the agent is installed when the VM runs", "start the VM, if it should run"),
    Reason.AGENT_NOT_READY: Advice(
        "the installer starts when Azure's agent reports ready", "look at Azure's VM agent if that takes long"
    ),
    Reason.AGENT_NOT_ALLOWED: Advice(
        _BY_ITSELF, "install Azure's agent and allow extension operations, or install the VEN by hand: it is adopted"
    ),
    Reason.UNSUPPORTED_OS: Advice(
        _NOTHING, f"install what the installer misses, {_RETRY}; or leave it out by `select`"
    ),
    Reason.KEY_REFUSED: Advice(_NOTHING, f"look at the pairing profile, the licences and the clocks, {_RETRY}"),
    Reason.PCE_UNREACHABLE_FROM_VM: Advice(
        _NOTHING, f"open the way from the VM to the PCE: route, DNS, proxy, trust in its certificate, {_RETRY}"
    ),
    Reason.PAIRED_ELSEWHERE: Advice(_NOTHING, f"unpair the VEN from its other PCE, {_RETRY}"),
    Reason.WRONG_VM: Advice(_NOTHING, f"see whether the VM was re-created or cloned, {_RETRY}"),
    Reason.SCRIPT_FAILED: Advice(_NOTHING, f"look up the code in docs/reference/run-command.md, {_RETRY}"),
    Reason.INSTALLER_TIMED_OUT: Advice(_NOTHING, f"look at Azure's agent, the load and the disk of the VM, {_RETRY}"),
    Reason.RUN_COMMAND_REFUSED: Advice(_NOTHING, f"look for a lock, an Azure Policy or a missing right, {_RETRY}"),
    Reason.IDENTITY_MISMATCH: Advice(
        "it goes on by itself when the facts agree", f"compare the workload with the VM: is it a clone? {_RETRY}"
    ),
    Reason.PAIRING_PROFILE_UNSAFE: Advice(
        "it goes on by itself at the next reading after it is right", "mend the pairing profile in the PCE"
    ),
    Reason.ADOPTION_CANDIDATE: Advice(
        "enforcing, a keyless probe asks the VM itself", "set spec.mode: Enforce, if the estate should act"
    ),
    Reason.OWNED_ELSEWHERE: Advice(
        _NOTHING, "see which estate should own it, and leave the VM out of the other by `select`"
    ),
    Reason.ILLUMIO_UNREADABLE: Advice(
        "the PCE is read again at the next poll", "look at IllumioReachable of the Estate"
    ),
    # labels
    Reason.SETTING_LABELS: Advice("the labels are set at once and seen at the next reading of the PCE"),
    Reason.CREATING_LABELS: Advice("the labels are created, then set"),
    Reason.LABEL_MISSING: Advice(_BY_ITSELF, "create the labels in the PCE, or set createLabels: true"),
    Reason.AWAITING_AGENT: Advice("the labels follow the agent"),
    Reason.MAPPING_MISS: Advice(
        "labels and groups stay as they are; it goes on by itself when a rule knows the tags",
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
        _BY_ITSELF, "make the group in Check Point, or correct its name in the mapping or in allowedGroups"
    ),
    Reason.NAME_TAKEN: Advice(_BY_ITSELF, "rename or remove the other object"),
    Reason.ADDRESS_TAKEN: Advice(_BY_ITSELF, "remove the other object with this address, or give it its own"),
    Reason.OBJECT_REJECTED: Advice(
        "it is tried again when the object or its wanted form changes", "read Check Point's words"
    ),
    Reason.NO_ADDRESS: Advice("it goes on when Azure shows a private address"),
    Reason.ADDRESS_MOVED: Advice("it goes on when the VM has an address of its own again"),
    Reason.CHECK_POINT_UNREADABLE: Advice(
        "Check Point is read again at the next poll", "look at CheckPointReachable of the Estate"
    ),
    # policy
    Reason.AWAITING_PUBLISH: Advice("the policy is installed after the publish"),
    Reason.INSTALLING_POLICY: Advice("the policy is installed once for all that was published, then looked at"),
    Reason.OUTSIDE_INSTALL_WINDOW: Advice("the policy is installed when the window opens"),
    Reason.INSTALL_FAILED: Advice("the install is tried again by itself", "read the gateway's words"),
    Reason.NO_POLICY_CONFIGURED: Advice(_BY_ITSELF, "name package and targets in spec.checkPoint.policies"),
    # modes
    Reason.SUSPENDED: Advice(_NOTHING, "set spec.suspend: false on the ManagedHost"),
    Reason.OBSERVING: Advice(_NOTHING, "set spec.mode: Enforce on the Estate"),
    Reason.DRIFT_FOUND: Advice("it is only reported", "set spec.drift: Repair, or put it right where it was changed"),
    Reason.CONTENTION: Advice(
        _NOTHING, f"settle who is right, then annotate the ManagedHost with {Annotation.RETRY.value}=drift"
    ),
}
_OTHERWISE = Advice(_POLL)


def advice(reason: str) -> Advice:
    """What comes after the reason of a stage that does not hold."""
    known = next((each for each in _ADVICE if each.value == reason), None)
    return _ADVICE[known] if known is not None else _OTHERWISE


def known(reason: Reason) -> bool:
    """Whether there is advice of its own."""
    return reason in _ADVICE
