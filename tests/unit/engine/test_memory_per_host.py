"""What a host costs in memory: what the engine holds of a fleet at rest is compared with a recorded figure.

Every answer is made of new objects, as answers of the wire are. Bytes of Python's own allocator, so no machine matters.
"""

from __future__ import annotations

import gc
import pickle
import tracemalloc
from collections.abc import Callable
from typing import Any

from tests.unit.engine.test_reconciler import commissioned, rounds

from lab.memory.cluster import FakeHosts
from lab.memory.world import Process, World, until
from microseg.engine.ground.workers import Workers
from microseg.gateways.ports import Reading
from microseg.model.host import ManagedHost

SMALL, LARGE = 20, 220
RECORDED = 11_000
"""Bytes per host: 8,100 to 9,700 were measured on CPython 3.11, 15,400 before equal values were held once."""


def decoded_anew(value: Any) -> Any:
    """Objects of their own, as if they were decoded once more."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own


def anew(read: Callable[..., Reading[Any]]) -> Callable[..., Reading[Any]]:
    """The reading, with objects of its own each time."""

    def reading(*args: Any) -> Reading[Any]:
        return decoded_anew((yield from read(*args)))

    return reading


def as_listed(hosts: FakeHosts) -> dict[str, ManagedHost]:
    """The records, each with objects of its own."""
    return {name: decoded_anew(host) for name, host in hosts.stored.items()}


async def held(count: int, workers: Workers) -> int:
    """Bytes that a process holds which found so many commissioned hosts, and has looked at everything since."""
    world: World = await commissioned(count, workers)
    for fake, name in ((world.azure, "list_vms"), (world.illumio, "workloads"), (world.check_point, "hosts")):
        setattr(fake, name, anew(getattr(fake, name)))
    gc.collect()
    tracemalloc.start()
    try:
        world.hosts.stored = as_listed(world.hosts)
        process = Process(world, workers)
        async with process.running():
            await until(lambda: len(process.table.hosts) == count)
            await rounds(world, 4)
            await until(lambda: all(not state.stale for state in process.table.hosts.values()))
            await rounds(world, 4)
        world.journal.lines.clear()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]  # nothing is being read any more
    finally:
        tracemalloc.stop()


async def test_a_host_at_rest_takes_no_more_memory_than_recorded(workers: Workers) -> None:
    small, large = await held(SMALL, workers), await held(LARGE, workers)
    assert (large - small) / (LARGE - SMALL) <= RECORDED
