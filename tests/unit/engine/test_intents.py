"""An intent that was committed is never undone, nor passed over: found by the sweep, where two lanes met."""

from __future__ import annotations

from tests.unit.engine.conftest import Bench

from lab.memory import samples as m
from microseg.engine.cluster.host_status import Intent
from microseg.model.agent_record import AgentRecord
from microseg.model.host import GoneProof, RetirementRecord
from microseg.model.plan import StartScript


def intent(number: int) -> AgentRecord:
    return AgentRecord(
        attempt=number,
        mode="install",
        run_command=m.command_name(number),
        nonce=m.nonce(number),
        intended_at=m.NOW,
        seals_at=m.NOW,
    )


async def test_a_write_that_waited_for_an_intent_does_not_undo_it(bench: Bench) -> None:
    await bench.decide()
    assert await bench.host_status.intend(m.VM_ID, intent(1)) is Intent.COMMITTED

    await bench.host_status._write(m.VM_ID, bench.state)

    assert bench.agent.attempt == 1


async def test_a_retirement_that_follows_an_intent_at_once_keeps_it(bench: Bench) -> None:
    await bench.decide()
    assert await bench.host_status.intend(m.VM_ID, intent(1)) is Intent.COMMITTED

    began = await bench.host_status.begin_retirement(
        m.VM_ID, RetirementRecord(proof=GoneProof.NOT_FOUND, began_at=m.NOW)
    )

    assert began is Intent.COMMITTED
    assert bench.agent == intent(1)


async def test_no_attempt_begins_while_the_record_has_one_under_way(bench: Bench) -> None:
    await bench.decide()
    assert await bench.host_status.intend(m.VM_ID, intent(1)) is Intent.COMMITTED

    await bench.attempts.start(bench.azure, bench.vm, StartScript(m.VM_ID, "install"))

    assert bench.agent.attempt == 1
    assert not bench.journal.of("azure.start_run_command")
