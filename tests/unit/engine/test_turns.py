"""Who waits longest is served first: no subscription, host or flapping address takes the others' turns."""

from __future__ import annotations

from tests.unit.engine.test_large_polls import two_subscriptions
from tests.unit.engine.test_rounds import in_subscription

from lab.memory.world import Process, until, vm
from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.next_publish import MOST_CALLS, next_publish
from microseg.engine.lanes.turns import Turns
from microseg.engine.state.action_queues import ActionQueues
from microseg.gateways.http.rate_limiter import RateLimiter
from microseg.model.azure_facts import VmDetail
from microseg.model.plan import DropObject, PutObject, ReleaseAddress


def test_parties_take_turns_however_many_wait_in_one() -> None:
    turns = Turns()
    waiting = [(f"a{number}", "crowded") for number in range(600)] + [("b0", "small"), ("b1", "small")]
    assert turns.line(waiting, most=5) == ["a0", "b0", "a1", "b1", "a2"]


def test_the_party_and_the_host_that_were_served_last_wait_longest() -> None:
    turns = Turns()
    waiting = [("a0", "a"), ("a1", "a"), ("b0", "b")]
    for vm_id, party in (("b0", "b"), ("a0", "a")):
        turns.served(vm_id, party)
    assert turns.line(waiting, most=3) == ["b0", "a1", "a0"]
    turns.keep_only({"b0"})
    assert turns.line(waiting, most=3) == ["b0", "a0", "a1"], "who is no more is forgotten"


async def test_a_crowd_without_an_agent_in_one_subscription_does_not_hold_up_another(workers: Workers) -> None:
    """Each look before a start waits for its subscription's budget; those of the crowd last for many seconds."""
    crowd, other = [vm(number) for number in range(150)], in_subscription(vm(500), "s2")
    world = two_subscriptions(*crowd, other)
    for each in crowd:
        detail = VmDetail(each.vm_id, each.record.power_state, agent_ready=False)
        world.azure.details[each.record.resource_id] = detail
    async with Process(world, workers, limiter=lambda: RateLimiter(30.0, 1.0)).running():
        await until(lambda: bool(world.azure.scripts))
    looks = [resource_id for (resource_id,) in world.journal.of("azure.vm")]
    assert looks.index(other.record.resource_id) < 70, "it went in turn with the crowd"


def test_hosts_that_change_all_the_time_take_no_turn_of_the_others_in_a_publish() -> None:
    turns, actions = Turns(), ActionQueues()
    batches = []
    for _ in range(3):
        for number in range(4):
            actions.deliver(str(number), (ReleaseAddress(str(number), "az-old", "uid", ("SO",)),) if number < 2 else ())
        for number in (2, 3):
            actions.deliver(str(number), (PutObject(str(number), "az", "", "10.0.0.1", ("SO",), ()),))
        batch = [change.vm_id for change in next_publish(actions, turns, most=2)]
        for vm_id in batch:
            turns.served(vm_id)
        batches.append(batch)
    assert batches == [["0", "2"], ["3", "1"], ["2", "0"]]


def test_a_vm_without_an_object_waits_for_no_crowd_that_has_one() -> None:
    turns, actions = Turns(), ActionQueues()
    for number in range(1000):
        vm_id = f"old-{number}"
        actions.deliver(vm_id, (PutObject(vm_id, "az", "uid", "10.0.0.1", ("SO",), ("Web",)),))
    actions.deliver("new", (PutObject("new", "az", "", "10.0.0.1", ("SO",), ()),))
    batch = [change.vm_id for change in next_publish(actions, turns)]
    assert (batch[1], len(batch)) == ("new", MOST_CALLS + 1)
    for vm_id in batch:
        turns.served(vm_id)
    assert not set(batch) & {change.vm_id for change in next_publish(actions, turns)} - {"new"}


def test_who_takes_an_address_comes_with_the_change_of_its_former_holder() -> None:
    """Without that change the former holder's object would leave its groups until the next publish (S4)."""
    turns, actions = Turns(), ActionQueues()
    for number in range(MOST_CALLS):
        vm_id = f"old-{number}"
        actions.deliver(vm_id, (PutObject(vm_id, "az", f"uid-{number}", "10.0.0.1", ("SO",), ("Web",)),))
    actions.deliver("holder", (PutObject("holder", "az", "uid-h", "10.0.0.2", (), ()),))
    taken = ReleaseAddress("new", "az-holder", "uid-h", ("SO",))
    actions.deliver("new", (taken, PutObject("new", "az", "", "10.0.0.1", ("SO",), ())))
    batch = [change.vm_id for change in next_publish(actions, turns)]
    assert batch[:3] == ["new", "new", "holder"]
    assert len(batch) == MOST_CALLS + 1


def test_a_host_with_more_calls_than_a_publish_has_goes_beside_newcomers() -> None:
    turns, actions = Turns(), ActionQueues()
    turns.served("large")
    actions.deliver("large", tuple(DropObject("large", f"az-{n}", f"uid-{n}") for n in range(MOST_CALLS + 1)))
    actions.deliver("new", (PutObject("new", "az", "", "10.0.0.1", ("SO",), ()),))
    assert {change.vm_id for change in next_publish(actions, turns)} == {"large", "new"}
