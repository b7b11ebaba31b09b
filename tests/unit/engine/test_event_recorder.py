"""Events: told singly while little happens, summed up while much does, and never in anybody's way."""

from __future__ import annotations

import asyncio

import pytest

from lab.memory import samples as m
from lab.memory.cluster import FakeEvents
from lab.memory.estate import estate
from lab.memory.scripted import FakeClock, FakeTerm
from lab.memory.world import QUICK, until
from microseg.engine.cluster.event_recorder import EventRecorder
from microseg.engine.ground.runtime import Runtime
from microseg.engine.ground.workers import Workers
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.host import HostStatus


def stage(name: str, reason: Reason = Reason.SEEN) -> HostStatus:
    ready = Condition(
        type=ConditionType.READY, status=ConditionStatus.FALSE, reason=reason.value, message="So it is.",
        last_transition_time=m.NOW,
    )  # fmt: skip
    return HostStatus(stage=name, conditions=(ready,))


@pytest.fixture
def events() -> FakeEvents:
    return FakeEvents()


@pytest.fixture
def recorder(events: FakeEvents, workers: Workers) -> EventRecorder:
    return EventRecorder(events, estate, Runtime(FakeTerm(), FakeClock(), workers, QUICK))


async def posted(recorder: EventRecorder, events: FakeEvents, count: int) -> list[tuple[str, str, bool]]:
    """Run until so many Events were posted."""
    running = asyncio.create_task(recorder.run())
    await until(lambda: len(events.posted) >= count)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return events.posted


async def test_a_host_that_moves_on_is_told_once_and_one_that_stays_is_not(
    recorder: EventRecorder, events: FakeEvents
) -> None:
    recorder.host_changed(m.host(), stage("Pairing"), stage("Pairing", Reason.INSTALLING_AGENT))
    recorder.host_changed(m.host(), stage("Pairing"), stage("Labelling"))
    assert await posted(recorder, events, 1) == [(Reason.SEEN.value, "Stage Pairing -> Labelling. So it is.", False)]


async def test_a_host_that_begins_while_a_system_is_being_read_is_told_as_discovered(
    recorder: EventRecorder, events: FakeEvents
) -> None:
    recorder.host_changed(m.host(), HostStatus(), stage("Pairing", Reason.ILLUMIO_UNREADABLE))
    ((reason, message, warning),) = await posted(recorder, events, 1)
    assert (reason, warning) == ("Discovered", False)
    assert message.startswith("Stage none -> Pairing. The VM was found")


async def test_a_blocked_host_is_a_warning_that_a_flood_of_good_news_does_not_drown(
    recorder: EventRecorder, events: FakeEvents
) -> None:
    for _ in range(200):
        recorder.host_changed(m.host(), stage("Pairing"), stage("Labelling"))
    recorder.host_changed(m.host(), stage("Pairing"), stage("Blocked", Reason.PAIRED_ELSEWHERE))
    found = await posted(recorder, events, 51)
    assert [line for line in found if line[2]] == [
        (Reason.PAIRED_ELSEWHERE.value, "Stage Pairing -> Blocked. So it is.", True)
    ]
    assert len(found) <= 52


async def test_what_is_too_much_is_summed_up_on_the_estate_with_examples(
    recorder: EventRecorder, events: FakeEvents
) -> None:
    for number in range(60):
        host = m.host(name=f"host-{number}")
        recorder.host_changed(host, stage("Pairing"), stage("Labelling"))
    recorder.post_aggregated()
    found = await posted(recorder, events, 51)
    aggregated = [message for _, message, _ in found if "since the last aggregated Event" in message]
    assert len(aggregated) == 1
    assert aggregated[0].startswith("10 hosts since the last aggregated Event: host-50, host-51, ")
    assert aggregated[0].endswith(", …")
    recorder.post_aggregated()
    assert len(events.posted) == 51, "an aggregated Event is posted once"


async def test_an_api_server_that_takes_no_events_delays_nothing_and_costs_only_events(
    recorder: EventRecorder, events: FakeEvents
) -> None:
    for number in range(2000):
        recorder.post(estate(), "Reason", f"{number}")
    found = await posted(recorder, events, 500)
    assert len(found) == 500
    assert found[0][1] == "0"
