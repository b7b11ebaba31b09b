"""/metrics as Prometheus sees it, over HTTP."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from microseg.handlers.probes import Probes
from microseg.metrics import EstateNumbers, Metrics
from microseg.metrics.table import FROM_ZERO

CONDITIONS = {"Ready": "True", "AzureReachable": "Unknown"}
HOSTS = {"commissioned": 7, "blocked": 0}
STANDBY = EstateNumbers("microseg", "other", leading=False)
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    read_at = {"azure": time.monotonic() - 60}
    leading = EstateNumbers("microseg", "respiro", leading=True, conditions=CONDITIONS, hosts=HOSTS, read_at=read_at)
    metrics = Metrics("1.2.3", lambda: [leading, STANDBY])
    counted = metrics.of("microseg", "respiro")
    counted.begin()
    counted.request("checkpoint", "publish", "200", 2.0)
    counted.request("checkpoint", "publish", "none", 30.0)
    counted.request("illumio", "labels", "429", 0.1)
    probes = Probes(dict, str, metrics)
    port = await probes.start("127.0.0.1", 0)
    yield f"http://127.0.0.1:{port}/metrics"
    await probes.stop()


async def look(url: str, accept: str = "") -> tuple[str, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Accept": accept}) as answer:
        assert answer.status == 200
        return await answer.text(), answer.headers["Content-Type"]


def samples(text: str) -> dict[tuple[str, frozenset[str]], float]:
    """(name, values of its labels) -> value, of the samples of ours."""
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in parse(text)
        for sample in family.samples
        if sample.name.startswith("microseg_")
    }


async def test_the_holder_of_the_lease_shows_how_its_estate_stands(url: str) -> None:
    found = samples((await look(url))[0])

    of = ("microseg", "respiro")
    assert found["microseg_estate_leader", frozenset(of)] == 1
    assert found["microseg_hosts", frozenset((*of, "commissioned"))] == 7
    assert found["microseg_hosts", frozenset((*of, "blocked"))] == 0
    shown = {
        (kind, status): found["microseg_estate_condition", frozenset((*of, kind, status))]
        for kind in CONDITIONS
        for status in ("true", "false", "unknown")
    }
    assert [key for key, value in shown.items() if value] == [("Ready", "true"), ("AzureReachable", "unknown")]
    age = time.time() - found["microseg_last_reading_timestamp_seconds", frozenset((*of, "azure"))]
    assert 59 < age < 120


async def test_what_is_rare_is_shown_before_it_happens_so_that_an_increase_sees_the_first_event(url: str) -> None:
    found = samples((await look(url))[0])
    for metric, values in FROM_ZERO.items():
        for value in values:
            assert found[metric.name, frozenset(("microseg", "respiro", value))] == 0


async def test_a_standby_says_only_that_it_is_one(url: str) -> None:
    found = samples((await look(url))[0])

    assert {name: value for (name, labels), value in found.items() if "other" in labels} == {
        "microseg_estate_leader": 0
    }


async def test_calls_are_counted_by_how_they_ended(url: str) -> None:
    found = samples((await look(url))[0])

    of = ("microseg", "respiro")
    for outcome in ("200", "none"):
        name = "microseg_request_duration_seconds_count"
        assert found[name, frozenset((*of, "checkpoint", "publish", outcome))] == 1
    assert found["microseg_throttles_total", frozenset((*of, "illumio"))] == 1
    assert found["microseg_build_info", frozenset(("1.2.3",))] == 1


async def test_both_formats_are_spoken(url: str) -> None:
    plain, kind = await look(url)
    assert kind.startswith("text/plain")
    open_text, open_kind = await look(url, OPENMETRICS)
    assert open_kind.startswith("application/openmetrics-text")
    asked, unasked = (
        {each.name for each in read(text)} for read, text in ((parse_openmetrics, open_text), (parse, plain))
    )
    assert {name for name in unasked if name.startswith("microseg_") and not name.endswith("_created")} <= asked
