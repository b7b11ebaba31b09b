"""The effect protocol: intent before key before PUT, one PUT a name, and only looks in doubt (S1)."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from tests.unit.engine.conftest import Bench

from lab.memory import samples as m
from lab.memory.illumio import CODE
from microseg import scripts
from microseg.engine.ground.ports import LeaseLost
from microseg.gateways.ports import (
    Busy,
    GatewayError,
    OutcomeUnknown,
    Refused,
    Rejected,
    Throttled,
    Unreachable,
)
from microseg.kube.errors import Conflict, KubeError, NotFound, Unavailable
from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.azure_facts import VmDetail
from microseg.model.condition import Reason
from microseg.model.facts import ABSENT, UNREADABLE, Absent, Seen
from microseg.model.host import HostStatus, ManagedHost
from microseg.model.names import INTENT_TAG, OWNER_TAG, VM_ID_TAG, Annotation
from microseg.model.plan import ReadRunCommand, StartScript

START = StartScript(m.VM_ID, "install")
FIRST = m.command_name(1)
SECOND = m.command_name(2)
OUR_TAGS = {OWNER_TAG: m.OWNER, VM_ID_TAG: m.VM_ID, INTENT_TAG: str(int(m.NOW.timestamp()))}
PROTOCOL = ("hosts.patch_status", "illumio.make_key", "azure.start_run_command", "azure.vm")
SEAL = timedelta(seconds=m.PROFILE.key_life or 0) + timedelta(seconds=300)


class Killed(BaseException):
    """The process ends here."""


async def start(bench: Bench) -> None:
    await bench.attempts.start(bench.azure, bench.vm, START)


def keys(bench: Bench) -> int:
    """How many keys the PCE made."""
    return len(bench.journal.of("illumio.make_key"))


def no_effect(bench: Bench) -> bool:
    return not bench.azure.puts and not bench.journal.of("illumio.make_key")


# order ------------------------------------------------------------------------------------------------------------


async def test_the_intent_is_written_before_the_key_is_made_before_the_put(bench: Bench) -> None:
    await start(bench)
    assert bench.journal.names(*PROTOCOL) == [
        "azure.vm",
        "hosts.patch_status",
        "illumio.make_key",
        "azure.start_run_command",
    ]
    intent = bench.journal.of("hosts.patch_status")[0][1].agent
    assert intent == AgentRecord(
        attempt=1,
        mode="install",
        run_command=FIRST,
        nonce=m.attempt().nonce,
        intended_at=m.NOW,
        seals_at=m.NOW + SEAL,
        cause=intent.cause,
    )
    assert bench.azure.puts == [FIRST]


async def test_the_script_is_the_constant_one_and_the_code_is_protected(bench: Bench) -> None:
    await start(bench)
    (script,) = bench.azure.scripts
    assert (script.text, script.windows, script.location) == (scripts.LINUX, False, "westeurope")
    assert script.parameters == {
        "MICROSEG_MODE": "install",
        "MICROSEG_VM_ID": m.VM_ID,
        "MICROSEG_PCE": "illumio.example:8443",
        "MICROSEG_PCE_PATH_VERSION": "18",
        "MICROSEG_PROFILE_ID": "7",
        "MICROSEG_NOT_AFTER": str(int((m.NOW + SEAL).timestamp())),
        "MICROSEG_DEADLINE": "1500",
        "MICROSEG_NONCE": bench.agent.nonce,
    }
    assert {name: secret.reveal() for name, secret in script.protected.items()} == {"MICROSEG_ACTIVATION_CODE": CODE}
    assert CODE not in repr(script)
    assert script.tags == OUR_TAGS


async def test_windows_gets_the_script_for_windows(bench: Bench) -> None:
    bench.vm = m.vm(os_type="Windows")
    await start(bench)
    assert [(script.windows, script.text) for script in bench.azure.scripts] == [(True, scripts.WINDOWS)]


async def test_a_probe_makes_no_key(bench: Bench) -> None:
    await bench.attempts.start(bench.azure, bench.vm, StartScript(m.VM_ID, "probe"))
    (script,) = bench.azure.scripts
    assert (dict(script.protected), script.parameters["MICROSEG_PROFILE_ID"]) == ({}, "0")
    assert bench.journal.of("illumio.make_key") == []


async def test_a_second_start_waits_until_the_host_was_decided_again(bench: Bench) -> None:
    assert await bench.act()
    assert not list(bench.table.actions.of(StartScript)), "the decision is older than the intent"
    assert await bench.act() is False
    assert bench.azure.puts == [FIRST]


# what keeps an attempt from being intended ------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Conflict("c"), NotFound("n")])
async def test_an_intent_that_was_not_taken_is_followed_by_nothing(bench: Bench, error: KubeError) -> None:
    bench.hosts.fail("patch_status", error)
    await start(bench)
    assert no_effect(bench)


async def test_somebody_elses_write_makes_the_host_be_decided_again(bench: Bench) -> None:
    other = m.attempt(4)
    bench.hosts.meanwhile("patch_status", lambda: bench.hosts.put(m.with_status(bench.stored, HostStatus(agent=other))))
    await start(bench)
    assert no_effect(bench)
    assert bench.state.record.status.agent == other
    assert m.VM_ID in bench.table.dirty


async def test_an_intent_that_was_taken_unknown_to_us_is_not_intended_twice(bench: Bench) -> None:
    bench.hosts.lose("patch_status", Unavailable("answer lost"))
    with pytest.raises(Unavailable):
        await start(bench)
    assert no_effect(bench)
    await start(bench)  # as long as the mirror has brought nothing, the API server refuses
    assert no_effect(bench)
    assert bench.agent.attempt == 1
    await bench.live(m.NOW + SEAL + timedelta(minutes=1))
    assert bench.azure.puts == [SECOND], "the first was sealed unsent"
    assert bench.clock.now >= m.NOW + SEAL


@pytest.mark.parametrize("detail", [ABSENT, VmDetail(m.OTHER_VM_ID, "running", agent_ready=True)])
async def test_another_vm_under_the_same_id_is_never_touched(bench: Bench, detail: VmDetail | Absent) -> None:
    bench.azure.details[m.RESOURCE_ID] = detail
    await start(bench)
    assert no_effect(bench)
    assert bench.agent.attempt == 0
    assert bench.state.observed.postponed is not None


def long_ago(bench: Bench) -> None:
    """The write of the intent takes so long that the look before it is no longer good enough."""
    plain = bench.hosts.patch_status

    def slow(*args: Any) -> ManagedHost:
        bench.attempts._shown_at.clear()
        return plain(*args)

    bench.hosts.patch_status = slow  # type: ignore[method-assign, assignment]


async def test_a_vm_that_was_re_created_during_a_long_wait_after_the_look_gets_no_key_and_no_put(bench: Bench) -> None:
    other = VmDetail(m.OTHER_VM_ID, "running", agent_ready=True)
    bench.hosts.meanwhile("patch_status", lambda: bench.azure.details.update({m.RESOURCE_ID: other}))
    long_ago(bench)
    await start(bench)
    assert no_effect(bench)
    await bench.decide()
    assert (bench.agent.attempt, bench.agent.outcome) == (1, AgentOutcome.NEVER_BEGAN)


async def test_a_vm_that_stopped_is_waited_for_and_seen_as_stopped(bench: Bench) -> None:
    bench.azure.details[m.RESOURCE_ID] = VmDetail(m.VM_ID, "deallocated", agent_ready=False)
    await start(bench)
    assert no_effect(bench)
    await bench.decide()
    assert bench.stored.status.reason == Reason.VM_NOT_RUNNING


async def test_an_agent_that_is_not_ready_is_asked_again_soon(bench: Bench) -> None:
    bench.azure.details[m.RESOURCE_ID] = VmDetail(m.VM_ID, "running", agent_ready=False)
    await bench.act()
    await bench.decide()
    assert no_effect(bench)
    assert bench.stored.status.reason == Reason.AGENT_NOT_READY
    bench.azure.details[m.RESOURCE_ID] = VmDetail(m.VM_ID, "running", agent_ready=True)
    await bench.live(m.ahead(seconds=20))
    assert bench.azure.puts == [FIRST]


async def test_a_start_that_is_refused_for_hours_is_tried_later_and_later_and_at_once_again_after_one_that_began(
    bench: Bench,
) -> None:
    bench.azure.fail("start_run_command", *[Refused("AuthorizationFailed")] * 12)
    tries: list[float] = []
    while len(tries) < 12:
        tried = bench.journal.of("azure.start_run_command")
        if await bench.act():
            if len(bench.journal.of("azure.start_run_command")) > len(tried):
                tries.append((bench.clock.now - m.NOW).total_seconds())
            continue
        assert bench.state.decision
        assert bench.state.decision.look_again
        bench.clock.now = max(bench.clock.now, bench.state.decision.look_again)
    pauses = [later - sooner for sooner, later in pairwise(tries)]
    assert pauses == [30, 60, 120, 240, 480, 900, 900, 900, 900, 900, 900]
    await bench.live(bench.clock.now + timedelta(seconds=900))
    assert len(bench.azure.puts) == 1
    assert bench.attempts.put_off.refusals == {}
    assert keys(bench) == 1, "no key is made before Azure takes a start"


async def test_a_start_that_the_pce_kept_from_its_key_goes_on_when_the_pce_returns_however_long_it_was_away(
    bench: Bench,
) -> None:
    bench.illumio.fail("make_key", *[Unreachable("away")] * 6)
    await bench.live(m.ahead(minutes=16))
    postponed = bench.state.observed.postponed
    assert postponed is not None
    assert (bench.azure.puts, postponed.until - bench.clock.now > timedelta(minutes=5)) == ([], True)
    bench.attempts.put_off.pce_returned()
    await bench.decide()
    await bench.live(bench.clock.now + timedelta(seconds=1))
    assert len(bench.azure.puts) == 1


async def test_a_start_that_azure_refused_waits_its_time_also_when_the_pce_returns(bench: Bench) -> None:
    bench.azure.fail("start_run_command", Refused("AuthorizationFailed"))
    await bench.act()
    bench.attempts.put_off.pce_returned()
    await bench.live(m.ahead(seconds=29))
    assert bench.azure.puts == []


@pytest.mark.parametrize(
    ("error", "pause"),
    [(Unreachable("away"), 30), (Refused("no"), 30), (Busy("busy"), 30), (Throttled("slow", 120), 120)],
)
@pytest.mark.parametrize("operation", ["vm", "run_commands"])
async def test_a_read_that_fails_puts_the_start_off(
    bench: Bench, operation: str, error: GatewayError, pause: float
) -> None:
    bench.azure.fail(operation, error)
    await bench.act()
    assert no_effect(bench)
    assert (bench.agent.attempt, bench.state.observed.postponed and bench.state.observed.postponed.until) == (
        0,
        m.ahead(seconds=pause),
    )
    await bench.live(m.ahead(seconds=pause - 1))
    assert bench.azure.puts == []
    await bench.live(m.ahead(seconds=pause))
    assert bench.azure.puts == [FIRST]


async def test_a_host_without_a_record_is_left_alone(bench: Bench) -> None:
    bench.table.drop(m.NAME)
    await start(bench)
    await bench.attempts.look(bench.azure, bench.vm, ReadRunCommand(m.VM_ID, FIRST))
    assert bench.journal.names("azure.vm", "azure.run_command") == []


# between intent and PUT -------------------------------------------------------------------------------------------


async def test_a_profile_that_became_unsafe_after_the_intent_makes_no_key(bench: Bench) -> None:
    def unsafe() -> None:
        bench.profile = "It is disabled."

    bench.hosts.meanwhile("patch_status", unsafe)
    await start(bench)
    assert no_effect(bench)
    await bench.decide()
    assert bench.agent.outcome == AgentOutcome.NEVER_BEGAN


@pytest.mark.parametrize("error", [Unreachable("away"), OutcomeUnknown("lost"), Refused("no"), Rejected("bad")])
async def test_a_key_that_was_not_made_is_not_asked_for_twice_in_one_attempt(bench: Bench, error: GatewayError) -> None:
    bench.illumio.lose("make_key", error)
    await bench.live(m.ahead(seconds=1))
    assert (bench.azure.puts, len(bench.journal.of("illumio.make_key"))) == ([], 1)
    assert (bench.agent.outcome, bench.agent.failures) == (AgentOutcome.NEVER_BEGAN, 0)
    await bench.live(m.ahead(seconds=31))
    assert bench.azure.puts == [SECOND]


@pytest.mark.parametrize(("checks", "keys"), [(0, 0), (1, 0), (2, 1)])
async def test_without_the_lease_nothing_is_written_made_or_put(bench: Bench, checks: int, keys: int) -> None:
    bench.term.lose_after(checks)
    with pytest.raises(LeaseLost):
        await start(bench)
    assert bench.azure.puts == []
    assert len(bench.journal.of("illumio.make_key")) == keys
    assert bench.agent.attempt == (1 if checks else 0)


@pytest.mark.parametrize("step", ["azure.vm", "illumio.make_key", "azure.start_run_command"])
async def test_a_crash_between_intent_and_put_is_followed_by_no_put_before_the_seal(bench: Bench, step: str) -> None:
    system, operation = step.split(".")
    fake = {"azure": bench.azure, "illumio": bench.illumio}[system]
    bench.hosts.meanwhile("patch_status", lambda: fake.fail(operation, Killed()))
    long_ago(bench)
    with pytest.raises(Killed):
        await start(bench)
    assert (bench.azure.puts, bench.agent.attempt) == ([], 1)
    after = bench.restarted()
    await after.live(m.NOW + SEAL - timedelta(seconds=1))
    assert (after.azure.puts, after.agent.attempt, after.agent.outcome) == ([], 1, None)
    assert after.stored.status.conditions[1].reason == Reason.OUTCOME_UNKNOWN
    await after.live(m.NOW + SEAL + timedelta(minutes=1))
    assert after.azure.puts == [SECOND]
    assert len(after.journal.of("azure.start_run_command")) == (2 if step == "azure.start_run_command" else 1)


async def test_a_crash_right_after_the_put_is_followed_by_looking_and_by_no_second_put(bench: Bench) -> None:
    bench.azure.lose("start_run_command", Killed())
    with pytest.raises(Killed):
        await start(bench)
    after = bench.restarted()
    await after.live(m.ahead(minutes=1))
    assert (after.azure.puts, after.agent.attempt) == ([FIRST], 1)
    assert after.agent.started_at is not None
    assert after.stored.status.conditions[1].reason == Reason.INSTALLING_AGENT


# the PUT's answer -------------------------------------------------------------------------------------------------


async def test_a_lost_answer_of_a_put_that_began_is_found_by_looking(bench: Bench) -> None:
    bench.azure.lose("start_run_command", OutcomeUnknown("lost"))
    await bench.live(m.ahead(minutes=30))
    assert bench.azure.puts == [FIRST]
    assert bench.agent.started_at == m.NOW
    assert bench.journal.of("azure.run_command")


async def test_a_lost_answer_of_a_put_that_did_not_begin_is_sealed_before_the_next(bench: Bench) -> None:
    bench.azure.fail("start_run_command", OutcomeUnknown("lost"))
    await bench.live(m.NOW + SEAL - timedelta(seconds=1))
    assert (bench.azure.puts, bench.agent.attempt) == ([], 1)
    assert 3 <= len(bench.journal.of("azure.run_command")) <= 4, "a few looks, then patience"
    await bench.live(m.NOW + SEAL + timedelta(seconds=30))
    assert (bench.azure.puts, bench.agent.attempt) == ([SECOND], 2)
    assert bench.clock.now - (bench.agent.intended_at or m.NOW) <= timedelta(seconds=30)


async def test_in_doubt_an_unreadable_azure_lets_nothing_begin(bench: Bench) -> None:
    bench.azure.fail("start_run_command", OutcomeUnknown("lost"))
    bench.azure.fail("run_command", *[Unreachable("away")] * 400)
    await bench.live(m.NOW + SEAL + timedelta(minutes=20))
    assert (bench.azure.puts, bench.agent.outcome) == ([], None)
    assert bench.state.observed.looks == 0
    assert bench.state.observed.run_command == UNREADABLE


@pytest.mark.parametrize("error", [Busy("in progress"), Throttled("slow"), Unreachable("not sent"), Refused("no")])
async def test_a_put_that_certainly_did_not_begin_is_tried_again_under_the_next_name(
    bench: Bench, error: GatewayError
) -> None:
    bench.azure.fail("start_run_command", error)
    await bench.live(m.ahead(seconds=29))
    assert (bench.azure.puts, bench.agent.outcome, bench.agent.failures) == ([], AgentOutcome.NEVER_BEGAN, 0)
    await bench.live(m.ahead(seconds=31))
    assert bench.azure.puts == [SECOND]


async def test_a_script_that_ended_without_a_result_is_read_once_more_and_never_again(bench: Bench) -> None:
    await bench.live(m.ahead(seconds=1))
    bench.azure.show(FIRST, "TimedOut", "half a line", ended_at=m.ahead(minutes=4))
    bound = m.NOW + timedelta(seconds=45 + 2400)
    await bench.live(bound - timedelta(seconds=1))
    assert len(bench.journal.of("azure.run_command")) == 1
    await bench.live(bound)
    assert bench.agent.outcome == AgentOutcome.TIMED_OUT


async def test_three_refusals_of_the_request_ask_for_a_person(bench: Bench) -> None:
    bench.azure.fail("start_run_command", *[Rejected("no", "OperationNotAllowed")] * 9)
    await bench.live(m.ahead(days=2))
    assert [args[1] for args in bench.journal.of("azure.start_run_command")] == [
        FIRST,
        SECOND,
        m.command_name(3),
    ]
    assert (bench.agent.failures, bench.stored.status.stage) == (3, "Blocked")
    assert bench.stored.status.reason == Reason.RUN_COMMAND_REFUSED


async def test_azures_words_about_a_refusal_reach_the_record_the_condition_and_survive_a_restart(bench: Bench) -> None:
    bench.azure.fail("start_run_command", *[Rejected("no", "RequestDisallowedByPolicy", "Azure Policy 'Tags'")] * 9)
    await bench.live(m.ahead(days=2))
    assert bench.stored.status.agent is not None
    assert bench.stored.status.agent.refusal == "RequestDisallowedByPolicy: Azure Policy 'Tags'"
    (paired,) = [each for each in bench.stored.status.conditions if each.type == "AgentPaired"]
    assert "Azure refused to start the script: RequestDisallowedByPolicy: Azure Policy 'Tags'." in paired.message


async def test_an_estates_tags_are_on_the_run_command_and_never_replace_ours(bench: Bench) -> None:
    scripts_of = bench.attempts._scripts
    tags = {"CostCentre": "4711", "Microseg.Dev-Owner": "me"}
    scripts_of._pairing = dataclasses.replace(scripts_of._pairing, tags=tags)
    await start(bench)
    (script,) = bench.azure.scripts
    assert script.tags == {"CostCentre": "4711", **OUR_TAGS}


# ends -------------------------------------------------------------------------------------------------------------


def end(bench: Bench, name: str, outcome: str, code: int = 0, workload: str = "-") -> None:
    output = m.result_line(bench.agent, outcome, code, workload)
    bench.azure.show(name, "Failed" if code else "Succeeded", output, ended_at=bench.clock.now)


async def test_three_failed_scripts_block_until_a_person_says_retry_which_counts_anew(bench: Bench) -> None:
    for number in (1, 2, 3):
        await bench.live(bench.clock.now + timedelta(seconds=1))
        assert bench.azure.puts[-1] == m.command_name(number)
        end(bench, m.command_name(number), "script-failed", 7)
        await bench.live(bench.clock.now + timedelta(seconds=1505))
    assert bench.stored.status.stage == "Blocked"
    await bench.live(m.ahead(days=3))
    assert len(bench.azure.puts) == 3
    bench.hosts.annotate(m.NAME, **{Annotation.RETRY: "agent"})
    bench.sync()
    await bench.live(bench.clock.now + timedelta(seconds=1))
    assert (len(bench.azure.puts), bench.agent.attempt, bench.agent.failures) == (4, 4, 0)
    assert bench.stored.annotations == {}
    end(bench, m.command_name(4), "script-failed", 7)
    await bench.live(bench.clock.now + timedelta(seconds=100))
    assert (bench.agent.failures, len(bench.azure.puts)) == (1, 4), "one wish of a person is one attempt"


async def test_a_retry_is_one_attempt_even_if_that_ends_before_it_is_written(bench: Bench) -> None:
    bench.hosts.put(
        msgspec.structs.replace(
            m.with_status(bench.stored, HostStatus(agent=m.ended(AgentOutcome.KEY_REFUSED, failures=3))),
            annotations={Annotation.RETRY: "agent"},
        )
    )
    bench.sync()
    bench.illumio.fail("make_key", *[Unreachable("the PCE is away")] * 50)
    await bench.live(m.ahead(seconds=10))
    assert len(bench.journal.of("illumio.make_key")) == 1
    assert bench.stored.annotations == {}


async def test_a_claim_is_recorded_and_no_further_script_begins(bench: Bench) -> None:
    await bench.live(m.ahead(seconds=1))
    end(bench, FIRST, "paired", workload=m.UUID)
    await bench.live(m.ahead(minutes=50))
    assert (bench.agent.outcome, bench.agent.workload) == (AgentOutcome.PAIRED, m.UUID)
    assert bench.stored.status.conditions[1].reason == Reason.AWAITING_WORKLOAD
    bench.illumio.stored[m.HREF] = m.workload(created_at=bench.agent.intended_at)
    bench.read_illumio()
    await bench.decide()
    assert bench.stored.status.conditions[1].reason == Reason.STAMPING
    assert bench.azure.puts == [FIRST]


async def test_a_script_without_an_end_is_over_after_its_bound_and_not_sooner(bench: Bench) -> None:
    bound = m.NOW + SEAL + timedelta(seconds=2400)
    await bench.live(bound - timedelta(seconds=1))
    assert (bench.azure.puts, bench.agent.outcome) == ([FIRST], None)
    await bench.live(bound)
    assert (bench.azure.puts, bench.agent.outcome) == ([FIRST], AgentOutcome.NO_RESULT)
    await bench.live(bound + timedelta(seconds=61))
    assert (bench.azure.puts, bench.agent.mode) == ([FIRST, SECOND], "probe")


async def test_the_run_commands_before_the_newest_are_deleted_once_they_are_over(bench: Bench) -> None:
    bench.azure.show("somebody-elses", "Running")
    await bench.live(m.ahead(seconds=1))
    end(bench, FIRST, "busy")
    bench.azure.fail("delete_run_command", Unreachable("away"))
    await bench.live(m.ahead(minutes=6))
    assert bench.azure.puts == [FIRST, SECOND], "what cannot be tidied up stops nothing"
    end(bench, SECOND, "busy")
    await bench.live(m.ahead(minutes=12))
    third = m.command_name(3)
    assert set(bench.azure.commands) == {"somebody-elses", third}


async def test_a_run_command_that_azure_deletes_already_is_not_deleted_again(bench: Bench) -> None:
    await bench.live(m.ahead(seconds=1))
    end(bench, FIRST, "busy")
    bench.azure.commands[FIRST] = replace(bench.azure.commands[FIRST], deleting=True)
    await bench.live(m.ahead(minutes=6))
    assert bench.azure.puts == [FIRST, SECOND]
    assert bench.azure.journal.of("azure.delete_run_command") == []


async def test_a_look_that_fails_is_no_look_but_is_not_repeated_at_once(bench: Bench) -> None:
    bench.azure.fail("run_command", Unreachable("away"))
    await bench.attempts.look(bench.azure, bench.vm, ReadRunCommand(m.VM_ID, FIRST))
    assert (bench.state.observed.looks, bench.state.observed.looked_at, bench.state.observed.run_command) == (
        0,
        m.NOW,
        UNREADABLE,
    )
    await bench.attempts.look(bench.azure, bench.vm, ReadRunCommand(m.VM_ID, FIRST))
    assert (bench.state.observed.looks, bench.state.observed.run_command) == (1, ABSENT)
    bench.azure.show(FIRST, "Running")
    await bench.attempts.look(bench.azure, bench.vm, ReadRunCommand(m.VM_ID, FIRST))
    assert isinstance(bench.state.observed.run_command, Seen)
