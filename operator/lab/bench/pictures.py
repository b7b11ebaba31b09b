"""How a fleet was commissioned over time, as a picture. Pure."""

from __future__ import annotations

from lab.bench.run import Run
from lab.monitoring.panels import Board, Panel, Query
from lab.monitoring.pictures import picture


def makespan(run: Run) -> str:
    """An SVG: hosts commissioned over seconds since their creation, beside the pace that the systems' limits allow."""
    work = run.onboarding
    least = work.bound.seconds
    title = "hosts commissioned"
    measured = [(at, str(done)) for at, done in work.curve]
    allowed = [(0.0, "0"), (least - work.bound.paced_by.seconds, "0"), (least, str(run.hosts))]
    lines = [
        (f"measured: {work.seconds:.0f} s", {"metric": {}, "values": measured}),
        (f"least that the limits allow: {least:.0f} s", {"metric": {}, "values": allowed}),
    ]
    panel = Panel(title, "", (Query(""),))
    return picture(Board("makespan", f"{run.hosts} hosts, created at once", (panel,)), {title: lines})
