"""The panels of the three dashboards, as data: what each shows, by queries over the table of metrics.

`dashboards.py` renders them for Grafana; `check.py` runs every query on a real Prometheus and draws the pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

from microseg.metrics import table as m

ESTATE = 'namespace=~"$namespace",estate=~"$estate"'
"""The matcher by which a dashboard's variables choose."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query, and what its lines are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `unit`: of Grafana's; `current`: one number instead of lines."""

    title: str
    meaning: str
    queries: tuple[Query, ...]
    unit: str = "short"
    current: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard."""

    name: str
    title: str
    panels: tuple[Panel, ...]


def _of(metric: m.Metric, *labels: str, suffix: str = "") -> str:
    return f"{metric.name}{suffix}{{{','.join((ESTATE, *labels))}}}"


def _rate(metric: m.Metric, by: str, suffix: str = "") -> str:
    return f"sum by ({by}) (rate({_of(metric, suffix=suffix)}[$__rate_interval]))"


def _quantile(metric: m.Metric, quantile: float, by: str = "") -> str:
    labels = ", ".join(part for part in ("le", by) if part)
    rate = f"rate({_of(metric, suffix='_bucket')}[$__rate_interval])"
    return f"histogram_quantile({quantile:g}, sum by ({labels}) ({rate}))"


_DONE, _BLOCKED, _OPEN = 'standing="commissioned"', 'standing="blocked"', 'stage!="Commissioned"'
_READING_AGE = Panel(
    "Age of the latest complete reading", "How old what is known of each system is.",
    (Query(f"time() - {_of(m.READ_AT)}", "{{system}}"),), "s",
)  # fmt: skip

BOARDS: tuple[Board, ...] = (
    Board("fleet", "microseg: fleet", (
        Panel("Protected", "Commissioned hosts, of all estates that are chosen.",
              (Query(f"sum({_of(m.HOSTS, _DONE)})", "commissioned"),), current=True),
        Panel("Need a person", "Blocked hosts; `microseg status` says why.",
              (Query(f"sum({_of(m.HOSTS, _BLOCKED)})", "blocked"),), current=True),
        Panel("Hosts by standing", "As in the Estate's status.",
              (Query(f"sum by (standing) ({_of(m.HOSTS)})", "{{standing}}"),)),
        Panel("Hosts that are not done, by stage and reason", "What is stuck, and where.",
              (Query(f"sum by (stage, reason) ({_of(m.HOSTS_BY_REASON, _OPEN)})", "{{stage}}: {{reason}}"),)),
        Panel("Hosts by agent", "What AgentPaired says of their VENs: paired, offline, not active, gone.",
              (Query(f"sum by (reason) ({_of(m.AGENTS)})", "{{reason}}"),)),
        Panel("Time to protect", "From the first sight of a VM until every stage held.",
              tuple(Query(_quantile(m.TIME_TO_PROTECT, each), f"p{each * 100:.0f}") for each in (0.5, 0.95)), "s"),
        Panel("Time per stage, p95", "Which stage takes the time.",
              (Query(_quantile(m.STAGE_DURATION, 0.95, "stage"), "{{stage}}"),), "s"),
        Panel("Held, suspended", "What stands still because of the guard or a person.",
              (Query(f"sum by (kind) ({_of(m.HELD)})", "held: {{kind}}"),
               Query(f"sum by (what) ({_of(m.SUSPENDED)})", "suspended: {{what}}"))),
        Panel("Plans that the guard began to hold", "Of the last hour, by what changed.",
              (Query(f"sum by (kind) (increase({_of(m.GUARD_TRIPS)}[1h]))", "{{kind}}"),)),
        Panel("Retirements", "Of the last hour: VMs that are gone, and whose traces are removed.",
              (Query(f"sum by (phase) (increase({_of(m.RETIREMENTS)}[1h]))", "{{phase}}"),)),
    )),
    Board("controller", "microseg: controller", (
        Panel("Leaders", "One per estate.", (Query(f"sum by (namespace, estate) ({_of(m.LEADER)})", "{{estate}}"),)),
        Panel("Leases acquired and lost", "Of the last hour; more than a few mean a slow API server or dying Pods.",
              (Query(f"sum by (change) (increase({_of(m.LEASES)}[1h]))", "{{change}}"),)),
        Panel("Requests per second", "As they went over the wire.",
              (Query(_rate(m.REQUESTS, "system, outcome", "_count"), "{{system}} {{outcome}}"),), "reqps"),
        Panel("Latency of requests, p95", "Which system is slow.",
              (Query(_quantile(m.REQUESTS, 0.95, "system"), "{{system}}"),), "s"),
        Panel("Budget left", "Calls that the operator's own budgets allow at once.",
              (Query(_of(m.BUDGET), "{{system}} {{budget}}"),)),
        Panel("Polls", "Readings per second by how they ended.",
              (Query(_rate(m.POLLS, "system, outcome"), "{{system}} {{outcome}}"),), "reqps"),
        Panel("Queues", "Work that waits.", (Query(f"sum by (queue) ({_of(m.QUEUE)})", "{{queue}}"),)),
        Panel("Age of the queues", "For how long there has been work without a pause.",
              (Query(f"max by (queue) ({_of(m.QUEUE_AGE)})", "{{queue}}"),), "s"),
        Panel("Memory of the process", "Resident.", (Query("process_resident_memory_bytes", "{{instance}}"),), "bytes"),
    )),
    Board("estate", "microseg: one estate", (
        Panel("Conditions", "1: True.", (Query(_of(m.CONDITION, 'status="true"'), "{{condition}}"),)),
        _READING_AGE,
        Panel("Items left out", "Rows that could not be read.", (Query(_of(m.PROBLEMS), "{{system}}"),)),
        Panel("Changes from outside", "Of the last hour, by stage: what was found, and what the operator repaired.",
              (Query(f"sum by (stage) (increase({_of(m.DRIFT_FOUND)}[1h]))", "found: {{stage}}"),
               Query(f"sum by (stage) (increase({_of(m.DRIFT_REPAIRED)}[1h]))", "repaired: {{stage}}"))),
        Panel("Throttles", "Answers per second by which a system asked for a pause.",
              (Query(_rate(m.THROTTLES, "system"), "{{system}}"),), "reqps"),
        Panel("Script runs", "Per hour, by mode and outcome.",
              (Query(f"sum by (mode, outcome) (increase({_of(m.ATTEMPTS)}[1h]))", "{{mode}} {{outcome}}"),)),
        Panel("Publishes and installs", "Per hour, by outcome.",
              (Query(f"sum by (outcome) (increase({_of(m.PUBLISHES)}[1h]))", "publish {{outcome}}"),
               Query(f"sum by (outcome) (increase({_of(m.INSTALLS)}[1h]))", "install {{outcome}}"))),
        Panel("Hosts per publish, p95", "How well changes are gathered.",
              (Query(_quantile(m.PUBLISHED_HOSTS, 0.95), "hosts"),)),
        Panel("Requests by operation", "What it costs.",
              (Query(_rate(m.REQUESTS, "system, operation", "_count"), "{{system}} {{operation}}"),), "reqps"),
    )),
)  # fmt: skip
