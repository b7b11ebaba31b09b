"""A lost record finds what was begun on its VM, and believes only what Azure keeps: our tags (S1, S3, S12)."""

from __future__ import annotations

import pytest
from tests.unit.engine.conftest import Bench

from lab.memory import samples as m
from microseg.model.names import INTENT_TAG, OWNER_TAG, VM_ID_TAG
from microseg.model.plan import StartScript
from microseg.stages.attempt import command_name, command_prefix, nonce

START = StartScript(m.VM_ID, "install")
FIRST = m.command_name(1)
SECOND = m.command_name(2)
ANOTHER = command_name(m.VM_ID, 1, "ffffffff")
"""A name as ours, which this operator did not give."""
OUR_TAGS = {OWNER_TAG: m.OWNER, VM_ID_TAG: m.VM_ID, INTENT_TAG: str(int(m.NOW.timestamp()))}


async def start(bench: Bench) -> None:
    await bench.attempts.start(bench.azure, bench.vm, START)


def no_effect(bench: Bench) -> bool:
    return not bench.azure.puts and not bench.journal.of("illumio.make_key")


def end(bench: Bench, name: str, outcome: str, code: int = 0, workload: str = "-") -> None:
    output = m.result_line(bench.agent, outcome, code, workload)
    bench.azure.show(name, "Failed" if code else "Succeeded", output, ended_at=bench.clock.now)


async def lost(bench: Bench) -> Bench:
    """The first attempt runs, then the record is deleted and made anew without its status."""
    await bench.live(m.ahead(seconds=1))
    assert bench.azure.puts == [FIRST]
    bench.hosts.put(m.host(uid="u2"))
    bench.clock.forward(60)
    return bench.restarted()


async def test_a_lost_record_finds_the_running_script_and_follows_it(bench: Bench) -> None:
    after = await lost(bench)
    await after.live(m.ahead(minutes=30))
    assert (after.azure.puts, after.agent.attempt, after.agent.run_command) == ([FIRST], 1, FIRST)
    end(after, FIRST, "paired", workload=m.UUID)
    await after.live(m.ahead(minutes=60))
    assert (after.azure.puts, after.agent.workload) == ([FIRST], m.UUID)
    assert len(after.journal.of("illumio.make_key")) == 1


async def test_a_lost_record_takes_over_a_result_that_paired(bench: Bench) -> None:
    after = await lost(bench)
    after.azure.show(FIRST, "Succeeded", m.result_line(m.attempt(), "paired", 0, m.UUID), ended_at=bench.clock.now)
    await after.live(m.ahead(minutes=10))
    assert (after.azure.puts, after.agent.workload) == ([FIRST], m.UUID)


async def test_a_lost_record_goes_on_after_an_attempt_that_ended_in_vain(bench: Bench) -> None:
    after = await lost(bench)
    after.azure.show(FIRST, "Failed", m.result_line(m.attempt(), "key-refused", 1), ended_at=bench.clock.now)
    await after.live(m.ahead(minutes=2))
    assert after.azure.puts == [FIRST, SECOND]


async def test_a_lost_record_does_not_trust_an_end_without_our_result_line(bench: Bench) -> None:
    after = await lost(bench)
    ended_at = bench.clock.now
    after.azure.show(FIRST, "TimedOut", "half a line", ended_at=ended_at)
    await after.live(m.ahead(minutes=30))
    assert (after.azure.puts, after.agent.attempt, after.agent.outcome) == ([FIRST], 1, None)


async def test_a_lost_record_leaves_an_old_end_without_a_result_line_behind(bench: Bench) -> None:
    after = await lost(bench)
    old = {INTENT_TAG: str(int(m.ago(hours=2).timestamp()))}
    after.azure.show(FIRST, "TimedOut", "half a line", ended_at=m.ago(hours=1), tags=OUR_TAGS | old)
    await after.live(m.ahead(minutes=2))
    assert after.azure.puts == [FIRST, SECOND]


async def test_a_lost_record_does_not_believe_the_times_that_the_vm_tells(bench: Bench) -> None:
    after = await lost(bench)
    after.azure.show(FIRST, "TimedOut", "half a line", started_at=m.ago(days=2), ended_at=m.ago(days=1))
    await after.live(m.ahead(minutes=30))
    assert after.azure.puts == [FIRST], "the attempt began a minute ago, whatever its VM says"


async def test_a_claim_is_not_older_than_the_tag_of_its_attempt_whatever_its_vm_says(bench: Bench) -> None:
    after = await lost(bench)
    claim = m.result_line(m.attempt(), "paired", 0, m.UUID)
    after.azure.show(FIRST, "Succeeded", claim, started_at=m.ago(days=2), ended_at=m.ahead(days=9))
    await after.live(m.ahead(minutes=60))
    assert (after.agent.intended_at, after.agent.workload) == (m.NOW, m.UUID)
    assert after.agent.finished_at is not None
    assert after.agent.finished_at <= bench.clock.now


async def test_a_run_command_of_an_older_version_is_followed_as_old_as_its_vm(bench: Bench) -> None:
    after = await lost(bench)
    tags = {OWNER_TAG: m.OWNER, VM_ID_TAG: m.VM_ID}
    after.azure.show(FIRST, "Running", started_at=m.ago(days=2), tags=tags)
    await after.live(m.ahead(minutes=5))
    assert (after.azure.puts, after.agent.intended_at) == ([FIRST], bench.vm.record.created_at)


@pytest.mark.parametrize("tags", [{}, OUR_TAGS | {OWNER_TAG: "plant/other"}, OUR_TAGS | {VM_ID_TAG: m.OTHER_VM_ID}])
async def test_a_run_command_with_our_name_and_not_our_tags_is_never_followed(
    bench: Bench, tags: dict[str, str]
) -> None:
    claim = m.result_line(m.attempt(nonce=nonce(m.VM_ID, ANOTHER)), "paired", 0, m.UUID)
    bench.azure.show(ANOTHER, "Succeeded", claim, started_at=m.ago(days=400), ended_at=m.ago(days=1), tags=tags)
    await start(bench)
    assert bench.azure.puts == [FIRST]
    assert bench.agent.workload == ""


async def test_nothing_is_started_beside_a_running_run_command_with_our_name(bench: Bench) -> None:
    bench.azure.show(ANOTHER, "Running")
    await start(bench)
    assert no_effect(bench)
    postponed = bench.state.observed.postponed
    assert postponed is not None
    assert ANOTHER in postponed.message


async def test_the_number_of_a_run_command_that_vanishes_while_it_is_read_is_not_used_again(bench: Bench) -> None:
    bench.azure.show(m.command_name(3), "Running", tags=OUR_TAGS)
    old = {INTENT_TAG: str(int(m.ago(days=1).timestamp()))}
    bench.azure.show(FIRST, "Failed", ended_at=m.ago(days=1), tags=OUR_TAGS | old)
    bench.azure.meanwhile("run_command", lambda: bench.azure.commands.pop(m.command_name(3)))
    await start(bench)
    assert bench.azure.puts == [m.command_name(4)]


async def test_run_commands_of_others_are_not_counted(bench: Bench) -> None:
    for name in (m.command_name(7, m.OTHER_VM_ID), "backup", f"{command_prefix(m.VM_ID)}x", f"{FIRST}-old"):
        bench.azure.show(name, "Running")
    await start(bench)
    assert bench.azure.puts == [FIRST]
