"""Threads: each estate has its own, and each watch of records one that nobody else can take."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from lab.memory.cluster import FakeEvents
from lab.memory.estate import estate
from lab.memory.scripted import FakeClock, FakeTerm
from lab.memory.world import until
from microseg.engine.cluster.event_recorder import EventRecorder
from microseg.engine.cluster.host_feed import HostFeed
from microseg.engine.ground.heartbeats import Heartbeats
from microseg.engine.ground.runtime import Runtime
from microseg.engine.ground.workers import WorkerPools, Workers
from microseg.engine.state.host_table import HostTable
from microseg.kube.reflector import Event, Synced


async def test_an_estate_whose_systems_hang_takes_no_thread_of_another() -> None:
    hanging, living, gate = WorkerPools.make(), WorkerPools.make(), threading.Event()
    calls = [
        asyncio.create_task(workers.call(gate.wait))
        for workers in (hanging.azure, hanging.illumio, hanging.check_point, hanging.kube)
        for _ in range(40)
    ]
    try:
        async with asyncio.timeout(30):
            for workers in (living.azure, living.illumio, living.check_point, living.kube):
                assert await workers.call(lambda: "answered") == "answered"
    finally:
        gate.set()
        await asyncio.gather(*calls)
        hanging.close()
        living.close()


class Watch:
    """A watch that lasts until it is stopped, as a reflector's does."""

    beat = 0.0

    def run(self, deliver: Callable[[Sequence[Event]], None], stop: threading.Event) -> None:
        deliver([Synced(frozenset(), 0.0)])
        stop.wait()


async def test_the_records_of_fifty_estates_are_followed_at_once(workers: Workers) -> None:
    tables = [HostTable() for _ in range(50)]
    events = EventRecorder(FakeEvents(), estate, Runtime(FakeTerm(), FakeClock(), workers))
    feeds = [asyncio.create_task(HostFeed(Watch(), table, events, Heartbeats()).run()) for table in tables]
    try:
        await until(lambda: all(table.synced for table in tables))
    finally:
        for feed in feeds:
            feed.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*feeds)
