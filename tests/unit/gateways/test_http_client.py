from __future__ import annotations

import concurrent.futures

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.gateways import transport
from microseg.gateways.ports import OutcomeUnknown, Throttled, Unreachable
from microseg.gateways.transport import RateLimiter, clean, retry_after
from microseg.model.secret import Secret

NOW = 1_445_412_000.0  # Wed, 21 Oct 2015 07:20:00 GMT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("17", 17),
        (" 5 ", 5),
        ("0", 1),
        ("1200", 900),
        ("999999999999", 900),
        ("9" * 40, 30),
        ("-3", 30),
        ("soon", 30),
        ("", 30),
        ("1.5", 30),
        ("Wed, 21 Oct 2015 07:21:00 GMT", 60),
        ("Wed, 21 Oct 2015 06:00:00 GMT", 1),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 900),
        ("Wed, 99 Oct 2015 07:28:00 GMT", 30),
    ],
)
def test_a_pause_is_read_as_seconds_or_date_and_kept_in_bounds(text: str, seconds: float) -> None:
    assert retry_after(text, NOW) == seconds


@given(st.text(max_size=60))
def test_no_pause_header_ever_breaks_anything(text: str) -> None:
    assert 1 <= retry_after(text, NOW) <= 900


def test_a_throttle_says_its_pause() -> None:
    error = transport.throttled("PCE", "12")
    assert isinstance(error, Throttled)
    assert error.retry_after == 12


def test_a_lost_answer_is_a_doubt_for_an_effect_only_and_shows_no_library_text() -> None:
    library = ConnectionResetError("https://user:word@host/path?code=abc reset")
    for effect, kind in ((True, OutcomeUnknown), (False, Unreachable)):
        error = transport.lost("PCE", library, effect=effect)
        assert type(error) is kind
        assert "word" not in str(error)
        assert "abc" not in str(error)
        assert str(error).endswith("the connection broke")


@pytest.mark.parametrize(
    ("status", "content", "data", "is_json"),
    [
        (200, b'{"a": 1}', {"a": 1}, True),
        (204, b"", None, True),
        (200, b" \n", None, True),
        (502, b"<html></html>", None, False),
        (200, b'{"a": ', None, False),
        (200, b"\xff\xfe", None, False),
        (200, b"[" * 100_000, None, False),
    ],
)
def test_an_answer_is_json_or_it_is_not(status: int, content: bytes, data: object, *, is_json: bool) -> None:
    answer = transport.read_answer("PCE", status, {"X-Total-Count": "3"}, content)
    assert (answer.data, answer.is_json) == (data, is_json)
    assert answer.header("x-total-count") == "3"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_unreachable(status: int) -> None:
    with pytest.raises(Unreachable):
        transport.read_answer("PCE", status, {"Location": "https://evil.example"}, b"")


def test_a_vendors_sentence_becomes_one_short_line_without_secrets() -> None:
    text = "Wrong session id [s3cr3t].\n\x00 Session\tmay be expired"
    assert clean(text, (Secret("s3cr3t"), Secret(""))) == "Wrong session id [****]. Session may be expired"
    assert len(clean("x" * 5000)) == 300
    assert clean(None) == clean({"a": 1}) == ""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_budget_starts_empty_and_fills_up_to_its_burst() -> None:
    clock = Clock()
    limiter = RateLimiter(rate=2.0, burst=3.0, clock=clock)
    assert [limiter.reserve() for _ in range(3)] == [0.5, 1.0, 1.5]
    clock.now += 100.0
    assert [limiter.reserve() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_a_pause_holds_the_budget_back() -> None:
    clock = Clock()
    limiter = RateLimiter(rate=10.0, burst=10.0, clock=clock)
    clock.now += 10.0
    limiter.pause(30.0)
    assert limiter.reserve() == pytest.approx(30.1)
    clock.now += 31.0
    assert limiter.reserve() == 0.0


def test_threads_share_one_budget() -> None:
    limiter = RateLimiter(rate=1.0, burst=1.0, clock=Clock())
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waits = sorted(pool.map(lambda _: limiter.reserve(), range(200)))
    assert waits == [float(number) for number in range(1, 201)]


@given(
    rate=st.floats(0.1, 50),
    burst=st.floats(1, 20),
    steps=st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
def test_no_budget_is_ever_exceeded(rate: float, burst: float, steps: list[float]) -> None:
    clock = Clock()
    limiter = RateLimiter(rate, burst, clock)
    began, starts = clock.now, []
    for step in steps:
        clock.now += step
        starts.append(clock.now + limiter.reserve())
    for number, start in enumerate(starts, 1):
        assert number <= burst + rate * (start - began) + 1e-6


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0.5)])
def test_a_budget_of_nothing_is_a_mistake(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        RateLimiter(rate, burst)
