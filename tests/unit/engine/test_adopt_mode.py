"""`mode: Adopt` over the whole engine: what others paired is labelled and grouped, and no run-command is ever sent."""

from __future__ import annotations

from lab.memory import samples as m
from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.model.condition import Reason


async def test_a_workload_that_a_person_names_is_protected_without_a_run_command(workers: Workers) -> None:
    world, uuid = World(vm(1), vm(2)), "5b8b1c2d-0000-4000-8000-000000000501"
    world.spec(mode="Adopt")
    href = f"/orgs/50/workloads/{uuid}"
    addresses = frozenset(address.ip for address in vm(1).record.addresses())
    world.illumio.stored[href] = m.workload(
        href=href, ven=href.replace("workloads", "vens"), hostname="vm1", addresses=addresses
    )
    async with Process(world, workers).running():
        await until(lambda: [host.status.reason for host in world.hosts.stored.values()] == [Reason.SCRIPTS_OFF] * 2)
        world.hosts.annotate(world.host(vm(1)).name, **{"microseg.dev/adopt": uuid})
        await until(lambda: world.host(vm(1)).status.stage == "Commissioned")
        assert world.host(vm(2)).status.reason == Reason.SCRIPTS_OFF
    assert world.illumio.stored[href].external_reference == vm(1).vm_id
    assert world.groups() == {"1": {"SO"}, "2": {"SO"}}, "groups need no agent"
    assert world.count("azure.start_run_command") == world.count("azure.delete_run_command") == 0
    assert world.count("illumio.make_key") == 0
