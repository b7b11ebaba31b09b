"""Runs simulators in a thread, for tests and tools with synchronous clients (such as the vendors' SDKs)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ssl
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

from aiohttp import web

from simulators.server import Served, serve

_Result = TypeVar("_Result")
_PATIENCE = 30.0


class Background:
    """An event loop in a thread. A context manager: its end stops all servers."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="worlds", daemon=True)
        self._served: list[Served] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for served in self._served:
            self.run(served.stop())
        self.run(asyncio.sleep(0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine there and wait for its result; raises TimeoutError after 30 s."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    def call(self, function: Callable[[], _Result]) -> _Result:
        """Call a function in that thread, where a world may be changed, and wait for its result."""
        answer: concurrent.futures.Future[_Result] = concurrent.futures.Future()

        def work() -> None:
            try:
                answer.set_result(function())
            except Exception as error:  # noqa: BLE001 - handed on to the caller's thread
                answer.set_exception(error)

        self._loop.call_soon_threadsafe(work)
        return answer.result(_PATIENCE)

    def serve(self, app: web.Application, tls: ssl.SSLContext | None) -> Served:
        """Serve an application on a free port of 127.0.0.1 until the end."""
        served = self.run(serve(app, ssl_context=tls))
        self._served.append(served)
        return served
