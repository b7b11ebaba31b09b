"""Every name with `microseg.dev` in it: API group, labels, annotations, and marks in the outside systems.

The whole product takes them from here, and no other module spells one (a test holds that). The reference page of what
people may write is generated from `Annotation`.
"""

from __future__ import annotations

import enum
from typing import Self

GROUP = "microseg.dev"
"""Group of the custom resources."""

VERSION = "v1alpha1"
"""Version of the custom resources."""

MAPPING_API_VERSION = "mapping.microseg.dev/v1"
"""`apiVersion` of a mapping document."""

PREFIX = "microseg.dev/"
"""Start of every label and annotation of this operator, and of its marks in the outside systems."""

ESTATE_LABEL = "microseg.dev/estate"
"""On every ManagedHost: the Estate's name, by which a replica mirrors only what it reconciles."""

MAPPING_NAME_LABEL = "microseg.dev/mapping-name"
"""On every ControllerRevision of this operator: the mapping document's name."""

TOMBSTONES_LABEL = "microseg.dev/tombstones"
"""On the ConfigMaps of tombstones: the Estate's name."""

REPORT_ANNOTATION = "microseg.dev/report"
"""On the Lease of an estate: what its holder says of itself."""

FIELD_MANAGER = "microseg"
"""The API server's `managedFields` name this manager for the operator's writes."""

REPORTING_CONTROLLER = "microseg.dev/operator"
"""`reportingController` of the operator's Events."""

OWNER_TAG = "microseg.dev-owner"
"""Azure tag of a run-command: the Estate's owner id. Resource Manager refuses a tag name with a slash
(`InvalidTagNameCharacters`, coreos/tectonic-installer#596)."""

VM_ID_TAG = "microseg.dev-vm-id"
"""Azure tag of a run-command: the vmId that it was made for."""

INTENT_TAG = "microseg.dev-intended-at"
"""Azure tag of a run-command: when its attempt was intended, in seconds since 1970. The instance view's own times are
the VM's word."""

CHECK_POINT_TAG_PREFIX = "microseg.dev-"
"""Start of the Check Point tag of an owner: a slash is among the characters that old servers refuse (sk40179)."""


def mark(owner_id: str) -> str:
    """The mark of an owner: external data set of a workload, first word of a Check Point object's comment."""
    return f"{PREFIX}{owner_id}"


def check_point_tag(owner: str) -> str:
    """The tag of an owner on its Check Point objects: `microseg.dev/a/b` is spelled `microseg.dev-a.b`."""
    return f"{CHECK_POINT_TAG_PREFIX}{owner.removeprefix(PREFIX).replace('/', '.')}"


class Annotation(enum.StrEnum):
    """Every annotation and label that people write, with the kind of object, the form of its value, and its effect."""

    kind: str
    value_form: str
    meaning: str

    def __new__(cls, name: str, kind: str, value_form: str, meaning: str) -> Self:
        """Make the member a plain string that also carries its explanation."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.kind, member.value_form, member.meaning = kind, value_form, meaning
        return member

    # fmt: off
    RETRY = (
        "microseg.dev/retry", "ManagedHost", "agent or drift",
        "You have looked: the next installer attempt may begin, or what was left alone as Contention is repaired.",
    )
    ADOPT = (
        "microseg.dev/adopt", "ManagedHost", "uuid of a workload",
        "As `microseg approve adoption`, and without a record of who vouches: the next version ignores it.",
    )
    CONFIRM_GONE = (
        "microseg.dev/confirm-gone", "ManagedHost", "<vmId>@<since when it is missing>",
        "As `microseg approve gone`, and without a record of who vouches: the next version ignores it.",
    )
    APPROVE = (
        "microseg.dev/approve", "Estate", "<digest>:<maxHosts>, several with commas",
        "As `microseg approve plan` or `retirement`, without a record of who approves: the next version ignores it.",
    )
    RECONCILE_AT = (
        "microseg.dev/reconcile-at", "Estate", "any text that is new",
        "All three systems are read now; what does not take is tried again. Echoed in status.lastHandledReconcileAt.",
    )
    MAPPING = (
        "microseg.dev/mapping", "ConfigMap (a label)", "v1",
        "The ConfigMap carries a mapping document under the key mapping.yaml.",
    )
    COMMIT = (
        "microseg.dev/commit", "ConfigMap", "a Git commit",
        "Kept with the accepted revision of the mapping, for auditors.",
    )
    AUTHOR = (
        "microseg.dev/author", "ConfigMap", "a name",
        "Kept with the accepted revision of the mapping, for auditors.",
    )
    # fmt: on
