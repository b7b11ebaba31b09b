"""What `microseg doctor` asks of the network: does the name resolve, does the port answer, is the certificate trusted.

Only a handshake is made; nothing is sent. Verification is always on, also where only its failure is of interest.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from microseg.cli.findings import Finding, bad, doubt, good
from microseg.model.fields import EgressProxy

_TIMEOUT = 5.0
_SOON = timedelta(days=21)
_EXPIRED, _NOT_YET, _WRONG_NAME = 10, 9, (62, 64)
"""OpenSSL's codes (x509_vfy.h)."""
_FOREIGN = ("its certificate is from an authority that is not trusted", "put that authority into the CA bundle")
_CAUSES = {
    _EXPIRED: ("its certificate has expired", "renew the server's certificate"),
    _NOT_YET: ("its certificate is not valid yet", "compare the clocks of the server and of this machine"),
    **dict.fromkeys(_WRONG_NAME, ("its certificate is for another name", "write the name that it has into the URL")),
}


def check(
    area: str, url: str, bundle: str | None, fingerprint: str = "", proxy: EgressProxy | None = None
) -> Iterator[Finding]:
    """DNS, TCP and TLS of one address, until one of them fails. `bundle`: PEM; None: the public authorities.

    With a `proxy` it is the proxy's: what lies behind it need neither resolve nor answer from here.
    """
    if proxy is None:
        yield from _reach(area, url, bundle, fingerprint)
    else:
        yield from _reach(f"{area}, proxy", proxy.url, bundle, tls=proxy.url.startswith("https:"))


def _reach(area: str, url: str, bundle: str | None, fingerprint: str = "", *, tls: bool = True) -> Iterator[Finding]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if tls else 80)
    try:
        addresses = sorted({info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except OSError as error:
        yield bad(
            area, "DNS", f"{host} does not resolve ({error.strerror or error})", "correct the URL, or the resolver"
        )
        return
    yield good(area, "DNS", f"{host} is {', '.join(map(str, addresses[:3]))}")
    try:
        with socket.create_connection((host, port), _TIMEOUT) as raw:
            yield good(area, "TCP", f"port {port} answers")
            if tls:
                yield _fingerprint(area, raw, host, fingerprint) if fingerprint else _chain(area, raw, host, bundle)
    except OSError as error:
        fix = "open the path: firewall, NetworkPolicy, proxy"
        yield bad(area, "TCP", f"port {port} of {host} does not answer ({error.strerror or 'timed out'})", fix)


def _chain(area: str, raw: socket.socket, host: str, bundle: str | None) -> Finding:
    """A handshake that trusts the estate's authorities only."""
    try:
        context = ssl.create_default_context(cadata=bundle)
    except (ssl.SSLError, ValueError):
        return bad(area, "TLS", "the CA bundle cannot be read", "write whole PEM certificates under ca.crt")
    try:
        with context.wrap_socket(raw, server_hostname=host) as secured:
            return _life(area, secured.getpeercert() or {})
    except ssl.SSLCertVerificationError as error:
        text, fix = _CAUSES.get(error.verify_code, _FOREIGN)
        return bad(area, "TLS", f"{text} ({error.verify_message})", fix)
    except (ssl.SSLError, OSError) as error:
        return bad(
            area, "TLS", f"no TLS handshake ({error.__class__.__name__})", "is this the right port, and no proxy?"
        )


def _life(area: str, certificate: dict[str, Any]) -> Finding:
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    if end - datetime.now(UTC) < _SOON:
        return doubt(
            area, "TLS", f"trusted, and its certificate expires {end:%Y-%m-%d}", "renew the server's certificate"
        )
    return good(area, "TLS", f"trusted, until {end:%Y-%m-%d}")


def _fingerprint(area: str, raw: socket.socket, host: str, pinned: str) -> Finding:
    """Compare the pinned certificate; without a chain to look at, the handshake is made for its certificate alone."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the pin names the one certificate
    with context.wrap_socket(raw, server_hostname=host) as secured:
        seen = hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()
    if seen == pinned.replace(":", "").lower():
        return good(area, "TLS", "the certificate is the pinned one")
    return bad(
        area, "TLS", f"the certificate is not the pinned one but {seen}", "ask its owner, then write the new pin"
    )
