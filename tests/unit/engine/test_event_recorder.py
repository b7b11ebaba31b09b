"""Events: told singly while little happens, summed up while much does, and never in anybody's way."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.estate import fakes
from tests.unit.estate.world import until
from tests.unit.stages import makers as m

from microseg.estate.news import News
from microseg.estate.workers import Workers
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.host import HostStatus


def stage(name: str, reason: Reason = Reason.SEEN) -> HostStatus:
    ready = Condition(
        type=ConditionType.READY, status=ConditionStatus.FALSE, reason=reason.value, message="So it is.",
        last_transition_time=m.NOW,
    )  # fmt: skip
    return HostStatus(stage=name, conditions=(ready,))


@pytest.fixture
def events() -> fakes.FakeEvents:
    return fakes.FakeEvents()


@pytest.fixture
def news(events: fakes.FakeEvents, workers: Workers) -> News:
    made = News(events, workers)
    made.estate = fakes.estate
    return made


async def posted(news: News, events: fakes.FakeEvents, count: int) -> list[tuple[str, str, bool]]:
    """Run until so many Events were posted."""
    running = asyncio.create_task(news.run())
    await until(lambda: len(events.posted) >= count)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return events.posted


async def test_a_host_that_moves_on_is_told_once_and_one_that_stays_is_not(
    news: News, events: fakes.FakeEvents
) -> None:
    news.host_changed(m.host(), stage("Pairing"), stage("Pairing", Reason.INSTALLING))
    news.host_changed(m.host(), stage("Pairing"), stage("Labelling"))
    assert await posted(news, events, 1) == [(Reason.SEEN.value, "Stage Pairing -> Labelling. So it is.", False)]


async def test_a_blocked_host_is_a_warning_that_a_flood_of_good_news_does_not_drown(
    news: News, events: fakes.FakeEvents
) -> None:
    for _ in range(200):
        news.host_changed(m.host(), stage("Pairing"), stage("Labelling"))
    news.host_changed(m.host(), stage("Pairing"), stage("Blocked", Reason.PAIRED_ELSEWHERE))
    found = await posted(news, events, 51)
    assert [line for line in found if line[2]] == [
        (Reason.PAIRED_ELSEWHERE.value, "Stage Pairing -> Blocked. So it is.", True)
    ]
    assert len(found) <= 52


async def test_what_is_too_much_is_summed_up_on_the_estate_with_examples(news: News, events: fakes.FakeEvents) -> None:
    for number in range(60):
        host = m.host(name=f"host-{number}")
        news.host_changed(host, stage("Pairing"), stage("Labelling"))
    news.sum_up()
    found = await posted(news, events, 51)
    sums = [message for _, message, _ in found if "since the last sum" in message]
    assert len(sums) == 1
    assert sums[0].startswith("10 hosts since the last sum: host-50, host-51, ")
    assert sums[0].endswith(", …")
    news.sum_up()
    assert len(events.posted) == 51, "a sum is told once"


async def test_an_api_server_that_takes_no_events_delays_nothing_and_costs_only_events(
    news: News, events: fakes.FakeEvents
) -> None:
    for number in range(2000):
        news.tell(fakes.estate(), "Reason", f"{number}")
    found = await posted(news, events, 500)
    assert len(found) == 500
    assert found[0][1] == "0"
