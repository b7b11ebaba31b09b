"""One request to one system: sent at most once, its failures turned into the errors of `gateways.ports`.

`illumio/gateway.py` and `checkpoint/session.py` send through an `HttpClient`; `azure/pipeline.py` uses its parts below
the pipeline of the Azure SDK. Nothing here sleeps or sends anything again.
"""

from __future__ import annotations

import email.utils
import enum
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import msgspec
import requests
import urllib3

from microseg.gateways.http import tls, wire
from microseg.gateways.http.causes import cause_of
from microseg.gateways.http.json_access import REAL_YEARS
from microseg.gateways.http.proxy import Proxy
from microseg.gateways.http.volume import Volume
from microseg.gateways.ports import (
    LONGEST_PAUSE,
    SHORTEST_PAUSE,
    GatewayError,
    OutcomeUnknown,
    ProxyRefused,
    Throttled,
    Unreachable,
)
from microseg.model.fields import clip
from microseg.model.secret import Secret

_DEFAULT_PAUSE = 30.0
"""Seconds, for a 429 without a usable Retry-After."""
_REDIRECTS = range(300, 400)
_PROXY_REFUSES = 407


class System(enum.Enum):
    """The three systems. The value is the label of metrics."""

    AZURE = "azure"
    ILLUMIO = "illumio"
    CHECKPOINT = "checkpoint"

    @property
    def display_name(self) -> str:
        """The name at the beginning of a sentence: of the server that answered, or did not."""
        return _DISPLAY_NAMES[self]


