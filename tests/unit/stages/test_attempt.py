"""The life of one script attempt: what its record becomes, and what it never becomes."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from lab.memory import samples as m
from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.facts import ABSENT, UNREADABLE, HostFacts, Seen
from microseg.stages import attempt
from microseg.stages.context import Timing

TIMING = Timing()
SEALED = m.ahead(minutes=34)
OVER = SEALED + timedelta(seconds=TIMING.script_timeout + TIMING.grace)


def absorb(record: AgentRecord, now: datetime = m.NOW, **facts: Any) -> AgentRecord:
    return attempt.absorb(record, HostFacts(**facts), TIMING, now)


def ended(outcome: str, code: int = 0, workload: str = "-", **changes: Any) -> AgentRecord:
    record = m.attempt(**changes)
    output = m.result_line(record, outcome, code, workload)
    return absorb(record, run_command=Seen(m.run_command(record, "Succeeded", output)))


def test_each_bound_of_the_one_table_lies_before_the_one_that_counts_on_it() -> None:
    stopping, reporting = 60.0, 60.0
    assert TIMING.pairing + stopping + reporting < TIMING.script_timeout
    assert TIMING.expected < TIMING.pairing
    assert TIMING.pairing + stopping < TIMING.script_timeout + TIMING.grace


@pytest.mark.parametrize("record", [AgentRecord(), m.ended(AgentOutcome.PAIRED)])
def test_nothing_is_absorbed_where_nothing_is_under_way(record: AgentRecord) -> None:
    seen = m.run_command(m.attempt(), "Failed", m.result_line(m.attempt(), "script-failed", 3))
    assert absorb(record, run_command=Seen(seen), concluded=AgentOutcome.REFUSED) is record


@pytest.mark.parametrize("facts", [{}, {"run_command": UNREADABLE}, {"run_command": Seen(m.run_command(m.attempt()))}])
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


LINUX = Seen(m.vm())
WINDOWS = Seen(m.vm(os_type="Windows"))


def without_line(state: str = "Failed", code: int | None = None, **changes: Any) -> AgentRecord:
    """An installer whose execution shows an end and no result line."""
    azure = changes.pop("azure", LINUX)
    seen = replace(m.run_command(m.attempt(), state, "half a line"), exit_code=code, **changes)
    return absorb(m.attempt(), run_command=Seen(seen), azure=azure)


@pytest.mark.parametrize(
    ("code", "said", "words"),
    [
        (-203, {"message": "failed to write: open /x/y: no space left on device"}, "no space left on device"),
        (
            -202,
            {"message": "No such file or directory; Unable to load certificate file"},
            "the certificate that protects",
        ),
        (-100, {"message": "File downloads failed. mkdir /x/y: no space left on device"}, "no space left on device"),
        (-299, {}, ""),
        (126, {"error": "bash: /x/y: Permission denied\n"}, "permission denied"),
        (127, {"error": "bash: /x/y: /bin/bash: bad interpreter: No such file or directory"}, "bad interpreter"),
        (0, {"message": "fork/exec /bin/bash: argument list too long"}, "argument list too long"),
    ],
)
def test_a_script_that_could_not_begin_is_over_at_once_and_its_cause_is_known(
    code: int, said: dict[str, str], words: str
) -> None:
    after = without_line(code=code, **said)
    assert (after.outcome, after.exit_code, after.finished_at) == (AgentOutcome.NOT_BEGUN, code, m.ago(seconds=10))
    assert after.complaint.startswith(words)
    assert (after.failures, after.retry_at) == (1, m.ahead(seconds=60))


@pytest.mark.parametrize(
    ("code", "azure", "state"),
    [
        (-1, LINUX, "Failed"),
        (0, LINUX, "Failed"),
        (0, LINUX, "Succeeded"),
        (17, LINUX, "Failed"),
        (-300, LINUX, "Failed"),
        (-99, LINUX, "Failed"),
        (-203, WINDOWS, "Failed"),
        (126, UNREADABLE, "Failed"),
        (None, LINUX, "Canceled"),
        (2**40, LINUX, "Failed"),
    ],
)
def test_an_end_without_a_line_that_proves_nothing_is_waited_for(code: int | None, azure: Any, state: str) -> None:
    after = without_line(state, code, azure=azure, ended_at=m.ago(seconds=10))
    assert attempt.under_way(after)
    assert (after.lost_at, after.shown) == (m.NOW, state)
    assert after.exit_code == (None if code == 2**40 else code)
    over = max(SEALED, m.ahead(seconds=TIMING.script_timeout + TIMING.grace))
    assert attempt.bounds(after, TIMING).over_at == over
    assert absorb(after, m.ahead(minutes=1), azure=azure) == after
    assert absorb(after, over).outcome == AgentOutcome.NO_RESULT


def test_what_a_person_on_the_vm_writes_into_azures_words_is_never_kept() -> None:
    after = without_line(code=-203, message="Ignore the above; no space left on device <script>", error="key=deadbeef")
    assert after.complaint == "no space left on device"
    assert without_line(code=-1, message="key=deadbeef").complaint == ""


def test_a_result_that_comes_after_all_ends_a_lost_attempt() -> None:
    lost = without_line(code=-1)
    late = m.run_command(lost, "Failed", m.result_line(lost, "paired", 0, m.UUID))
    assert absorb(lost, m.ahead(minutes=1), run_command=Seen(late)).outcome == AgentOutcome.PAIRED


def test_a_run_command_that_somebody_deleted_is_lost_and_its_script_may_run_on() -> None:
    lost = absorb(m.attempt(), run_command=ABSENT, looked_at=m.NOW)
    assert (lost.lost_at, lost.shown, lost.outcome) == (m.NOW, "deleted", None)


def test_an_execution_that_is_shown_as_running_long_after_its_time_out_is_lost() -> None:
    began = m.ago(seconds=TIMING.script_timeout + TIMING.grace / 2)
    shown = Seen(m.run_command(m.attempt(), started_at=began))
    assert absorb(m.attempt(), m.ago(seconds=1), run_command=shown).lost_at is None
    after = absorb(m.attempt(), run_command=shown)
    assert (after.lost_at, after.shown, after.exit_code) == (m.NOW, "Running", None)


@pytest.mark.parametrize(("seconds", "outcome"), [(1800, AgentOutcome.TIMED_OUT), (1700, AgentOutcome.NO_RESULT)])
def test_only_what_took_all_its_time_timed_out(seconds: int, outcome: AgentOutcome) -> None:
    lost = without_line(code=-1, started_at=m.ago(seconds=seconds), ended_at=m.NOW)
    assert absorb(lost, OVER).outcome == outcome
    assert absorb(without_line("TimedOut", ended_at=m.NOW), OVER).outcome == AgentOutcome.TIMED_OUT


def test_a_probe_without_a_result_is_over_at_once_and_tried_again_for_ever_after_growing_pauses() -> None:
    for number, pause in ((1, 60), (2, 120), (3, 240), (4, 480), (5, 900), (99, 900)):
        record = m.attempt(number, mode="probe", failures=2)
        seen = replace(m.run_command(record, "Failed"), exit_code=-203)
        for azure, outcome in ((LINUX, AgentOutcome.NOT_BEGUN), (WINDOWS, AgentOutcome.NO_RESULT)):
            after = absorb(record, run_command=Seen(seen), azure=azure)
            assert (after.outcome, after.failures, after.retry_at) == (outcome, 2, m.ahead(seconds=pause))


def test_a_probe_is_not_waited_for_as_long_as_an_installer() -> None:
    record = m.attempt(mode="probe", intended_at=m.NOW)
    assert attempt.bounds(record, TIMING).over_at == m.ahead(minutes=10)
    assert absorb(record, m.ahead(minutes=10)).outcome == AgentOutcome.NO_RESULT


def test_an_installer_that_nobody_follows_is_remembered_until_its_time_is_over() -> None:
    lost = without_line(code=-1)
    assert attempt.installer_may_run_until(lost, TIMING) == attempt.bounds(lost, TIMING).over_at
    probe = m.ended(AgentOutcome.NOT_PAIRED, mode="probe", settles_at=OVER)
    assert attempt.installer_may_run_until(probe, TIMING) == OVER
    assert attempt.installer_may_run_until(m.attempt(mode="probe"), TIMING) is None


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
    assert (after.outcome, after.shown) == (AgentOutcome.NO_RESULT, "deleted")


@pytest.mark.parametrize("started_at", [None, m.NOW])
def test_whatever_anybody_says_an_attempt_is_over_after_its_bound(started_at: datetime | None) -> None:
    record = m.attempt(started_at=started_at)
    assert attempt.under_way(absorb(record, OVER - timedelta(seconds=1)))
    after = absorb(record, OVER)
    assert (after.outcome, after.failures, after.finished_at) == (AgentOutcome.NO_RESULT, 1, OVER)


def test_an_intent_without_a_seal_is_bounded_by_when_it_was_intended() -> None:
    record = m.attempt(seals_at=None, started_at=None, intended_at=m.NOW)
    assert attempt.under_way(absorb(record))
    assert attempt.bounds(record, TIMING).seals_at == m.ahead(seconds=TIMING.key_life + TIMING.sealing)


def test_an_intent_without_any_time_is_over() -> None:
    record = m.attempt(seals_at=None, started_at=None, intended_at=None)
    assert absorb(record).outcome == AgentOutcome.NO_RESULT


def test_no_two_names_are_the_same_and_the_nonce_follows_from_the_name() -> None:
    vms, numbers, parts = (m.VM_ID, m.OTHER_VM_ID), (1, 2), ("00000001", "00000002")
    names = {attempt.command_name(*which) for which in itertools.product(vms, numbers, parts)}
    assert len(names) == len({attempt.nonce(m.VM_ID, name) for name in names}) == 8
    name = attempt.command_name(m.VM_ID, 2, "0a1b2c3d")
    assert name == f"{attempt.command_prefix(m.VM_ID)}2-0a1b2c3d"
    assert attempt.nonce(m.VM_ID, name.upper()) == attempt.nonce(m.VM_ID, name)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("1", 1),
        ("12-0a1b2c3d", 12),
        ("1-0A1B2C3D", 1),
        ("x", None),
        ("1-old", None),
        ("1-0a1b2c3d-2", None),
        ("", None),
    ],
)
def test_names_of_ours_are_known_also_those_of_earlier_versions(name: str, number: int | None) -> None:
    assert attempt.attempt_number(m.VM_ID, f"{attempt.command_prefix(m.VM_ID)}{name}") == number
    assert attempt.attempt_number(m.OTHER_VM_ID, f"{attempt.command_prefix(m.VM_ID)}{name}") is None


def test_the_nonce_of_a_name_of_an_earlier_version_is_what_it_was() -> None:
    earlier = hashlib.sha256(f"{m.VM_ID}/3".encode()).hexdigest()[:24]
    assert attempt.nonce(m.VM_ID, f"{attempt.command_prefix(m.VM_ID)}3") == earlier
