"""How every list of every system is read: request by request, each in its turn, and from where it stopped.

The three gateways build their lists of it. The lanes decide when a turn comes (`engine/lanes/readings.py`); no thread
sleeps here. A list of 10,000 VMs is hundreds of requests: if one failure among them began it anew, a system that
refuses one request in a hundred could never be read to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from microseg.gateways.http import tls
from microseg.gateways.http.volume import Volume
from microseg.gateways.ports import ProxyRefused, Reading, Throttled, Unreachable, Wait

T = TypeVar("T")
_MOST_FAILURES = 3
_MOST_PAUSES = 10
"""In a row, for one request: then the reading fails, and the lane says so and tries again by its schedule."""
_PAUSE = 0.5
"""Seconds before a request is asked again that failed; longer after each further failure."""


def in_turn(request: Callable[[], T], volume: Volume, wait: Wait = Wait()) -> Reading[T]:  # noqa: B008 - frozen
    """The answer to one request of a list. It is asked again after a pause, or where it failed for the moment.

    `request`: sends it once, and raises a GatewayError unless the answer can be used. `volume`: the list's, to which
    the answer is added. `wait`: what even the first try waits for. Raises the last error of `request`, and what
    `volume` raises.
    """
    failures = pauses = 0
    while True:
        yield wait
        tls.forget_sent_request()
        try:
            answer = request()
        except Throttled as error:
            pauses += 1
            if pauses >= _MOST_PAUSES:
                raise
            wait = Wait(error.retry_after, throttled=True)
        except ProxyRefused:
            raise  # a wrong password, asked for again and again, would lock the proxy's account
        except Unreachable:
            failures += 1
            if failures >= _MOST_FAILURES:
                raise
            wait = Wait(_PAUSE * failures)
        else:
            volume.add(tls.latest_answer_size())
            return answer


def whole(reading: Reading[T], pause: Callable[[float], None]) -> T:
    """Read a short list at once, in the midst of an effect. Throttled: the system asks for a pause, so it waits."""
    while True:
        try:
            wait = next(reading)
        except StopIteration as end:
            result: T = end.value
            return result
        if wait.throttled:
            message = "The system asks for a pause"
            raise Throttled(message, wait.seconds)
        if wait.seconds:
            pause(wait.seconds)
