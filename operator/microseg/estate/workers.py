"""Bounded thread pools, one a system, for the synchronous clients: one stalled vendor must not stall the rest."""

from __future__ import annotations

import asyncio
import copy
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
        self._reserve: Callable[[], float] = lambda: 0.0

    def paced(self, reserve: Callable[[], float]) -> Workers:
        """The same threads for one caller's budget: each call first waits the seconds that `reserve` says."""
        twin = copy.copy(self)
        twin._reserve = reserve
        return twin

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it in the pool. Cancelling the caller does not stop the call, which has its own time limits."""
        if (wait := self._reserve()) > 0:
            await asyncio.sleep(wait)
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(function, *args, **kwargs))

    def close(self) -> None:
        """Let running calls end by themselves; accept no new ones."""
        self._pool.shutdown(wait=False, cancel_futures=True)
