"""A condition reports the failure of an effect, not only the log: the sweep asks for it."""

from __future__ import annotations

import pytest
from tests.unit.engine.conftest import Bench

from microseg.engine.ground.heartbeats import Heartbeats
from microseg.engine.lanes.schedule import PollSchedule, SystemHealth
from microseg.gateways.ports import GatewayError, Refused, Throttled, Unreachable
from microseg.model.condition import ConditionType, Reason, find


def test_a_failed_effect_stands_beside_the_readings_until_an_effect_is_taken() -> None:
    schedule = PollSchedule("checkpoint", 60.0, lambda: None, Heartbeats())

    schedule.effect_failed("publish", Unreachable("Check Point failed (503 without a code)"))
    schedule.read("All of it.")
    assert schedule.health.readable
    assert "not made (publish): Check Point failed (503 without a code)." in schedule.health.message
    schedule.effect_taken()
    schedule.read("All of it.")
    assert schedule.health == SystemHealth(readable=True, reason=Reason.REACHABLE, message="All of it.")


@pytest.mark.parametrize(
    ("where", "error"),
    [("key", Refused("the PCE refused this user")), ("put", Throttled("Azure asks for a pause of 7 s", 7.0))],
)
async def test_a_start_that_never_began_says_why_until_it_is_tried_again(
    bench: Bench, where: str, error: GatewayError
) -> None:
    if where == "key":
        bench.illumio.fail("make_key", error)
    else:
        bench.azure.fail("start_run_command", error)

    await bench.act()
    await bench.decide()

    found = find(bench.stored.status.conditions, ConditionType.AGENT_PAIRED)
    assert found is not None
    assert found.reason == Reason.START_PUT_OFF
    assert found.message.startswith(f"{error}. ")
