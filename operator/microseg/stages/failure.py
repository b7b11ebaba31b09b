"""What a failed attempt means to a person: the reason, and one sentence with everything that the script and Azure said.

`agent.py` puts it into the condition. Every code of the scripts has its own words; a code is never shown alone.
"""

from __future__ import annotations

from microseg.model import agent_record
from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.condition import Reason
from microseg.scripts import CODES, PROGRAM_CODES, explain_code
from microseg.scripts.azure_handler import explain_end

_FAILURES: dict[AgentOutcome, tuple[Reason, str]] = {
    AgentOutcome.KEY_REFUSED: (Reason.KEY_REFUSED, "The PCE refused the activation code"),
    AgentOutcome.PCE_UNREACHABLE: (
        Reason.PCE_UNREACHABLE_FROM_VM,
        "The VM could not reach the PCE: check its route, DNS, proxy and trust in the PCE's certificate",
    ),
    AgentOutcome.SCRIPT_FAILED: (Reason.SCRIPT_FAILED, "The installer ended with an error"),
    AgentOutcome.TIMED_OUT: (Reason.INSTALLER_TIMED_OUT, "The installer did not end or pair within its time limit"),
    AgentOutcome.NOT_BEGUN: (Reason.SCRIPT_NOT_BEGUN, "The script did not begin"),
    AgentOutcome.NO_RESULT: (Reason.NO_RESULT, "The script left no result line"),
    AgentOutcome.REFUSED: (Reason.RUN_COMMAND_REFUSED, "Azure refused to start the script"),
    AgentOutcome.WRONG_VM: (
        Reason.WRONG_VM,
        "The script ran on a VM with another vmId, or on one that could not read its own",
    ),
    AgentOutcome.PAIRED_ELSEWHERE: (
        Reason.PAIRED_ELSEWHERE,
        "The VM's VEN is paired with another PCE. Unpair it there first",
    ),
    AgentOutcome.UNSUPPORTED_OS: (Reason.UNSUPPORTED_OS, "The installer does not support this operating system"),
}
_WAITING: dict[AgentOutcome, str] = {
    AgentOutcome.BUSY: "Another run of the script holds the VM's lock",
    AgentOutcome.TOO_LATE: "The script ran later than its key allows: Azure was late, or the VM's clock is ahead",
}
"""Ends that are no failure: the next attempt follows."""
_OTHERWISE = (Reason.INSTALLING_AGENT, "The attempt did not begin")
_NEEDS_A_PERSON_AT_ONCE = {AgentOutcome.PAIRED_ELSEWHERE, AgentOutcome.UNSUPPORTED_OS}


def needs_a_person_at_once(outcome: AgentOutcome) -> bool:
    """Whether trying again by itself is of no use."""
    return outcome in _NEEDS_A_PERSON_AT_ONCE


def describe(record: AgentRecord, os: str) -> tuple[Reason, str]:
    """The reason and the sentence for the outcome of the latest attempt. `os`: Windows or Linux, as Azure says."""
    if record.outcome is None:
        return _OTHERWISE[0], f"{_OTHERWISE[1]}."
    reason, sentence = _FAILURES.get(record.outcome) or (_OTHERWISE[0], _WAITING.get(record.outcome, _OTHERWISE[1]))
    if record.outcome is AgentOutcome.REFUSED and record.refusal:
        return reason, f"{sentence}: {record.refusal.rstrip('.')}."
    if record.outcome is AgentOutcome.NO_RESULT:
        return reason, ending(record)
    code = record.exit_code
    if record.outcome is AgentOutcome.NOT_BEGUN:
        return reason, f"{sentence}: {explain_end(code, record.complaint)}."
    if not code or (record.outcome is AgentOutcome.TIMED_OUT and code not in CODES):
        return reason, f"{sentence}."
    words = explain_code(record.outcome.value, code, windows=os == "Windows")
    if record.outcome is AgentOutcome.UNSUPPORTED_OS and code in PROGRAM_CODES:
        return Reason.PROGRAM_MISSING, f"The installer cannot run: {words} (code {code})."
    if record.outcome is AgentOutcome.UNSUPPORTED_OS:
        return reason, f"The installer does not support this VM: {words} (code {code})."
    return reason, f"{sentence}: {words} (code {code})."


def ending(record: AgentRecord) -> str:
    """What is known of an attempt without a result line: Azure's state, and why it ended, where that is said."""
    why = explain_end(record.exit_code, record.complaint)
    match record.shown:
        case "":
            shown = "Azure never showed how it ended"
        case agent_record.DELETED:
            shown = "Azure no longer has it: somebody deleted it"
        case agent_record.TIMED_OUT:
            shown = "Azure ended it at its time-out"
        case "Running":
            shown = "Azure still shows it as Running: the VM or Azure's agent on it was restarted, or it cannot report"
        case state:
            shown = f"Azure shows {state}"
    return f"{record.run_command} left no result line. {shown}{f': {why}' if why else ''}."