_DISPLAY_NAMES = {System.AZURE: "Azure", System.ILLUMIO: "The PCE", System.CHECKPOINT: "Check Point"}


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole answer. `data`: the decoded JSON, None for an empty body; `is_json` False: HTML or broken JSON.

    Of a type that was asked for where the answer is a success and fits it.
    """

    status: int
    headers: Mapping[str, str]
    data: object
    is_json: bool

    def header(self, name: str) -> str:
        """A header by its name in any letter case; empty if there is none."""
        return tls.header(self.headers, name)

    @property
    def ok(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300


class HttpClient:
    """Requests to one system. Safe to use from several threads; none is ever repeated."""

    def __init__(
        self,
        system: System,
        url: str,
        *,
        trust: tls.Trust | None = None,
        limits: tls.Limits | None = None,
        connections: int = 8,
        observe: wire.Observe | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        """`url`: https, with a path if the system is below one. ValueError or OSError: a wrong URL or CA file."""
        self.system = system
        self.origin = tls.origin(url)
        self._url = url.rstrip("/")
        meter = wire.meter(system.value, observe)
        self._limits, self._proxy = limits or tls.Limits(), proxy
        self._session = tls.build_session(trust or tls.Trust(), self._limits, connections, meter, proxy)

    def send(
        self,
        method: str,
        path: str,
        *,
        effect: bool,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: object = None,
        into: object = object,
    ) -> HttpResponse:
        """Send the request once and return the answer, whatever its status.

        `path` begins with `/` and is already quoted. `effect`: whether it changes something. `into`: the type of its
        `data` that is wished for. Raises Unreachable if
        nothing was sent or nothing was to be changed; OutcomeUnknown if a change was sent, at least in part, and no
        whole answer came back.
        """
        content = None if body is None else msgspec.json.encode(body)
        all_headers = {"Accept": "application/json"} | dict(headers or {})
        if content is not None:
            all_headers["Content-Type"] = "application/json"
        tls.forget_sent_request()
        try:
            response = self._session.request(
                method, self._url + path, params=params, data=content, headers=all_headers, allow_redirects=False
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            sent = effect and tls.request_was_sent()
            raise connection_error(self.system, error, effect=sent, proxy=self._proxy) from None
        return decode_response(
            self.system, response.status_code, response.headers, response.content,
            effect=effect, proxy=self._proxy, into=into,
        )  # fmt: skip

    def volume(self) -> Volume:
        """For the pages of one list."""
        return Volume(self.system.display_name, self._limits.memory, self._limits.shared)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def decode_response(
    system: System,
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    *,
    effect: bool = False,
    proxy: Proxy | None = None,
    into: object = object,
) -> HttpResponse:
    """Decode an answer. Raises Unreachable for a redirect and for a proxy's 407: nothing was done.

    `into`: the type of a success's data, where it fits; another type says what the answer lacks.
    `proxy`: the one that the answer came through. Where it opens up TLS by an authority of its own, a page may be its
    word: then it is no refusal by the system, but Unreachable, or OutcomeUnknown after an effect that was passed on.
    """
    if status in _REDIRECTS:
        message = f"{system.display_name} answered with a redirect, which is never followed"
        raise Unreachable(message)
    if status == _PROXY_REFUSES:
        name = f"The proxy {proxy.name}" if proxy else "A proxy that the spec does not name"
        message = f"{name} answers in place of {system.display_name} and asks for a user name and a password (407)"
        raise ProxyRefused(message)
    if not content.strip():
        return HttpResponse(status, headers, None, is_json=True)
    try:
        return HttpResponse(status, headers, _decoded(content, into if status < 300 else object), is_json=True)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if proxy is not None:
            raise _page(system, status, proxy, effect=effect) from None
        return HttpResponse(status, headers, None, is_json=False)
    finally:
        tls.let_go_of_answer()


def _decoded(content: bytes, into: Any) -> object:
    """The answer as this type, or as what it is where it does not fit."""
    if into is not object:
        with suppress(msgspec.ValidationError):
            return msgspec.json.decode(content, type=into)
    return msgspec.json.decode(content)


def _page(system: System, status: int, proxy: Proxy, *, effect: bool) -> GatewayError:
    """The error for something that is not JSON and came through a proxy. Nobody carries out what 4xx answers."""
    message = f"In place of {system.display_name}'s answer a page came through the proxy {proxy.name} ({status})"
    if effect and not 400 <= status < 500:
        return OutcomeUnknown(message)
    return Unreachable(f"{message}: {_REFUSED_PAGE[system]}" if status in {401, 403} else message)


_REFUSED_PAGE = {
    System.AZURE: "does it let the operator through",
    System.ILLUMIO: "does it let the operator through",
    System.CHECKPOINT: "it refuses the operator, or the server refuses the proxy's address (accepted-api-calls-from)",
}


def connection_error(system: System, error: BaseException, *, effect: bool, proxy: Proxy | None = None) -> GatewayError:
    """The error for a request without an answer. `effect`: it was to change something, and its sending had begun."""
    why = cause_of(error)
    if effect:
        return OutcomeUnknown(f"{system.display_name} was asked for a change and its answer was lost: {why}")
    if proxy is None:
        return Unreachable(f"{system.display_name} could not be reached: {why}")
    return Unreachable(f"{system.display_name} could not be reached through the proxy {proxy.name}: {why}")


def retry_after(text: str, now: float, default: float = _DEFAULT_PAUSE) -> float:
    """Seconds of a Retry-After header, 1 to 900; `default` if it is neither seconds nor an HTTP date.

    `now`: seconds since the epoch, by the clock of the server that sent the date. Source: RFC 9110, 10.2.3. Two that a
    proxy joined by a comma (5.3 there) count as the longer one, and a fraction is read although the RFC has none.
    """
    parts = [part.strip() for part in text.split(",")]
    if all(re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", part) for part in parts):
        return min(max(*map(float, parts), SHORTEST_PAUSE), LONGEST_PAUSE)
    until = http_date(text)
    return default if until is None else min(max(until - now, SHORTEST_PAUSE), LONGEST_PAUSE)


def throttled(system: System, response: HttpResponse) -> Throttled:
    """The error for an answer that asks for a pause: its Retry-After, or 30 seconds if it has none.

    A date in it is the server's, so it is compared with the answer's own Date where there is one.
    """
    now = http_date(response.header("Date"))
    pause = retry_after(response.header("Retry-After"), time.time() if now is None else now, _DEFAULT_PAUSE)
    return Throttled(f"{system.display_name} asks for a pause of {pause:.0f} s", pause)


def foreign_page(system: System, response: HttpResponse) -> Unreachable | None:
    """The error for a 4xx of something between here and the system; None: the system itself says so.

    Such a page says nothing of our rights. Resource Manager and the PCE give their reasons in JSON.
    """
    if response.is_json:
        return None
    server = system.display_name.replace("The ", "the ")
    return Unreachable(f"Something else answers in place of {server} ({response.status}): is a proxy in between?")


def failed(system: System, response: HttpResponse, reason: str, *, effect: bool) -> GatewayError:
    """The error for a failure behind the address: a change may have happened all the same."""
    if effect:
        return OutcomeUnknown(f"{system.display_name} failed during a change ({reason})")
    if response.header("Retry-After"):
        return throttled(system, response)
    return Unreachable(f"{system.display_name} failed ({reason})")


def http_date(text: str) -> float | None:
    """Seconds since the epoch of an HTTP date; None if it is none. Without a time zone it is UTC (RFC 9110, 5.6.7)."""
    try:
        time = email.utils.parsedate_to_datetime(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() if time.year in REAL_YEARS else None
    except (TypeError, ValueError, OverflowError):
        return None


def sanitize(text: object, secrets: tuple[Secret, ...] = (), limit: int = 300) -> str:
    """Make a vendor's sentence fit for a condition: one line, these secrets masked, at most `limit` characters.

    Marks that change how other text is shown, such as a change of the writing direction, are left out.
    """
    words = re.sub(r"[\x00-\x1f\x7f\s]+", " ", text if isinstance(text, str) else "").strip()
    words = "".join(mark for mark in words if mark.isprintable())
    for secret in secrets:
        if value := secret.reveal():
            words = words.replace(value, "****")
    return clip(words, limit)
