"""Bounded thread pools, one a system, for the synchronous clients: one stalled vendor must not stall the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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


class PacedWorkers(Workers):
    """A system's threads for calls that the system counts: each first waits for its turn."""

    def __init__(self, workers: Workers, reserve: Callable[[], float], check: Callable[[], None]) -> None:
        """`reserve` takes one call and says the seconds until its turn; `check` raises if it may not be made then."""
        self._workers, self._reserve, self._check = workers, reserve, check

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Wait for its turn and run it. Raises what `check` raises: a Lease may be lost meanwhile."""
        await asyncio.sleep(self._reserve())
        self._check()
        return await self._workers.call(function, *args, **kwargs)

    def close(self) -> None:
        """The threads are others' too."""
