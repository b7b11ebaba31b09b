"""One request to one system: sent at most once, its failures turned into the gateways' own words.

`illumio.py` and `checkpoint.py` speak through a `Transport`; `azure.py` uses its parts below the SDK's pipeline. The
lanes take a `RateLimiter` for each budget and wait by themselves: nothing here sleeps.
"""

from __future__ import annotations

import email.utils
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import msgspec
import requests
import urllib3

from microseg.gateways import wire
from microseg.gateways.ports import GatewayError, OutcomeUnknown, Throttled, Unreachable
from microseg.model.host import clip
from microseg.model.secret import Secret

Observe = Callable[[str, str, str, float], None]
"""(system, operation, outcome, seconds): outcome is `ok` or the error's class name."""

LABELS = {"Azure": "azure", "PCE": "illumio", "Check Point": "checkpoint"}
"""A system's name in sentences -> its name in metrics."""
LONGEST_PAUSE = 900.0
_DEFAULT_PAUSE = 30.0
_REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `data`: the decoded JSON, None for an empty body; `is_json` False: HTML or rubbish."""

    status: int
    headers: Mapping[str, str]
    data: object
    is_json: bool

    def header(self, name: str) -> str:
        """A header by name in any case; empty where there is none."""
        return wire.header(self.headers, name)

    @property
    def ok(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300


class Transport:
    """Requests to one system. Safe to use from several threads; none is ever repeated."""

    def __init__(
        self,
        system: str,
        url: str,
        *,
        trust: wire.Trust | None = None,
        limits: wire.Limits | None = None,
        connections: int = 8,
        observe: Observe | None = None,
    ) -> None:
        """`url`: https, with a path where the system lives below one. ValueError or OSError: a wrong URL or CA file."""
        self.system = system
        self.origin = wire.origin(url)
        self._url = url.rstrip("/")
        self._session = wire.build_session(trust or wire.Trust(), limits or wire.Limits(), connections)
        self._observe = observe

    def send(
        self,
        method: str,
        path: str,
        *,
        effect: bool,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Answer:
        """Send once and return the answer, whatever its status.

        `path` begins with `/` and is already quoted. Raises Unreachable where nothing was sent, or for a read;
        OutcomeUnknown for an effect that began to leave and whose answer did not come back whole.
        """
        content = None if body is None else msgspec.json.encode(body)
        all_headers = {"Accept": "application/json"} | dict(headers or {})
        if content is not None:
            all_headers["Content-Type"] = "application/json"
        wire.begin()
        try:
            response = self._session.request(
                method, self._url + path, params=params, data=content, headers=all_headers, allow_redirects=False
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise lost(self.system, error, effect=effect and wire.had_begun()) from None
        return read_answer(self.system, response.status_code, response.headers, response.content)

    def watch(self, operation: str) -> AbstractContextManager[None]:
        """Measure a call; its outcome is known when the gateway has judged the answer."""
        return watch(self._observe, self.system, operation)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


@contextmanager
def watch(observe: Observe | None, system: str, operation: str) -> Iterator[None]:
    """Tell `observe` how a call ended and how long it took."""
    started, outcome = time.monotonic(), "ok"
    try:
        yield
    except GatewayError as error:
        outcome = type(error).__name__
        raise
    finally:
        if observe is not None:
            observe(LABELS.get(system, system), operation, outcome, time.monotonic() - started)


def read_answer(system: str, status: int, headers: Mapping[str, str], content: bytes) -> Answer:
    """Decode an answer. A redirect is Unreachable: nobody followed it, and nothing was done."""
    if status in _REDIRECTS:
        message = f"{system} answered with a redirect, which is never followed"
        raise Unreachable(message)
    if not content.strip():
        return Answer(status, headers, None, is_json=True)
    try:
        return Answer(status, headers, msgspec.json.decode(content), is_json=True)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Answer(status, headers, None, is_json=False)


def lost(system: str, error: BaseException, *, effect: bool) -> GatewayError:
    """The word for a request without an answer. `effect`: it could have one, and it had begun to leave."""
    why = _cause(error)
    if effect:
        return OutcomeUnknown(f"{system} was asked for a change and its answer was lost: {why}")
    return Unreachable(f"{system} could not be reached: {why}")


def _cause(error: BaseException) -> str:
    """Which kind of failure, in our own words: a library's text can hold URLs."""
    text = f"{type(error).__name__} {error}"
    for pattern, words in _CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return words
    return "the connection failed"


_CAUSES = (
    ("AnswerTooLarge", "the answer is larger than allowed"),
    ("AnswerTooLate", "the answer took too long"),
    ("fingerprint", "the server's certificate is not the pinned one"),
    ("CERTIFICATE_VERIFY_FAILED|certificate verify|doesn't match", "its certificate is not trusted"),
    ("NameResolution|getaddrinfo|Name or service", "its name does not resolve"),
    ("refused", "the connection was refused"),
    ("ConnectTimeout|connect timeout", "it did not take the connection in time"),
    ("ReadTimeout|timed out", "it did not answer in time"),
    ("SSL", "TLS failed"),
    ("reset|aborted|disconnected|IncompleteRead|ProtocolError", "the connection broke"),
)


def retry_after(text: str, now: float, default: float = _DEFAULT_PAUSE) -> float:
    """Seconds of a Retry-After header: whole seconds or an HTTP date; `now` epoch seconds. 1 to 900; else `default`.

    Source: RFC 9110, 10.2.3.
    """
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,12}", text):
        return min(max(float(text), 1.0), LONGEST_PAUSE)
    try:
        at = email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return default
    return min(max(at - now, 1.0), LONGEST_PAUSE)


def throttled(system: str, header: str) -> Throttled:
    """The system asked for a pause; `header` is its Retry-After, empty where it sent none."""
    pause = retry_after(header, time.time())
    return Throttled(f"{system} asks for a pause of {pause:.0f} s", pause)


def clean(text: object, secrets: tuple[Secret, ...] = (), limit: int = 300) -> str:
    """A vendor's sentence made fit for a condition: one line, without these secrets, clipped."""
    words = re.sub(r"[\x00-\x1f\x7f\s]+", " ", text if isinstance(text, str) else "").strip()
    for secret in secrets:
        if value := secret.reveal():
            words = words.replace(value, "****")
    return clip(words, limit)


class RateLimiter:
    """A token bucket that starts empty, so that a restart never doubles a budget. Safe to use from several threads."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`rate`: calls a second; `burst`: how many may be saved up (at least 1)."""
        if rate <= 0 or burst < 1:
            message = "a rate must be above 0 and a burst at least 1"
            raise ValueError(message)
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = 0.0
        self._at = clock()

    def reserve(self, count: int = 1) -> float:
        """Take `count` calls and return the seconds to wait before they are made; the lane waits, not this."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - count
            self._at = now
            return max(0.0, -self._tokens / self._rate)

    def pause(self, seconds: float) -> None:
        """Let nothing new go for so long: a Retry-After was received."""
        with self._lock:
            self._tokens = min(self._tokens, 0.0) - seconds * self._rate
            self._at = self._clock()
