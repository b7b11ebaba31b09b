"""The words that people write on objects for the operator to read; the reference page is generated from this table."""

from __future__ import annotations

import enum
from typing import Self


class Annotation(enum.StrEnum):
    """Every annotation and label of a person's, with where it stands, its value, and what it does."""

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
        "You have looked: the next installer attempt may begin, or what was left alone as Contention is put right.",
    )
    CONFIRM_GONE = (
        "microseg.dev/confirm-gone", "ManagedHost", "the host's vmId",
        "You vouch that the VM is gone where Azure can only say 403; its retirement may begin.",
    )
    APPROVE = (
        "microseg.dev/approve", "Estate", "<digest>:<maxHosts>, several with commas",
        "Lets a held change of the mapping through, for at most so many hosts. PlanHeld tells what to write.",
    )
    RECONCILE_AT = (
        "microseg.dev/reconcile-at", "Estate", "any text that is new",
        "All three systems are read now. Echoed in status.lastHandledReconcileAt.",
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
