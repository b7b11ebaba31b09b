"""One run: all replicas start, one is killed, and it comes back. What is measured is read from Leases and ledgers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lab import oracles
from lab.bench.report import Check
from lab.processes import wait_until
from lab.replicas.estates import Estates
from lab.rig import Say

MOST_SECONDS = 15.0
"""Until another replica holds the Leases of one that was killed."""
MOST_APART = 1
"""Estates that the replica with most may hold more than the one with fewest."""
_HELD_WITHIN, _COMMISSIONED_WITHIN, _TAKEN_WITHIN = 120.0, 300.0, 120.0
_BACK_FOR = 45.0
"""Seconds after which it is looked what a replica that came back holds: three terms of a Lease."""
_IN_FLIGHT = 1.0
"""Seconds in which a call of the killed one may still be noted."""
_LOOK = 0.1


@dataclass(slots=True)
class Replicas:
    """What was measured. Shares: replica -> how many estates it holds."""

    estates: int
    at_start: dict[str, int] = field(default_factory=dict)
    orphans: int = 0
    """Estates of the replica that was killed."""
    taken: list[float] = field(default_factory=list)
    """Seconds from the kill until another replica held the Lease, per orphan."""
    called: list[float] = field(default_factory=list)
    """Seconds from the kill until the successor's first call of a system, per orphan."""
    after_kill: dict[str, int] = field(default_factory=dict)
    back: dict[str, int] = field(default_factory=dict)
    """Shares after the killed one came back."""
    broken: list[str] = field(default_factory=list)


def run(folder: Path, *, estates: int, replicas: int, say: Say) -> Replicas:
    """Measure in `folder`. Raises NotInTime."""
    found = Replicas(estates)
    with Estates.build(folder, estates=estates, replicas=replicas, say=say) as several:
        for replica in several.replicas.values():
            replica.start(wait=False)
        wait_until(lambda: len(several.holders()) == estates, seconds=_HELD_WITHIN, what="every Lease is held")
        wait_until(several.all_commissioned, seconds=_COMMISSIONED_WITHIN, what="all commissioned", pause=1.0)
        found.at_start = several.shares()
        say(f"all commissioned; shares {_told(found.at_start.values())}")
        killed = max(found.at_start, key=lambda name: found.at_start[name])
        _kill(several, killed, found)
        say(f"{killed} was killed; {found.orphans} estates taken over after {_told(found.taken)} s")
        several.replicas[killed].start()
        time.sleep(_BACK_FOR)
        found.back = several.shares()
        say(f"{killed} is back; shares {_told(found.back.values())}")
        wait_until(several.all_commissioned, seconds=_COMMISSIONED_WITHIN, what="all commissioned", pause=1.0)
        for replica in several.replicas.values():
            replica.stop()
        found.broken = [f"{name}: {told}" for name, rig in several.rigs.items() for told in oracles.judge(rig)]
    return found


def _kill(several: Estates, killed: str, found: Replicas) -> None:
    """Kill it, and create a VM in each of its estates at the same moment."""
    orphans = {name for name, holder in several.holders().items() if holder == killed}
    found.orphans = len(orphans)
    several.replicas[killed].kill()
    wall, began = time.time(), time.monotonic()
    for name in orphans:
        several.rigs[name].worlds.post("/azure/vms", {"name": "newcomer", "tags": {"app": "sap", "env": "prd"}})
    taken: dict[str, float] = {}

    def look() -> bool:
        for name, holder in several.holders().items():
            if name in orphans and holder != killed:
                taken.setdefault(name, time.monotonic() - began)
        return taken.keys() == orphans

    wait_until(look, seconds=_TAKEN_WITHIN, what="every orphan is taken over", pause=_LOOK)
    found.taken = sorted(round(seconds, 2) for seconds in taken.values())
    wait_until(several.all_commissioned, seconds=_COMMISSIONED_WITHIN, what="the new VMs commissioned", pause=1.0)
    calls = [several.first_call(name, wall + _IN_FLIGHT) for name in orphans]
    found.called = sorted(round(at - wall, 2) for at in calls if at is not None)
    found.after_kill = several.shares()


def judge(found: Replicas) -> list[Check]:
    """Return the checks."""
    taken = max(found.taken, default=0.0)
    shares = {"at the start": found.at_start, "after the kill": found.after_kill, "after it came back": found.back}
    return [
        Check(taken <= MOST_SECONDS, f"{found.orphans} estates taken over within {taken:.1f} s ({_told(found.taken)})"),
        *(Check(apart(held) <= MOST_APART, f"shares {when}: {_told(held.values())}") for when, held in shares.items()),
        Check(
            not found.broken, f"violations: {len(found.broken)}" + "".join(f"\n        {one}" for one in found.broken)
        ),
    ]


def apart(shares: dict[str, int]) -> int:
    """Return how many estates the replica with most holds more than the one with fewest."""
    return max(shares.values(), default=0) - min(shares.values(), default=0)


def _told(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
