"""A list of the PCE with gaps unpairs nobody: what it lacks is asked for by its href (S5, S1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.engine.test_mapping_changes import approve
from tests.unit.engine.test_reconciler import COMMISSIONED, commissioned, rounds
from tests.unit.engine.test_retirement import held

from lab.memory import samples as m
from lab.memory.illumio import FakeIllumio
from lab.memory.world import Process, until
from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.unlisted import MOST, UnlistedWorkloads, to_ask
from microseg.gateways.ports import GatewayError, Reading, Refused, Unreachable
from microseg.model.condition import ConditionType, Reason
from microseg.model.illumio_facts import Workload

GAP = 20


async def read(reading: Reading[Workload | None]) -> Workload | None:
    try:
        while True:
            next(reading)
    except StopIteration as end:
        found: Workload | None = end.value
        return found


def test_the_vms_that_azure_lacks_are_asked_for_first_and_what_is_settled_no_more() -> None:
    missing = {f"vm{number:03}": f"/w/{number:03}" for number in range(MOST + 10)}
    asked = to_ask(missing, {"/w/000": 2, "/w/001": 1}, {"vm109"})
    assert (len(asked), asked[0], "/w/000" in asked, "/w/001" in asked) == (MOST, "/w/109", False, True)
    assert to_ask(missing, {}, ()) == to_ask(missing, {}, ()), "always the same ones: nobody changes back and forth"


@pytest.mark.parametrize("error", [None, Refused("no"), Unreachable("no")])
async def test_only_an_answer_of_the_pce_means_that_a_workload_is_gone(error: GatewayError | None) -> None:
    pce = FakeIllumio()
    pce.stored[m.HREF], pce.unlisted = m.stamped(), {m.HREF}
    unlisted = UnlistedWorkloads(pce, read)
    recorded = {"gap": m.HREF, "gone": "/orgs/50/workloads/z"}
    if error is not None:
        pce.fail("workload", error)
    found = await unlisted.ask((), recorded, ())
    if error is None:
        assert (found.shown, set(found.lost), set(found.doubtful)) == ((m.stamped(),), {"gone"}, set[str]())
    else:
        assert (found.shown, "gap" in found.doubtful, "gap" in found.lost) == ((), True, False)
    assert found.sentences()


async def test_a_workload_that_is_gone_is_asked_for_twice_and_no_more() -> None:
    pce = FakeIllumio()
    unlisted, recorded = UnlistedWorkloads(pce, read), {m.VM_ID: m.HREF}
    for _ in range(4):
        assert (await unlisted.ask((), recorded, ())).lost == {m.VM_ID}
    assert len(pce.journal.of("illumio.workload")) == 2
    assert (await unlisted.ask((m.stamped(),), recorded, ())).lost == frozenset()


async def test_a_list_that_is_empty_or_lacks_rows_changes_nothing(workers: Workers) -> None:
    world = await commissioned(GAP, workers)
    before = (world.count("illumio.make_key"), len(world.azure.puts), world.groups())
    async with Process(world, workers, term=4).running():
        world.illumio.unlisted = set(world.illumio.stored)
        await rounds(world, 3)
        assert world.all_are(COMMISSIONED)
        world.illumio.unlisted = set(list(world.illumio.stored)[:3])
        await rounds(world, 3)
    assert world.all_are(COMMISSIONED)
    assert (world.count("illumio.make_key"), len(world.azure.puts), world.groups()) == before


async def test_a_pce_that_shows_nothing_and_refuses_to_tell_starts_nothing(workers: Workers) -> None:
    world = await commissioned(2, workers)
    before = (world.count("illumio.make_key"), len(world.azure.puts))
    async with Process(world, workers, term=4).running():
        world.illumio.unlisted = set(world.illumio.stored)
        world.illumio.fail("workload", *[Refused("The PCE refused the API key") for _ in range(500)])
        await until(lambda: all(host.status.reason == Reason.WORKLOAD_UNLISTED for host in world.hosts.stored.values()))
        await rounds(world, 3)
    assert (world.count("illumio.make_key"), len(world.azure.puts)) == before


async def test_workloads_that_are_gone_in_masses_are_held_until_a_person_approves(workers: Workers) -> None:
    world = await commissioned(GAP, workers)
    before = (world.count("illumio.make_key"), len(world.azure.puts), world.groups())
    process = Process(world, workers, term=4)
    async with process.running():
        kept = dict(world.illumio.stored)
        world.illumio.stored = {}
        await until(lambda: held(world).endswith(f":{GAP}"))
        await until(lambda: all(host.status.reason == Reason.PAIRING_HELD for host in world.hosts.stored.values()))
        await rounds(world, 2)
        assert (world.count("illumio.make_key"), len(world.azure.puts), world.groups()) == before
        stated = world.condition(ConditionType.PLAN_HELD)
        assert stated is not None
        assert "paired anew" in stated.message
        world.illumio.stored = kept
        await until(lambda: held(world) == "" and world.all_are(COMMISSIONED))
        assert (world.count("illumio.make_key"), len(world.azure.puts), world.groups()) == before
        world.illumio.stored = {href: replace(each) for href, each in list(kept.items())[6:]}
        await until(lambda: held(world).endswith(":6"))
        approve(process, held(world))
        await until(lambda: world.count("illumio.make_key") == before[0] + 6)
