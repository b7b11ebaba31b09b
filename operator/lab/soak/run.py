"""One soak: a settled fleet, minutes of changes and faults, rest, and the oracles. Called by `__main__.py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from lab import oracles
from lab.bench.run import TEMPO
from lab.processes import NotInTime
from lab.resting import await_rest
from lab.rig import Rig
from lab.soak import faults
from lab.soak.churn import Churn
from lab.soak.judging import Sample
from lab.vitals import vitals
from lab.worlds import ControlRequestFailed

Say = Callable[[str], None]
_OPTIONS = ("--limits", "--guests", "fast")
_GOODBYE = {"goodbye_seconds": 60}
"""A quarter of an hour until a VEN counts as offline is most of a retirement, and nothing happens in it."""
_TICK = 15.0
_TICKS_PER_MINUTE = 4
_PERCENT = 1
"""Of the fleet, per minute: so many VMs are created, so many deleted, and so many retagged."""
_PATIENCE_PER_HOST, _LEAST_PATIENCE = 1.5, 180.0
_REST_WITHIN = 1200.0
"""Starts that were refused are tried again after pauses of up to a quarter of an hour."""
_RETRY = "microseg.dev/retry=agent"
_MEGABYTE = 1 << 20


@dataclass(slots=True)
class Soak:
    """What was seen."""

    samples: list[Sample] = field(default_factory=list)
    faults: int = 0
    """Planned."""
    changes: int = 0
    hosts: int = 0
    """VMs in the end."""
    asked: list[str] = field(default_factory=list)
    """Hosts that asked a person in the end to let their installer be tried again."""
    broken: list[str] = field(default_factory=list)
    unfinished: str = ""
    calls: dict[str, int] = field(default_factory=dict)
    cpu: float = 0.0
    """CPU seconds of the operator from the first minute to the last."""


def run(folder: Path, *, hosts: int, minutes: float, seed: int, say: Say) -> Soak:
    """Soak a fleet in `folder`. Raises NotInTime if it is not commissioned in time before it begins."""
    random = Random(seed)  # noqa: S311 - repeatable, not secret
    with Rig.build(folder, tempo=TEMPO, world_options=_OPTIONS, say=say) as rig:
        rig.worlds.post("/illumio/traits", _GOODBYE)
        rig.apply_estate(lambda estate: _tolerant(estate, hosts))
        rig.operator.start()
        churn = Churn(rig, random)
        rig.worlds.post("/azure/vms", churn.orders(hosts))
        await_rest(rig, hosts, seconds=_LEAST_PATIENCE + hosts * _PATIENCE_PER_HOST)
        say(f"{hosts} hosts are at rest; {minutes:g} minutes of changes and faults follow (seed {seed})")
        soak = Soak()
        began, used = time.monotonic(), rig.operator.usage().cpu
        for tick in range(int(minutes * _TICKS_PER_MINUTE)):
            _tick(rig, churn, random, tick, soak)
            time.sleep(max(0.0, began + (tick + 1) * _TICK - time.monotonic()))
            soak.samples.append(Sample(time.monotonic() - began, vitals(rig.operator.process.pid)))
            if (tick + 1) % _TICKS_PER_MINUTE == 0:
                say(_line(rig, soak, churn, (tick + 1) // _TICKS_PER_MINUTE))
        soak.cpu = rig.operator.usage().cpu - used
        return _end(rig, churn, soak, say)


def _tolerant(estate: dict[str, Any], hosts: int) -> None:
    """Let the churn through: as many retirements per hour, and changes of tags, as it has."""
    estate["spec"]["retirement"] = {"missedPolls": 2, "after": "5s", "maxPerHour": {"count": 2 * hosts, "percent": 100}}
    estate["spec"]["guard"] = {"maxChangedPercent": 100}


def _tick(rig: Rig, churn: Churn, random: Random, tick: int, soak: Soak) -> None:
    """One change of the fleet, or none, and one fault."""
    number = max(1, len(churn.alive) * _PERCENT // 100)
    turn = tick % _TICKS_PER_MINUTE
    if turn == 0:
        rig.worlds.delete("/faults")  # those of operations that nobody called meanwhile
    for due, change in enumerate((churn.create, churn.delete, churn.retag)):
        if due == turn:
            change(number)
    soak.changes = churn.changes
    called = {
        system: [operation for operation, times in operations.items() if times]
        for system, operations in rig.worlds.operator_calls().items()
    }
    fault = faults.draw(random, {system: operations for system, operations in called.items() if operations})
    try:
        rig.worlds.post("/faults", fault)
    except ControlRequestFailed:  # this operation cannot fail in this way
        return
    soak.faults += 1


def _line(rig: Rig, soak: Soak, churn: Churn, minute: int) -> str:
    counts = rig.estate().get("status", {}).get("hosts", {})
    now = soak.samples[-1].vitals
    standing = ", ".join(f"{name} {number}" for name, number in counts.items() if number and name != "total")
    return (
        f"{minute:4} min: {len(churn.alive)} VMs ({standing}); {soak.changes} changes, {soak.faults} faults;"
        f" {now.memory / _MEGABYTE:.1f} MiB, {now.handles} handles, {now.threads} threads"
    )


def _do_as_asked(rig: Rig) -> list[str]:
    """Do what a blocked host asks of a person: three refusals in a row may have been three faults."""
    asked = [host.name for host in rig.hosts() if host.blocked and _RETRY in host.condition("Stalled").message]
    for name in asked:
        rig.kubectl("annotate", f"mh/{name}", _RETRY)
    return asked


def _end(rig: Rig, churn: Churn, soak: Soak, say: Say) -> Soak:
    """No more changes and faults: everything must come to rest; then the oracles judge."""
    rig.worlds.delete("/faults")
    soak.asked = _do_as_asked(rig)
    say(f"no more changes and faults; {len(soak.asked)} hosts asked for a person; the fleet comes to rest")
    soak.hosts = len(churn.alive)
    try:
        await_rest(rig, soak.hosts, seconds=_REST_WITHIN)
    except NotInTime as late:
        soak.unfinished = str(late)
    rig.operator.stop()
    soak.broken = oracles.judge(rig)
    soak.calls = {system: sum(numbers.values()) for system, numbers in rig.worlds.operator_calls().items()}
    return soak
