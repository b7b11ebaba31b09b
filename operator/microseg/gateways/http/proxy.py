"""The egress proxy of one system: a way to it that the spec names, and never the environment.

The requests go through a tunnel (CONNECT; RFC 9110, 9.3.6), so the proxy sees the name and the port of the system and
no more, and the certificate at the far end is verified as without a proxy. `build_gateways.py` makes a `Proxy`;
`http/tls.py` builds the tunnels, and asks here what it means when there is none.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import urllib3

from microseg.gateways.http.causes import cause_of
from microseg.gateways.ports import ProxyFailed, ProxyRefused
from microseg.model.secret import Secret

_ANSWERED = re.compile(r"Tunnel connection failed: ([0-9]{3})\b")
"""CPython's own words (Lib/http/client.py, `_tunnel`); what follows them is the proxy's."""
_PASSES = {408, 425, 429}
"""Beside 5xx: what waiting mends."""


LOGIN_PAUSE = 900.0
"""Seconds until a refused user name or password is brought to the proxy again; a new Secret is brought at once."""


class ProxyLoginRefused(ProxyRefused):
    """407 to the user name and the password of the Secret. A few more of them could lock the account."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Made by `proxy_of`. `url`: http or https, host and port alone."""

    url: str
    field: str
    """Where it stands in the spec."""
    authorization: Secret | None = None
    """The header for the proxy; it is sent to nobody else."""

    @property
    def name(self) -> str:
        """Host and port, and where they stand, for sentences."""
        return f"{urlsplit(self.url).netloc} ({self.field})"


def proxy_of(url: str, field: str, user: str = "", password: Secret | None = None) -> Proxy:
    """The proxy at a URL. ValueError, without the URL, which may hold a password: it cannot be one."""
    parts = urlsplit(url)
    fit = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc
    if not fit or parts.path not in {"", "/"} or parts.query or parts.fragment or _port(url) == 0:
        raise ValueError(f"{field}.url is not http://host:port or https://host:port, without a user, a path or a query")
    if password is None:
        return Proxy(f"{parts.scheme}://{parts.netloc}", field)
    return Proxy(f"{parts.scheme}://{parts.netloc}", field, basic(user, password))


def basic(user: str, password: Secret) -> Secret:
    """The value of a header with a user name and a password (RFC 7617)."""
    return Secret(f"Basic {base64.b64encode(f'{user}:{password.reveal()}'.encode()).decode()}")


def _port(url: str) -> int | None:
    """The port; None: the scheme's own, 0: it is none."""
    try:
        return urlsplit(url).port
    except ValueError:
        return 0


def no_tunnel(proxy: Proxy, target: str, error: BaseException) -> ProxyFailed:
    """Why the proxy opened no tunnel to `target` (host:port). Nothing was sent to the system behind it."""
    cause = _innermost(error)
    answered = _ANSWERED.search(str(cause))
    if answered is None:
        return ProxyFailed(f"The proxy {proxy.name} gave no way to {target}: {cause_of(cause)}")
    status = int(answered[1])
    if status == 407 and proxy.authorization is None:
        words = f"asks for a user name and a password ({status}): name their Secret in {proxy.field}.secretRef"
        return ProxyRefused(f"The proxy {proxy.name} {words}")
    if status == 407:
        words = f"refuses the user name or the password ({status}): correct the Secret of {proxy.field}"
        return ProxyLoginRefused(f"The proxy {proxy.name} {words}")
    if status >= 500 or status < 400 or status in _PASSES:
        return ProxyFailed(f"The proxy {proxy.name} cannot connect to {target} ({status})")
    return ProxyRefused(f"The proxy {proxy.name} refuses to connect to {target} ({status})")


def _innermost(error: BaseException) -> BaseException:
    """What urllib3 wrapped: `ProxyError` in `MaxRetryError` in the error of requests."""
    inner: object = error.args[0] if error.args else error
    if isinstance(inner, urllib3.exceptions.MaxRetryError):
        inner = inner.reason
    while isinstance(inner, urllib3.exceptions.ProxyError):
        inner = inner.original_error
    return inner if isinstance(inner, BaseException) else error
