"""Bounded thread pools, one per system, for the synchronous clients: one stalled vendor must not stall the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Workers:
    """A pool of threads for one system's client."""

    def __init__(self, name: str, threads: int) -> None:
        """Name them, so that a stack dump tells whose they are."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"microseg-{name}")

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it in the pool. Cancelling the caller does not stop the call, which has its own time limits."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(function, *args, **kwargs))

    def close(self) -> None:
        """Let running calls end by themselves; accept no new ones."""
        self._pool.shutdown(wait=False, cancel_futures=True)


_THREADS = {"azure": 16, "illumio": 4, "checkpoint": 3, "kube": 12}
"""Azure is asked VM by VM when scripts start; the other two mostly in bulk."""


@dataclass(frozen=True, slots=True)
class WorkerPools:
    """One estate's threads, one pool per system: one whose systems hang takes none of another's.

    A thread begins with the first call that needs it, so an estate with little to do has few.
    """

    azure: Workers
    illumio: Workers
    check_point: Workers
    kube: Workers

    @classmethod
    def make(cls) -> WorkerPools:
        """New ones."""
        return cls(*(Workers(name, threads) for name, threads in _THREADS.items()))

    def close(self) -> None:
        """The estate's engine has ended: see `Workers.close`."""
        for workers in (self.azure, self.illumio, self.check_point, self.kube):
            workers.close()


def process_workers() -> Workers:
    """For calls of the API server that concern no running engine: before one begins, and between two."""
    return Workers("process", _THREADS["kube"])


def lease_workers() -> Workers:
    """For Leases: twelve slow writes of status must not cost an estate its leader."""
    return Workers("leases", 4)
