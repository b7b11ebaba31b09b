"""A poll of any size and of several subscriptions: the trouble of one costs the others nothing, and takes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import timedelta

import msgspec
from tests.unit.engine.test_reconciler import COMMISSIONED, effects, rounds
from tests.unit.engine.test_rounds import in_subscription

from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.gateways.http.rate_limiter import RateLimiter
from microseg.gateways.ports import GatewayError, Reading, Refused, Unreachable, Wait
from microseg.model.azure_facts import Vm, VmListing
from microseg.model.azure_record import Tag
from microseg.model.condition import ConditionStatus, ConditionType, Reason

LONG_ENOUGH = timedelta(hours=2)
ONE, TWO = vm(1), in_subscription(vm(2), "s2")


def two_subscriptions(*vms: Vm) -> World:
    world = World(*vms)
    azure = world.estates.stored.spec.azure
    sources = (msgspec.structs.replace(azure.sources[0], subscriptions=("S1", "S2")),)
    world.spec(azure=msgspec.structs.replace(azure, sources=sources))
    return world


def failing(world: World, broken: str, error: GatewayError) -> Callable[[], None]:
    """This subscription cannot be listed, until the returned function is called."""
    plain = world.azure.list_vms

    def list_vms(subscription: str) -> Reading[VmListing]:
        if subscription == broken:
            yield Wait()
            raise error
        return (yield from plain(subscription))

    world.azure.list_vms = list_vms  # type: ignore[method-assign]
    return lambda: setattr(world.azure, "list_vms", plain)


def in_pages(world: World, pages: int, pause: float = 0.0) -> list[int]:
    """The list comes in so many pages; returns where the numbers of those that were sent stand."""
    sent: list[int] = []

    def list_vms(subscription: str) -> Generator[Wait, None, VmListing]:
        for page in range(pages):
            yield Wait(pause, throttled=bool(pause))
            sent.append(page)
        return VmListing(vms=tuple(each for each in world.azure.vms if each.record.subscription == subscription))

    world.azure.list_vms = list_vms  # type: ignore[method-assign]
    return sent


def azure_reachable(world: World) -> tuple[ConditionStatus, str, str]:
    made = world.condition(ConditionType.AZURE_REACHABLE)
    return (made.status, made.reason, made.message) if made is not None else (ConditionStatus.UNKNOWN, "", "")


async def test_a_subscription_that_cannot_be_read_costs_the_others_nothing(workers: Workers) -> None:
    world = two_subscriptions(ONE, TWO)
    async with Process(world, workers).running():
        await until(lambda: world.all_are(COMMISSIONED))
        mend = failing(world, "s2", Refused("Azure refused"))
        await until(lambda: azure_reachable(world)[:2] == (ConditionStatus.FALSE, Reason.REFUSED))
        assert "subscription s2 (Azure refused)" in azure_reachable(world)[2]
        before = effects(world)
        world.add(vm(3))
        await until(lambda: len(world.hosts.stored) == 3 and world.host(vm(3)).status.stage == "Commissioned")
        assert world.host(TWO).status.stage == "Commissioned", "what is known of it stays"
        poll = world.estates.stored.status.poll
        assert poll is not None
        assert (poll.complete, poll.unread) == (False, ("s2",))
        mend()
        await until(lambda: azure_reachable(world)[0] == ConditionStatus.TRUE)
    assert effects(world)[: len(before)] == before


async def test_nobody_is_missed_while_a_subscription_cannot_be_read(workers: Workers) -> None:
    world = two_subscriptions(ONE, TWO)
    process = Process(world, workers)
    async with process.running():
        await until(lambda: world.all_are(COMMISSIONED))
        asked = world.count("azure.vm")
        mend = failing(world, "s2", Unreachable("Azure could not be reached"))
        await until(lambda: azure_reachable(world)[0] == ConditionStatus.FALSE)
        world.azure.vms = [TWO]
        await until(lambda: world.host(ONE).status.reason == Reason.SUBSCRIPTION_UNREADABLE)
        world.delete(ONE)
        world.ahead = LONG_ENOUGH
        await rounds(world, 8)
        assert world.count("azure.vm") == asked, "it may have moved there"
        assert len(world.hosts.stored) == 2
        mend()
        await until(lambda: world.host(ONE).status.missing_since is not None)
        world.ahead = 2 * LONG_ENOUGH
        await until(lambda: len(world.hosts.stored) == 1)


async def test_after_a_start_a_subscription_that_cannot_be_read_is_as_its_records_say(workers: Workers) -> None:
    world = two_subscriptions(ONE, TWO)
    async with Process(world, workers).running():
        await until(lambda: world.all_are(COMMISSIONED))
    before = effects(world)
    failing(world, "s2", Refused("Azure refused"))
    async with Process(world, workers, term=4).running():
        await until(lambda: azure_reachable(world)[:2] == (ConditionStatus.FALSE, Reason.REFUSED))
        await rounds(world, 4)
        assert world.all_are(COMMISSIONED)
    assert effects(world) == before


async def test_a_changed_tag_is_not_believed_by_a_poll_that_could_not_read_it_again(workers: Workers) -> None:
    world = two_subscriptions(ONE, TWO)
    process = Process(world, workers)
    async with process.running():
        await until(lambda: world.all_are(COMMISSIONED))
        changed = replace(TWO, record=msgspec.structs.replace(TWO.record, tags=(Tag(key="app", value="Shop"),)))
        world.azure.vms = [ONE, changed]
        await until(lambda: TWO.vm_id in process.table.latest.tag_hold_down._read)
        mend = failing(world, "s2", Refused("Azure refused"))
        await until(lambda: azure_reachable(world)[0] == ConditionStatus.FALSE)
        await rounds(world, 3)
        settled = world.groups()["2"] == {"Web"}
        assert not settled or not process.table.latest.tag_hold_down._read
        mend()
        await until(lambda: world.groups()["2"] == {"Web"})


async def test_a_list_longer_than_the_bucket_is_read_once_from_end_to_end(workers: Workers) -> None:
    world = World(ONE)
    sent = in_pages(world, 40)
    async with Process(world, workers, limiter=lambda: RateLimiter(100.0, 5.0)).running():
        await until(lambda: world.all_are(COMMISSIONED), 30)
    assert sent[:40] == list(range(40))


async def test_a_subscription_that_asks_for_many_short_pauses_holds_up_the_others_no_longer_than_a_long_one(
    workers: Workers,
) -> None:
    world = two_subscriptions(ONE, TWO)
    plain = world.azure.list_vms
    in_pages(world, 1000, pause=4.0)
    slow = world.azure.list_vms

    def list_vms(subscription: str) -> Reading[VmListing]:
        return (yield from (slow if subscription == "s2" else plain)(subscription))

    world.azure.list_vms = list_vms  # type: ignore[method-assign]
    async with Process(world, workers, limiter=lambda: RateLimiter(100.0, 100.0)).running():
        await until(lambda: bool(world.hosts.stored) and world.host(ONE).status.stage == COMMISSIONED)
        assert "Azure asked for a pause in the midst of it" in azure_reachable(world)[2]


async def test_how_far_a_long_poll_is_stands_in_the_status(workers: Workers) -> None:
    world = World(ONE)
    in_pages(world, 200)
    process = Process(world, workers, limiter=lambda: RateLimiter(50.0, 5.0))
    async with process.running():
        process.parts.lanes.azure.polls._told_at = 0.0
        await until(lambda: process.parts.lanes.azure.polls._pages > 2)
        process.parts.lanes.azure.polls._told_at = 0.0
        await until(lambda: (poll := world.estates.stored.status.poll) is not None and poll.pages > 0, 20)
        assert not world.estates.stored.status.poll.complete  # type: ignore[union-attr]  # just seen
        await asyncio.sleep(0)
