"""A slow way to a server on loopback: it hands bytes on, and keeps each answer back for a while. TLS passes through it.

`lab.storms` puts it between the operator and the API server, whose answers then take longer, or whose connections end
all at once, without a change of either.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

_CHUNK = 64 * 1024


class Relay:
    """Listens from `open` to `close`. `delay`: seconds for which what the server sends is kept back; may change."""

    def __init__(self, host: str, port: int) -> None:
        """Hand on to this server."""
        self.delay = 0.0
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and end every connection."""
        if self._server is not None:
            self._server.close()
        await self.cut()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def cut(self) -> None:
        """End every connection; new ones may begin at once."""
        for writer in list(self._open):
            writer.transport.abort()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        try:
            await asyncio.gather(_pump(reader, far_writer), self._answer(far_reader, writer))
        finally:
            self._open -= {writer, far_writer}
            for each in (writer, far_writer):
                each.transport.abort()

    async def _answer(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Hand on what the server sends, each piece `delay` seconds after it came, in order.

        Many pieces may be under way, as on a long line: each is late, and none waits for the one before it.
        """
        loop, line = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]]()
        sending = loop.create_task(_send(line, sink))
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                line.put_nowait((loop.time() + self.delay, data))
        line.put_nowait((loop.time() + self.delay, b""))
        await sending


async def _send(line: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
    """Send each piece when its time has come, until an empty one; then close."""
    with suppress(OSError):
        while True:
            due, data = await line.get()
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            if not data:
                break
            sink.write(data)
            await sink.drain()
    sink.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Hand on until one side ends; then the other one is closed."""
    with suppress(OSError):
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
    sink.close()
