from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.gateways.http import client, tls
from microseg.gateways.http.client import HttpResponse, System, retry_after, sanitize
from microseg.gateways.ports import OutcomeUnknown, Throttled, Unreachable
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
        ("1.5", 1.5),
        ("120, 7", 120),
        ("90.0,90", 90),
        ("120,", 30),
        ("2 minutes", 30),
        ("Wed Oct 21 07:21:00 2015", 60),
        ("Wed, 21 Oct 2015 07:21:00 -0000", 60),
        ("Wednesday, 21-Oct-15 07:21:00 GMT", 60),
        ("Wed, 21 Oct 2015 09:21:00 +0200", 60),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 30),
        ("Wed, 21 Oct 2015 07:21:00 GMT", 60),
        ("Wed, 21 Oct 2015 06:00:00 GMT", 1),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 900),
        ("Wed, 99 Oct 2015 07:28:00 GMT", 30),
    ],
)
def test_a_pause_is_read_as_seconds_or_date_and_kept_in_bounds(text: str, seconds: float) -> None:
    assert retry_after(text, NOW) == seconds


@pytest.mark.parametrize("fingerprint", ["ab" * 16, "ab" * 20, "ab:" * 31 + "a", "zz" * 32, f"{'ab' * 32} "])
def test_a_pin_that_is_no_sha_256_is_refused(fingerprint: str) -> None:
    with pytest.raises(ValueError, match="must be its SHA-256"):
        tls.build_session(tls.Trust(fingerprint=fingerprint), tls.Limits())
    tls.build_session(tls.Trust(fingerprint="AB:" * 31 + "cd"), tls.Limits()).close()


@given(st.text(max_size=60))
def test_no_pause_header_ever_breaks_anything(text: str) -> None:
    assert 1 <= retry_after(text, NOW) <= 900


def test_a_throttle_has_its_pause() -> None:
    error = client.throttled(System.ILLUMIO, HttpResponse(429, {"Retry-After": "12"}, None, is_json=True))
    assert isinstance(error, Throttled)
    assert error.retry_after == 12


def test_a_lost_answer_is_an_unknown_outcome_only_for_an_effect_and_shows_no_library_text() -> None:
    library = ConnectionResetError("https://user:word@host/path?code=abc reset")
    for effect, kind in ((True, OutcomeUnknown), (False, Unreachable)):
        error = client.connection_error(System.ILLUMIO, library, effect=effect)
        assert type(error) is kind
        assert "word" not in str(error)
        assert "abc" not in str(error)
        assert str(error).endswith("the connection broke")


def test_a_name_that_does_not_resolve_is_told() -> None:
    text = "HTTPSConnection(host='x'): Failed to resolve 'pce.corp' ([Errno -2] Name or service not known)"
    error = client.connection_error(System.ILLUMIO, OSError(text), effect=False)
    assert str(error) == "The PCE could not be reached: the name pce.corp does not resolve"


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
    answer = client.decode_response(System.ILLUMIO, status, {"X-Total-Count": "3"}, content)
    assert (answer.data, answer.is_json) == (data, is_json)
    assert answer.header("x-total-count") == "3"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_unreachable(status: int) -> None:
    with pytest.raises(Unreachable):
        client.decode_response(System.ILLUMIO, status, {"Location": "https://evil.example"}, b"")


def test_a_vendors_sentence_becomes_one_short_line_without_secrets() -> None:
    text = "Wrong session id [s3cr3t].\n\x00 Session\tmay be expired"
    assert sanitize(text, (Secret("s3cr3t"), Secret(""))) == "Wrong session id [****]. Session may be expired"
    assert len(sanitize("x" * 5000)) == 300
    assert sanitize(None) == sanitize({"a": 1}) == ""


def test_the_systems_have_one_name_in_metrics_and_one_in_sentences() -> None:
    assert [system.value for system in System] == ["azure", "illumio", "checkpoint"]
    assert [system.display_name for system in System] == ["Azure", "The PCE", "Check Point"]
