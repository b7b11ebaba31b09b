"""/healthz names the loop that stands still; /readyz says whether the cluster is watched."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from microseg.handlers.probes import Probes
from microseg.metrics import Metrics


class Process:
    """What the probes look at."""

    def __init__(self) -> None:
        self.beats: dict[str, float] = {"microseg/respiro/decide": time.monotonic()}
        self.why = "the Estates were not listed yet"
        self.url = ""

    async def ask(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}{path}") as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    made = Process()
    probes = Probes(lambda: made.beats, lambda: made.why, Metrics("1.2.3", list))
    made.url = f"http://127.0.0.1:{await probes.start('127.0.0.1', 0)}"
    yield made
    await probes.stop()


async def test_loops_that_go_round_are_healthy(process: Process) -> None:
    assert await process.ask("/healthz") == (200, "ok\n")


async def test_each_loop_that_stands_still_is_named_with_its_age(process: Process) -> None:
    process.beats["microseg/respiro/reflector"] = time.monotonic() - 500
    process.beats["microseg/respiro/mapping"] = time.monotonic() - 450
    status, text = await process.ask("/healthz")
    assert status == 503
    assert text == (
        "microseg/respiro/mapping has not gone round for 450 s\n"
        "microseg/respiro/reflector has not gone round for 500 s\n"
    )


async def test_a_runner_that_ended_by_an_error_is_unhealthy_for_ever(process: Process) -> None:
    process.beats["microseg/respiro/runner"] = -math.inf
    assert await process.ask("/healthz") == (503, "microseg/respiro/runner ended by an error; the log has it\n")


async def test_the_process_is_ready_once_the_cluster_is_watched(process: Process) -> None:
    assert await process.ask("/readyz") == (503, "the Estates were not listed yet\n")
    process.why = ""
    assert await process.ask("/readyz") == (200, "ok\n")
