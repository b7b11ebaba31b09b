"""`microseg status --calls`: what the estate costs in requests, by system and operation, since the process began."""

from __future__ import annotations

from collections import Counter

from microseg.cli.cluster import Leadership, Live
from microseg.cli.output import Lines, Report, Table
from microseg.cli.spans import ago, moment


def calls(live: Live, leadership: Leadership) -> Report:
    """Requests as they went over the wire: pages of a list count each, a session that is open already counts none."""
    report = leadership.report
    if report is None:
        sentence = f"Nobody says what it has sent: {leadership.fault or 'no operator leads'}."
        return Report({"estate": live.key, "calls": None}, (Lines("", [sentence]),))
    sent: Counter[tuple[str, str]] = Counter()
    failed: Counter[tuple[str, str]] = Counter()
    throttled: Counter[tuple[str, str]] = Counter()
    for each in report.calls:
        key = (each.system, each.operation)
        sent[key] += each.requests
        failed[key] += 0 if each.outcome.startswith(("2", "3")) else each.requests
        throttled[key] += each.requests if each.outcome == "429" else 0
    rows = [(*key, str(number), str(failed[key]), str(throttled[key])) for key, number in sorted(sent.items())]
    totals = Counter[str]()
    for (system, _), number in sent.items():
        totals[system] += number
    whole = ", ".join(f"{system} {number}" for system, number in sorted(totals.items()))
    head = f"Requests for {ago(report.started_at, live.now)}, since {moment(report.started_at)}: {whole or 'none'}."
    data = {
        "estate": live.key,
        "since": moment(report.started_at),
        "calls": [
            {"system": system, "operation": operation, "requests": number,
             "failed": failed[system, operation], "throttled": throttled[system, operation]}
            for (system, operation), number in sorted(sent.items())
        ],
    }  # fmt: skip
    return Report(data, (Lines("", [head]), Table("", ("system", "operation", "requests", "failed", "429"), rows)))
