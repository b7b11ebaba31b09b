"""HTTPS as the gateways want it: one session a system that trusts one CA (or one pinned certificate) and nothing else.

`transport.py` (PCE, Check Point) sends through it, and `azure.py` puts it below the Azure SDK's pipeline. It keeps what
`requests` does not promise: whole answers capped in bytes and in seconds, no proxies, .netrc or cookies, no retries,
no redirects, and an exact word on whether a failed request had begun to leave.
"""

from __future__ import annotations

import http.cookiejar
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import certifi
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.util.retry import Retry

_PIECE = 64 * 1024


class _Sent(threading.local):
    """Per thread: whether the request in hand has begun to leave."""

    value: bool = False


_sent = _Sent()


class AnswerTooLarge(requests.exceptions.RequestException):
    """The answer has more bytes than the cap."""


class AnswerTooLate(requests.exceptions.Timeout):
    """The answer was not complete when the total time was over."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps of one request: seconds to connect, between two bytes, in total; bytes of the decoded answer."""

    connect: float = 5.0
    read: float = 30.0
    total: float = 120.0
    size: int = 64 * 1024 * 1024
    idle: float = 10.0
    """Seconds after which unused connections are dropped; Check Point's server closes them after 15 by itself
    (`Keep-Alive: timeout=15, max=100`, PyPI arodonata 2.1.0 transport.py), and a write that meets one is a doubt."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a session believes: a CA bundle in PEM (default: certifi's), or the SHA-256 of the one certificate."""

    ca_file: str | None = None
    fingerprint: str = ""


class _Connection(HTTPSConnection):
    """Notes when a request begins to leave; before that point TCP, TLS and the pin have all been settled."""

    def request(self, *args: Any, **kwargs: Any) -> None:
        _sent.value = True
        super().request(*args, **kwargs)


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection


class _Adapter(HTTPAdapter):
    """Sends one request once and reads its whole answer under the caps."""

    def __init__(self, trust: Trust, limits: Limits, connections: int) -> None:
        self._trust = trust
        self._limits = limits
        self._used = time.monotonic()
        no_retries = Retry(0, read=False, redirect=False, raise_on_status=False)
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=no_retries, pool_block=False)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"https": _Pool}

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Where and how to connect. A pinned certificate is compared after the handshake, before anything is sent."""
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        if not self._trust.fingerprint:
            return host, tls
        # The chain is not looked at because the pin names the one certificate; without a match nothing is sent.
        return host, {"cert_reqs": "CERT_NONE", "assert_fingerprint": self._trust.fingerprint}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        if not self._trust.fingerprint:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]

    def send(self, request: Any, *_args: Any, **kwargs: Any) -> requests.Response:
        """Send and read. What the caller says about verification, proxies and streaming is overridden."""
        until = time.monotonic() + self._limits.total
        if time.monotonic() - self._used > self._limits.idle:
            self.poolmanager.clear()
        self._used = time.monotonic()
        kwargs |= {"stream": True, "verify": self._trust.ca_file or certifi.where(), "cert": None, "proxies": {}}
        kwargs["timeout"] = (self._limits.connect, min(self._limits.read, self._limits.total))
        response = super().send(request, **kwargs)
        try:
            content = _read(response.raw, self._limits.size, until)
        except BaseException:
            response.close()
            raise
        # What `Response.content` itself would set: its own reading has neither cap nor total time.
        response._content = content  # noqa: SLF001
        response._content_consumed = True  # type: ignore[attr-defined]  # noqa: SLF001
        self._used = time.monotonic()
        return response


def _read(raw: urllib3.BaseHTTPResponse, size: int, until: float) -> bytes:
    """The decoded body, in pieces as they come, so that a server that trickles bytes meets the total time."""
    pieces: list[bytes] = []
    left = size
    try:
        while piece := raw.read1(_PIECE, decode_content=True):
            left -= len(piece)
            if left < 0:
                raise AnswerTooLarge
            if time.monotonic() > until:
                raise AnswerTooLate
            pieces.append(piece)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.exceptions.ReadTimeout(error) from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ConnectionError(error) from error
    raw.release_conn()
    return b"".join(pieces)


def build_session(trust: Trust, limits: Limits, connections: int = 8) -> requests.Session:
    """A session for https only. A pin wins over the CA; `connections`: kept alive at most. OSError: no such CA file."""
    if trust.ca_file and not trust.fingerprint:
        with open(trust.ca_file, "rb"):  # noqa: PTH123 - only to fail here and not at the first request
            pass
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    session.adapters.clear()
    session.mount("https://", _Adapter(trust, limits, connections))
    return session


def begin() -> None:
    """Forget what this thread sent before; call it right before a request."""
    _sent.value = False


def had_begun() -> bool:
    """Whether this thread's latest request began to leave: if not, it had no effect."""
    return _sent.value


def origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) of an https URL. ValueError if it is none or carries a user or a fragment."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password or parts.fragment:
        message = "the address must be an https URL without user and fragment"
        raise ValueError(message)
    return parts.scheme, parts.hostname.lower(), parts.port or 443


def header(headers: Mapping[str, str], name: str) -> str:
    """A header by name in any case; empty where there is none."""
    lowered = name.lower()
    return next((value for key, value in headers.items() if key.lower() == lowered), "")
