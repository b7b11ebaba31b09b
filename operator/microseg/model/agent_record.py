"""Stage 2's part of a host's record: the attempt to install the agent, written before the effect."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from microseg.model.fields import Frozen, LongText, Text

INSTALL = "install"
PROBE = "probe"
"""Modes of an attempt: install the agent, or only ask the VM whether it is paired."""
DELETED = "deleted"
"""`shown` of an attempt whose run-command Azure no longer has."""
TIMED_OUT = "TimedOut"
"""`shown` of an execution that Azure ended at its time-out. The handler for Linux itself only says -1."""


class AgentOutcome(enum.StrEnum):
    """How an attempt ended: the words of the script's result line, and those that only Azure or time can give."""

    PAIRED = "paired"
    ALREADY_PAIRED = "already-paired"
    NOT_PAIRED = "not-paired"
    WRONG_VM = "wrong-vm"
    TOO_LATE = "too-late"
    BUSY = "busy"
    PAIRED_ELSEWHERE = "paired-elsewhere"
    KEY_REFUSED = "key-refused"
    PCE_UNREACHABLE = "pce-unreachable"
    UNSUPPORTED_OS = "unsupported-os"
    SCRIPT_FAILED = "script-failed"
    REFUSED = "refused"
    """Azure refused the PUT outright: it never began."""
    NEVER_BEGAN = "never-began"
    """The intent was sealed and Azure has no such run-command."""
    NOT_BEGUN = "not-begun"
    """Azure's handler on the VM says that it could not begin the script: no key was used."""
    TIMED_OUT = "timed-out"
    """The script ended the pairing script at its deadline, or Azure ended the script at its time-out."""
    NO_RESULT = "no-result"
    """The script ended, or its end was lost, without a result line, and all the time that it may take has passed."""


class AgentRecord(Frozen, frozen=True, kw_only=True):
    """The effect protocol's memory of the installer: one attempt at a time, written before the call."""

    attempt: Annotated[int, Meta(description="Number of the latest attempt; part of the run-command's name.")] = 0
    mode: Annotated[str, Meta(max_length=16, description="install, or probe (keyless).")] = ""
    run_command: Annotated[Text, Meta(description="Name of the attempt's run-command.")] = ""
    nonce: Annotated[str, Meta(max_length=64, description="Ties the script's result line to this attempt.")] = ""
    intended_at: Annotated[datetime | None, Meta(description="When the intent was written, before the call.")] = None
    seals_at: Annotated[datetime | None, Meta(description="After this the attempt can no longer begin.")] = None
    started_at: Annotated[datetime | None, Meta(description="When Azure accepted it.")] = None
    finished_at: Annotated[datetime | None, Meta(description="When the attempt was found to be over.")] = None
    exit_code: Annotated[
        int | None, Meta(description="Exit code of the script, for people; success is what the PCE shows.")
    ] = None
    lost_at: Annotated[
        datetime | None,
        Meta(
            description="When Azure was first seen to show its end without a result line, or not to have it any more."
        ),
    ] = None
    shown: Annotated[
        str,
        Meta(max_length=32, description="Azure's state of an execution without a result line; deleted: it is gone."),
    ] = ""
    complaint: Annotated[
        Text, Meta(description="What Azure's handler said of it, as one of the phrases that are known.")
    ] = ""
    settles_at: Annotated[
        datetime | None, Meta(description="Until then an earlier installer may still run, so none begins before.")
    ] = None
    outcome: Annotated[AgentOutcome | None, Meta(description="How the attempt ended.")] = None
    refusal: Annotated[
        LongText, Meta(description="Azure's code and words where it refused the start, or the policy that did.")
    ] = ""
    workload: Annotated[
        str, Meta(max_length=64, description="The workload uuid that the script printed; a claim, not yet a proof.")
    ] = ""
    failures: Annotated[int, Meta(description="Known failures in a row.")] = 0
    retry_at: Annotated[datetime | None, Meta(description="When the next attempt may begin.")] = None
    cause: Annotated[str, Meta(max_length=64, description="Digest of the inputs of the failed attempts.")] = ""
