"""What an alert is, and the forms that many have. `alerts.py` has the alerts.

A page is for a person now, a ticket for a person today.
"""

from __future__ import annotations

from dataclasses import dataclass

from microseg.metrics import table as m

PROTECTED_WITHIN = 1800
"""Seconds within which a new VM is to be protected: a bucket's bound of the histogram."""
PROTECTED = 0.95
"""The share of new VMs for which that is promised."""
READ_WITHIN = 900
"""Seconds that a complete reading may be old."""
READ = 0.99
"""The share of time for which that is promised."""
_ESTATE = 'namespace="ns",estate="e"'
BY = "by (namespace, estate)"
"""How most expressions are summed."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert."""

    name: str
    severity: str
    expr: str
    lasts: str
    """`for` of the rule."""
    summary: str
    meaning: str
    action: str
    fires: tuple[tuple[str, str], ...]
    """(series, values) by the minute, in promtool's notation, with which it fires at `at`."""
    quiet: tuple[tuple[str, str], ...]
    """With which it does not."""
    labels: tuple[tuple[str, str], ...] = ()
    """Labels of the alert that fires, beside severity and those of the estate."""
    of_estate: bool = True
    at: str = "75m"


def series(metric: m.Metric, *labels: str, suffix: str = "") -> str:
    """A series of the estate of promtool's tests."""
    return f"{metric.name}{suffix}{{{','.join((_ESTATE, *labels))}}}"


def condition(name: str, kind: str, status: str, lasts: str, severity: str, texts: tuple[str, str, str]) -> Alert:
    """An alert on a condition of the Estate that has this status."""
    labels = (f'condition="{kind}"', f'status="{status}"')
    shown = series(m.CONDITION, *labels)
    return Alert(
        name, severity, f"{m.CONDITION.name}{{{','.join(labels)}}} == 1", lasts, *texts,
        fires=((shown, "1x240"),), quiet=((shown, "0x240"),), labels=(("condition", kind), ("status", status)),
    )  # fmt: skip


def burn(name: str, long: str, short: str, factor: float, budget: float) -> str:
    """Both windows burn the error budget faster than `factor`: the long one says much, the short one says still."""
    limit = f"{factor * budget:g}"
    return f"microseg:{name}:error_ratio{long} > {limit} and microseg:{name}:error_ratio{short} > {limit}"
