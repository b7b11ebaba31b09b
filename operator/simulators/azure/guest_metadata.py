"""The instance metadata service of one VM, on loopback. `Guest` starts and stops it around its runs.

Only the vmId is served. Shape: learn.microsoft.com/azure/virtual-machines/instance-metadata-service (the `Metadata:
true` header is required, a forwarded request is refused, `format=text` gives the bare value).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

_PATH = "/metadata/instance/compute/vmId"
_PATIENCE = 5.0
_LARGEST_HEAD = 16 * 1024


class MetadataService:
    """Serves one VM's vmId while there are more calls of `open` than of `close`."""

    def __init__(self, vm_id: str) -> None:
        self._vm_id = vm_id
        self._users = 0
        self._server: asyncio.Server | None = None
        self._lock = asyncio.Lock()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def open(self) -> int:
        """Start if necessary; return the loopback port."""
        async with self._lock:
            if self._server is None:
                self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=_LARGEST_HEAD)
            self._users += 1
            return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening after the last user, and end what is still connected: its script may have been killed."""
        async with self._lock:
            self._users -= 1
            if self._users == 0 and self._server is not None:
                self._server.close()
                self._server = None
                for writer in self._connections.values():
                    writer.transport.abort()
                if self._connections:
                    await asyncio.wait(self._connections)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(lambda ended: self._connections.pop(ended, None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)
            status, body = self._answer(head.decode("latin-1"))
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
            )
            await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, TimeoutError):
            writer.transport.abort()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def _answer(self, head: str) -> tuple[str, str]:
        request, *lines = head.split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, _, rest = request.partition(" ")
        target = urlsplit(rest.partition(" ")[0])
        query = parse_qs(target.query)
        if method != "GET":
            return "405 Method Not Allowed", ""
        if headers.get("metadata", "").lower() != "true" or "x-forwarded-for" in headers:
            return "400 Bad Request", "Bad request. Required metadata header not specified"
        if target.path != _PATH:
            return "404 Not Found", "Not found"
        if "api-version" not in query or query.get("format") != ["text"]:
            return "400 Bad Request", "Bad request. api-version was not specified in the request"
        return "200 OK", self._vm_id
