"""The life of one script attempt as a pure fold: what its record becomes when its run-command was looked at.

The record is written before the effect (architecture: intent, PUT at most once, over, sealed); this module only
concludes from what was seen. `agent.py` judges the result.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from microseg.model.facts import Absent, HostFacts, RunCommand, Seen
from microseg.model.host import AgentOutcome, AgentRecord
from microseg.scripts import parse_result
from microseg.stages.situation import Timing

_NOT_A_FAILURE = {
    AgentOutcome.PAIRED,
    AgentOutcome.ALREADY_PAIRED,
    AgentOutcome.NOT_PAIRED,
    AgentOutcome.BUSY,
    AgentOutcome.TOO_LATE,
    AgentOutcome.NEVER_BEGAN,
}
"""Ends that say nothing against trying again at once."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The fixed times of one attempt."""

    seals_at: datetime
    over_at: datetime


def bounds(record: AgentRecord, timing: Timing) -> Bounds:
    """When the attempt can no longer begin, and when it is over whatever anybody says.

    A record that lost its seal is sealed a key's life after its intent.
    """
    intended = record.intended_at or datetime.min.replace(tzinfo=UTC)
    seals_at = record.seals_at or intended + timedelta(seconds=timing.key_life + timing.sealing)
    return Bounds(seals_at, seals_at + timedelta(seconds=timing.script_timeout + timing.grace))


def under_way(record: AgentRecord) -> bool:
    """Whether an attempt was intended and is not over."""
    return record.attempt > 0 and record.outcome is None


def absorb(record: AgentRecord, facts: HostFacts, timing: Timing, now: datetime) -> AgentRecord:
    """The record after what was seen of its run-command. The same record where nothing new was learnt."""
    if not under_way(record):
        return record
    limits = bounds(record, timing)
    if facts.concluded is not None:
        return _ended(record, facts.concluded, timing, now)
    match facts.run_command:
        case Seen(seen) if seen.name == record.run_command:
            record = _followed(record, seen, now)
        case Absent() if record.started_at is None and now >= limits.seals_at and facts.looked_at is not None:
            if facts.looked_at >= limits.seals_at:
                return _ended(record, AgentOutcome.NEVER_BEGAN, timing, now)
        case _:
            pass
    if record.outcome is not None:
        return _ended(record, record.outcome, timing, now)
    if now >= limits.over_at:
        return _ended(record, AgentOutcome.TIMED_OUT, timing, now)
    return record


def _followed(record: AgentRecord, seen: RunCommand, now: datetime) -> AgentRecord:
    """Take over what the run-command shows; its output counts only when the execution is terminal."""
    if record.started_at is None:
        record = msgspec.structs.replace(record, started_at=seen.started_at or now)
    if not seen.terminal:
        return record
    result = parse_result(seen.output, record.nonce)
    if result is None:
        return record
    return msgspec.structs.replace(
        record,
        finished_at=seen.ended_at,
        exit_code=result.code,
        outcome=AgentOutcome(result.outcome.value),
        workload=str(result.workload) if result.workload else "",
    )


def _ended(record: AgentRecord, outcome: AgentOutcome, timing: Timing, now: datetime) -> AgentRecord:
    """Close the attempt: count a failure, and say when the next may begin."""
    failed = outcome not in _NOT_A_FAILURE
    failures = record.failures + 1 if failed else (0 if record.workload else record.failures)
    pause = timing.retry_pause * 5 ** max(failures - 1, 0) if failed else _patience(record, outcome, timing)
    waits = failed or outcome in {AgentOutcome.BUSY, AgentOutcome.TOO_LATE, AgentOutcome.NEVER_BEGAN}
    return msgspec.structs.replace(
        record,
        outcome=outcome,
        finished_at=record.finished_at or now,
        failures=failures,
        retry_at=now + timedelta(seconds=pause) if waits else None,
    )


def _patience(record: AgentRecord, outcome: AgentOutcome, timing: Timing) -> float:
    """Seconds before the next try after an end that is nobody's failure.

    A lock that never goes, or a clock of the VM that is hours ahead, would bring a script a minute for ever: each of
    these doubles the pause.
    """
    again = outcome in {AgentOutcome.BUSY, AgentOutcome.TOO_LATE}
    return timing.look_pause * 2 ** min(record.attempt - 1, 8) if again else timing.look_pause


def command_name(vm_id: str, attempt: int) -> str:
    """Name of an attempt's run-command: the same for the same VM and number, whoever asks."""
    return f"{command_prefix(vm_id)}{attempt}"


def command_prefix(vm_id: str) -> str:
    """What the names of all run-commands of a VM begin with."""
    return f"microseg-{hashlib.sha256(vm_id.encode()).hexdigest()[:12]}-"


def nonce(vm_id: str, attempt: int) -> str:
    """Ties a result line to its attempt. It can be made again, so that a lost record does not lose the result."""
    return hashlib.sha256(f"{vm_id}/{attempt}".encode()).hexdigest()[:24]
