"""The relay: it hands on what both sides say, late if it is told to, and cuts what is connected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from lab.relay import Relay

LATE = 0.2


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.readline():
        writer.write(data.upper())
    writer.close()


@pytest.fixture
async def relay() -> AsyncIterator[tuple[Relay, int]]:
    """A relay to a server that shouts back, and its port."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    made = Relay("127.0.0.1", server.sockets[0].getsockname()[1])
    yield made, await made.open()
    await made.close()
    server.close()


async def _asked(port: int, *words: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.writelines(words)
    answers = [await reader.readline() for _ in words]
    writer.close()
    await writer.wait_closed()
    return answers


async def test_it_hands_on_what_both_sides_say(relay: tuple[Relay, int]) -> None:
    assert await _asked(relay[1], b"one\n", b"two\n") == [b"ONE\n", b"TWO\n"]


async def test_an_answer_is_late_by_its_delay(relay: tuple[Relay, int]) -> None:
    relay[0].delay = LATE
    began = asyncio.get_running_loop().time()
    assert await _asked(relay[1], b"one\n") == [b"ONE\n"]
    assert asyncio.get_running_loop().time() - began >= LATE


async def test_a_cut_ends_what_is_connected_and_the_next_connection_is_served(relay: tuple[Relay, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay[1])
    writer.write(b"one\n")
    assert await reader.readline() == b"ONE\n"
    await relay[0].cut()
    with suppress(ConnectionError):  # an end without an error is one, too
        assert await reader.readline() == b""
    writer.close()
    assert await _asked(relay[1], b"two\n") == [b"TWO\n"]
