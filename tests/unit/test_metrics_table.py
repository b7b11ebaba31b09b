"""The table of metrics, and what is counted with it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec
from prometheus_client import CollectorRegistry

from microseg.engine.cluster import host_metrics
from microseg.engine.estate_numbers import QueueAges
from microseg.metrics import EstateMetrics, Metrics
from microseg.metrics.calls import CallBook
from microseg.metrics.estate_metrics import Instruments
from microseg.metrics.table import ALL, Kind
from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.host import DriftRecord, HostStatus, Timeline

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def counted() -> tuple[EstateMetrics, CollectorRegistry]:
    registry = CollectorRegistry()
    return EstateMetrics("ns", "est", Instruments.make(registry)), registry


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, {"namespace": "ns", "estate": "est", **labels})


def test_every_name_follows_prometheus_and_no_label_is_per_host() -> None:
    assert len({metric.name for metric in ALL}) == len(ALL) > 25
    for metric in ALL:
        assert re.fullmatch(r"microseg_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
        assert metric.help.endswith(".")
        assert (metric.kind is Kind.HISTOGRAM) == bool(metric.buckets)
        assert not {"host", "vm", "vm_id", "name", "ip", "group"} & set(metric.labels)


def test_every_metric_of_the_table_is_exposed() -> None:
    metrics = Metrics("1", list)
    exposed = {family.name for family in metrics.registry.collect()}
    assert {metric.name.removesuffix("_total") for metric in ALL} <= exposed


def test_a_host_that_is_ready_for_the_first_time_is_measured_once() -> None:
    metrics, registry = counted()
    before = HostStatus(timeline=Timeline(discovered_at=NOON, agent_paired_at=NOON + timedelta(seconds=100)))
    assert before.timeline is not None
    after = msgspec.structs.replace(
        before,
        timeline=msgspec.structs.replace(
            before.timeline,
            labelled_at=NOON + timedelta(seconds=130),
            commissioned_at=NOON + timedelta(seconds=600),
        ),
    )
    host_metrics.count(metrics, before, after)
    host_metrics.count(metrics, after, after)
    assert sample(registry, "microseg_time_to_protect_seconds_sum") == 600
    assert sample(registry, "microseg_time_to_protect_seconds_count") == 1
    assert sample(registry, "microseg_stage_duration_seconds_sum", stage="Labelled") == 30
    assert sample(registry, "microseg_stage_duration_seconds_count", stage="AgentPaired") is None


def test_an_attempt_counts_when_it_is_over() -> None:
    metrics, registry = counted()
    running = HostStatus(agent=AgentRecord(attempt=2, mode="install"))
    over = HostStatus(agent=AgentRecord(attempt=2, mode="install", outcome=AgentOutcome.KEY_REFUSED))
    host_metrics.count(metrics, running, over)
    host_metrics.count(metrics, over, over)
    assert sample(registry, "microseg_attempts_total", mode="install", outcome="key-refused") == 1


def test_drift_counts_when_it_is_found_and_when_it_is_repaired() -> None:
    metrics, registry = counted()
    found = HostStatus(drift=(DriftRecord(stage="Labelled", since=NOON, at=NOON, open=True),))
    repaired = HostStatus(drift=(DriftRecord(stage="Labelled", since=NOON, at=NOON, repairs=1),))
    for before, after in ((HostStatus(), found), (found, found), (found, repaired), (repaired, repaired)):
        host_metrics.count(metrics, before, after)
    assert sample(registry, "microseg_drift_found_total", stage="Labelled") == 1
    assert sample(registry, "microseg_drift_repaired_total", stage="Labelled") == 1


def test_the_latency_is_that_of_the_latest_requests() -> None:
    book = CallBook()
    for seconds in [9.0] * 5 + [0.1] * 180 + [2.0] * 20:
        book.add("azure", "vm", "200", seconds)
    assert book.counts() == {("azure", "vm", "200"): 205}
    assert (book.latency("azure").median, book.latency("azure").slow) == (0.1, 2.0)
    assert book.latency("illumio").median == 0


def test_a_queue_is_as_old_as_the_time_for_which_it_was_never_empty() -> None:
    clock = [0.0]
    ages = QueueAges(lambda: clock[0])
    assert ages.of({"decide": 0, "status": 3}) == {"decide": (0, 0.0), "status": (3, 0.0)}
    clock[0] = 30.0
    assert ages.of({"decide": 1, "status": 1}) == {"decide": (1, 0.0), "status": (1, 30.0)}
    clock[0] = 40.0
    assert ages.of({"decide": 0, "status": 0})["status"] == (0, 0.0)
