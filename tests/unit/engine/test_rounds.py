"""One round of decisions is judged whole, and a system's pause keeps nobody's place: found by a reader who broke it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import msgspec
import pytest

from lab.memory import samples as m
from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.next_publish import one_publish
from microseg.gateways.http.rate_limiter import RateLimiter
from microseg.gateways.ports import Throttled, Unreachable
from microseg.model.azure_facts import Vm, VmDetail
from microseg.model.condition import ConditionStatus, ConditionType, find
from microseg.model.facts import Absent
from microseg.model.plan import DropObject, FirewallChange, PutObject, ReleaseAddress

COMMISSIONED = "Commissioned"


def wide() -> RateLimiter:
    """A budget that only a pause stops."""
    return RateLimiter(10_000.0, 10_000.0, full=True)


async def test_an_approved_mass_retirement_goes_through_whole(workers: Workers) -> None:
    old = [vm(number) for number in range(24)]
    world = World(*old)
    world.spec(retirement=msgspec.structs.replace(world.estates.stored.spec.retirement, missed_polls=2, after="0s"))
    process = Process(world, workers, slice=5)
    async with process.running():
        await until(lambda: world.all_are(COMMISSIONED))
        for each in old:
            world.delete(each)
        await until(lambda: held(process) + len(world.tombstones.kept) == 24)
        await asyncio.sleep(1.5)
        assert held(process) >= 19, "at most five begin before it is known how many there are"
        hold = process.parts.retirement.hold
        assert hold is not None
        process.annotate(**{"microseg.dev/approve": hold.approval})
        await until(lambda: len(world.tombstones.kept) == 24)
        await asyncio.sleep(1.5)
        assert process.parts.retirement.hold is None


def held(process: Process) -> int:
    hold = process.parts.retirement.hold
    return len(hold.hosts) if hold is not None else 0


def in_subscription(made: Vm, subscription: str) -> Vm:
    """The VM in another subscription."""
    resource_id = made.record.resource_id.replace("/s1/", f"/{subscription}/")
    return replace(
        made, record=msgspec.structs.replace(made.record, resource_id=resource_id, subscription=subscription)
    )


async def test_a_pause_of_one_subscription_holds_up_no_other(workers: Workers) -> None:
    world = World(*(vm(number) for number in range(40)))
    azure = world.estates.stored.spec.azure
    sources = (msgspec.structs.replace(azure.sources[0], subscriptions=("S1", "S2")),)
    world.spec(azure=msgspec.structs.replace(azure, sources=sources))
    ask = world.azure.vm

    def throttled(resource_id: str) -> VmDetail | Absent:
        if "/s1/" in resource_id:
            raise Throttled("Azure asks for a pause of 900 s", 900.0)
        return ask(resource_id)

    world.azure.vm = throttled  # type: ignore[method-assign]
    process = Process(world, workers, limiter=wide)
    async with process.running():
        await until(lambda: any(state.observed.postponed for state in process.table.hosts.values()))
        world.add(*(in_subscription(vm(number), "s2") for number in range(100, 103)))
        await until(lambda: len(world.azure.puts) == 3, 15)


async def test_starts_that_waited_for_the_pce_go_on_as_soon_as_it_is_read_again(workers: Workers) -> None:
    world = World(vm(1))
    world.illumio.fail("make_key", Unreachable("away"))
    process = Process(world, workers)
    async with process.running():
        await until(lambda: any(state.observed.postponed for state in process.table.hosts.values()))
        world.illumio.fail("workloads", Unreachable("away"))
        await until(lambda: len(world.azure.puts) == 1, 20)


@pytest.mark.parametrize("what", ["suspended", "paired by hand"])
async def test_no_start_waits_through_a_pause_while_its_decision_grows_stale(workers: Workers, what: str) -> None:
    one = vm(1)
    world = World(one)
    process = Process(world, workers, limiter=wide)
    budget = process.parts.lanes.azure.polls._budgets.of(one.record.resource_id)
    world.azure.meanwhile("list_vms", lambda: budget.pause(1.5))
    async with process.running():
        await until(lambda: any(state.observed.postponed for state in process.table.hosts.values()))
        if what == "suspended":
            host = world.host(one)
            world.hosts.put(msgspec.structs.replace(host, spec=msgspec.structs.replace(host.spec, suspend=True)))
        else:
            href = "/orgs/50/workloads/paired-by-hand"
            world.illumio.stored[href] = m.workload(
                href=href,
                hostname="vm1",
                created_at=world.now(),
                external_set=m.MARK,
                external_reference=one.vm_id,
                addresses=frozenset(address.ip for address in one.record.addresses()),
            )
            await until(lambda: paired(world, one))
        await asyncio.sleep(2)
        assert world.azure.puts == []


def paired(world: World, one: Vm) -> bool:
    condition = find(world.host(one).status.conditions, ConditionType.AGENT_PAIRED)
    return condition is not None and condition.status == ConditionStatus.TRUE


async def test_a_lane_whose_budget_pauses_goes_on_beating(workers: Workers) -> None:
    world = World(vm(1))
    world.illumio.fail("make_key", Throttled("The PCE asks for a pause of 3 s", 3.0))
    process = Process(world, workers, limiter=wide)
    async with process.running():
        await until(lambda: world.count("illumio.make_key") == 1)
        await until(lambda: "pause" in message(world, ConditionType.ILLUMIO_REACHABLE))
        await until(lambda: world.all_are(COMMISSIONED))


def message(world: World, kind: ConditionType) -> str:
    condition = world.condition(kind)
    return condition.message if condition is not None else ""


async def test_vms_that_were_polled_before_the_records_came_do_not_wait_for_the_next_poll(workers: Workers) -> None:
    world = World(vm(1))
    world.spec(azure=msgspec.structs.replace(world.estates.stored.spec.azure, poll_interval="60s"))
    process = Process(world, workers)
    began = time.monotonic()
    async with process.running():
        await until(lambda: len(world.hosts.stored) == 1)
    assert time.monotonic() - began < 30


def test_one_host_s_changes_are_never_in_two_publishes() -> None:
    def host(number: int) -> list[FirewallChange]:
        vm_id = f"vm-{number}"
        return [
            ReleaseAddress(vm_id, "az-old", "uid", ("SO",)),
            PutObject(vm_id, f"az-{number}", "", "10.0.0.1", ("SO",)),
        ]

    first = one_publish([host(number) for number in range(4)], most=5)
    assert [change.vm_id for change in first] == ["vm-0", "vm-0", "vm-1", "vm-1"]
    large: list[FirewallChange] = [DropObject("vm-9", f"az-{number}", "uid") for number in range(9)]
    assert one_publish([large, host(1)], most=5) == large, "more than fit are one publish all the same"
