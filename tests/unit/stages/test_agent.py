"""Stage 2: pairing is the PCE's word; one attempt at a time; nobody's workload but this VM's is ever touched."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
import pytest

from lab.memory import samples as m
from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.azure_facts import RunCommand, Unsupported
from microseg.model.azure_record import Address, Nic
from microseg.model.condition import Reason
from microseg.model.facts import ABSENT, UNREADABLE, Postponed, Seen
from microseg.model.host import HostStatus
from microseg.model.names import Annotation
from microseg.model.plan import RaiseEnforcement, ReadRunCommand, StampWorkload, StartScript
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.stages import agent
from microseg.stages.attempt import bounds

RETRY = {Annotation.RETRY.value: "agent"}
CAUSE = agent.cause_digest(m.vm(), m.PROFILE, {})


def judge(record: AgentRecord | None = None, *, annotations: dict[str, str] | None = None, **changes: Any) -> Verdict:
    host = m.host(HostStatus(agent=record), annotations=annotations or {})
    estate = changes.pop("estate", m.estate())
    return agent.judge(m.context(host=host, estate=estate, facts=m.facts(**changes)))


# paired -----------------------------------------------------------------------------------------------------------


def test_an_unread_pce_is_doubt() -> None:
    verdict = judge(illumio=UNREADABLE)
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt) == (Reason.ILLUMIO_UNREADABLE, True)


@pytest.mark.parametrize("azure", [Seen(m.vm()), Seen(m.vm(selected=False)), ABSENT, UNREADABLE])
@pytest.mark.parametrize("record", [None, m.attempt(), m.ended(AgentOutcome.TIMED_OUT, failures=3, run_command="")])
def test_a_stamped_workload_is_paired_whatever_else_is_said(azure: Any, record: AgentRecord | None) -> None:
    verdict = judge(record, azure=azure, illumio=m.illumio(stamped=m.stamped()))
    assert verdict == Done(Reason.PAIRED, f"The PCE shows workload {m.UUID}, stamped with this vmId.")


@pytest.mark.parametrize(
    ("mode", "floor", "outcome", "raised"),
    [
        ("idle", "visibility_only", AgentOutcome.PAIRED, True),
        ("visibility_only", "full", AgentOutcome.PAIRED, True),
        ("visibility_only", "visibility_only", AgentOutcome.PAIRED, False),
        ("full", "visibility_only", AgentOutcome.PAIRED, False),
        ("a-new-word", "full", AgentOutcome.PAIRED, False),
        ("idle", "full", AgentOutcome.ALREADY_PAIRED, False),
        ("idle", "full", None, False),
    ],
)
def test_enforcement_is_only_raised_and_only_for_a_workload_that_we_paired(
    mode: str, floor: str, outcome: AgentOutcome | None, *, raised: bool
) -> None:
    record = m.ended(outcome, run_command="") if outcome else None
    verdict = judge(
        record, illumio=m.illumio(stamped=m.stamped(enforcement_mode=mode)), estate=m.estate(enforcement_floor=floor)
    )
    assert isinstance(verdict, Done)
    assert verdict.actions == ((RaiseEnforcement(m.VM_ID, m.HREF, floor),) if raised else ())


@pytest.mark.parametrize("azure", [ABSENT, UNREADABLE])
def test_nothing_is_begun_for_a_vm_that_is_not_in_the_list(azure: Any) -> None:
    verdict = judge(m.attempt(started_at=None), azure=azure)
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt, verdict.moving, verdict.actions) == (
        Reason.AZURE_UNREADABLE,
        True,
        False,
        (),
    )


# following an attempt ---------------------------------------------------------------------------------------------


def follow(record: AgentRecord, now: datetime = m.NOW, **changes: Any) -> Wait:
    host = m.host(HostStatus(agent=record), annotations=RETRY)
    verdict = agent.judge(m.context(host=host, facts=m.facts(**changes), now=now))
    assert isinstance(verdict, Wait)
    return verdict


@pytest.mark.parametrize("started_at", [None, m.ago(seconds=5)])
def test_a_look_that_failed_is_told_with_its_cause(started_at: datetime | None) -> None:
    verdict = follow(m.attempt(started_at=started_at), look_failed="Azure refused (AuthorizationFailed)")
    assert "The latest read of it failed: Azure refused (AuthorizationFailed)." in verdict.message


def test_a_start_in_doubt_is_looked_for_at_once_and_never_started_again() -> None:
    verdict = follow(m.attempt(started_at=None))
    assert (verdict.reason, verdict.doubt) == (Reason.OUTCOME_UNKNOWN, True)
    assert verdict.actions == (ReadRunCommand(m.VM_ID, m.attempt().run_command),)


@pytest.mark.parametrize(
    ("looks", "looked_at", "due"),
    [
        (1, m.ago(seconds=5), m.ahead(seconds=10)),
        (2, m.ago(seconds=15), m.NOW),
        (3, m.ago(seconds=15), m.ahead(minutes=34)),
        (9, m.ahead(minutes=40), m.ahead(minutes=40, seconds=15)),
    ],
)
def test_a_start_in_doubt_is_looked_for_three_times_and_then_after_the_seal(
    looks: int, looked_at: datetime, due: datetime
) -> None:
    record = m.attempt(started_at=None)
    early = follow(record, min(m.NOW, due), looks=looks, looked_at=looked_at)
    assert bool(early.actions) is (due <= m.NOW)
    if not early.actions:
        assert early.until == due
        assert follow(record, due, looks=looks, looked_at=looked_at).actions


@pytest.mark.parametrize(("mode", "reason"), [("install", Reason.INSTALLING_AGENT), ("probe", Reason.PROBING)])
def test_a_running_attempt_is_told_by_its_mode(mode: str, reason: Reason) -> None:
    verdict = follow(m.attempt(mode=mode))
    assert (verdict.reason, verdict.doubt, verdict.moving) == (reason, False, True)


def looked(state: str, at: datetime) -> dict[str, Any]:
    return {"looks": 1, "looked_at": at, "run_command": Seen(m.run_command(m.attempt(), state))}


def test_a_running_installer_is_looked_at_early_then_when_it_should_be_over_and_then_as_often() -> None:
    record = m.attempt(started_at=m.NOW)
    assert follow(record).until == m.ahead(seconds=45)
    assert follow(record, m.ahead(seconds=44)).actions == ()
    assert follow(record, m.ahead(seconds=45)).actions
    assert follow(record, **looked("Running", m.ahead(seconds=45))).until == m.ahead(seconds=300)
    assert follow(record, **looked("Running", m.ahead(seconds=300))).until == m.ahead(seconds=600)
    assert follow(record, **looked("Running", m.ahead(seconds=600))).until == m.ahead(seconds=900)


@pytest.mark.parametrize("state", ["", "Pending", "Unknown"])
def test_a_script_that_did_not_begin_yet_is_looked_at_every_three_quarters_of_a_minute(state: str) -> None:
    record = m.attempt(started_at=m.NOW)
    for seconds in (45, 90, 900):
        due = m.ahead(seconds=seconds + 45)
        assert follow(record, **looked(state, m.ahead(seconds=seconds))).until == due


def test_looks_never_come_closer_than_their_pause() -> None:
    view = m.illumio(candidates=(m.workload(created_at=m.NOW),))
    verdict = follow(m.attempt(started_at=m.ago(seconds=400)), looked_at=m.ago(seconds=1), illumio=view)
    assert (verdict.actions, verdict.until) == ((), m.ahead(seconds=14))


def test_a_probe_is_looked_at_soon() -> None:
    assert follow(m.attempt(mode="probe", started_at=m.NOW)).until == m.ahead(seconds=15)


@pytest.mark.parametrize(
    ("created_at", "until"),
    [(m.ago(minutes=1), m.ahead(seconds=15)), (m.ago(minutes=10), m.ahead(seconds=45)), (None, m.ahead(seconds=45))],
)
def test_a_newcomer_in_the_pce_makes_the_look_come_sooner(created_at: datetime | None, until: datetime) -> None:
    view = m.illumio(candidates=(m.workload(created_at=created_at),))
    assert follow(m.attempt(started_at=m.NOW), illumio=view).until == until


def test_a_running_attempt_without_a_written_intent_time_is_judged_by_its_start() -> None:
    view = m.illumio(candidates=(m.workload(created_at=m.NOW),))
    assert follow(m.attempt(started_at=m.NOW, intended_at=None), illumio=view).until == m.ahead(seconds=15)


def test_no_wait_reaches_beyond_the_attempts_bound() -> None:
    record = m.attempt(started_at=m.ago(hours=1), seals_at=m.ago(minutes=30))
    verdict = follow(record, **looked("Running", m.NOW))
    assert verdict.until == m.ahead(minutes=5)
    late = follow(record, m.ahead(minutes=8), **looked("Running", m.ahead(minutes=6)))
    assert late.until == m.ahead(minutes=10)


@pytest.mark.parametrize("mode", ["install", "probe"])
@pytest.mark.parametrize("looked_at", [m.ago(minutes=1), m.ago(minutes=50)])
def test_a_run_command_whose_end_was_seen_is_not_read_again_and_its_attempt_is_not_over(
    mode: str, looked_at: datetime
) -> None:
    record = m.attempt(mode=mode, started_at=m.ago(hours=1))
    ended = Seen(RunCommand(record.run_command, "TimedOut", output="half a line", ended_at=looked_at))
    view = m.illumio(candidates=(m.workload(created_at=m.NOW),))
    verdict = follow(record, looks=3, looked_at=looked_at, run_command=ended, illumio=view)
    assert (verdict.actions, verdict.until) == ((), bounds(record, m.estate().timing).over_at)


def test_looks_for_a_newcomer_that_stays_become_rare() -> None:
    record = m.attempt(started_at=m.ago(hours=1))
    view = m.illumio(candidates=(m.workload(created_at=m.NOW),))
    pauses = [follow(record, looks=looks, looked_at=m.NOW, illumio=view).until for looks in (0, 4, 5, 6, 40)]
    assert pauses == [m.ahead(seconds=each) for each in (15, 15, 30, 60, 960)]


# proving a claim --------------------------------------------------------------------------------------------------


def claim(outcome: AgentOutcome = AgentOutcome.PAIRED, **changes: Any) -> AgentRecord:
    return m.ended(outcome, workload=m.UUID, **changes)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"created_at": m.ago(minutes=2)},  # the PCE's clock lags a little
        {"addresses": frozenset({"192.0.2.1", m.IP})},
        {"hostname": "HOST24"},
    ],
)
def test_a_claim_that_the_pce_bears_out_is_stamped(change: dict[str, Any]) -> None:
    verdict = judge(claim(), illumio=m.illumio(claimed=m.workload(**change)))
    assert isinstance(verdict, Act)
    assert (verdict.reason, verdict.actions) == (Reason.STAMPING, (StampWorkload(m.VM_ID, m.HREF),))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"external_set": "somebody"}, "reference"),
        ({"external_reference": m.OTHER_VM_ID}, "reference"),
        ({"external_set": m.MARK, "external_reference": m.OTHER_VM_ID}, "reference"),
        ({"addresses": frozenset()}, "address"),
        ({"addresses": frozenset({"10.1.0.5"})}, "address"),
        ({"created_at": m.ago(minutes=4)}, "older"),
        ({"created_at": None}, "older"),
        ({"hostname": "anything"}, "another hostname"),
        ({"hostname": ""}, "no hostname"),
    ],
)
def test_any_miss_of_the_proof_is_an_identity_mismatch_and_hands_stay_off(change: dict[str, Any], word: str) -> None:
    verdict = judge(claim(), illumio=m.illumio(claimed=m.workload(**change)))
    assert isinstance(verdict, Blocked)
    assert verdict.reason == Reason.IDENTITY_MISMATCH
    assert word in verdict.message


@pytest.mark.parametrize("addresses", [(), (m.IP,)])
def test_a_nic_that_cannot_be_read_proves_nothing_and_refutes_nothing(addresses: tuple[str, ...]) -> None:
    known = tuple(Address(ip=ip) for ip in addresses)
    azure = Seen(m.vm(nics=(Nic(id="/nic/hidden", primary=True, addresses=known, unreadable=True),)))
    verdict = judge(claim(), illumio=m.illumio(claimed=m.workload()), azure=azure)
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt, verdict.actions) == (Reason.NIC_UNREADABLE, True, ())
    assert "hidden" in verdict.message


def test_a_claim_whose_workload_is_not_shown_waits_an_hour_and_is_then_asked_of_the_vm_once_without_a_key() -> None:
    host = m.host(HostStatus(agent=claim(finished_at=m.NOW)))
    assert isinstance(agent.judge(m.context(host=host, now=m.ahead(minutes=59))), Wait)
    asked = agent.judge(m.context(host=host, now=m.ahead(hours=1)))
    assert isinstance(asked, Act)
    assert asked.actions == start("probe")
    gone = m.ended(AgentOutcome.NOT_PAIRED, mode="probe")
    anew = agent.judge(m.context(host=m.host(HostStatus(agent=gone)), now=m.ahead(hours=2)))
    assert isinstance(anew, Act)
    assert anew.actions == start("install")


def test_what_the_vm_itself_claims_and_the_pce_does_not_show_for_an_hour_needs_a_person() -> None:
    host = m.host(HostStatus(agent=claim(AgentOutcome.ALREADY_PAIRED, mode="probe", finished_at=m.NOW)))
    waiting = agent.judge(m.context(host=host))
    assert isinstance(waiting, Wait)
    assert waiting.reason == Reason.AWAITING_WORKLOAD
    assert waiting.until is not None, "somebody has to look when the hour is over"
    assert isinstance(agent.judge(m.context(host=host, now=m.ahead(minutes=59))), Wait)
    later = agent.judge(m.context(host=host, now=waiting.until))
    assert isinstance(later, Blocked)
    assert later.reason == Reason.AWAITING_WORKLOAD


def test_a_refusal_of_the_stamp_is_told() -> None:
    verdict = judge(claim(), illumio=m.illumio(claimed=m.workload()), illumio_complaint="no right to write.")
    assert isinstance(verdict, Act)
    assert verdict.message.endswith("The PCE refused it last time: no right to write.")


# the next attempt -------------------------------------------------------------------------------------------------


def start(mode: str) -> tuple[StartScript, ...]:
    return (StartScript(m.VM_ID, mode),)


def test_a_running_vm_without_a_workload_gets_the_installer() -> None:
    verdict = judge()
    assert isinstance(verdict, Act)
    assert (verdict.reason, verdict.actions) == (Reason.INSTALLING_AGENT, start("install"))


def test_a_vm_that_may_be_paired_already_is_asked_without_a_key_first() -> None:
    verdict = judge(illumio=m.illumio(candidates=(m.workload(),)))
    assert isinstance(verdict, Act)
    assert (verdict.reason, verdict.actions) == (Reason.PROBING, start("probe"))


@pytest.mark.parametrize(
    ("not_taken", "key_until", "mode"),
    [
        (True, m.ahead(seconds=1), "install"),
        (True, m.NOW, "probe"),
        (True, None, "probe"),
        (False, None, "install"),
    ],
)
def test_after_a_start_that_azure_did_not_take_no_new_key_is_made_before_it_takes_a_keyless_one(
    mode: str, key_until: datetime | None, *, not_taken: bool
) -> None:
    verdict = judge(m.ended(AgentOutcome.NEVER_BEGAN), not_taken=not_taken, key_until=key_until)
    assert isinstance(verdict, Act)
    assert verdict.actions == start(mode)


def test_a_vm_that_answered_no_to_the_probe_gets_the_installer() -> None:
    record = m.ended(AgentOutcome.NOT_PAIRED, mode="probe")
    verdict = judge(record, illumio=m.illumio(candidates=(m.workload(),)))
    assert isinstance(verdict, Act)
    assert verdict.actions == start("install")


@pytest.mark.parametrize(
    ("vm", "reason"),
    [
        (m.vm(unsupported=Unsupported.NO_AGENT), Reason.AGENT_NOT_ALLOWED),
        (m.vm(unsupported=Unsupported.EXTENSIONS_DISALLOWED), Reason.AGENT_NOT_ALLOWED),
        (m.vm(os_type=""), Reason.UNSUPPORTED_OS),
        (m.vm(os_type="BeOS"), Reason.UNSUPPORTED_OS),
        (m.vm(os_type="Windows"), Reason.PAIRING_PROFILE_UNSAFE),
    ],
)
def test_what_only_a_person_can_change_blocks(vm: Any, reason: Reason) -> None:
    verdict = judge(azure=Seen(vm))
    assert isinstance(verdict, Blocked)
    assert verdict.reason == reason


def test_an_estate_without_a_profile_for_the_system_says_which() -> None:
    verdict = judge(estate=m.estate(profiles={}))
    assert isinstance(verdict, Blocked)
    assert "Linux" in verdict.message


@pytest.mark.parametrize("state", ["", "stopped", "deallocated", "starting"])
def test_a_vm_that_does_not_run_is_waited_for_without_any_hurry(state: str) -> None:
    verdict = judge(azure=Seen(m.vm(power_state=state)))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.moving, verdict.until) == (Reason.VM_NOT_RUNNING, False, None)


def test_what_the_lane_postponed_is_waited_for() -> None:
    until = m.ahead(seconds=30)
    verdict = judge(postponed=Postponed(Reason.AGENT_NOT_READY, "Not ready.", until))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.until) == (Reason.AGENT_NOT_READY, until)


def test_trying_again_says_the_same_until_a_start_succeeds() -> None:
    waits = judge(postponed=Postponed(Reason.AGENT_NOT_READY, "Not ready.", m.ahead(seconds=30)))
    tries = judge(postponed=Postponed(Reason.AGENT_NOT_READY, "Not ready.", m.NOW))
    assert isinstance(tries, Act)
    assert [type(action) for action in tries.actions] == [StartScript]
    assert (tries.reason, tries.message) == (waits.reason, waits.message)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (AgentOutcome.KEY_REFUSED, Reason.KEY_REFUSED),
        (AgentOutcome.PCE_UNREACHABLE, Reason.PCE_UNREACHABLE_FROM_VM),
        (AgentOutcome.SCRIPT_FAILED, Reason.SCRIPT_FAILED),
        (AgentOutcome.TIMED_OUT, Reason.INSTALLER_TIMED_OUT),
        (AgentOutcome.REFUSED, Reason.RUN_COMMAND_REFUSED),
        (AgentOutcome.WRONG_VM, Reason.WRONG_VM),
    ],
)
def test_a_known_failure_waits_tries_again_and_blocks_after_three(outcome: AgentOutcome, reason: Reason) -> None:
    record = m.ended(outcome, failures=1, retry_at=m.ahead(minutes=1), cause=CAUSE)
    waiting = judge(record)
    assert isinstance(waiting, Wait)
    assert (waiting.reason, waiting.until) == (reason, m.ahead(minutes=1))
    again = judge(msgspec.structs.replace(record, retry_at=m.NOW))
    assert isinstance(again, Act)
    assert again.actions == start("probe" if outcome is AgentOutcome.REFUSED else "install")
    blocked = judge(msgspec.structs.replace(record, failures=3, retry_at=m.ago(days=1)))
    assert isinstance(blocked, Blocked)
    assert blocked.reason == reason
    assert "3 attempts failed" in blocked.message


def test_the_code_of_a_failed_script_is_told() -> None:
    verdict = judge(m.ended(AgentOutcome.SCRIPT_FAILED, exit_code=605, failures=3, cause=CAUSE))
    assert isinstance(verdict, Blocked)
    assert "(code 605)" in verdict.message


@pytest.mark.parametrize("outcome", [AgentOutcome.PAIRED_ELSEWHERE, AgentOutcome.UNSUPPORTED_OS])
def test_what_time_cannot_mend_blocks_at_the_first_failure(outcome: AgentOutcome) -> None:
    verdict = judge(m.ended(outcome, failures=1, retry_at=m.ago(days=1), cause=CAUSE))
    assert isinstance(verdict, Blocked)
    assert "attempts failed" not in verdict.message


@pytest.mark.parametrize("outcome", [AgentOutcome.BUSY, AgentOutcome.TOO_LATE, AgentOutcome.NEVER_BEGAN])
def test_an_attempt_that_did_not_begin_is_tried_again_after_its_pause(outcome: AgentOutcome) -> None:
    record = m.ended(outcome, retry_at=m.ahead(seconds=15), cause=CAUSE)
    assert isinstance(judge(record), Wait)
    assert isinstance(judge(msgspec.structs.replace(record, retry_at=m.NOW)), Act)


@pytest.mark.parametrize("outcome", [AgentOutcome.KEY_REFUSED, AgentOutcome.PAIRED_ELSEWHERE])
def test_a_persons_retry_lets_the_next_attempt_begin(outcome: AgentOutcome) -> None:
    record = m.ended(outcome, failures=3, cause=CAUSE)
    assert isinstance(judge(record), Blocked)
    assert isinstance(judge(record, annotations={Annotation.RETRY.value: "please"}), Blocked)
    verdict = judge(record, annotations=RETRY)
    assert isinstance(verdict, Act)
    assert verdict.actions == start("install")


def test_a_persons_retry_also_gives_up_a_claim() -> None:
    record = claim(AgentOutcome.ALREADY_PAIRED, mode="probe", finished_at=m.ago(hours=2))
    assert isinstance(judge(record), Blocked)
    assert isinstance(judge(record, annotations=RETRY), Act)


@pytest.mark.parametrize(
    "change", [{"os_type": "Windows"}, {"computer_name": "renamed"}, {"image": None, "computer_name": "x"}]
)
def test_a_blocked_host_is_tried_again_when_the_cause_changed(change: dict[str, Any]) -> None:
    record = m.ended(AgentOutcome.KEY_REFUSED, failures=3, cause=CAUSE)
    estate = m.estate(profiles={"Linux": m.PROFILE, "Windows": m.PROFILE})
    assert isinstance(judge(record, estate=estate), Blocked)
    assert isinstance(judge(record, azure=Seen(m.vm(**change)), estate=estate), Act)


def test_a_blocked_host_is_tried_again_when_the_pairing_profile_changed() -> None:
    record = m.ended(AgentOutcome.KEY_REFUSED, failures=3, cause=CAUSE)
    changed = replace(m.PROFILE, key_life=900)
    assert isinstance(judge(record, estate=m.estate(profiles={"Linux": changed})), Act)


TAGGED = {"CostCentre": "4711"}


def test_new_tags_let_a_start_that_azure_refused_be_tried_again_and_nothing_else() -> None:
    tagged = m.estate(azure_tags=TAGGED)
    for outcome, again in ((AgentOutcome.REFUSED, Act), (AgentOutcome.KEY_REFUSED, Blocked)):
        assert isinstance(judge(m.ended(outcome, failures=3, cause=CAUSE), estate=tagged), again)
    done = agent.cause_digest(m.vm(), m.PROFILE, TAGGED)
    assert isinstance(judge(m.ended(AgentOutcome.REFUSED, failures=3, cause=done), estate=tagged), Blocked)
    assert isinstance(judge(m.ended(AgentOutcome.REFUSED, failures=3, cause=done)), Act)
