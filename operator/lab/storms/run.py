"""Plays every storm on one fleet, one after another, and measures. Called by `__main__.py`."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab import oracles
from lab.resting import await_rest
from lab.rig import Rig, Say
from lab.storms import probes
from lab.storms.settled import Settled
from lab.storms.storms import STORMS, Storm
from lab.vitals import Vitals, queue_lengths, vitals

_ALONE_ROUNDS = 2
_PROTECTED_WITHIN, _REST_WITHIN = 300.0, 600.0
_REST_PER_HOST = 0.1
"""Seconds more: twentieths and tenths of the fleet are created and retired."""
_SAMPLE = 1.0


@dataclass(frozen=True, slots=True)
class Played:
    """One storm. Times in seconds; `storm` is the probes' mean time-to-protect while it went on."""

    name: str
    storm: float
    alone: float
    rest: float
    """From its begin until nothing was left to do."""
    before: Vitals
    after: Vitals
    peak: Vitals
    """The most of each while it went on."""
    queues: Counter[str]
    """The most that waited in each queue while it went on."""
    away: float = 0.0

    @property
    def ratio(self) -> float:
        """What P9 bounds."""
        return self.storm / self.alone


@dataclass(slots=True)
class Storms:
    """All of one run."""

    hosts: int
    alone: list[float]
    """Mean time-to-protect in the calm fleet, per round."""
    played: list[Played] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """What the oracles say."""


def run(folder: Path, hosts: int, *, wanted: Sequence[Storm] = STORMS, say: Say) -> Storms:
    """Play the storms in `folder`. Raises NotInTime where something does not end."""
    with Settled.build(folder, hosts, say) as settled:
        alone = [_alone(settled, number) for number in range(_ALONE_ROUNDS)]
        say(f"alone, a new VM is protected within {', '.join(f'{each:.1f} s' for each in alone)}")
        storms = Storms(hosts, alone)
        calm = sum(alone) / len(alone)
        for number, storm in enumerate(wanted):
            played = _play(settled, storm, number, calm)
            storms.played.append(played)
            say(f"{storm.name}: {played.storm:.1f} s, ratio {played.ratio:.2f}; at rest after {played.rest:.0f} s")
        settled.rig.operator.stop()
        storms.broken = oracles.judge(settled.rig)
        return storms


def _alone(settled: Settled, number: int) -> float:
    made = probes.create(settled.rig, f"alone{number}", settled.subscriptions[0])
    probes.await_protection(settled.rig, made, seconds=_PROTECTED_WITHIN)
    settled.hosts += len(made)
    _await_rest(settled)
    return probes.mean_seconds(made)


def _play(settled: Settled, storm: Storm, number: int, alone: float) -> Played:
    """One storm: begin it, create the new VMs in the first subscription, end it, and wait for rest."""
    rig, pid = settled.rig, settled.rig.operator.process.pid
    before, began = vitals(pid), time.monotonic()
    with _watched(rig) as (peaks, queues):
        storm.begin(settled)
        made = probes.create(rig, f"storm{number}", settled.subscriptions[0])
        settled.hosts += len(made)
        since = 0.0
        if storm.away:
            time.sleep(max(0.0, began + storm.away - time.monotonic()))
            storm.end(settled)
            since = time.monotonic()
        probes.await_protection(rig, made, seconds=_PROTECTED_WITHIN)
        if not storm.away:
            storm.end(settled)
        _await_rest(settled)
    peak = Vitals(*(max(getattr(each, name) for each in peaks) for name in ("memory", "handles", "threads")))
    return Played(
        name=storm.name,
        storm=probes.mean_seconds(made, since=since),
        alone=alone,
        rest=time.monotonic() - began,
        before=before,
        after=vitals(pid),
        peak=peak,
        queues=queues,
        away=storm.away,
    )


def _await_rest(settled: Settled) -> None:
    await_rest(settled.rig, settled.hosts, seconds=_REST_WITHIN + settled.hosts * _REST_PER_HOST)


@contextmanager
def _watched(rig: Rig) -> Iterator[tuple[list[Vitals], Counter[str]]]:
    """Sample the operator in a thread: what it holds, and the longest that each queue is."""
    peaks, queues, over = [vitals(rig.operator.process.pid)], Counter[str](), threading.Event()

    def sample() -> None:
        while not over.wait(_SAMPLE):
            peaks.append(vitals(rig.operator.process.pid))
            for queue, length in queue_lengths(rig.operator.metrics()).items():
                queues[queue] = max(queues[queue], length)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peaks, queues
    finally:
        over.set()
        thread.join()
