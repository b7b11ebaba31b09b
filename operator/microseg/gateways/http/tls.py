"""HTTPS as the gateways need it: one session per system, which trusts one CA (or one pinned certificate) only.

`http/client.py` (Illumio, Check Point) sends through it; `azure/pipeline.py` puts it below the Azure SDK's pipeline. It
ensures what `requests` does not: answers are read whole, within limits of bytes and seconds; there is no proxy but the
one that the spec names, and no .netrc, cookies, retries and redirects; and it is known whether the sending of a failed
request had begun.
"""

from __future__ import annotations

import http.client
import http.cookiejar
import re
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import certifi
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.util.retry import Retry

from microseg.gateways.http.causes import DISTRUST, cause_of
from microseg.gateways.http.proxy import LOGIN_PAUSE, Proxy, ProxyLoginRefused, no_tunnel
from microseg.gateways.http.volume import Held, Memory, decoded_size
from microseg.gateways.http.wire import UNOBSERVED, Meter

_CHUNK = 64 * 1024
"""Bytes."""


class _SentRequest(threading.local):
    """Per thread: whether the sending of its latest request has begun, and what its answer takes in memory."""

    sent: bool = False
    decoded: int = 0
    held: Held | None = None
    """The memory of the answer, until it is decoded."""


_latest_request = _SentRequest()


class AnswerTooLarge(requests.exceptions.RequestException):
    """The answer has more bytes than allowed, or would take more memory."""


class AnswerTooLate(requests.exceptions.Timeout):
    """The answer was not complete within the total time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request. `connect`, `read` (between two bytes), `total`: seconds; `size`: bytes of the answer."""

    connect: float = 5.0
    read: float = 30.0
    total: float = 120.0
    size: int = 64 * 1024 * 1024
    memory: int = 512 * 1024 * 1024
    """Bytes that one answer, and all pages of one list together, may take once they are decoded: half of what the
    Deployment gives the Pod."""
    shared: Memory = field(default_factory=Memory.of_process)
    """The memory of all that is being read at one time."""
    token: float = 3.0
    """Seconds in which the token for an effect must be there, else it is not sent: a Lease of 15 seconds has as many
    left when it counts as lost."""
    idle: float = 10.0
    """Seconds after which unused connections are closed. Check Point's server closes them after 15 by itself
    (`Keep-Alive: timeout=15, max=100`, PyPI arodonata 2.1.0 transport.py), and a change that is sent on a closed
    connection has an unknown outcome."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What a session trusts: a CA bundle in PEM (default: certifi's), or the SHA-256 of the one certificate."""

    ca_file: str | None = None
    fingerprint: str = ""


class _Connection(HTTPSConnection):
    """Records when the sending of a request begins: by then TCP, TLS and the pinned certificate are settled."""

    def request(self, *args: Any, **kwargs: Any) -> None:
        _latest_request.sent = True
        super().request(*args, **kwargs)

    def _tunnel(self) -> None:
        """Ask the proxy for a tunnel. urllib3 would tell a proxy that hangs up as the server behind it."""
        try:
            super()._tunnel()
        except (OSError, http.client.HTTPException) as error:
            raise urllib3.exceptions.ProxyError("no tunnel", error) from error


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection


class _Adapter(HTTPAdapter):
    """Sends one request once and reads its whole answer within the limits."""

    def __init__(self, trust: Trust, limits: Limits, connections: int, meter: Meter, proxy: Proxy | None) -> None:
        self._meter = meter
        self._proxy = proxy
        self._refused: tuple[str, float] | None = None
        """What the proxy said of the Secret, and the monotonic time until which it is not asked again."""
        self._trust = trust
        self._limits = limits
        self._last_used = time.monotonic()
        no_retries = Retry(0, read=False, redirect=False, raise_on_status=False)
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=no_retries, pool_block=False)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"https": _Pool}

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """The way through it. The certificate of an https proxy is verified even where the system's is pinned."""
        context = ssl.create_default_context(cafile=self._trust.ca_file or certifi.where())
        manager = super().proxy_manager_for(proxy, proxy_ssl_context=context, **proxy_kwargs)
        manager.pool_classes_by_scheme = {"https": _Pool}
        return manager

    def proxy_headers(self, proxy: str) -> dict[str, str]:  # noqa: ARG002
        """What the proxy alone is told: in no URL, so that no library can log it."""
        authorization = self._proxy.authorization if self._proxy else None
        return {"Proxy-Authorization": authorization.reveal()} if authorization else {}

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Where and how to connect. A pinned certificate is compared after the handshake, before anything is sent."""
        host, tls_options = super().build_connection_pool_key_attributes(request, verify, cert)
        if not self._trust.fingerprint:
            return host, tls_options
        # The chain is not looked at because the pin names the one certificate; without a match nothing is sent.
        return host, {"cert_reqs": "CERT_NONE", "assert_fingerprint": self._trust.fingerprint}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        if not self._trust.fingerprint:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]

    def send(self, request: Any, *_args: Any, **kwargs: Any) -> requests.Response:
        """Send and read. The caller's options for verification, proxies and streaming are overridden."""
        deadline = time.monotonic() + self._limits.total
        if time.monotonic() - self._last_used > self._limits.idle:
            for manager in (self.poolmanager, *self.proxy_manager.values()):
                manager.clear()
        self._last_used = time.monotonic()
        kwargs |= {"stream": True, "verify": self._trust.ca_file or certifi.where(), "cert": None}
        kwargs["proxies"] = {"https": self._proxy.url} if self._proxy else {}
        kwargs["timeout"] = (self._limits.connect, min(self._limits.read, self._limits.total))
        with self._meter.request() as sent:
            response = self._send(request, kwargs)
            try:
                content = _read_body(response.raw, self._limits, deadline)
            except BaseException:
                response.close()
                raise
            sent.status = response.status_code
        # What `Response.content` itself would set: its own reading has neither cap nor total time.
        response._content = content  # noqa: SLF001
        response._content_consumed = True  # type: ignore[attr-defined]  # noqa: SLF001
        self._last_used = time.monotonic()
        return response

    def _send(self, request: Any, options: Any) -> requests.Response:
        """Send, and say of a proxy that gives no way that it is the proxy. Raises ProxyFailed: nothing was sent.

        A proxy may open a tunnel and put a page of its own into it, or nothing: then no TLS comes about.
        """
        forget_sent_request()
        if self._refused is not None and time.monotonic() < self._refused[1]:
            raise ProxyLoginRefused(self._refused[0])
        try:
            return super().send(request, **options)
        except requests.exceptions.RequestException as error:
            far = not isinstance(error, requests.exceptions.ProxyError) and cause_of(error) in DISTRUST
            if self._proxy is None or request_was_sent() or far:
                raise
            _, host, port = origin(request.url)
            failed = no_tunnel(self._proxy, f"{host}:{port}", error)
            if isinstance(failed, ProxyLoginRefused):
                self._refused = str(failed), time.monotonic() + LOGIN_PAUSE
            raise failed from None


