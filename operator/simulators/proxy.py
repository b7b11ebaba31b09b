"""An egress proxy on loopback: it opens tunnels (CONNECT), and is as rude as those in front of real networks.

Tests put it between a client and a simulated system. It sees only what a proxy sees: names, ports, and the header that
is meant for it. Protocol: RFC 9110, 9.3.6 (CONNECT) and 11.7 (Proxy-Authorization).
"""

from __future__ import annotations

import asyncio
import base64
import enum
import ssl
from contextlib import suppress
from dataclasses import dataclass

from simulators.connections import LARGEST_HEAD, Connections, Request

_PAGE = "<html><title>Access denied</title><h1>The requested page is blocked by your organisation</h1></html>"


class Mood(enum.Enum):
    """What the proxy does with a request for a tunnel. The value is the status line's end, where it answers so."""

    OPEN = "200 Connection established"
    FORBID = "403 Forbidden"
    BAD_GATEWAY = "502 Bad Gateway"
    UNAVAILABLE = "503 Service Unavailable"
    DROP = "the connection is reset without an answer"
    PAGE = "200 OK, and then a page of its own in place of the tunnel"
    GARBAGE = "an answer that is not HTTP"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One request for a tunnel. `target`: host:port; `authorization`: the header for the proxy, or empty."""

    target: str
    authorization: str
    head: str
    """All that was sent in the clear."""


class EgressProxy:
    """Listens from `open` to `close`. `requests`: what it was asked for, in order."""

    def __init__(self, *, user: str = "", password: str = "") -> None:
        """With a `user`, it answers 407 to whoever does not bring this user and password."""
        self.mood = Mood.OPEN
        self.requests: list[Tunnel] = []
        self._wanted = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else ""
        self._connections = Connections(self._serve)

    async def open(self, tls: ssl.SSLContext | None = None) -> int:
        """Listen, with a TLS context as an https proxy; returns the port."""
        return await self._connections.open(tls)

    async def close(self) -> None:
        """Stop listening, and end every tunnel."""
        await self._connections.close()

    async def _serve(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        given = request.headers.get("proxy-authorization", "")
        self.requests.append(Tunnel(request.target, given, request.head))
        if request.method != "CONNECT":
            _say("405 Method Not Allowed", writer)
        elif given != self._wanted:
            _say("407 Proxy Authentication Required", writer)
        else:
            await self._obey(request.target, reader, writer)

    async def _obey(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match self.mood:
            case Mood.OPEN:
                await _tunnel(target, reader, writer)
            case Mood.DROP:
                writer.transport.abort()
            case Mood.GARBAGE:
                writer.write(b"\x00\x01 go away \xff\r\n\r\n")
            case Mood.PAGE:
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{_PAGE}".encode())
                await reader.read(LARGEST_HEAD)  # the handshake of TLS: unread, it would reset the page
            case _:
                _say(self.mood.value, writer)


def _say(status: str, writer: asyncio.StreamWriter) -> None:
    """Refuse, with the page that people see in a browser."""
    ask = 'Proxy-Authenticate: Basic realm="egress"\r\n' if status.startswith("407") else ""
    head = f"HTTP/1.1 {status}\r\n{ask}Content-Type: text/html\r\nContent-Length: {len(_PAGE)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n{_PAGE}".encode())


async def _tunnel(target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    host, _, port = target.rpartition(":")
    try:
        far_reader, far_writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except OSError:
        _say(Mood.BAD_GATEWAY.value, writer)
        return
    try:
        writer.write(f"HTTP/1.1 {Mood.OPEN.value}\r\n\r\n".encode())
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
    finally:
        far_writer.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Hand on until one side ends; then the other one is closed."""
    with suppress(OSError):
        while data := await source.read(64 * 1024):
            sink.write(data)
            await sink.drain()
    sink.close()
