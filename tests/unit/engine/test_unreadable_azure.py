"""A poll with rows or NICs that cannot be read: nobody is missed, nothing is taken away, and the Estate says so."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import msgspec
from tests.unit.engine.test_reconciler import COMMISSIONED, commissioned, effects, rounds

from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.gateways.ports import Reading
from microseg.model.azure_facts import VmListing
from microseg.model.azure_record import Address, Nic
from microseg.model.condition import ConditionStatus, ConditionType, Reason

LONG_ENOUGH = timedelta(hours=2)


def told(world: World, kind: ConditionType) -> tuple[ConditionStatus, str] | None:
    made = world.condition(kind)
    return (made.status, made.reason) if made is not None else None


async def test_a_vm_that_may_be_an_unreadable_row_is_not_missed_and_the_estate_is_not_ready(workers: Workers) -> None:
    world = await commissioned(3, workers)
    before, asked = effects(world), world.count("azure.vm")
    shown = list(world.azure.vms)
    async with Process(world, workers, term=4).running():
        world.azure.vms, world.azure.unreadable = shown[:1], 2
        world.azure.left_out = ("A listed VM has no usable vmId: /x", "A listed VM has no usable vmId: /y", "A note")
        await until(lambda: told(world, ConditionType.AZURE_REACHABLE) == (ConditionStatus.FALSE, "RowsUnreadable"))
        await until(lambda: world.host(shown[2]).status.reason == Reason.ROWS_UNREADABLE)
        world.ahead = LONG_ENOUGH
        await rounds(world, 6)
        assert told(world, ConditionType.READY) == (ConditionStatus.FALSE, "RowsUnreadable")
        message = world.condition(ConditionType.READY).message  # type: ignore[union-attr]  # just seen
        assert "rows that cannot be read: 2" in message
        assert "/x" in message
        assert "/y" in message
        status = world.estates.stored.status
        assert status.poll is not None
        assert (status.poll.complete, status.poll.vms, status.poll.unreadable_rows) == (False, 1, 2)
        assert status.hosts is not None
        assert (status.hosts.total, status.hosts.commissioned, status.hosts.waiting) == (3, 1, 2)
        hosts = [world.host(each).status for each in shown]
        assert [each.missing_since for each in hosts] == [None] * 3
        writes = world.count("hosts.patch_status")
        await rounds(world)
        assert world.count("hosts.patch_status") == writes, "steady doubt is silent"
        world.azure.vms, world.azure.unreadable, world.azure.left_out = shown, 0, ()
        await until(lambda: world.all_are(COMMISSIONED))
        await until(lambda: told(world, ConditionType.READY) == (ConditionStatus.TRUE, "AllCommissioned"))
    assert (effects(world), world.count("azure.vm")) == (before, asked), "nobody was even asked for"
    assert world.tombstones.kept == {}


async def test_a_vm_that_is_really_gone_goes_once_every_row_can_be_read(workers: Workers) -> None:
    world = await commissioned(2, workers)
    async with Process(world, workers, term=4).running():
        world.azure.unreadable = 1
        world.delete(vm(1))
        await until(lambda: world.host(vm(1)).status.reason == Reason.ROWS_UNREADABLE)
        world.azure.unreadable = 0
        await until(lambda: world.host(vm(1)).status.reason == Reason.NOT_SEEN)
        world.ahead = LONG_ENOUGH
        await until(lambda: len(world.hosts.stored) == 1)
    assert world.tombstones.kept[vm(1).vm_id].proof == "ResourceNotFound"


async def test_nics_that_the_list_lacks_take_nothing_away_and_the_estate_says_so(workers: Workers) -> None:
    world = await commissioned(2, workers)
    before, groups = effects(world), world.groups()
    shown = list(world.azure.vms)
    lost = Nic(id=shown[1].record.nics[0].id, unreadable=True)
    hidden = replace(shown[1], record=msgspec.structs.replace(shown[1].record, nics=(lost,)))
    async with Process(world, workers, term=4).running():
        world.azure.vms = [shown[0], hidden]
        await until(lambda: told(world, ConditionType.READY) == (ConditionStatus.FALSE, "NicUnreadable"))
        await until(lambda: world.host(shown[1]).status.reason == Reason.NIC_UNREADABLE)
        await rounds(world)
        record = world.host(shown[1]).status.azure
        assert record is not None
        assert [(each.unreadable, len(each.addresses)) for each in record.nics] == [(True, 1)]
        world.azure.vms = shown
        await until(lambda: told(world, ConditionType.READY) == (ConditionStatus.TRUE, "AllCommissioned"))
    assert (effects(world), world.groups()) == (before, groups)


async def test_a_nic_that_every_second_poll_lacks_turns_nothing_and_holds_up_no_publish(workers: Workers) -> None:
    world = await commissioned(2, workers)
    polls = itertools.count()
    list_vms = world.azure.list_vms

    def alternating(subscription: str) -> Reading[VmListing]:
        vms = world.azure.vms
        gap = Nic(id=vms[1].record.nics[0].id, unreadable=True)
        hidden = replace(vms[1], record=msgspec.structs.replace(vms[1].record, nics=(gap,)))
        world.azure.vms = [vms[0], hidden] if next(polls) % 2 else vms
        try:
            return (yield from list_vms(subscription))
        finally:
            world.azure.vms = vms

    world.azure.list_vms = alternating  # type: ignore[method-assign]
    async with Process(world, workers, term=4).running():
        await until(lambda: told(world, ConditionType.READY) == (ConditionStatus.TRUE, "AllCommissioned"))
        posted, writes = len(world.events.posted), world.count("hosts.patch_status")
        await rounds(world, 6)
        assert world.events.posted[posted:] == []
        assert world.count("hosts.patch_status") == writes
        world.azure.vms = [vm(0), vm(1, "Shop")]
        await until(lambda: world.groups() == {"0": {"SO"}, "1": {"Web"}})
        assert told(world, ConditionType.AZURE_REACHABLE) == (ConditionStatus.TRUE, "Reachable")


async def test_blocks_and_crowds_of_addresses_block_their_own_host_with_a_sentence(workers: Workers) -> None:
    crowd = [
        Nic(
            id=f"/nic/{n}",
            primary=n == 1,
            addresses=tuple(Address(ip=f"10.9.{n}.{each}", primary=each == 1) for each in range(1, 65)),
        )
        for n in (1, 2)
    ]
    block = Nic(id="/nic/1", primary=True, addresses=(Address(ip="10.3.0.2", primary=True), Address(ip="10.9.0.16/28")))
    made = [
        replace(vm(n), record=msgspec.structs.replace(vm(n).record, nics=nics))
        for n, nics in ((1, (block,)), (2, tuple(crowd)))
    ]
    world = World(vm(0), *made)
    async with Process(world, workers).running():
        await until(lambda: len(world.hosts.stored) == 3)
        await until(lambda: world.host(vm(0)).status.stage == COMMISSIONED)
        await until(lambda: world.host(vm(1)).status.reason == Reason.ADDRESS_NOT_ALLOWED)
        await until(lambda: world.host(vm(2)).status.reason == Reason.TOO_MANY_ADDRESSES)
        messages = [
            next(each.message for each in world.host(vm(n)).status.conditions if each.type == ConditionType.GROUPED)
            for n in (1, 2)
        ]
    assert "10.9.0.16/28, which is a block of addresses" in messages[0]
    assert "128 private addresses" in messages[1]
    assert world.groups() == {"0": {"SO"}}
