"""The instance metadata service of one VM, on loopback. `Guest` starts and stops it around its runs.

Only the vmId is served. Shape: learn.microsoft.com/azure/virtual-machines/instance-metadata-service (the `Metadata:
true` header is required, a forwarded request is refused, `format=text` gives the bare value).
"""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

from simulators.connections import Connections, Request

_PATH = "/metadata/instance/compute/vmId"


class MetadataService:
    """Serves one VM's vmId while there are more calls of `open` than of `close`."""

    def __init__(self, vm_id: str) -> None:
        self._vm_id = vm_id
        self._users = 0
        self._lock = asyncio.Lock()
        self._connections = Connections(self._serve)

    async def open(self) -> int:
        """Start if necessary; return the loopback port."""
        async with self._lock:
            port = await self._connections.open()
            self._users += 1
            return port

    async def close(self) -> None:
        """Stop listening after the last user, and end what is still connected: its script may have been killed."""
        async with self._lock:
            self._users -= 1
            if self._users == 0:
                await self._connections.close()

    async def _serve(self, request: Request, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        status, body = self._answer(request)
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
        )
        await writer.drain()

    def _answer(self, request: Request) -> tuple[str, str]:
        target = urlsplit(request.target)
        query = parse_qs(target.query)
        if request.method != "GET":
            return "405 Method Not Allowed", ""
        if request.headers.get("metadata", "").lower() != "true" or "x-forwarded-for" in request.headers:
            return "400 Bad Request", "Bad request. Required metadata header not specified"
        if target.path != _PATH:
            return "404 Not Found", "Not found"
        if "api-version" not in query or query.get("format") != ["text"]:
            return "400 Bad Request", "Bad request. api-version was not specified in the request"
        return "200 OK", self._vm_id
