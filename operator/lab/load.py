"""A caller that does next to nothing, so that a server's speed is measured and not its client's.

Requests are written in advance, go out over a few open TLS connections, and of an answer only the status and the length
are looked at. Used by `lab.bench_worlds`.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

_CONNECTIONS = 8
_PAUSE = 0.01
_MOST_LOOKS = 30_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to be sent; `rows`: how many things it reads or writes."""

    head: bytes
    body: bytes = b""
    rows: int = 1


@dataclass(slots=True)
class Server:
    """One world, as a caller sees it; `pid` is its process."""

    url: str
    tls: ssl.SSLContext
    pid: int
    headers: dict[str, str] = field(default_factory=dict)

    def worked(self) -> float:
        """CPU seconds that its process has used."""
        after_name = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return sum(map(int, after_name[11:13])) / os.sysconf("SC_CLK_TCK")

    def request(self, method: str, path: str, body: object = None, *, rows: int = 1) -> Request:
        """Write a request."""
        sent = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        kind = "application/x-www-form-urlencoded" if isinstance(body, str) else "application/json"
        headers = {"Host": urlsplit(self.url).netloc, "Content-Length": str(len(sent)), "Content-Type": kind}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (headers | self.headers).items())]
        return Request(("\r\n".join(lines) + "\r\n\r\n").encode(), sent, rows)


class Line:
    """One connection, opened again when the server closes it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: Request) -> tuple[bytes, bytes]:
        """Send one request; returns the answer's head (lower case) and body. RuntimeError for a refusal."""
        if self._streams is None:
            at = urlsplit(self._server.url)
            self._streams = await asyncio.open_connection(at.hostname, at.port, ssl=self._server.tls, limit=2**20)
        reader, writer = self._streams
        writer.write(request.head + request.body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]) if b"content-length:" in head else 0
        body = await reader.readexactly(length)
        if b"connection: close" in head:
            await self.close()
        if not head.startswith(b"http/1.1 2"):
            message = f"{request.head[:120]!r} was refused: {head[:30]!r} {body[:200]!r}"
            raise RuntimeError(message)
        return head, body

    async def ask(self, request: Request) -> Any:
        """The JSON answer."""
        return json.loads((await self.send(request))[1])

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured of one kind of request: how many in how many seconds, of which the server worked so many."""

    world: str
    request: str
    count: int
    rows: int
    seconds: float
    worked: float

    def line(self) -> str:
        """For people. What a core would answer in a second does not depend on who else uses the machine."""
        core = self.count / self.worked if self.worked else 0.0
        rows = f"{self.rows / self.seconds:10,.0f} rows/s" if self.rows != self.count else ""
        each = self.count / self.seconds
        return f"  {self.world:<12}{self.request:<44}{each:9,.1f} requests/s{core:9,.1f} a core's second{rows}"


async def measure(server: Server, world: str, name: str, requests: Iterator[Request], seconds: float) -> Figure:
    """Send requests over all connections for so many seconds."""
    sent = [0, 0]
    lines = [Line(server) for _ in range(_CONNECTIONS)]
    started, worked = time.perf_counter(), server.worked()
    until = started + seconds

    async def work(line: Line) -> None:
        while time.perf_counter() < until:
            request = next(requests)
            await line.send(request)
            sent[0] += 1
            sent[1] += request.rows

    await asyncio.gather(*map(work, lines))
    took = time.perf_counter() - started
    for line in lines:
        await line.close()
    return Figure(world, name, sent[0], sent[1], took, server.worked() - worked)


async def look_until(look: Callable[[], Awaitable[T]], over: Callable[[T], bool]) -> T:
    """Look again and again, for five minutes at most, until what is seen is `over`; returns it. TimeoutError."""
    for _ in range(_MOST_LOOKS):
        if over(seen := await look()):
            return seen
        await asyncio.sleep(_PAUSE)
    message = "it did not end"
    raise TimeoutError(message)