def _read_body(raw: urllib3.BaseHTTPResponse, limits: Limits, deadline: float) -> bytes:
    """The decoded body, read in chunks as they come: a server that trickles bytes runs into the deadline."""
    chunks: list[bytes] = []
    remaining = limits.size
    held = Held(limits.shared)
    try:
        while chunk := raw.read1(_CHUNK, decode_content=True):
            remaining -= len(chunk)
            if remaining < 0 or not held.take(len(chunk)):
                raise AnswerTooLarge
            if time.monotonic() > deadline:
                raise AnswerTooLate
            chunks.append(chunk)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.exceptions.ReadTimeout(error) from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ConnectionError(error) from error
    raw.release_conn()
    content = b"".join(chunks)
    _latest_request.decoded = decoded_size(content)
    if _latest_request.decoded > limits.memory or not held.take(_latest_request.decoded):
        raise AnswerTooLarge
    _latest_request.held = held
    return content


def bundle_fault(text: str) -> str:
    """Why a CA bundle in PEM cannot be used as it is, as the end of a sentence; empty: every certificate is read.

    OpenSSL skips what it does not know as a certificate, without a word: a byte order mark or white space before
    `-----BEGIN` (PEM_read_bio(3)).
    """
    if text.startswith("\ufeff"):
        return "begins with a byte order mark (U+FEFF)"
    begins = [line for line in text.splitlines() if _BEGIN in line]
    if any(line.rstrip() != _BEGIN for line in begins):
        return "has a line with -----BEGIN CERTIFICATE----- and something else, which hides that certificate"
    for number, block in enumerate(text.split(_BEGIN)[1:], start=1):
        try:
            ssl.create_default_context(cadata=f"{_BEGIN}{block}")
        except (ssl.SSLError, ValueError):
            return f"cannot be read: certificate {number} of {len(begins)} is damaged, or a placeholder"
    return ""


_SHA256 = "[0-9A-Fa-f]{64}|([0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}"
_BEGIN = "-----BEGIN CERTIFICATE-----"


def build_session(
    trust: Trust, limits: Limits, connections: int = 8, meter: Meter = UNOBSERVED, proxy: Proxy | None = None
) -> requests.Session:
    """A session for https only. A fingerprint takes precedence over the CA. `connections`: how many are kept open.

    OSError: no such CA file. ValueError: the fingerprint is no SHA-256; urllib3 takes shorter ones, as MD5 or SHA-1.
    """
    if trust.fingerprint and re.fullmatch(_SHA256, trust.fingerprint) is None:
        message = "a certificate's fingerprint must be its SHA-256: 64 hexadecimal digits, with or without colons"
        raise ValueError(message)
    if trust.ca_file and not trust.fingerprint:
        with open(trust.ca_file, "rb"):  # noqa: PTH123 - fails here and not at the first request
            pass
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    session.adapters.clear()
    session.mount("https://", _Adapter(trust, limits, connections, meter, proxy))
    return session


def forget_sent_request() -> None:
    """Call it right before a request: `request_was_sent` then speaks of this one."""
    _latest_request.sent, _latest_request.decoded, _latest_request.held = False, 0, None


def let_go_of_answer() -> None:
    """Call it when this thread's latest answer is decoded: whoever keeps what is in it counts that."""
    _latest_request.held = None


def latest_answer_size() -> int:
    """Bytes that the answer to this thread's latest request takes in memory once it is decoded."""
    return _latest_request.decoded


def request_was_sent() -> bool:
    """Whether the sending of this thread's latest request began; if not, it had no effect."""
    return _latest_request.sent


def origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) of an https URL. ValueError if it is none, or has a user or a fragment."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password or parts.fragment:
        message = "the address must be an https URL without a user and a fragment"
        raise ValueError(message)
    return parts.scheme, parts.hostname.lower(), parts.port or 443


def header(headers: Mapping[str, str], name: str) -> str:
    """A header by its name in any letter case; empty if there is none."""
    lowered = name.lower()
    return next((value for key, value in headers.items() if key.lower() == lowered), "")
