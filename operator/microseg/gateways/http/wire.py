"""Counts requests where they leave: one observation per request that was sent, with the HTTP status that answered it.

A call of a gateway can be many requests (a list is read page by page) or none (a session is open already), so nothing
above the wire can count them. `tls.build_session` gives each session of ours a `Meter`; `azure/credentials.py` puts
one into the pipeline of azure-identity, which has sessions of its own. Gateways name what they do by `operation`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

W = TypeVar("W")
R = TypeVar("R")

Observe = Callable[[str, str, str, float], None]
"""(system, operation, outcome, seconds): system is a `System`'s value, outcome an HTTP status or NO_ANSWER."""

NO_ANSWER = "none"
"""The outcome of a request to which no whole answer came."""
_UNNAMED = "other"


class _Current(threading.local):
    """Per thread: what its requests are for."""

    operation: str = _UNNAMED


_current = _Current()


@contextmanager
def operation(name: str) -> Iterator[None]:
    """Name the requests of this thread inside the block; the innermost name counts. One of a gateway's few words."""
    before, _current.operation = _current.operation, name
    try:
        yield
    finally:
        _current.operation = before


def steps(name: str, reading: Generator[W, None, R]) -> Generator[W, None, R]:
    """The same reading, each of whose steps is named: it may be resumed in another thread each time."""
    while True:
        with operation(name):
            try:
                step = next(reading)
            except StopIteration as end:
                result: R = end.value
                return result
        yield step


@dataclass(slots=True)
class Sent:
    """One request under way. `status` is set once its answer is whole."""

    status: int | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """Observes the requests of one system."""

    system: str
    observe: Observe

    @contextmanager
    def request(self, name: str = "") -> Iterator[Sent]:
        """Observe one request, also one that fails. `name`: instead of the thread's operation."""
        sent, began = Sent(), time.monotonic()
        try:
            yield sent
        finally:
            outcome = NO_ANSWER if sent.status is None else str(sent.status)
            self.observe(self.system, name or _current.operation, outcome, time.monotonic() - began)

    def hooks(self, name: str, then: Callable[[Any], None]) -> dict[str, Callable[[Any], None]]:
        """Hooks of azure-core's CustomHookPolicy, for a pipeline with a session of its own; only answers are seen.

        `then` is called with each answer after it was counted.
        """
        thread = threading.local()

        def begin(_request: Any) -> None:
            thread.began = time.monotonic()

        def end(response: Any) -> None:
            seconds = time.monotonic() - thread.began
            self.observe(self.system, name, str(response.http_response.status_code), seconds)
            then(response)

        return {"raw_request_hook": begin, "raw_response_hook": end}


def _ignore(_system: str, _operation: str, _outcome: str, _seconds: float) -> None:
    """Observe nothing."""


UNOBSERVED = Meter("", _ignore)
"""For a session that nobody asks about."""


def meter(system: str, observe: Observe | None) -> Meter:
    """The meter of a system; one that observes nothing without `observe`."""
    return UNOBSERVED if observe is None else Meter(system, observe)
