"""Small servers on loopback that speak HTTP by hand: one request per connection, and the connections that are open.

The egress proxy and a VM's metadata service are such; the three systems have a real server (`server.py`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

_PATIENCE = 5.0
"""Seconds for a client to send its request."""
LARGEST_HEAD = 16 * 1024
"""Bytes of a request's head."""


@dataclass(frozen=True, slots=True)
class Request:
    """The head of one request. `target`: as it was sent; `headers`: by their names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    head: str
    """All that was sent."""


Serve: TypeAlias = Callable[[Request, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request; the connection is closed after it. An error of the connection ends it."""


class Connections:
    """Listens from `open` to `close`, which also ends what is still connected."""

    def __init__(self, serve: Serve) -> None:
        """`serve` is called once per connection."""
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def open(self, tls: ssl.SSLContext | None = None) -> int:
        """Listen, with a TLS context by https; returns the port. It may be open already."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=LARGEST_HEAD, ssl=tls)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and end every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open.values():
            writer.transport.abort()
        if self._open:
            await asyncio.wait(self._open)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._one(reader, writer))
        self._open[task] = writer
        task.add_done_callback(lambda ended: self._open.pop(ended, None))

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)
            await self._serve(_request(head.decode("latin-1")), reader, writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, TimeoutError):
            writer.transport.abort()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def _request(head: str) -> Request:
    request, *lines = head.split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method, _, rest = request.partition(" ")
    return Request(method, rest.partition(" ")[0], headers, head)
