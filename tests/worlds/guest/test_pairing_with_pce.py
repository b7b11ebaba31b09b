"""The operator's scripts together with the PCE simulator's own pairing script."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.worlds.guest.orders import ordered

from microseg.scripts import LINUX, WINDOWS, Outcome, ScriptResult, parse_result
from simulators import illumio
from simulators.azure.guest import Guest
from simulators.certificates import issue, ssl_context
from simulators.clock import Clock
from simulators.environment import Environment
from simulators.illumio.bodies import ProfileBody
from simulators.illumio.pairing import How, PairingFault
from simulators.server import serve

NONCE = "00ff00ff00ff00ff"
SCRIPTS = {"Linux": LINUX, "Windows": WINDOWS}


class Pce:
    """The PCE simulator with one profile, and the operator's parameters for it."""

    def __init__(self, world: illumio.World, environment: Environment, address: str) -> None:
        self.world, self.environment, self.address = world, environment, address
        self.profile = world.profiles.create(ProfileBody(enabled=True, name="p", allowed_uses_per_key=1)).href

    async def run(self, guest: Guest, key: str) -> ScriptResult:
        parameters = {
            "MICROSEG_MODE": "install",
            "MICROSEG_VM_ID": guest.vm_id,
            "MICROSEG_PCE": self.address,
            "MICROSEG_PCE_PATH_VERSION": "18",
            "MICROSEG_PROFILE_ID": self.profile.rpartition("/")[2],
            "MICROSEG_NOT_AFTER": str(int(time.time()) + 300),
            "MICROSEG_DEADLINE": "200",
            "MICROSEG_NONCE": NONCE,
            "MICROSEG_ACTIVATION_CODE": key,
        }
        answer = await guest.run(ordered(SCRIPTS[guest.os], parameters, 50))
        result = parse_result(answer.stdout, NONCE)
        assert result is not None, answer
        if key:
            assert key not in answer.stdout + answer.stderr
            assert not [f for f in guest.folder.rglob("*") if f.is_file() and key.encode() in f.read_bytes()]
        return result


@pytest.fixture
async def world_pce(ca_file: Path) -> AsyncIterator[Pce]:
    environment = Environment(clock=Clock(scale=1000.0))
    world, app = illumio.create(environment, org_id=50)
    served = await serve(app, ssl_context=ssl_context(*issue(ca_file.parent, "illumio")))
    world.reached_at(served.url)
    yield Pce(world, environment, served.url.removeprefix("https://"))
    await served.stop()


@pytest.mark.parametrize("system", ["Linux", "Windows"])
async def test_a_vm_becomes_a_workload_of_its_own_name_and_addresses(
    make_guest: Callable[..., Guest], world_pce: Pce, system: str
) -> None:
    guest = make_guest("Host24", os=system)
    result = await world_pce.run(guest, world_pce.world.profiles.make_key(world_pce.profile))
    assert result.outcome is Outcome.PAIRED, result
    assert result.org == 50
    workload = world_pce.world.pairing.find(result.workload or "")
    assert workload.hostname == "Host24"
    assert {interface["address"] for interface in workload.interfaces} == {"10.1.2.4", "fd00::4"}
    again = await world_pce.run(guest, "")
    assert again == ScriptResult(Outcome.ALREADY_PAIRED, 0, result.workload, 50)


@pytest.mark.parametrize("system", ["Linux", "Windows"])
async def test_a_used_key_is_refused(make_guest: Callable[..., Guest], world_pce: Pce, system: str) -> None:
    key = world_pce.world.profiles.make_key(world_pce.profile)
    assert (await world_pce.run(make_guest("first", os=system), key)).outcome is Outcome.PAIRED
    assert (await world_pce.run(make_guest("second", os=system), key)).outcome is Outcome.KEY_REFUSED


@pytest.mark.parametrize("system", ["Linux", "Windows"])
@pytest.mark.parametrize(
    ("how", "outcome"),
    [("refuse", Outcome.KEY_REFUSED), ("error", Outcome.PCE_UNREACHABLE), ("html", Outcome.PCE_UNREACHABLE)],
)
async def test_an_ordered_failure_of_pairing_is_classified(
    make_guest: Callable[..., Guest], world_pce: Pce, system: str, how: How, outcome: Outcome
) -> None:
    world_pce.world.pairing.order("host24", PairingFault(how=how))
    guest = make_guest(os=system)
    key = world_pce.world.profiles.make_key(world_pce.profile)
    assert (await world_pce.run(guest, key)).outcome is outcome
    assert (await world_pce.run(guest, key)).outcome is Outcome.PAIRED
