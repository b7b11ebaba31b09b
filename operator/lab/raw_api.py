"""Bare requests to the API server: what the least client would cost, to which the benchmarks compare the operator.

It sends bytes that were made before, and reads an answer to its end without looking at it, over one TLS connection that
stays open. The server's certificate is verified, as everywhere.
"""

from __future__ import annotations

import base64
import socket
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

_TIMEOUT = 60.0


class RawRequestFailed(RuntimeError):
    """The API server refused a request; the text has its status and answer."""


class RawApi:
    """One connection as the ServiceAccount of a kubeconfig. A context manager; not for several threads at once."""

    def __init__(self, kubeconfig: Path) -> None:
        """Connect to the server that `kubeconfig` names, with its CA and its token."""
        document: dict[str, Any] = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        address = urlsplit(str(cluster["server"]))
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        plain = socket.create_connection((str(address.hostname), int(address.port or 443)), timeout=_TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.create_default_context(cadata=authority)
        self._socket = context.wrap_socket(plain, server_hostname=address.hostname)
        self._reader = self._socket.makefile("rb")
        self._headers = (
            f"Host: {address.netloc}\r\nAuthorization: Bearer {user['token']}\r\nAccept: application/json\r\n"
        )

    def request(self, method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> bytes:
        """Send one request and return the bytes of its answer. Raises RawRequestFailed for everything but 2xx."""
        about = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n" if body else ""
        self._socket.sendall(f"{method} {path} HTTP/1.1\r\n{self._headers}{about}\r\n".encode() + body)
        status = int(self._reader.readline().split()[1])
        answer = self._body(self._answer_headers())
        if status >= 300:
            raise RawRequestFailed(f"{method} {path}: {status} {answer[:300].decode(errors='replace')}")
        return answer

    def __enter__(self) -> Self:
        """Return itself: it is connected."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the connection."""
        self._reader.close()
        self._socket.close()

    def _answer_headers(self) -> dict[bytes, bytes]:
        headers: dict[bytes, bytes] = {}
        while (line := self._reader.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        return headers

    def _body(self, headers: dict[bytes, bytes]) -> bytes:
        if b"content-length" in headers:
            return self._reader.read(int(headers[b"content-length"]))
        pieces: list[bytes] = []
        while size := int(self._reader.readline(), 16):
            pieces.append(self._reader.read(size))
            self._reader.readline()
        self._reader.readline()
        return b"".join(pieces)
