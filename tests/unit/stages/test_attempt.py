"""The life of one script attempt: what its record becomes, and what it never becomes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.stages import makers as m

from microseg.model.facts import ABSENT, UNREADABLE, HostFacts, Seen
from microseg.model.host import AgentOutcome, AgentRecord
from microseg.stages import attempt
from microseg.stages.situation import Timing

TIMING = Timing()
SEALED = m.ahead(minutes=34)
OVER = SEALED + timedelta(seconds=TIMING.script_timeout + TIMING.grace)


def absorb(record: AgentRecord, now: datetime = m.NOW, **facts: Any) -> AgentRecord:
    return attempt.absorb(record, HostFacts(**facts), TIMING, now)


def ended(outcome: str, code: int = 0, workload: str = "-", **changes: Any) -> AgentRecord:
    record = m.attempt(**changes)
    output = m.result_line(record, outcome, code, workload)
    return absorb(record, run_command=Seen(m.run_command(record, "Succeeded", output)))


@pytest.mark.parametrize("record", [AgentRecord(), m.ended(AgentOutcome.PAIRED)])
def test_nothing_is_absorbed_where_nothing_is_under_way(record: AgentRecord) -> None:
    seen = m.run_command(m.attempt(), "Failed", m.result_line(m.attempt(), "script-failed", 3))
    assert absorb(record, run_command=Seen(seen), concluded=AgentOutcome.REFUSED) is record


@pytest.mark.parametrize("facts", [{}, {"run_command": UNREADABLE}, {"run_command": ABSENT}])
def test_an_attempt_that_shows_nothing_new_stays_the_same(facts: dict[str, Any]) -> None:
    record = m.attempt()
    assert absorb(record, **facts) is record


def test_a_run_command_of_another_attempt_says_nothing() -> None:
    record = m.attempt(2)
    other = m.run_command(m.attempt(1), "Succeeded", m.result_line(record, "paired", 0, m.UUID))
    assert absorb(record, run_command=Seen(other)) is record


@pytest.mark.parametrize(("shown", "expected"), [(m.ago(seconds=20), m.ago(seconds=20)), (None, m.NOW)])
def test_a_run_command_that_is_found_ends_the_doubt_about_the_start(shown: datetime | None, expected: datetime) -> None:
    record = m.attempt(started_at=None)
    after = absorb(record, run_command=Seen(m.run_command(record, started_at=shown)))
    assert after.started_at == expected
    assert attempt.under_way(after)


@pytest.mark.parametrize("state", ["Running", "Pending", "Unknown", ""])
def test_output_counts_only_once_the_execution_is_terminal(state: str) -> None:
    record = m.attempt()
    seen = m.run_command(record, state, m.result_line(record, "paired", 0, m.UUID), ended_at=m.NOW)
    assert absorb(record, run_command=Seen(seen)) is record


def test_a_terminal_execution_without_an_end_time_is_not_over() -> None:
    record = m.attempt()
    seen = m.run_command(record, "Succeeded", m.result_line(record, "paired", 0, m.UUID), ended_at=None)
    assert absorb(record, run_command=Seen(seen)) is record


@pytest.mark.parametrize("output", ["", "no marker", m.result_line(m.attempt(9), "paired", 0, m.UUID)])
def test_a_terminal_execution_without_our_marker_is_not_over(output: str) -> None:
    record = m.attempt()
    assert attempt.under_way(absorb(record, run_command=Seen(m.run_command(record, "Failed", output))))


@pytest.mark.parametrize("outcome", ["paired", "already-paired"])
def test_a_paired_result_is_a_claim_and_forgets_earlier_failures(outcome: str) -> None:
    after = ended(outcome, workload=m.UUID, failures=2)
    assert (after.outcome, after.workload, after.failures) == (AgentOutcome(outcome), m.UUID, 0)
    assert (after.finished_at, after.exit_code, after.retry_at) == (m.ago(seconds=10), 0, None)


def test_a_probe_that_found_nothing_is_no_failure_and_keeps_the_count() -> None:
    after = ended("not-paired", mode="probe", failures=1)
    assert (after.outcome, after.failures, after.retry_at) == (AgentOutcome.NOT_PAIRED, 1, None)


@pytest.mark.parametrize("outcome", ["busy", "too-late"])
def test_a_run_that_did_not_begin_is_no_failure_but_pauses(outcome: str) -> None:
    after = ended(outcome, failures=1)
    assert (after.failures, after.retry_at) == (1, m.ahead(seconds=TIMING.look_pause))


@pytest.mark.parametrize(("before", "pause"), [(0, 60.0), (1, 300.0), (2, 1500.0)])
@pytest.mark.parametrize(
    "outcome", ["wrong-vm", "paired-elsewhere", "key-refused", "pce-unreachable", "unsupported-os", "script-failed"]
)
def test_each_known_failure_counts_and_pauses_ever_longer(outcome: str, before: int, pause: float) -> None:
    after = ended(outcome, 42, failures=before)
    assert (after.failures, after.exit_code, after.retry_at) == (before + 1, 42, m.ahead(seconds=pause))


@pytest.mark.parametrize(("outcome", "failures"), [(AgentOutcome.REFUSED, 1), (AgentOutcome.NEVER_BEGAN, 0)])
def test_what_the_start_itself_answered_ends_the_attempt(outcome: AgentOutcome, failures: int) -> None:
    after = absorb(m.attempt(started_at=None), concluded=outcome)
    assert (after.outcome, after.failures, after.finished_at) == (outcome, failures, m.NOW)


@pytest.mark.parametrize(
    ("now", "looked_at", "over"),
    [
        (SEALED - timedelta(seconds=1), SEALED - timedelta(seconds=2), False),
        (SEALED + timedelta(seconds=1), None, False),
        (SEALED + timedelta(seconds=1), SEALED - timedelta(seconds=1), False),
        (SEALED + timedelta(seconds=1), SEALED, True),
    ],
)
def test_an_absent_run_command_never_began_only_if_looked_for_after_the_seal(
    now: datetime, looked_at: datetime | None, *, over: bool
) -> None:
    after = absorb(m.attempt(started_at=None), now, run_command=ABSENT, looked_at=looked_at)
    assert (after.outcome == AgentOutcome.NEVER_BEGAN) is over


def test_a_started_attempt_whose_run_command_vanished_is_not_called_never_begun() -> None:
    after = absorb(m.attempt(), SEALED + timedelta(hours=1), run_command=ABSENT, looked_at=SEALED + timedelta(hours=1))
    assert after.outcome == AgentOutcome.TIMED_OUT


@pytest.mark.parametrize("started_at", [None, m.NOW])
def test_whatever_anybody_says_an_attempt_is_over_after_its_bound(started_at: datetime | None) -> None:
    record = m.attempt(started_at=started_at)
    assert attempt.under_way(absorb(record, OVER - timedelta(seconds=1)))
    after = absorb(record, OVER)
    assert (after.outcome, after.failures, after.finished_at) == (AgentOutcome.TIMED_OUT, 1, OVER)


def test_an_intent_without_a_seal_is_bounded_by_when_it_was_intended() -> None:
    record = m.attempt(seals_at=None, started_at=None, intended_at=m.NOW)
    assert attempt.under_way(absorb(record))
    assert attempt.bounds(record, TIMING).seals_at == m.ahead(seconds=TIMING.key_life + TIMING.sealing)


def test_an_intent_without_any_time_is_over() -> None:
    record = m.attempt(seals_at=None, started_at=None, intended_at=None)
    assert absorb(record).outcome == AgentOutcome.TIMED_OUT


def test_names_and_nonces_are_the_same_for_whoever_asks_and_differ_by_vm_and_attempt() -> None:
    names = {attempt.command_name(vm, number) for vm in (m.VM_ID, m.OTHER_VM_ID) for number in (1, 2)}
    assert len(names) == 4
    assert attempt.command_name(m.VM_ID, 2) == attempt.command_prefix(m.VM_ID) + "2"
    assert attempt.nonce(m.VM_ID, 1) == attempt.nonce(m.VM_ID, 1) != attempt.nonce(m.VM_ID, 2)
