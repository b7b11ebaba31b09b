"""What Prometheus sees of an engine: VENs that are not heard, and suspension also while there is no engine."""

from __future__ import annotations

import msgspec

from lab.memory.estate import estate
from lab.memory.world import Process, World, until, vm
from microseg.engine.estate_numbers import QueueAges, numbers
from microseg.engine.ground.workers import Workers


async def test_hosts_are_counted_by_what_is_known_of_their_agents(workers: Workers) -> None:
    world = World(vm(1), vm(2))
    process = Process(world, workers)

    def agents() -> dict[str, int]:
        return dict(numbers(world.estates.stored, process.reconciler, QueueAges()).agents)

    async with process.running():
        await until(lambda: world.all_are("Commissioned"))
        assert agents() == {"Paired": 2}
        world.beat(vm(1), online=False)
        await until(lambda: agents() == {"Paired": 1, "VENOffline": 1})


def test_an_estate_that_is_suspended_says_so_before_its_engine_runs() -> None:
    made = estate()
    frozen = msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, suspend=True))
    assert [numbers(each, None, QueueAges()).suspended["estate"] for each in (made, frozen)] == [0, 1]
