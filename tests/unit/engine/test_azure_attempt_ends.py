"""Ends without a result line, names that are used up, and what is deleted: the effect protocol over fakes."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.engine.conftest import Bench

from lab.memory import samples as m
from microseg.gateways.ports import Refused
from microseg.model.agent_record import AgentOutcome
from microseg.model.condition import ConditionType, Reason, find
from microseg.model.host import HostStatus
from microseg.model.names import INTENT_TAG, OWNER_TAG, VM_ID_TAG, Annotation
from microseg.model.plan import DeleteRunCommands, StartScript
from microseg.stages.attempt import attempt_number, nonce

OURS = {OWNER_TAG: m.OWNER, VM_ID_TAG: m.VM_ID, INTENT_TAG: str(int(m.NOW.timestamp()))}
FIRST, SECOND, THIRD = (m.command_name(number) for number in (1, 2, 3))


def told(bench: Bench) -> str:
    condition = find(bench.stored.status.conditions, ConditionType.AGENT_PAIRED)
    assert condition is not None
    return f"{condition.reason}: {condition.message}"


def fail(bench: Bench, name: str, **view: Any) -> None:
    bench.azure.show(name, "Failed", ended_at=bench.clock.now, **view)


def answer(bench: Bench, name: str, outcome: str, workload: str = "-") -> None:
    output = m.result_line(m.attempt(nonce=nonce(m.VM_ID, name)), outcome, 0, workload)
    bench.azure.show(name, "Succeeded", output, ended_at=bench.clock.now)


def pairs(bench: Bench, **changes: Any) -> None:
    """The VM pairs: the PCE shows a newcomer with its address."""
    bench.illumio.stored[m.HREF] = m.workload(created_at=bench.clock.now, **changes)
    bench.read_illumio()


# a full disk ------------------------------------------------------------------------------------------------------


async def test_a_full_disk_is_told_at_the_first_look_asked_without_keys_and_mended_without_a_person(
    bench: Bench,
) -> None:
    full = {"exit_code": -203, "message": "write /var/lib/waagent/x: no space left on device"}
    bench.azure.started = lambda script: fail(bench, script.name, **full)
    await bench.live(m.ahead(seconds=46))
    assert told(bench).startswith(
        f"{Reason.SCRIPT_NOT_BEGUN}: The script did not begin: no space left on device on the VM (handler code -203)."
    )
    await bench.live(m.ahead(hours=30))
    assert len(bench.azure.puts) > 100
    assert len(bench.journal.of("illumio.make_key")) == 1
    bench.azure.started = lambda script: None if script.protected else answer(bench, script.name, "not-paired")
    await bench.live(bench.clock.now + timedelta(minutes=16))
    assert len(bench.journal.of("illumio.make_key")) == 2
    assert (bench.agent.mode, bench.agent.failures) == ("install", 1)


async def test_an_installer_that_answers_like_a_probe_has_failed_and_gets_no_keys_without_end(bench: Bench) -> None:
    bench.azure.started = lambda script: answer(bench, script.name, "not-paired")
    await bench.live(m.ahead(days=2))
    assert len(bench.journal.of("illumio.make_key")) == 3
    assert told(bench).startswith(f"{Reason.SCRIPT_FAILED}: ")


async def test_installers_that_cannot_begin_although_probes_can_end_with_a_person(bench: Bench) -> None:
    def play(script: Any) -> None:
        if script.parameters["MICROSEG_MODE"] == "probe":
            answer(bench, script.name, "not-paired")
        else:
            fail(bench, script.name, exit_code=-203)

    bench.azure.started = play
    await bench.live(m.ahead(days=2))
    assert len(bench.journal.of("illumio.make_key")) == 3
    assert told(bench).startswith(f"{Reason.SCRIPT_NOT_BEGUN}: ")
    assert "3 attempts failed" in told(bench)


# an end that was lost ---------------------------------------------------------------------------------------------


async def test_after_a_killed_script_no_installer_begins_before_its_time_and_the_condition_says_when(
    bench: Bench,
) -> None:
    await bench.live(m.ahead(seconds=1))
    fail(bench, FIRST, exit_code=-1)
    await bench.live(m.ahead(seconds=46))
    over = bench.agent.lost_at
    assert over is not None
    over += timedelta(seconds=2400)
    assert f"the next installer begins after {over:%Y-%m-%d %H:%M} UTC" in told(bench)
    assert told(bench).startswith(
        f"{Reason.NO_RESULT}: {FIRST} left no result line. Azure shows Failed: the script was"
    )
    await bench.live(over - timedelta(seconds=1))
    assert bench.azure.puts == [FIRST]
    bench.azure.started = lambda script: answer(bench, script.name, "not-paired")
    await bench.live(over + timedelta(minutes=2))
    modes = [script.parameters["MICROSEG_MODE"] for script in bench.azure.scripts]
    assert modes[:3] == ["install", "probe", "install"]


@pytest.mark.parametrize("end", ["killed", "running", "deleted"])
async def test_a_newcomer_in_the_pce_makes_the_vm_be_asked_at_once_and_its_answer_is_the_end(
    bench: Bench, end: str
) -> None:
    await bench.live(m.ahead(seconds=1))
    if end == "killed":
        fail(bench, FIRST, exit_code=-1)
    elif end == "deleted":
        del bench.azure.commands[FIRST]
    await bench.live(m.ahead(seconds=100))
    pairs(bench)
    await bench.live(m.ahead(seconds=160))
    assert (bench.azure.puts, bench.agent.mode) == ([FIRST, SECOND], "probe")
    answer(bench, SECOND, "already-paired", m.UUID)
    await bench.live(m.ahead(seconds=180))
    assert (bench.agent.outcome, bench.agent.workload) == (AgentOutcome.ALREADY_PAIRED, m.UUID)
    assert FIRST in bench.azure.commands or end == "deleted", "what may still run is not deleted"
    assert len(bench.journal.of("illumio.make_key")) == 1


async def test_an_installer_that_runs_on_makes_the_probe_busy_and_none_follows_before_its_time(bench: Bench) -> None:
    await bench.live(m.ahead(seconds=100))
    pairs(bench, hostname="host24")
    bench.azure.started = lambda script: answer(bench, script.name, "busy")
    await bench.live(m.ahead(minutes=40))
    assert {script.parameters["MICROSEG_MODE"] for script in bench.azure.scripts[1:]} == {"probe"}
    assert bench.agent.settles_at == m.NOW + timedelta(seconds=2100 + 2400)


async def test_a_newcomer_that_is_not_this_vms_lets_the_installer_have_its_time(bench: Bench) -> None:
    await bench.live(m.ahead(seconds=100))
    pairs(bench)
    bench.azure.started = lambda script: answer(bench, script.name, "not-paired")
    over = m.NOW + timedelta(seconds=2100 + 2400)
    await bench.live(over - timedelta(seconds=1))
    assert bench.azure.puts == [FIRST, SECOND]
    assert told(bench).startswith(f"{Reason.NO_RESULT}: An earlier script left no result line. What it started may")
    await bench.live(over + timedelta(seconds=1))
    assert bench.azure.scripts[-1].parameters["MICROSEG_MODE"] == "install"


@pytest.mark.parametrize("newcomer", [{"addresses": frozenset({"10.9.9.9"})}, {"created_at": m.ago(hours=1)}])
async def test_only_a_newcomer_with_the_vms_address_makes_it_be_asked(bench: Bench, newcomer: dict[str, Any]) -> None:
    await bench.live(m.ahead(seconds=1))
    fail(bench, FIRST, exit_code=-1)
    await bench.live(m.ahead(seconds=100))
    bench.illumio.stored[m.HREF] = m.workload(**({"created_at": bench.clock.now} | newcomer))
    bench.read_illumio()
    await bench.live(m.ahead(minutes=30))
    assert bench.azure.puts == [FIRST]


async def test_a_person_has_the_vm_asked_while_an_installer_without_a_result_may_run(bench: Bench) -> None:
    await bench.live(m.ahead(seconds=1))
    fail(bench, FIRST, exit_code=-1)
    await bench.live(m.ahead(seconds=60))
    bench.hosts.annotate(m.NAME, **{Annotation.RETRY: "agent"})
    bench.sync()
    bench.azure.started = lambda script: answer(bench, script.name, "not-paired")
    await bench.live(m.ahead(minutes=30))
    assert [script.parameters["MICROSEG_MODE"] for script in bench.azure.scripts] == ["install", "probe"]
    assert bench.stored.annotations == {}


async def test_the_lane_itself_starts_no_installer_while_another_may_run(bench: Bench) -> None:
    probed = m.ended(AgentOutcome.NOT_PAIRED, mode="probe", settles_at=m.ahead(minutes=5))
    for record in (m.attempt(lost_at=m.NOW), probed):
        bench.hosts.put(m.with_status(bench.stored, HostStatus(agent=record)))
        bench.sync()
        await bench.attempts.start(bench.azure, bench.vm, StartScript(m.VM_ID, "install"))
    assert bench.azure.puts == []


# names ------------------------------------------------------------------------------------------------------------


def with_parts(bench: Bench) -> None:
    """Every name gets a part of its own, as in the product."""
    counter = itertools.count(1)
    bench.attempts._part = lambda: f"{next(counter):08x}"


async def test_what_an_older_record_does_not_know_is_found_and_followed(bench: Bench) -> None:
    known = m.ended(AgentOutcome.KEY_REFUSED, failures=1)
    bench.hosts.put(m.with_status(bench.stored, HostStatus(agent=known)))
    bench.sync()
    old = OURS | {INTENT_TAG: str(int(m.ago(days=1).timestamp()))}
    bench.azure.show(m.command_name(2), "Failed", ended_at=m.ago(days=1), tags=old)
    bench.azure.show(THIRD, "Running", tags=OURS)
    await bench.live(m.ahead(minutes=10))
    assert (bench.azure.puts, bench.agent.run_command) == ([], THIRD)
    answer(bench, THIRD, "paired", m.UUID)
    await bench.live(m.ahead(minutes=20))
    assert (bench.azure.puts, bench.agent.workload) == ([], m.UUID)


@pytest.mark.parametrize("older", [True, False])
async def test_an_installer_before_the_newest_run_command_counts_too(bench: Bench, *, older: bool) -> None:
    bench.azure.show(SECOND, "Running", tags=OURS)
    answer(bench, SECOND, "not-paired")
    old = OURS | {INTENT_TAG: str(int(m.ago(days=1).timestamp()))}
    if older:
        bench.azure.show(FIRST, "Running", tags=OURS)
    else:
        bench.azure.show(FIRST, "Failed", ended_at=m.ago(days=1), tags=old)
    await bench.live(m.ahead(seconds=1))
    assert bench.agent.run_command == (FIRST if older else THIRD)


async def test_no_name_comes_again_where_neither_azure_nor_the_record_remembers(bench: Bench) -> None:
    with_parts(bench)
    for _ in range(5):
        await bench.live(bench.clock.now + timedelta(seconds=1))
        bench.azure.commands.clear()
        bench.hosts.put(m.host(uid=f"u{len(bench.azure.puts)}"))
        bench.sync()
        bench.table.touch_all()
    assert {attempt_number(m.VM_ID, name) for name in bench.azure.puts} == {1}
    assert len(bench.azure.puts) == len(set(bench.azure.puts)) > 1


# deletion ---------------------------------------------------------------------------------------------------------


async def stamped(bench: Bench) -> tuple[object, ...]:
    """The first attempt paired, and the PCE shows the stamp."""
    await bench.live(m.ahead(seconds=1))
    answer(bench, FIRST, "paired", m.UUID)
    await bench.live(m.ahead(seconds=60))
    bench.illumio.stored[m.HREF] = m.stamped(created_at=m.NOW)
    bench.read_illumio()
    await bench.decide()  # the record has the label keys now
    return await deletions(bench)


async def deletions(bench: Bench) -> tuple[object, ...]:
    await bench.decide()
    return tuple(action for _, action in bench.table.actions.of(DeleteRunCommands))


async def test_run_commands_of_a_paired_vm_are_deleted_once_its_stamp_is_seen(bench: Bench) -> None:
    bench.azure.show("somebody-elses", "Running")
    assert await stamped(bench) == (DeleteRunCommands(m.VM_ID),)
    bench.azure.show(SECOND, "Failed", tags={"microseg.dev-owner": "other"})
    await bench.attempts.used.delete(bench.azure, bench.vm)
    assert set(bench.azure.commands) == {"somebody-elses", SECOND}, "only what has our mark"
    bench.table.touch_all()
    assert await deletions(bench) == ()
    assert (bench.agent.run_command, bench.agent.attempt) == ("", 1)


async def test_a_deletion_that_is_refused_is_tried_again_ever_more_rarely(bench: Bench) -> None:
    await stamped(bench)
    for pause in (900, 1800, 3600):
        bench.azure.fail("delete_run_command", Refused("Azure refused"))
        await bench.attempts.used.delete(bench.azure, bench.vm)
        bench.table.touch_all()
        assert await deletions(bench) == ()
        bench.clock.forward(pause - 1)
        bench.table.touch_all()
        assert await deletions(bench) == ()
        bench.clock.forward(1)
        bench.table.touch_all()
        assert len(await deletions(bench)) == 1
    assert FIRST in bench.azure.commands
