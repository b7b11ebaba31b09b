"""What a failed attempt says: every outcome and every code of the scripts has words of its own."""

from __future__ import annotations

import pytest

from lab.memory import samples as m
from microseg import scripts
from microseg.model.agent_record import AgentOutcome
from microseg.model.condition import Reason
from microseg.stages.failure import describe

FAILED = [
    AgentOutcome.WRONG_VM, AgentOutcome.KEY_REFUSED, AgentOutcome.PCE_UNREACHABLE, AgentOutcome.UNSUPPORTED_OS,
    AgentOutcome.SCRIPT_FAILED, AgentOutcome.TIMED_OUT,
]  # fmt: skip


@pytest.mark.parametrize("outcome", FAILED)
@pytest.mark.parametrize("code", scripts.CODES)
def test_every_code_of_the_scripts_is_told_in_words(outcome: AgentOutcome, code: int) -> None:
    for os in ("Linux", "Windows"):
        _, sentence = describe(m.ended(outcome, exit_code=code), os)
        assert f": {scripts.CODES[code]} (code {code})." in sentence


@pytest.mark.parametrize(
    ("outcome", "code", "os", "reason", "words"),
    [
        (AgentOutcome.UNSUPPORTED_OS, 623, "Linux", Reason.PROGRAM_MISSING, "curl is missing on the VM (code 623)"),
        (AgentOutcome.UNSUPPORTED_OS, 624, "Linux", Reason.PROGRAM_MISSING, "sed or grep) is missing on the VM"),
        (AgentOutcome.UNSUPPORTED_OS, 622, "Linux", Reason.UNSUPPORTED_OS, "the processor is not supported"),
        (AgentOutcome.UNSUPPORTED_OS, 0, "Linux", Reason.UNSUPPORTED_OS, "does not support this operating system."),
        (AgentOutcome.WRONG_VM, 612, "Linux", Reason.WRONG_VM, "the VM's own vmId could not be read (code 612)"),
        (
            AgentOutcome.PCE_UNREACHABLE,
            60,
            "Linux",
            Reason.PCE_UNREACHABLE_FROM_VM,
            "does not trust the PCE's certificate",
        ),
        (AgentOutcome.PCE_UNREACHABLE, 9, "Windows", Reason.PCE_UNREACHABLE_FROM_VM, "does not trust the PCE's"),
        (AgentOutcome.PCE_UNREACHABLE, 503, "Linux", Reason.PCE_UNREACHABLE_FROM_VM, "the PCE answered HTTP 503"),
        (AgentOutcome.SCRIPT_FAILED, 404, "Linux", Reason.SCRIPT_FAILED, "the PCE answered HTTP 404"),
        (AgentOutcome.SCRIPT_FAILED, 42, "Linux", Reason.SCRIPT_FAILED, "the exit code of the PCE's pairing script"),
        (AgentOutcome.TIMED_OUT, None, "Linux", Reason.INSTALLER_TIMED_OUT, "within its time limit."),
        (AgentOutcome.TIMED_OUT, -1, "Linux", Reason.INSTALLER_TIMED_OUT, "within its time limit."),
        (AgentOutcome.NOT_BEGUN, -203, "Linux", Reason.SCRIPT_NOT_BEGUN, "could not be written to the VM's disk"),
        (AgentOutcome.NOT_BEGUN, -250, "Linux", Reason.SCRIPT_NOT_BEGUN, "could not begin it (handler code -250)"),
        (AgentOutcome.NOT_BEGUN, 127, "Linux", Reason.SCRIPT_NOT_BEGUN, "lacks the script's interpreter"),
        (AgentOutcome.NO_RESULT, -1, "Linux", Reason.NO_RESULT, "the script was killed: by its time limit, for lack"),
        (AgentOutcome.NO_RESULT, None, "Linux", Reason.NO_RESULT, "Azure never showed how it ended."),
        (AgentOutcome.BUSY, 0, "Linux", Reason.INSTALLING_AGENT, "Another run of the script holds the VM's lock."),
        (AgentOutcome.TOO_LATE, 0, "Linux", Reason.INSTALLING_AGENT, "the VM's clock is ahead."),
        (AgentOutcome.REFUSED, None, "Linux", Reason.RUN_COMMAND_REFUSED, "Azure refused to start the script."),
    ],
)
def test_what_a_person_reads(outcome: AgentOutcome, code: int | None, os: str, reason: Reason, words: str) -> None:
    told, sentence = describe(m.ended(outcome, exit_code=code), os)
    assert told == reason
    assert words in sentence


def test_azures_refusal_is_told_in_its_own_words() -> None:
    record = m.ended(AgentOutcome.REFUSED, refusal="ScopeLocked: The scope is locked.")
    assert describe(record, "Linux")[1] == "Azure refused to start the script: ScopeLocked: The scope is locked."


@pytest.mark.parametrize(
    ("code", "complaint", "sentence"),
    [
        (-203, "no space left on device", "no space left on device on the VM (handler code -203)"),
        (126, "permission denied", "a script in the folder of Azure's agent: permission denied (exit code 126)"),
        (0, "argument list too long", "argument list too long"),
    ],
)
def test_a_script_that_did_not_begin_says_why(code: int, complaint: str, sentence: str) -> None:
    record = m.ended(AgentOutcome.NOT_BEGUN, exit_code=code, complaint=complaint)
    reason, told = describe(record, "Linux")
    assert reason == Reason.SCRIPT_NOT_BEGUN
    assert told.startswith("The script did not begin: ")
    assert told.endswith(f"{sentence}.")


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ("deleted", "Azure no longer has it: somebody deleted it."),
        ("TimedOut", "Azure ended it at its time-out."),
        ("Running", "the VM or Azure's agent on it was restarted"),
        ("Canceled", "Azure shows Canceled."),
    ],
)
def test_what_azure_shows_of_an_attempt_without_a_result_is_told(shown: str, words: str) -> None:
    assert words in describe(m.ended(AgentOutcome.NO_RESULT, shown=shown), "Linux")[1]
