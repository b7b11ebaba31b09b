"""What an effect met is told in a condition, not only in the log: found by the sweep, which asks for it."""

from __future__ import annotations

import pytest
from tests.unit.estate.conftest import Bench

from microseg.estate.lanes.rhythm import Health, Rhythm
from microseg.gateways.ports import GatewayError, Refused, Throttled, Unreachable
from microseg.model.condition import ConditionType, Reason, find


def test_a_failed_effect_stands_beside_the_readings_until_an_effect_is_taken() -> None:
    rhythm = Rhythm("checkpoint", 60.0, lambda: None)

    rhythm.effect_failed("publish", Unreachable("Check Point failed (503 without a code)"))
    rhythm.read("All of it.")
    assert rhythm.health.readable
    assert "not made (publish): Check Point failed (503 without a code)." in rhythm.health.message
    rhythm.effect_taken()
    rhythm.read("All of it.")
    assert rhythm.health == Health(readable=True, reason=Reason.REACHABLE, message="All of it.")


@pytest.mark.parametrize(
    ("where", "error"),
    [("key", Refused("the PCE refused this user")), ("put", Throttled("Azure asks for a pause of 7 s", 7.0))],
)
async def test_a_start_that_never_began_says_why_until_it_is_tried_again(
    bench: Bench, where: str, error: GatewayError
) -> None:
    if where == "key":
        bench.pce.fail("make_key", error)
    else:
        bench.azure.fail("start_run_command", error)

    await bench.act()
    await bench.decide()

    found = find(bench.stored.status.conditions, ConditionType.AGENT_PAIRED)
    assert found is not None
    assert found.reason == Reason.START_PUT_OFF
    assert found.message.startswith(f"{error}. ")
