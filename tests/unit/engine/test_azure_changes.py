"""Between two readings of long lists Resource Graph hints at changes, and Resource Manager alone answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.unit.engine.test_large_polls import failing as unlistable
from tests.unit.engine.test_large_polls import two_subscriptions
from tests.unit.engine.test_reconciler import COMMISSIONED, effects
from tests.unit.engine.test_rounds import in_subscription

from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.gateways.http.rate_limiter import RateLimiter
from microseg.gateways.ports import GatewayError, Reading, Refused, Throttled, Unreachable, Wait
from microseg.kube.errors import Unavailable
from microseg.model.azure_facts import Vm, VmDetail
from microseg.model.azure_glimpse import Sighting
from microseg.model.azure_record import Tag
from microseg.model.condition import ConditionStatus, ConditionType
from microseg.model.facts import Absent

LONG = 100
LISTS, GRAPH, ALONE = "azure.list_vms", "azure.sightings", "azure.read_vm"


def world_of(count: int, requests: int = LONG) -> World:
    world = World(*(vm(number) for number in range(1, count + 1)))
    world.azure.requests = requests
    return world


def changed(made: Vm, **record: Any) -> Vm:
    return replace(made, record=msgspec.structs.replace(made.record, **record))


def shop(made: Vm) -> Vm:
    return changed(made, tags=(Tag(key="app", value="Shop"),))


async def looks(world: World, count: int = 6) -> None:
    """So many more looks."""
    before = world.count(GRAPH)
    await until(lambda: world.count(GRAPH) >= before + count)


async def settled(world: World) -> None:
    """All are commissioned, and it is looked instead of listed."""
    await until(lambda: world.all_are(COMMISSIONED))
    await looks(world, 2)


def failing(world: World, error: GatewayError) -> Callable[[], None]:
    """Resource Graph answers so, until the returned function is called."""
    plain = world.azure.sightings

    def sightings() -> Reading[tuple[Sighting, ...]]:
        yield Wait()
        world.azure.asked("sightings")
        raise error

    world.azure.sightings = sightings  # type: ignore[method-assign]
    return lambda: setattr(world.azure, "sightings", plain)


def azure_says(world: World) -> tuple[ConditionStatus, str]:
    made = world.condition(ConditionType.AZURE_REACHABLE)
    return (made.status, made.message) if made is not None else (ConditionStatus.UNKNOWN, "")


async def test_short_lists_are_read_each_time_and_resource_graph_is_never_asked(workers: Workers) -> None:
    world = world_of(2, requests=50)
    async with Process(world, workers).running():
        await until(lambda: world.all_are(COMMISSIONED) and world.count(LISTS) > 5)
    assert world.count(GRAPH) == 0


async def test_a_newcomer_and_a_changed_tag_are_seen_by_hints_without_reading_the_lists(workers: Workers) -> None:
    world = world_of(3)
    async with Process(world, workers).running():
        await settled(world)
        lists = world.count(LISTS)
        world.add(vm(9))
        await until(lambda: world.all_are(COMMISSIONED))
        world.add(shop(vm(1)))
        await until(lambda: world.groups()["1"] == {"Web"})
        assert world.count(LISTS) == lists
        read = {args[0].rpartition("/")[2] for args in world.journal.of(ALONE)}
        assert read == {"vm9", "vm1"}
        assert world.estates.stored.status.poll is not None
        assert world.estates.stored.status.poll.vms == 4


async def test_a_look_without_a_hint_reads_nothing_else_and_writes_nothing(workers: Workers) -> None:
    world = world_of(3)
    async with Process(world, workers).running():
        await settled(world)
        asked, writes, outside = world.count(ALONE), world.count("hosts.patch_status"), effects(world)
        await looks(world)
        assert (world.count(ALONE), world.count("hosts.patch_status"), effects(world)) == (asked, writes, outside)


async def test_a_vm_that_the_graph_lacks_and_the_lists_show_is_asked_about_once_and_not_missed(
    workers: Workers,
) -> None:
    world = world_of(30)
    async with Process(world, workers).running():
        await settled(world)
        lists = world.count(LISTS)
        world.azure.graph = [each for each in world.azure.vms if each.vm_id != vm(1).vm_id]
        await until(lambda: world.count(LISTS) > lists)
        await looks(world)
        assert world.count(LISTS) == lists + 1
        assert world.host(vm(1)).status.missing_since is None
        assert world.all_are(COMMISSIONED)


async def test_a_graph_that_lags_costs_one_read_and_flaps_nothing(workers: Workers) -> None:
    world = world_of(2)
    process = Process(world, workers)
    async with process.running():
        await settled(world)
        world.azure.graph = list(world.azure.vms)
        world.add(shop(vm(1)))
        process.annotate(**{"microseg.dev/reconcile-at": "1"})
        await until(lambda: vm(1).vm_id in process.table.latest.waiting() or world.groups()["1"] == {"Web"})
        await until(lambda: world.groups()["1"] == {"Web"})
        await looks(world, 3)
        asked, outside = world.count(ALONE), effects(world)
        await looks(world)
        assert (world.count(ALONE), effects(world)) == (asked, outside), "it was answered, and the graph shows the same"
        world.azure.graph = None
        await looks(world)
        assert world.groups()["1"] == {"Web"}
        assert world.count(ALONE) == asked


async def test_a_row_that_the_graph_invents_becomes_no_host(workers: Workers) -> None:
    world = world_of(1)
    async with Process(world, workers).running():
        await settled(world)
        world.azure.graph = [vm(1), vm(7)]
        await until(lambda: world.count(ALONE) > 0)
        await looks(world)
        assert world.count(ALONE) == 1
        assert len(world.hosts.stored) == 1


async def test_a_deleted_vm_is_retired_by_the_lists_and_azures_word_alone(workers: Workers) -> None:
    world = world_of(30)
    retirement = msgspec.structs.replace(world.estates.stored.spec.retirement, missed_polls=3, after="0s")
    world.spec(retirement=retirement)
    async with Process(world, workers).running():
        await settled(world)
        lists = world.count(LISTS)
        world.delete(vm(1))
        await until(lambda: len(world.hosts.stored) == 29)
        assert world.count(LISTS) >= lists + 3
        assert vm(1).record.resource_id in {args[0] for args in world.journal.of("azure.vm")}
        lists = world.count(LISTS)
        await looks(world)
        assert world.count(LISTS) <= lists + 1, "nobody is missing any more"


async def test_a_vm_that_was_made_anew_under_its_name_is_for_the_lists_to_tell(workers: Workers) -> None:
    world = world_of(30)
    async with Process(world, workers).running():
        await settled(world)
        lists = world.count(LISTS)
        again = replace(vm(1), vm_id=vm(77).vm_id)
        world.azure.vms = [again if each.vm_id == vm(1).vm_id else each for each in world.azure.vms]
        world.azure.details[again.record.resource_id] = VmDetail(again.vm_id, "running", agent_ready=True)
        await until(lambda: world.host(vm(1)).status.missing_since is not None)
        assert world.count(LISTS) > lists


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Refused("Azure refused the operator's identity"), "Azure refused the operator's identity"),
        (Unreachable("Azure failed (503)"), "Azure failed (503)"),
        (Throttled("Azure asks for a pause of 1 s", 1.0), "it asks for a pause"),
    ],
)
async def test_where_the_graph_cannot_be_read_the_lists_are_read_each_time_and_it_is_told(
    workers: Workers, error: GatewayError, told: str
) -> None:
    world = world_of(2)
    async with Process(world, workers).running():
        await settled(world)
        mend = failing(world, error)
        await until(lambda: told in azure_says(world)[1])
        assert azure_says(world)[0] == ConditionStatus.TRUE, "the lists were read"
        lists, asked = world.count(LISTS), world.count(GRAPH)
        world.add(vm(9))
        await until(lambda: world.all_are(COMMISSIONED) and world.count(LISTS) > lists + 3)
        assert world.count(GRAPH) - asked <= world.count(LISTS) - lists + 1, (
            "one question for each reading of the lists"
        )
        mend()
        await until(lambda: told not in azure_says(world)[1])
        await looks(world, 2)
        lists = world.count(LISTS)
        await looks(world)
        assert world.count(LISTS) == lists


async def test_a_graph_that_lacks_many_vms_is_not_relied_on(workers: Workers) -> None:
    world = world_of(3)
    async with Process(world, workers).running():
        await settled(world)
        world.azure.graph = [vm(3)]
        await until(lambda: "it lacks VMs that Azure's lists show" in azure_says(world)[1])
        world.add(vm(9))
        await until(lambda: world.all_are(COMMISSIONED))
        assert {host.status.missing_since for host in world.hosts.stored.values()} == {None}


async def test_a_person_has_the_lists_read(workers: Workers) -> None:
    world = world_of(1)
    process = Process(world, workers)
    async with process.running():
        await settled(world)
        lists = world.count(LISTS)
        process.annotate(**{"microseg.dev/reconcile-at": "1"})
        await until(lambda: world.count(LISTS) == lists + 1)


async def test_a_vm_that_azure_refuses_to_show_is_left_to_the_lists(workers: Workers) -> None:
    world = world_of(2)
    async with Process(world, workers).running():
        await settled(world)
        world.azure.fail("read_vm", Refused("no"))
        world.azure.graph = [changed(vm(1), vm_size="other"), vm(2)]
        await until(lambda: world.count(ALONE) == 1)
        await looks(world)
        assert world.count(ALONE) == 1


async def test_a_vm_that_could_not_be_read_is_asked_for_by_the_next_look(workers: Workers) -> None:
    world = world_of(2)
    async with Process(world, workers).running():
        await settled(world)
        world.azure.fail("read_vm", Unreachable("away"))
        world.add(shop(vm(1)))
        await until(lambda: world.groups()["1"] == {"Web"})


async def test_a_row_of_the_graph_that_is_no_text_is_told_and_has_the_lists_read(workers: Workers) -> None:
    world = world_of(2)
    async with Process(world, workers).running():
        await settled(world)
        world.azure.garbled = {vm(2).vm_id}
        await until(lambda: "A list has a row that is no JSON" in azure_says(world)[1])
        world.add(shop(vm(1)))
        await until(lambda: world.groups() == {"1": {"Web"}, "2": {"SO"}})
        world.azure.garbled = set()
        await until(lambda: azure_says(world) == (ConditionStatus.TRUE, "The latest poll was complete: 2 VMs."))


def with_long_lists(world: World) -> World:
    """The next reading of the lists is minutes away."""
    world.azure.requests, world.azure.cost = LONG, 1_000
    return world


async def test_while_one_subscription_cannot_be_read_newcomers_of_another_are_seen_by_hints(workers: Workers) -> None:
    world = with_long_lists(two_subscriptions(vm(1), vm(2)))
    unlistable(world, "s2", Throttled("Azure asks for a pause of 10 s", 10.0))
    async with Process(world, workers).running():
        await settled(world)
        lists = world.count(LISTS)
        world.add(vm(9), shop(vm(1)), in_subscription(vm(7), "s2"))
        await until(lambda: world.groups() == {"1": {"Web"}, "2": {"SO"}, "9": {"SO"}})
        assert world.count(LISTS) == lists
        assert len(world.hosts.stored) == 3, "of the other subscription nothing was ever read"
        status, message = azure_says(world)
        assert (status, "could not read subscription s2" in message) == (ConditionStatus.FALSE, True)


async def test_a_vm_that_is_gone_while_one_subscription_cannot_be_read_is_not_missed_by_looks(workers: Workers) -> None:
    world = with_long_lists(two_subscriptions(vm(1), vm(2)))
    unlistable(world, "s2", Unreachable("Azure failed (503)"))
    async with Process(world, workers).running():
        await settled(world)
        asked = world.journal.of("azure.vm")
        world.delete(vm(1))
        await looks(world)
        world.add(vm(9))
        await until(lambda: world.count(ALONE) > 0)
        await looks(world)
        assert [host.status.missing_since for host in world.hosts.stored.values()] == [None] * 3
        assert (vm(1).record.resource_id,) not in world.journal.of("azure.vm")[len(asked) :]


async def test_hints_that_unread_lists_did_not_answer_are_followed_later(workers: Workers) -> None:
    there = in_subscription(vm(7), "s2")
    world = with_long_lists(two_subscriptions(vm(1), there))
    process = Process(world, workers)
    async with process.running():
        await settled(world)
        unlistable(world, "s2", Throttled("Azure asks for a pause of 10 s", 10.0))
        world.azure.fail("read_vm", *[Unreachable("away")] * 100_000)
        world.add(shop(there))
        await until(lambda: world.count(ALONE) > 0)
        process.annotate(**{"microseg.dev/reconcile-at": "1"})
        await until(lambda: "subscription s2" in azure_says(world)[1])
        world.azure._fails.clear()
        await until(lambda: world.groups() == {"1": {"SO"}, "7": {"Web"}})


async def test_a_look_waits_no_longer_for_many_short_pauses_of_one_subscription_than_for_a_long_one(
    workers: Workers,
) -> None:
    there = in_subscription(vm(7), "s2")
    world = with_long_lists(two_subscriptions(vm(1), there))
    plain = world.azure.read_vm

    def read_vm(resource_id: str) -> Reading[Vm | Absent]:
        for _ in range(1000 if "/s2/" in resource_id else 0):
            yield Wait(4.0, throttled=True)
        return (yield from plain(resource_id))

    world.azure.read_vm = read_vm  # type: ignore[method-assign]
    async with Process(world, workers, limiter=lambda: RateLimiter(100.0, 100.0)).running():
        await settled(world)
        world.add(shop(there), vm(9))
        await until(lambda: world.groups().get("9") == {"SO"})
        assert world.groups()["7"] == {"SO"}, "it asks for pauses still"


async def test_a_record_that_could_not_be_made_or_was_deleted_is_made_after_the_next_look(workers: Workers) -> None:
    world = world_of(2)
    async with Process(world, workers).running():
        await settled(world)
        lists = world.count(LISTS)
        world.hosts.fail("create", Unavailable("away"))
        world.add(vm(9))
        await until(lambda: world.all_are(COMMISSIONED), 10)
        del world.hosts.stored[world.host(vm(1)).name]
        await until(lambda: world.all_are(COMMISSIONED), 10)
        assert world.count(LISTS) == lists
