"""The operator on the same worlds: a fleet is commissioned, and then its polls are counted that find nothing to do."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.operator_process import Tempo
from lab.peers.costs import Pass, Result, requests
from lab.peers.wanted import shortcomings, table
from lab.rig import Rig, Say

_POLL = 60.0
"""Seconds between two polls, the product's default."""
_PASSES = 2
_PATIENCE = 900.0
_SETTLED = 35.0
"""Events are aggregated every 30 s; after that the commissioning is over."""
_LOOK = 0.5
_COMPLETE = re.compile(
    r'^microseg_polls_total\{(?=[^}]*outcome="complete")(?=[^}]*system="azure")[^}]*\} (\S+)$', re.MULTILINE
)


def tempo(scale: float) -> Tempo:
    """Return the product's default waits, divided by the scale like the vendors' latencies."""
    return Tempo(
        scale=scale, poll=f"{round(1000 * _POLL / scale)}ms", installer_expected=300 / scale, look_pause=15 / scale,
        retry_pause=60 / scale, task_pause=2 / scale, install_patience=60 / scale, lease_seconds=15.0,
    )  # fmt: skip


def operate(
    folder: Path, orders: Sequence[Mapping[str, Any]], scale: float, options: tuple[str, ...], say: Say
) -> Result:
    """Measure the operator in `folder`. Raises NotInTime if the fleet is not commissioned."""
    with Rig.build(folder, tempo=tempo(scale), world_options=options, say=say) as rig:
        rig.apply_estate()
        rig.operator.start()
        rig.wait_until(lambda: _polls(rig) >= 1, seconds=_PATIENCE, what="a first complete poll", pause=_LOOK)
        first = _commission(rig, orders)
        time.sleep(_SETTLED)
        return Result("operator", first, _idle(rig, len(orders), scale))


def _commission(rig: Rig, orders: Sequence[Mapping[str, Any]]) -> Pass:
    calls, used, began = requests(rig.worlds), rig.operator.usage().cpu, time.monotonic()
    placed = [{**order, "subscription": _subscription(rig, number)} for number, order in enumerate(orders)]
    rig.worlds.post("/azure/vms", placed)
    rows = table(rig.worlds)
    done = lambda: (rig.estate()["status"].get("hosts") or {}).get("commissioned", 0) >= len(rows)  # noqa: E731
    rig.wait_until(done, seconds=_PATIENCE, what="all commissioned", pause=_LOOK)
    rig.wait_until(lambda: not shortcomings(rig.worlds, rows), seconds=60, what="all as wanted", pause=_LOOK)
    return _pass(rig, len(rows), calls, used, began, 1)


def _idle(rig: Rig, hosts: int, scale: float) -> Pass:
    """Return the mean of some polls, from the end of one to the end of another."""
    before = _polls(rig)
    rig.wait_until(lambda: _polls(rig) > before, seconds=_PATIENCE, what="the end of a poll", pause=_LOOK / scale)
    before, calls, used, began = _polls(rig), requests(rig.worlds), rig.operator.usage().cpu, time.monotonic()
    enough = lambda: _polls(rig) >= before + _PASSES  # noqa: E731
    rig.wait_until(enough, seconds=_PATIENCE, what=f"{_PASSES} more polls", pause=_LOOK / scale)
    return _pass(rig, hosts, calls, used, began, _polls(rig) - before)


def _pass(rig: Rig, hosts: int, calls: Mapping[str, int], used: float, began: float, passes: int) -> Pass:
    seconds, cpu = time.monotonic() - began, rig.operator.usage().cpu - used
    made = {system: round((number - calls.get(system, 0)) / passes) for system, number in requests(rig.worlds).items()}
    return Pass(hosts, seconds / passes, cpu / passes, made)


def _polls(rig: Rig) -> int:
    """Return how often Azure was read completely."""
    return sum(int(float(value)) for value in _COMPLETE.findall(rig.operator.metrics()))


def _subscription(rig: Rig, number: int) -> str:
    subscriptions = rig.worlds.described["azure"]["subscriptions"]
    return str(subscriptions[number % len(subscriptions)])
