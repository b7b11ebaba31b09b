"""The life of one script attempt as a pure fold: what its record becomes when its run-command was looked at.

The record is written before the effect (architecture: intent, PUT at most once, over, sealed); this module only
concludes from what was seen. `agent.py` judges the result.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from microseg.model.agent_record import DELETED, INSTALL, PROBE, TIMED_OUT, AgentOutcome, AgentRecord
from microseg.model.azure_facts import RunCommand
from microseg.model.facts import Absent, HostFacts, Seen
from microseg.model.fields import clip
from microseg.scripts import parse_result
from microseg.scripts.azure_handler import known_words, never_began
from microseg.stages.context import Timing

_LARGEST_EXIT_CODE = 2**31
LONGEST_REFUSAL = 600
"""Characters of Azure's words in a record: a condition's message has 1,024 for them and our own."""
_NOT_A_FAILURE = {
    AgentOutcome.PAIRED,
    AgentOutcome.ALREADY_PAIRED,
    AgentOutcome.NOT_PAIRED,
    AgentOutcome.BUSY,
    AgentOutcome.TOO_LATE,
    AgentOutcome.NEVER_BEGAN,
}
"""Ends after which a retry may follow at once."""
_WITHOUT_RESULT = {AgentOutcome.NOT_BEGUN, AgentOutcome.NO_RESULT}
"""Ends that are no failure of a probe, which costs no key: it is tried again for ever, after growing pauses (L3)."""
_LONGEST_PAUSE = 900.0
_PROBE_PATIENCE = 600.0
"""Seconds after which a probe is given up. It may still run: it needs no key and changes nothing."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The fixed times of one attempt."""

    seals_at: datetime
    over_at: datetime


def bounds(record: AgentRecord, timing: Timing) -> Bounds:
    """When the attempt can no longer begin, and when it is over in any case.

    A record that lost its seal is sealed a key's life after its intent. An installer whose end was seen without a
    result line began before that moment, so it is over a script's time after it, if that comes earlier.
    """
    intended = record.intended_at or datetime.min.replace(tzinfo=UTC)
    seals_at = record.seals_at or intended + timedelta(seconds=timing.key_life + timing.sealing)
    longest = timedelta(seconds=timing.script_timeout + timing.grace)
    over_at = seals_at + longest
    if record.lost_at is not None:
        over_at = min(over_at, max(seals_at, record.lost_at + longest))
    if record.mode == PROBE:
        over_at = min(over_at, record.lost_at or intended + timedelta(seconds=_PROBE_PATIENCE))
    return Bounds(seals_at, over_at)


def under_way(record: AgentRecord) -> bool:
    """Whether an attempt was intended and is not over."""
    return record.attempt > 0 and record.outcome is None


def absorb(record: AgentRecord, facts: HostFacts, timing: Timing, now: datetime) -> AgentRecord:
    """The record after what was seen of its run-command. The same record where nothing new was learnt."""
    if not under_way(record):
        deleted = facts.commands_deleted and record.run_command
        return msgspec.structs.replace(record, run_command="") if deleted else record
    limits = bounds(record, timing)
    if facts.concluded is not None:
        ended = _ended(record, facts.concluded, timing, now)
        return msgspec.structs.replace(ended, refusal=clip(facts.refusal, LONGEST_REFUSAL))
    match facts.run_command:
        case Seen(seen) if seen.name == record.run_command:
            record = _followed(record, seen, timing, now, windows=_windows(facts))
        case Absent() if record.started_at is None and now >= limits.seals_at and facts.looked_at is not None:
            if facts.looked_at >= limits.seals_at:
                return _ended(record, AgentOutcome.NEVER_BEGAN, timing, now)
        case Absent() if record.started_at is not None and record.lost_at is None:
            record = msgspec.structs.replace(record, lost_at=now, shown=DELETED)
        case _:
            pass
    if record.outcome is not None:
        return _ended(record, record.outcome, timing, now)
    if now >= bounds(record, timing).over_at:
        return _ended(_as_shown(record, facts), AgentOutcome.NO_RESULT, timing, now)
    return record


def _windows(facts: HostFacts) -> bool:
    """Whether the VM may run Windows, whose handler's codes are not known."""
    return not (isinstance(facts.azure, Seen) and facts.azure.value.record.os_type == "Linux")


def _as_shown(record: AgentRecord, facts: HostFacts) -> AgentRecord:
    """With Azure's last word about an attempt whose time is over."""
    if record.shown or not isinstance(facts.run_command, Seen):
        return record
    return msgspec.structs.replace(record, shown=clip(facts.run_command.value.execution_state, 32))


def _followed(record: AgentRecord, command: RunCommand, timing: Timing, now: datetime, *, windows: bool) -> AgentRecord:
    """Take over what the run-command shows; its output counts only when the execution is terminal."""
    if record.started_at is None:
        record = msgspec.structs.replace(record, started_at=_believable(command.started_at, record, now))
    result = parse_result(command.output, record.nonce) if command.terminal else None
    if result is not None:
        outcome = AgentOutcome(result.outcome.value)
        # No installer of ours answers like a probe.
        forged = record.mode == INSTALL and outcome is AgentOutcome.NOT_PAIRED
        return msgspec.structs.replace(
            record,
            finished_at=_believable(command.ended_at, record, now),
            exit_code=result.code,
            outcome=AgentOutcome.SCRIPT_FAILED if forged else outcome,
            workload=str(result.workload) if result.workload else "",
        )
    if record.lost_at is not None or not (command.terminal or _overdue(command, timing, now)):
        return record
    return _without_result(record, command, timing, now, windows=windows)


