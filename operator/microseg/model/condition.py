"""Conditions: what a host or an estate says of itself, in the Kubernetes API conventions' own form.

The reasons stand here once, each with its meaning; the reference page is generated from this table, and
`stages/` and `planning/report.py` choose from it.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Self

import msgspec
from msgspec import Meta


class ConditionStatus(enum.StrEnum):
    """Status of a condition. Doubt is `Unknown`, never a guess."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(enum.StrEnum):
    """Every condition that a ManagedHost or an Estate carries."""

    DISCOVERED = "Discovered"
    AGENT_PAIRED = "AgentPaired"
    LABELLED = "Labelled"
    GROUPED = "Grouped"
    POLICY_INSTALLED = "PolicyInstalled"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    DRIFTED = "Drifted"
    AZURE_REACHABLE = "AzureReachable"
    ILLUMIO_REACHABLE = "IllumioReachable"
    CHECK_POINT_REACHABLE = "CheckPointReachable"
    MAPPING_VALID = "MappingValid"
    PLAN_HELD = "PlanHeld"

    @property
    def meaning(self) -> str:
        """What `True` says, for the reference page."""
        return _CONDITION_MEANINGS[self]


_CONDITION_MEANINGS = {
    ConditionType.DISCOVERED: "Azure's latest complete list has this VM.",
    ConditionType.AGENT_PAIRED: "The PCE has a managed workload proven to be this VM's, stamped with its vmId.",
    ConditionType.LABELLED: "The workload carries the labels that the mapping wants.",
    ConditionType.GROUPED: "The published Check Point objects of this VM stand in the groups that the mapping wants.",
    ConditionType.POLICY_INSTALLED: "Every target reports an installed revision that covers this VM's objects.",
    ConditionType.READY: "All stages hold.",
    ConditionType.RECONCILING: "The operator is working on it, or waits for something that moves by itself.",
    ConditionType.STALLED: "A person must change something; the reason says what.",
    ConditionType.DRIFTED: "Something that was right was changed from outside.",
    ConditionType.AZURE_REACHABLE: "The latest poll of every source was complete.",
    ConditionType.ILLUMIO_REACHABLE: "The latest reading of the PCE was complete.",
    ConditionType.CHECK_POINT_REACHABLE: "The latest reading of the management server was complete.",
    ConditionType.MAPPING_VALID: "The newest mapping document was accepted.",
    ConditionType.PLAN_HELD: "A change of the mapping touches too many hosts and waits for approval.",
}


