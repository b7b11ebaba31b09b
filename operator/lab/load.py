"""A load generator with almost no cost of its own, so that the server's speed is measured, not the client's.

Requests are prepared in advance and sent over a few open TLS connections; only status and length of an answer are read.
Used by `lab.bench_worlds`.
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
    """One prepared request; `rows`: how many objects it reads or writes."""

    head: bytes
    body: bytes = b""
    rows: int = 1


@dataclass(slots=True)
class Server:
    """One server; `pid` is its process."""

    url: str
    tls: ssl.SSLContext
    pid: int
    headers: dict[str, str] = field(default_factory=dict)

    def worked(self) -> float:
        """Return the CPU seconds that its process has used."""
        after_name = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return sum(map(int, after_name[11:13])) / os.sysconf("SC_CLK_TCK")

    def request(self, method: str, path: str, body: object = None, *, rows: int = 1) -> Request:
        """Prepare a request."""
        sent = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        kind = "application/x-www-form-urlencoded" if isinstance(body, str) else "application/json"
        headers = {"Host": urlsplit(self.url).netloc, "Content-Length": str(len(sent)), "Content-Type": kind}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (headers | self.headers).items())]
        return Request(("\r\n".join(lines) + "\r\n\r\n").encode(), sent, rows)


class Line:
    """One connection, re-opened when the server closes it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: Request) -> tuple[bytes, bytes]:
        """Send one request; return the answer's head (lower case) and body. Raises RuntimeError for an error."""
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
        """Send one request and return the JSON answer."""
        return json.loads((await self.send(request))[1])

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass(frozen=True, slots=True)
class Figure:
    """The result for one kind of request: their number, the seconds, and the server's CPU seconds."""

    world: str
    request: str
    count: int
    rows: int
    seconds: float
    worked: float

    def line(self) -> str:
        """Return the report line. The rate per core second does not depend on other load of the machine."""
        core = self.count / self.worked if self.worked else 0.0
        rows = f"{self.rows / self.seconds:10,.0f} rows/s" if self.rows != self.count else ""
        each = self.count / self.seconds
        return f"  {self.world:<12}{self.request:<44}{each:9,.1f} requests/s{core:9,.1f} per core second{rows}"


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
    """Poll `look`, for at most five minutes, until its value satisfies `over`; return it. Raises TimeoutError."""
    for _ in range(_MOST_LOOKS):
        if over(seen := await look()):
            return seen
        await asyncio.sleep(_PAUSE)
    message = "it did not end"
    raise TimeoutError(message)
