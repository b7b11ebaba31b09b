"""Emulated guests end as the script would: same outcomes, same codes, same effect in the PCE."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.worlds.guest.orders import ordered

from microseg.scripts import Outcome, parse_result
from simulators import illumio
from simulators.azure.machine import Vm
from simulators.azure.specs import Addresses, read_vm
from simulators.clock import Clock
from simulators.environment import Environment
from simulators.fast_guests import FastGuests
from simulators.illumio.bodies import ProfileBody
from simulators.illumio.pairing import How, PairingFault

PCE = "127.0.0.1:8443"
NONCE = "00ff00ff00ff00ff"


class Site:
    """One VM, one PCE, nothing executed."""

    def __init__(self) -> None:
        self.environment = Environment(clock=Clock(100_000.0))
        self.pce, _ = illumio.create(self.environment, org_id=50)
        self.pce.reached_at(f"https://{PCE}")
        profile = self.pce.profiles.create(ProfileBody(enabled=True, name="p", allowed_uses_per_key=1))
        self.key = self.pce.profiles.make_key(profile.href)
        self.guests = FastGuests(self.pce)
        self.vm: Vm = read_vm({"name": "web1"}, "s", Addresses(), time.time(), 0.0)

    def parameters(self, **given: str) -> dict[str, str]:
        return {
            "MICROSEG_MODE": "install",
            "MICROSEG_VM_ID": self.vm.vm_id,
            "MICROSEG_PCE": PCE,
            "MICROSEG_NOT_AFTER": str(int(time.time()) + 300),
            "MICROSEG_DEADLINE": "200",
            "MICROSEG_NONCE": NONCE,
            "MICROSEG_ACTIVATION_CODE": self.key,
        } | given

    async def run(self, **given: str) -> Outcome:
        answer = await self.guests.run(self.vm, ordered("", self.parameters(**given), 10.0))
        result = parse_result(answer.stdout, NONCE)
        assert result is not None, answer
        return result.outcome


@pytest.fixture
def site() -> Site:
    return Site()


async def test_a_vm_pairs_once_and_says_so_again(site: Site) -> None:
    assert await site.run(MICROSEG_MODE="probe") is Outcome.NOT_PAIRED
    assert await site.run() is Outcome.PAIRED
    assert await site.run() is Outcome.ALREADY_PAIRED
    (workload,) = site.pce.workloads.all()
    assert (workload.hostname, workload.interfaces[0]["address"]) == ("web1", site.vm.nics[0].addresses[0].ip)
    (entry,) = site.environment.ledger.entries("illumio", "agents.activate")
    assert (entry.status, entry.who) == (201, "web1")
    site.guests.forget_ven("web1", workload.uuid)
    assert await site.run(MICROSEG_MODE="probe") is Outcome.NOT_PAIRED


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ({"MICROSEG_VM_ID": "11111111-1111-1111-1111-111111111111"}, Outcome.WRONG_VM),
        ({"MICROSEG_NOT_AFTER": "1"}, Outcome.TOO_LATE),
        ({"MICROSEG_ACTIVATION_CODE": "1f" * 20}, Outcome.KEY_REFUSED),
        ({"MICROSEG_ACTIVATION_CODE": ""}, Outcome.SCRIPT_FAILED),
        ({"MICROSEG_PCE": "127.0.0.1:1"}, Outcome.PCE_UNREACHABLE),
    ],
)
async def test_what_stops_the_script_stops_it_here(site: Site, given: dict[str, str], outcome: Outcome) -> None:
    assert await site.run(**given) is outcome
    assert list(site.pce.workloads.all()) == []


@pytest.mark.parametrize(("how", "outcome"), [("refuse", Outcome.KEY_REFUSED), ("error", Outcome.PCE_UNREACHABLE)])
async def test_an_ordered_failure_of_pairing_is_met_once(site: Site, how: How, outcome: Outcome) -> None:
    site.pce.pairing.order("web1", PairingFault(how=how))
    assert await site.run() is outcome
    assert await site.run() is Outcome.PAIRED


async def test_a_vm_of_another_pce_or_another_kind_is_told(site: Site) -> None:
    inside = site.guests.guest_of(site.vm)
    inside.pretend_machine("riscv64")
    assert await site.run() is Outcome.UNSUPPORTED_OS
    inside.wipe()
    inside.preload_paired("6f9619ff-8b86-d011-b42d-00c04fc964ff", 50, "other.example:443")
    assert await site.run() is Outcome.PAIRED_ELSEWHERE


async def test_a_second_run_in_the_same_vm_is_busy_as_long_as_the_first_one_s_pairing_lives_on(site: Site) -> None:
    site.environment.clock.scale = 1.0
    first = asyncio.create_task(site.guests.run(site.vm, ordered("", site.parameters(), 0.2)))
    await asyncio.sleep(0)
    assert await site.run() is Outcome.BUSY
    assert (await first).timed_out
    assert await site.run() is Outcome.BUSY
    site.guests.power_off(site.vm)
    await asyncio.sleep(0)
    assert await site.run(MICROSEG_MODE="probe") is Outcome.NOT_PAIRED