class Reason(enum.StrEnum):
    """Every reason of every condition, with its one-sentence meaning."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Make the member a plain string that also carries its meaning."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    # fmt: off
    NEVER_DECIDED = "NeverDecided", "The operator has not looked at this object yet."
    COMMISSIONED = "Commissioned", "All stages hold: the host is protected."
    SETTLED = "Settled", "Nothing is under way."
    IN_PROGRESS = "InProgress", "The operator is working on it."
    NOTHING_BLOCKS = "NothingBlocks", "No person is needed."
    NO_DRIFT = "NoDrift", "What was made outside is still as it was made."
    DRIFT_FOUND = "DriftFound", "Something was changed from outside."
    CONTENTION = "Contention", "Somebody changes it back again and again; it is left alone until a person has looked."
    # discovered
    SEEN = "Seen", "Azure's latest complete list has this VM."
    NOT_SEEN = "NotSeen", "Azure's latest complete list lacks this VM; absence alone changes nothing."
    DESELECTED = "Deselected", "The estate's `select` no longer covers this VM; its protection stays as it is."
    AZURE_UNREADABLE = "AzureUnreadable", "No complete list from Azure yet; nothing is concluded."
    # agent
    PAIRED = "Paired", "The PCE shows this VM's workload with our stamp."
    STAMPING = "Stamping", "The proven workload is about to be stamped with the vmId."
    PROBING = "Probing", "A keyless script asks the VM whether it is paired already."
    INSTALLING = "Installing", "The installer is about to start, or runs on the VM."
    OUTCOME_UNKNOWN = "OutcomeUnknown", "The answer to the start was lost; the operator looks before it does anything."
    UNPAIRED = "Unpaired", "The PCE no longer shows the workload that was this VM's; it is looked at once more."
    AWAITING_WORKLOAD = "AwaitingWorkload", "The VM says that it is paired; the PCE does not show the workload yet."
    START_PUT_OFF = "StartPutOff", "Azure or the PCE would not let the installer begin; nothing was started."
    VM_NOT_RUNNING = "VMNotRunning", "The VM is stopped; the agent is installed when it runs."
    AGENT_NOT_READY = "AgentNotReady", "Azure's VM agent does not report ready yet."
    AGENT_NOT_ALLOWED = "AgentNotAllowed", "The VM has no Azure agent, or refuses extension operations."
    UNSUPPORTED_OS = "UnsupportedOS", "There is no installer for this operating system."
    KEY_REFUSED = "KeyRefused", "The PCE refused the activation code."
    PCE_UNREACHABLE_FROM_VM = "PCEUnreachableFromVM", "The VM could not reach the PCE."
    PAIRED_ELSEWHERE = "PairedElsewhere", "The VM's VEN belongs to another PCE."
    WRONG_VM = "WrongVM", "The script ran on a VM with another vmId and did nothing."
    SCRIPT_FAILED = "ScriptFailed", "The installer ended with an error; the message has its code."
    INSTALLER_TIMED_OUT = "InstallerTimedOut", "The installer neither ended nor paired within its time."
    RUN_COMMAND_REFUSED = "RunCommandRefused", "Azure refused to start the script."
    IDENTITY_MISMATCH = "IdentityMismatch", "The workload that the script named is not provably this VM's; hands off."
    PAIRING_PROFILE_UNSAFE = "PairingProfileUnsafe", "The pairing profile is missing or disabled, or its keys unsafe."
    ADOPTION_CANDIDATE = "AdoptionCandidate", "The PCE has an unstamped workload that may be this VM's."
    ILLUMIO_UNREADABLE = "IllumioUnreadable", "No complete reading of the PCE; nothing is concluded."
    # labels
    LABELS_SET = "LabelsSet", "The workload carries the wanted labels."
    SETTING_LABELS = "SettingLabels", "The labels are being set."
    CREATING_LABELS = "CreatingLabels", "Labels named in the mapping are being created in the PCE."
    LABEL_MISSING = "LabelMissing", "The PCE lacks a label of the mapping and `createLabels` is false."
    AWAITING_AGENT = "AwaitingAgent", "Labels need a workload; the agent comes first."
    MAPPING_MISS = "MappingMiss", "No rule of the mapping knows this VM's tags; labels and groups wait."
    NO_MAPPING = "NoMapping", "The estate's mapping is missing or none was ever accepted."
    # grouped
    PUBLISHED = "Published", "The published objects and memberships are as wanted."
    NO_GROUP_WANTED = "NoGroupWanted", "The mapping asks for no group for this host."
    PUBLISHING = "Publishing", "Objects and memberships are being changed and published."
    GROUP_LOCKED = "GroupLocked", "Another session holds a lock; the message names who."
    GROUP_MISSING = "GroupMissing", "A group of the mapping does not exist; groups are never created here."
    NAME_TAKEN = "NameTaken", "An object of this name exists that is not ours."
    ADDRESS_TAKEN = "AddressTaken", "Another object has this address."
    OWNED_ELSEWHERE = "OwnedElsewhere", "The object or workload carries another owner's mark."
    OBJECT_REJECTED = "ObjectRejected", "Check Point refused the object; the message has its words."
    NO_ADDRESS = "NoAddress", "The VM has no private address yet."
    CHECK_POINT_UNREADABLE = "CheckPointUnreadable", "No complete reading of Check Point; nothing is concluded."
    # policy
    INSTALLED = "Installed", "Every target reports a revision that covers this host."
    NOTHING_TO_INSTALL = "NothingToInstall", "The host needs no group, so no policy has to be installed for it."
    AWAITING_PUBLISH = "AwaitingPublish", "Published comes before installed."
    INSTALLING_POLICY = "InstallingPolicy", "The policy is being installed on the targets."
    OUTSIDE_INSTALL_WINDOW = "OutsideInstallWindow", "Policy is installed only within the estate's window."
    INSTALL_FAILED = "InstallFailed", "A target did not get the policy; it is tried again."
    NO_POLICY_CONFIGURED = "NoPolicyConfigured", "The estate names no policy package."
    # modes
    SUSPENDED = "Suspended", "A person froze this host or estate."
    OBSERVING = "Observing", "The estate observes: everything is planned, nothing is changed."
    PROVING_GONE = "ProvingGone", "Azure is asked for the missing VM by its id."
    GONE_UNPROVEN = "GoneUnproven", "Azure neither shows the missing VM nor says that it is gone."
    RETIREMENT_HELD = "RetirementHeld", "The VM is gone; too many are at once, so a person must approve."
    ADDRESS_MOVED = "AddressMoved", "Another VM has this host's address now, so its object left its groups."
    RETIRING = "Retiring", "The VM is gone and its traces are being removed."
    # estate
    REACHABLE = "Reachable", "The latest reading was complete."
    UNREACHABLE = "Unreachable", "The system cannot be read; the message says why."
    REFUSED = "Refused", "The system refuses the credentials or the right."
    SECRET_INVALID = "SecretInvalid", "A Secret or CA bundle is missing or malformed."
    ENDPOINT_SHARED = "EndpointShared", "Another estate has this PCE organisation or Check Point domain."
    SPEC_INVALID = "SpecInvalid", "The Estate's spec cannot be used; the message says where."
    ACCEPTED = "Accepted", "The newest mapping document is in force."
    MAPPING_PINNED = "Pinned", "spec.mapping.pin holds on to an earlier revision; newer documents are not looked at."
    MAPPING_INVALID = "MappingInvalid", "The newest document is refused; the last accepted one stays in force."
    MAPPING_MISSING = "MappingMissing", "No ConfigMap carries the mapping; the last accepted one stays in force."
    MAPPING_AMBIGUOUS = "Ambiguous", "Two ConfigMaps carry the mapping's name; the last accepted one stays in force."
    NOTHING_HELD = "NothingHeld", "No plan waits for approval."
    HELD = "Held", "The plan touches too many hosts; approve its digest."
    ALL_COMMISSIONED = "AllCommissioned", "Every selected host is commissioned, blocked or waiting for a named fact."
    HOSTS_BLOCKED = "HostsBlocked", "At least one host needs a person."
    MISSING_SCHEMA = "MissingSchema", "The CRD lacks a field that the operator needs."
    # fmt: on


class Condition(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One condition, shaped as Kubernetes' `metav1.Condition`."""

    type: Annotated[ConditionType, Meta(description="Which statement this is.")]
    status: Annotated[ConditionStatus, Meta(description="True, False, or Unknown where there is doubt.")]
    reason: Annotated[str, Meta(max_length=64, description="One CamelCase word; the reference explains each.")]
    message: Annotated[str, Meta(max_length=1024, description="A sentence for a person.")] = ""
    last_transition_time: Annotated[datetime, Meta(description="When the status last changed.")]
    observed_generation: Annotated[int, Meta(description="The generation of the spec that was judged.")] = 0


def find(conditions: tuple[Condition, ...], kind: ConditionType) -> Condition | None:
    """The condition of this type, or None where it was never computed."""
    return next((condition for condition in conditions if condition.type == kind), None)
