"""Changes that come together are published together, and a stream of them is not waited for."""

from __future__ import annotations

import pytest

from microseg.engine.lanes.gathering import Gathering


def published(*seen: tuple[float, str], interval: float = 60.0, full: bool = False) -> list[float]:
    """The times, of those at which these hosts wait, at which they are published."""
    gathering = Gathering()
    return [now for now, hosts in seen if gathering.is_over(frozenset(hosts), now, interval=interval, full=full)]


def test_one_host_waits_a_second() -> None:
    assert published((0.0, "a"), (0.5, "a"), (1.0, "a")) == [1.0]


def test_an_arrival_that_is_stretched_is_one_publish() -> None:
    assert published((0.0, "a"), (0.9, "ab"), (1.0, "ab"), (1.8, "abc"), (2.7, "abc"), (2.8, "abc")) == [2.8]


def test_a_host_that_is_just_being_decided_again_is_waited_for() -> None:
    assert published((0.0, "abc"), (1.0, "ab"), (1.5, "abc"), (2.5, "abc")) == [2.5]


def test_a_stream_of_newcomers_is_published_after_five_seconds() -> None:
    assert published(*((second / 2, "abcdefghijklmnop"[: second + 1]) for second in range(11))) == [5.0]


@pytest.mark.parametrize(("how", "at"), [({"full": True}, 1.0), ({"interval": 0.2}, 0.2)])
def test_a_full_publish_and_a_short_interval_wait_less(how: dict[str, float], at: float) -> None:
    assert published((0.0, "a"), (0.2, "a"), (1.0, "b"), **how)[0] == at  # type: ignore[arg-type]


def test_what_waits_no_more_begins_anew() -> None:
    gathering = Gathering()
    assert not gathering.is_over(frozenset("a"), 0.0, interval=60.0, full=False)
    gathering.end()
    assert gathering.until is None
    assert not gathering.is_over(frozenset("a"), 9.0, interval=60.0, full=False)
