"""Conditions of hosts and estates, in the form of the Kubernetes API conventions.

Each reason is here once, with its meaning; the reference page is generated from this table, and
`stages/` and `planning/conditions.py` choose from it.
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
    STALLED = "Stalled"
    RECONCILING = "Reconciling"
    DRIFTED = "Drifted"
    AZURE_REACHABLE = "AzureReachable"
    ILLUMIO_REACHABLE = "IllumioReachable"
    CHECK_POINT_REACHABLE = "CheckPointReachable"
    MAPPING_VALID = "MappingValid"
    PLAN_HELD = "PlanHeld"

    @property
    def meaning(self) -> str:
        """What `True` means, for the reference page."""
        return _CONDITION_MEANINGS[self]


_CONDITION_MEANINGS = {
    ConditionType.DISCOVERED: "Azure's latest complete list has this VM.",
    ConditionType.AGENT_PAIRED: "The PCE has a workload proven to be this VM's, and hears its VEN or the VM is off.",
    ConditionType.LABELLED: "The workload carries the labels that the mapping wants.",
    ConditionType.GROUPED: "The published Check Point objects of this VM are in the groups that the mapping wants.",
    ConditionType.POLICY_INSTALLED: "Every target reports an installed revision that covers this VM's objects.",
    ConditionType.READY: "All stages hold.",
    ConditionType.RECONCILING: "The operator is working on it, or waits for something that needs no person.",
    ConditionType.STALLED: "A person must change something; the reason says what.",
    ConditionType.DRIFTED: "Something that was correct was changed from outside.",
    ConditionType.AZURE_REACHABLE: "The latest poll of every source was complete.",
    ConditionType.ILLUMIO_REACHABLE: "The latest reading of the PCE was complete.",
    ConditionType.CHECK_POINT_REACHABLE: "The latest reading of the management server was complete.",
    ConditionType.MAPPING_VALID: "The newest mapping document was accepted.",
    ConditionType.PLAN_HELD: "A change of the mapping, tags, addresses or pairing touches too many hosts: approve it.",
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
    NEVER_DECIDED = "NeverDecided", "The operator has not evaluated this object yet."
    COMMISSIONED = "Commissioned", "All stages hold; the message says whether the host is enforced."
    SETTLED = "Settled", "Nothing is in progress."
    IN_PROGRESS = "InProgress", "The operator is working on it."
    NOTHING_BLOCKS = "NothingBlocks", "No person is needed."
    NO_DRIFT = "NoDrift", "Nothing was changed from outside."
    DRIFT_FOUND = "DriftFound", "Something was changed from outside."
    CONTENTION = "Contention", "Somebody keeps changing it back; it is left alone until a person has looked."
    # discovered
    SEEN = "Seen", "Azure's latest complete list has this VM."
    NOT_SEEN = "NotSeen", "Azure's latest complete list lacks this VM; absence alone changes nothing."
    DESELECTED = "Deselected", "The estate's `select` no longer covers this VM; its protection stays as it is."
    AZURE_UNREADABLE = "AzureUnreadable", "There is no complete list from Azure yet, so nothing is concluded."
    ROWS_UNREADABLE = "RowsUnreadable", "Azure's list has rows that cannot be read, so no VM counts as missing."
    SUBSCRIPTION_UNREADABLE = "SubscriptionUnreadable", "Azure did not list all subscriptions: no VM counts as missing."
    # agent
    PAIRED = "Paired", "The PCE shows this VM's workload with our stamp."
    STAMPING = "Stamping", "The proven workload is about to be stamped with the vmId."
    PROBING = "Probing", "A keyless script asks the VM whether it is paired already."
    INSTALLING_AGENT = "InstallingAgent", "The installer is about to start, or runs on the VM."
    OUTCOME_UNKNOWN = "OutcomeUnknown", "The answer to the start was lost; the operator checks Azure before it goes on."
    UNPAIRED = "Unpaired", "The PCE says that this VM's workload is gone; the operator checks once more."
    WORKLOAD_UNLISTED = "WorkloadUnlisted", "The PCE's list lacks this VM's workload and does not say that it is gone."
    PAIRING_HELD = "PairingHeld", "Too many workloads are gone at once: no VM is paired anew before a person approves."
    AWAITING_WORKLOAD = "AwaitingWorkload", "The VM says that it is paired; the PCE does not show the workload yet."
    START_PUT_OFF = "StartPutOff", "Azure or the PCE did not allow the installer to start; nothing was started."
    VM_NOT_RUNNING = "VMNotRunning", "The VM is stopped; the agent is installed when it runs."
    AGENT_NOT_READY = "AgentNotReady", "Azure's VM agent does not report ready yet."
    AGENT_NOT_ALLOWED = "AgentNotAllowed", "The VM has no Azure agent, or refuses extension operations."
    UNSUPPORTED_OS = "UnsupportedOS", "There is no installer for this operating system."
    PROGRAM_MISSING = "ProgramMissing", "The VM lacks a program that the installer needs; the message names it."
    KEY_REFUSED = "KeyRefused", "The PCE refused the activation code."
    PCE_UNREACHABLE_FROM_VM = "PCEUnreachableFromVM", "The VM could not reach the PCE."
    PAIRED_ELSEWHERE = "PairedElsewhere", "The VM's VEN belongs to another PCE."
    WRONG_VM = "WrongVM", "The script ran on a VM with another vmId and did nothing."
    SCRIPT_FAILED = "ScriptFailed", "The installer ended with an error; the message has its code."
    INSTALLER_TIMED_OUT = "InstallerTimedOut", "The installer did not end or pair within its time limit."
    SCRIPT_NOT_BEGUN = "ScriptNotBegun", "Azure's agent on the VM could not begin the script; the message says why."
    NO_RESULT = "NoResult", "A script left no result line, so no installer begins before all its time has passed."
    RUN_COMMAND_REFUSED = "RunCommandRefused", "Azure refused to start the script."
    IDENTITY_MISMATCH = "IdentityMismatch", "The workload that is named, or stamped, is not proven to be this VM's."
    PAIRING_PROFILE_UNSAFE = "PairingProfileUnsafe", "The pairing profile is missing or disabled, or its keys unsafe."
    ADOPTION_CANDIDATE = "AdoptionCandidate", "The PCE has an unstamped workload that may be this VM's."
    SCRIPTS_OFF = "ScriptsOff", "The Estate runs nothing on VMs (mode Adopt), and nobody named the VM's workload."
    ILLUMIO_UNREADABLE = "IllumioUnreadable", "The PCE was not read completely, so nothing is concluded."
    VEN_OFFLINE = "VENOffline", "The PCE does not hear the VEN of a VM that is not stopped; its protection is unknown."
    VEN_NOT_ACTIVE = "VENNotActive", "The PCE shows the VEN as suspended or uninstalled; the message has its word."
    VEN_GONE = "VENGone", "The VM answered that it is not, or not so, paired, while the PCE still lists its workload."
    VEN_ORPHANED = "VENOrphaned", "The VM's VEN is paired with a workload that the PCE says it has not."
    # labels
    LABELS_SET = "LabelsSet", "The workload carries the labels that the mapping wants."
    SETTING_LABELS = "SettingLabels", "The labels are being set."
    CREATING_LABELS = "CreatingLabels", "Labels named in the mapping are being created in the PCE."
    LABEL_MISSING = "LabelMissing", "The PCE lacks a label of the mapping and `createLabels` is false."
    AWAITING_AGENT = "AwaitingAgent", "Labels need a workload; the agent comes first."
    MAPPING_MISS = "MappingMiss", "No rule of the mapping matches this VM's tags; labels and their groups wait."
    NO_MAPPING = "NoMapping", "The estate's mapping is missing or none was ever accepted."
    # grouped
    PUBLISHED = "Published", "The published objects and memberships are as the mapping wants them."
    NO_GROUP_WANTED = "NoGroupWanted", "The mapping asks for no group for this host."
    PUBLISHING = "Publishing", "Objects and memberships are being changed and published."
    GROUP_LOCKED = "GroupLocked", "Another session has locked a group; the message names its administrator."
    GROUP_MISSING = "GroupMissing", "A group of the mapping does not exist; the operator never creates groups."
    NAME_TAKEN = "NameTaken", "An object of this name exists that is not ours."
    ADDRESS_TAKEN = "AddressTaken", "Another object has this address."
    ADDRESS_SHARED = "AddressShared", "Another VM that lives has this address, and had it first; it keeps it."
    ADDRESS_HELD = "AddressHeld", "The address stands for a missing VM until that one is proven gone."
    OWNED_ELSEWHERE = "OwnedElsewhere", "The object or workload carries another owner's mark."
    OBJECT_REJECTED = "ObjectRejected", "Check Point refused the object; the message quotes its answer."
    ADDRESS_NOT_ALLOWED = "AddressNotAllowed", "An address is none that may enter the firewall; the message has it."
    TOO_MANY_ADDRESSES = "TooManyAddresses", "The VM has more addresses than the estate allows objects per host."
    NO_ADDRESS = "NoAddress", "The VM has no private address yet."
    NIC_UNREADABLE = "NicUnreadable", "The VM has a NIC that Azure's list of NICs does not show; nothing is concluded."
    CHECK_POINT_UNREADABLE = "CheckPointUnreadable", "Check Point was not read completely, so nothing is concluded."
    # policy
    INSTALLED = "Installed", "Every target reports a revision that covers this host."
    NOTHING_TO_INSTALL = "NothingToInstall", "The host needs no group, so no policy has to be installed for it."
    AWAITING_PUBLISH = "AwaitingPublish", "Published comes before installed."
    INSTALLING_POLICY = "InstallingPolicy", "The policy is being installed on the targets."
    OUTSIDE_INSTALL_WINDOW = "OutsideInstallWindow", "Policy is installed only within the estate's window."
    INSTALL_FAILED = "InstallFailed", "A target did not get the policy; the install is retried."
    NO_POLICY_CONFIGURED = "NoPolicyConfigured", "The estate names no policy package."
    # modes
    SUSPENDED = "Suspended", "A person suspended this host or its estate."
    NOT_TAKING = "NotTaking", "A system accepted a change and does not show it; the message has what is shown."
    OBSERVING = "Observing", "The estate observes: everything is planned, nothing is changed."
    PROVING_GONE = "ProvingGone", "The operator asks Azure for the missing VM by its id, and the PCE for its VEN."
    GONE_UNPROVEN = "GoneUnproven", "The missing VM is not proven gone: Azure does not say so, or its VEN is heard."
    RETIREMENT_HELD = "RetirementHeld", "The VM is gone, but too many VMs are gone at once: a person must approve."
    ADDRESS_MOVED = "AddressMoved", "Another VM has this host's address now, so its object left its groups."
    RETIRING = "Retiring", "The VM is gone and its traces are being removed."
    # estate
    REACHABLE = "Reachable", "The latest reading was complete."
    UNREACHABLE = "Unreachable", "The system cannot be read; the message says why."
    PROXY_FAILED = "ProxyFailed", "The egress proxy of the spec gives no way to the system; the message names it."
    PROXY_REFUSED = "ProxyRefused", "The egress proxy of the spec refuses the operator, or the system's address."
    REFUSED = "Refused", "The system refuses the credentials, or they lack a permission."
    SECRET_INVALID = "SecretInvalid", "A Secret or CA bundle is missing or malformed."
    ENDPOINT_SHARED = "EndpointShared", "Another estate uses this PCE organisation or Check Point domain."
    NAMES_UNKNOWN = "NamesUnknown", "The spec names a package, target, group or profile that does not exist, or twice."
    SPEC_INVALID = "SpecInvalid", "The Estate's spec cannot be used; the message says where."
    ACCEPTED = "Accepted", "The newest mapping document is in force."
    MAPPING_PINNED = "Pinned", "spec.mapping.pin keeps an earlier revision in force; newer documents are ignored."
    MAPPING_INVALID = "MappingInvalid", "The newest document is refused; the last accepted one stays in force."
    MAPPING_MISSING = "MappingMissing", "No ConfigMap carries the mapping; the last accepted one stays in force."
    MAPPING_AMBIGUOUS = "Ambiguous", "Two ConfigMaps carry the mapping's name; the last accepted one stays in force."
    NOTHING_HELD = "NothingHeld", "No plan waits for approval."
    HELD = "Held", "The plan touches too many hosts; approve its digest."
    ALL_COMMISSIONED = "AllCommissioned", "Every selected host is commissioned."
    HOSTS_WAITING = "HostsWaiting", "Hosts wait for a fact that they name; Ready is True if others are commissioned."
    NOTHING_SELECTED = "NothingSelected", "The estate has hosts, and its spec selects none of them."
    HOSTS_BLOCKED = "HostsBlocked", "At least one host needs a person."
    MISSING_SCHEMA = "MissingSchema", "The CRD lacks a field that the operator needs."
    # fmt: on


class Condition(msgspec.Struct, frozen=True, rename="camel", kw_only=True, gc=False):
    """One condition, shaped as Kubernetes' `metav1.Condition`."""

    type: Annotated[ConditionType, Meta(description="Type of the condition.")]
    status: Annotated[ConditionStatus, Meta(description="True, False, or Unknown where there is doubt.")]
    reason: Annotated[str, Meta(max_length=64, description="One CamelCase word; the reference explains each.")]
    message: Annotated[str, Meta(max_length=1024, description="A sentence for a person.")] = ""
    last_transition_time: Annotated[datetime, Meta(description="When the status last changed.")]
    observed_generation: Annotated[int, Meta(description="The generation of the spec that was judged.")] = 0


def find(conditions: tuple[Condition, ...], kind: ConditionType) -> Condition | None:
    """The condition of this type, or None where it was never computed."""
    return next((condition for condition in conditions if condition.type == kind), None)