def _overdue(command: RunCommand, timing: Timing, now: datetime) -> bool:
    """Whether it is shown as running although Azure's time-out is long over: the VM or the handler was restarted."""
    at = overdue_at(command, timing)
    return at is not None and now >= at


def overdue_at(command: RunCommand, timing: Timing) -> datetime | None:
    """When an execution that still shows no end counts as lost; None: Azure does not say when it began."""
    if command.started_at is None or command.terminal:
        return None
    return command.started_at + timedelta(seconds=timing.script_timeout + timing.grace / 2)


def moves_at(record: AgentRecord, facts: HostFacts, timing: Timing) -> Iterator[datetime]:
    """When `absorb` changes the record of an attempt under way by time alone (L2)."""
    yield bounds(record, timing).over_at
    shown = facts.run_command
    if record.lost_at is None and isinstance(shown, Seen) and shown.value.name == record.run_command:
        at = overdue_at(shown.value, timing)
        if at is not None:
            yield at


def _without_result(
    record: AgentRecord, command: RunCommand, timing: Timing, now: datetime, *, windows: bool
) -> AgentRecord:
    """An execution that ended without our line: it never began, or a script may have outlived the shell that ended."""
    code = command.exit_code if command.terminal else None
    words = known_words(command.message, command.error)
    if code is not None and abs(code) >= _LARGEST_EXIT_CODE:
        code = None
    ended_by_azure = code == -1 and _took(command) >= timedelta(seconds=timing.script_timeout)
    state = TIMED_OUT if ended_by_azure else clip(command.execution_state, 32)
    record = msgspec.structs.replace(record, exit_code=code, complaint=words, shown=state)
    if never_began(command.execution_state, code, words, windows=windows):
        ended_at = _believable(command.ended_at, record, now)
        return msgspec.structs.replace(record, finished_at=ended_at, outcome=AgentOutcome.NOT_BEGUN)
    return msgspec.structs.replace(record, lost_at=now)


def _took(command: RunCommand) -> timedelta:
    """How long the execution took; 0: Azure does not show it."""
    if command.started_at is None or command.ended_at is None:
        return timedelta()
    return command.ended_at - command.started_at


def _believable(told: datetime | None, record: AgentRecord, now: datetime) -> datetime:
    """A time of the instance view, which is the VM's own word, within what is possible: from the intent to now."""
    return max(min(told or now, now), record.intended_at or datetime.min.replace(tzinfo=UTC))


def _ended(record: AgentRecord, outcome: AgentOutcome, timing: Timing, now: datetime) -> AgentRecord:
    """Close the attempt: count a failure, and set when the next may begin."""
    if outcome is AgentOutcome.NO_RESULT and record.shown == TIMED_OUT:
        outcome = AgentOutcome.TIMED_OUT
    asked_in_vain = record.mode == PROBE and outcome in _WITHOUT_RESULT
    failed = outcome not in _NOT_A_FAILURE and not asked_in_vain
    failures = record.failures + 1 if failed else (0 if record.workload else record.failures)
    pause = timing.retry_pause * 5 ** max(failures - 1, 0) if failed else _patience(record, outcome, timing)
    waits = failed or asked_in_vain or outcome in {AgentOutcome.BUSY, AgentOutcome.TOO_LATE, AgentOutcome.NEVER_BEGAN}
    return msgspec.structs.replace(
        record,
        outcome=outcome,
        finished_at=record.finished_at or now,
        failures=failures,
        retry_at=now + timedelta(seconds=pause) if waits else None,
    )


def _patience(record: AgentRecord, outcome: AgentOutcome, timing: Timing) -> float:
    """Seconds before the next attempt after an end that is no failure.

    A lock that never goes, a clock of the VM that is hours ahead, or a full disk would start a script every minute for
    ever: each of these doubles the pause.
    """
    doubled = 2.0 ** min(record.attempt - 1, 8)
    if outcome in _WITHOUT_RESULT:
        return min(timing.retry_pause * doubled, max(_LONGEST_PAUSE, timing.retry_pause))
    return timing.look_pause * doubled if outcome in {AgentOutcome.BUSY, AgentOutcome.TOO_LATE} else timing.look_pause


def installer_may_run_until(record: AgentRecord, timing: Timing) -> datetime | None:
    """Until when an installer of this attempt, or of an earlier one, may run although nobody follows it; None: none."""
    if under_way(record) and record.mode == INSTALL:
        return bounds(record, timing).over_at
    return record.settles_at


def command_name(vm_id: str, attempt: int, part: str) -> str:
    """Name of an attempt's run-command. `part`: 8 hex digits that never come again, so neither does the name."""
    return f"{command_prefix(vm_id)}{attempt}-{part}"


_SUFFIX = re.compile(r"([0-9]{1,6})(-[0-9a-f]{8})?")
"""Of a name behind its prefix. Earlier versions gave no part."""


def attempt_number(vm_id: str, name: str) -> int | None:
    """The attempt's number in the name of a run-command of this VM; None: it is not one of ours."""
    prefix = command_prefix(vm_id)
    match = _SUFFIX.fullmatch(name.lower().removeprefix(prefix)) if name.lower().startswith(prefix) else None
    return int(match[1]) if match else None


def command_prefix(vm_id: str) -> str:
    """What the names of all run-commands of a VM begin with."""
    return f"microseg-{hashlib.sha256(vm_id.encode()).hexdigest()[:12]}-"


def nonce(vm_id: str, name: str) -> str:
    """Ties a result line to its run-command. It follows from the name, so a lost record does not lose the result."""
    suffix = name.lower().removeprefix(command_prefix(vm_id))
    return hashlib.sha256(f"{vm_id}/{suffix}".encode()).hexdigest()[:24]
