"""The one table of metrics: a name, a kind, a unit and labels exist here and nowhere else.

`docs/reference/metrics.md`, the alerts and the dashboards under `manifests/monitoring/` are generated from it, so none
of them can name a series that is not there. Names follow https://prometheus.io/docs/practices/naming/. No label is
per host: a fleet of 50,000 VMs has as many series as one of ten.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """Of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `buckets`: bounds of a histogram, in its unit."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_ESTATE = ("namespace", "estate")
_SYSTEM = (*_ESTATE, "system")
_HOLDER = " Shown by the holder of the Lease."
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""From a look at the PCE to the whole list of a large subscription."""
_WORK = (
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1200.0,
    1800.0,
    2700.0,
    3600.0,
    7200.0,
    14400.0,
    43200.0,
    86400.0,
)
"""From the fastest install to a day: a VM that waits longer needs a person."""
_HOSTS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, text + _HOLDER, (*_ESTATE, *labels))


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric(name, Kind.HISTOGRAM, text, labels, buckets)


# fmt: off
BUILD_INFO = Metric("microseg_build_info", Kind.GAUGE, "The version that runs; always 1.", ("version",))

# at the wire
REQUESTS = _histogram("microseg_request_duration_seconds", "Requests as they went over the wire, by operation and HTTP status; `none`: no whole answer came.", _SECONDS, *_SYSTEM, "operation", "outcome")
THROTTLES = _counter("microseg_throttles_total", "Answers by which a system asked for a pause (429).", *_SYSTEM)
BUDGET = _gauge("microseg_budget_left", "Calls that the operator's own budget still allows at once; below zero: calls wait for their turn. Of several subscriptions the fullest. Check Point has none: one session asks one request at a time.", "system", "budget")

# reading
POLLS = _counter("microseg_polls_total", "Readings of a system by outcome: complete, doubtful (rows could not be read), failed; changes (of Azure, between two complete ones).", *_SYSTEM, "outcome")
READ_AT = _gauge("microseg_last_reading_timestamp_seconds", "When a system was last read completely, in seconds since the epoch.", "system")
PROBLEMS = _gauge("microseg_list_problems", "Items that the latest complete reading of a system left out, because they could not be read.", "system")

# hosts
HOSTS = _gauge("microseg_hosts", "ManagedHosts by how they stand, as in the Estate's status.", "standing")
HOSTS_BY_REASON = _gauge("microseg_hosts_by_reason", "ManagedHosts by stage and by the reason of their condition Ready.", "stage", "reason")
AGENTS = _gauge("microseg_agents", "ManagedHosts by the reason of their condition AgentPaired, such as Paired, VENOffline, VENNotActive or VENGone.", "reason")
TIME_TO_PROTECT = _histogram("microseg_time_to_protect_seconds", "From the first sight of a VM until its host was Ready for the first time.", _WORK, *_ESTATE)
STAGE_DURATION = _histogram("microseg_stage_duration_seconds", "From when a stage could begin until it held for the first time.", _WORK, *_ESTATE, "stage")
ATTEMPTS = _counter("microseg_attempts_total", "Script runs on VMs that are over, by mode (install, probe) and outcome.", *_ESTATE, "mode", "outcome")
DRIFT_FOUND = _counter("microseg_drift_found_total", "Changes from outside that were found, by stage.", *_ESTATE, "stage")
DRIFT_REPAIRED = _counter("microseg_drift_repaired_total", "Changes from outside that were repaired, by stage.", *_ESTATE, "stage")

# the firewall
PUBLISHES = _counter("microseg_publishes_total", "Flushes of firewall changes by outcome: published, partly (somebody was refused or held up), nothing, failed.", *_ESTATE, "outcome")
PUBLISHED_HOSTS = _histogram("microseg_publish_hosts", "Hosts whose changes one publish brought.", _HOSTS, *_ESTATE)
INSTALLS = _counter("microseg_installs_total", "Policy installs by outcome: installed, refused, lost (how far it came is not known).", *_ESTATE, "outcome")

# the whole
LEADER = Metric("microseg_estate_leader", Kind.GAUGE, "Whether this process holds the Lease of the estate.", _ESTATE)
LEASES = _counter("microseg_lease_changes_total", "Leases of estates that this process acquired or lost.", *_ESTATE, "change")
CONDITION = _gauge("microseg_estate_condition", "The Estate's conditions: 1 for the status that each has.", "condition", "status")
SUSPENDED = _gauge("microseg_suspended", "1 for an estate that is suspended or observes; and the number of its suspended hosts.", "what")
HELD = _gauge("microseg_plans_held", "Hosts that a held plan would touch, by kind: mapping, facts (such as tags), retirement.", "kind")
GUARD_TRIPS = _counter("microseg_guard_trips_total", "Plans that the guard began to hold, by kind: mapping, facts, retirement.", *_ESTATE, "kind")
RETIREMENTS = _counter("microseg_retirements_total", "Retirements that began and ended.", *_ESTATE, "phase")
QUEUE = _gauge("microseg_queue_length", "Work that waits: hosts to decide, statuses to write, actions of the lanes.", "queue")
QUEUE_AGE = _gauge("microseg_queue_age_seconds", "For how long there has been work in a queue without it once being empty.", "queue")
# fmt: on

FROM_ZERO: dict[Metric, tuple[str, ...]] = {
    LEASES: ("acquired", "lost"),
    GUARD_TRIPS: ("mapping", "facts", "retirement"),
    RETIREMENTS: ("began", "ended"),
    DRIFT_FOUND: ("AgentPaired", "Labelled", "Grouped", "PolicyInstalled"),
    DRIFT_REPAIRED: ("AgentPaired", "Labelled", "Grouped", "PolicyInstalled"),
}
"""Counters of what is rare, with the values of their last label. They are there before the first event: of a series that
begins with 1 no rate and no increase sees that (https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics)."""

ALL: tuple[Metric, ...] = tuple(each for each in list(globals().values()) if isinstance(each, Metric))
"""Every metric of this operator."""
