"""A pairing key is made for a start that Azure takes: what it puts off or refuses uses no second one (S1, L6)."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from tests.unit.engine.conftest import Bench

from lab.memory import samples as m
from microseg.gateways.ports import Busy, GatewayError, Refused, Rejected, Throttled
from microseg.model.agent_record import AgentOutcome
from microseg.model.condition import Reason

SECOND = m.command_name(2)
SEAL = timedelta(seconds=m.PROFILE.key_life or 0) + timedelta(seconds=300)


def keys(bench: Bench) -> int:
    """How many keys the PCE made."""
    return len(bench.journal.of("illumio.make_key"))


@pytest.mark.parametrize("error", [Busy("in progress"), Throttled("slow", 120), Refused("no"), Rejected("policy")])
async def test_the_next_start_uses_the_key_that_azure_did_not_take_along(bench: Bench, error: GatewayError) -> None:
    bench.azure.fail("start_run_command", error)
    await bench.live(m.ahead(minutes=3))
    (script,) = bench.azure.scripts
    assert (script.name, keys(bench), set(script.protected)) == (SECOND, 1, {"MICROSEG_ACTIVATION_CODE"})
    assert bench.agent.seals_at == m.NOW + SEAL, "the key is no younger than its first start"


async def test_while_azure_refuses_no_further_key_is_made_and_a_keyless_script_tells_that_it_takes_one(
    bench: Bench,
) -> None:
    bench.azure.fail("start_run_command", *[Refused("no")] * 8)
    await bench.live(m.ahead(minutes=62))
    (probe,) = bench.azure.scripts
    assert (dict(probe.protected), probe.parameters["MICROSEG_MODE"], keys(bench)) == ({}, "probe", 1)
    answer = m.result_line(bench.agent, "not-paired", 0, "-")
    bench.azure.show(probe.name, "Succeeded", answer, ended_at=bench.clock.now)
    await bench.live(bench.clock.now + timedelta(minutes=2))
    assert [script.parameters["MICROSEG_MODE"] for script in bench.azure.scripts] == ["probe", "install"]
    assert keys(bench) == 2


async def test_after_a_restart_a_refused_start_is_tried_without_a_key(bench: Bench) -> None:
    bench.azure.fail("start_run_command", Rejected("no", "RequestDisallowedByPolicy"))
    await bench.live(m.ahead(seconds=1))
    after = bench.restarted()
    await after.live(m.ahead(minutes=2))
    assert [dict(script.protected) for script in after.azure.scripts] == [{}]
    assert keys(after) == 1


async def test_a_pause_that_azure_asked_for_is_found_before_the_key_is_made(bench: Bench) -> None:
    bench.hosts.meanwhile("patch_status", lambda: setattr(bench.writes, "pausing", 60.0))
    await bench.act()
    assert (bench.azure.puts, keys(bench)) == ([], 0)
    await bench.decide()
    assert (bench.agent.outcome, bench.stored.status.reason) == (AgentOutcome.NEVER_BEGAN, Reason.START_PUT_OFF)


async def test_the_key_of_another_profile_is_not_used(bench: Bench) -> None:
    bench.azure.fail("start_run_command", Busy("in progress"))
    await bench.live(m.ahead(seconds=1))
    bench.profile = dataclasses.replace(m.PROFILE, href="/orgs/50/pairing_profiles/8")
    await bench.live(m.ahead(minutes=1))
    assert (bench.azure.scripts[0].parameters["MICROSEG_PROFILE_ID"], keys(bench)) == ("8", 2)
