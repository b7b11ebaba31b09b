"""An Approval: a person's word that lets through what the operator holds, kept as evidence.

People create it (`microseg approve`), the engine acts on it and writes what came of it. An admission policy demands
that `spec.by` is whoever sends the request, so the record says who it was. `crds/` is generated from these classes.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Self

from msgspec import Meta

from microseg.model.fields import Frozen, LongText

VM_ID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class ApprovalAction(enum.StrEnum):
    """What an Approval lets happen, each with the word of the command line, the form of `what`, and its meaning."""

    word: str
    form: str
    pattern: str
    meaning: str

    def __new__(cls, name: str, word: str, form: str, pattern: str, meaning: str) -> Self:
        """Make the member a plain string that also carries its explanation."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.word, member.form, member.pattern, member.meaning = word, form, pattern, meaning
        return member

    # fmt: off
    PLAN = (
        "Plan", "plan", "<digest>:<hosts>", "^[0-9a-f]{64}:[1-9][0-9]{0,8}$",
        "Lets a held change of labels, groups or objects through, once.",
    )
    RETIREMENT = (
        "Retirement", "retirement", "<digest>:<hosts>", "^[0-9a-f]{64}:[1-9][0-9]{0,8}$",
        "Lets the retirements that are held begin, once.",
    )
    CONFIRM_GONE = (
        "ConfirmGone", "gone", "<vmId>@<since when it is missing>", f"^{VM_ID}@[0-9TZ:-]{{20}}$",
        "Vouches that a GoneUnproven VM is gone.",
    )
    ADOPT = (
        "Adopt", "adoption", "<vmId>@<uuid of the workload>", f"^{VM_ID}@{VM_ID}$",
        "Vouches that a workload is the VM's: it is stamped without a proof, and unpaired once the VM is gone.",
    )
    PIN = (
        "Pin", "pin", "<revision>, or none to end it", "^([0-9a-f]{12}|[0-9a-f]{64}|none)$",
        "Keeps a revision of the mapping in force, until a newer Approval of this kind.",
    )
    # fmt: on


class ApprovalOutcome(enum.StrEnum):
    """What came of an Approval."""

    USED = "Used"
    """What it names was let through."""
    EXPIRED = "Expired"
    """Nothing that it names was waiting within a day; it lets nothing through any more."""


class SeenChange(Frozen, frozen=True, kw_only=True):
    """Hosts on a list that a person saw, with what would change on each of them."""

    kinds: Annotated[
        tuple[LongText, ...], Meta(max_length=32, description="Kinds of change; none for a retirement.")
    ] = ()
    hosts: Annotated[
        tuple[Annotated[str, Meta(max_length=36)], ...], Meta(max_length=5000, description="vmIds of these hosts.")
    ]


class ApprovalSpec(Frozen, frozen=True, kw_only=True):
    """What is approved, by whom and why. It never changes."""

    estate: Annotated[str, Meta(min_length=1, max_length=63, description="The Estate.")]
    action: Annotated[ApprovalAction, Meta(description="What it lets happen.")]
    what: Annotated[str, Meta(max_length=128, description="Exactly what is meant, as the operator's message names it.")]
    by: Annotated[
        str,
        Meta(min_length=1, max_length=256, description="User name of whoever creates it; another name is refused."),
    ]
    reason: Annotated[LongText, Meta(min_length=1, description="Why, for auditors: such as a change's number.")]
    seen: Annotated[
        tuple[SeenChange, ...],
        Meta(
            max_length=64,
            description="The list whose digest it names. With it an approval counts although the operator started anew "
            "since the list was shown.",
        ),
    ] = ()


class ApprovalStatus(Frozen, frozen=True, kw_only=True):
    """What came of it."""

    outcome: Annotated[str, Meta(max_length=16, pattern="^(Used|Expired)$", description="What came of it.")] = ""
    at: Annotated[datetime | None, Meta(description="When that was.")] = None
    message: Annotated[LongText, Meta(description="The same in a sentence.")] = ""


class Approval(Frozen, frozen=True, kw_only=True):
    """An Approval as the operator holds it."""

    name: str
    namespace: str
    spec: ApprovalSpec
    created_at: datetime
    status: ApprovalStatus = ApprovalStatus()
    uid: str = ""
    resource_version: str = ""

    @property
    def most(self) -> int:
        """How many hosts a plan or a retirement may touch."""
        return int(self.spec.what.partition(":")[2])

    @property
    def subject(self) -> str:
        """The digest of a plan or a retirement."""
        return self.spec.what.partition(":")[0]

    @property
    def source(self) -> str:
        """Who approved it and where that is recorded."""
        return f"{self.spec.by}, Approval {self.name}"


def command(action: ApprovalAction, what: str) -> str:
    """The command that approves this, for messages."""
    return f"microseg approve {action.word} {what}"
