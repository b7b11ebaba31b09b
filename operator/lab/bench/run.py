"""One run of the benchmark: a fleet is created at once and commissioned; then the operator is idle for a while."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lab.bench import fleet
from lab.bench.bounds import Bound, lower_bound
from lab.bench.counting import between, count, throttled
from lab.bench.restart import Restart, restart
from lab.bench.sampler import sampled
from lab.operator_process import Tempo
from lab.rig import Rig

Say = Callable[[str], None]
TEMPO = Tempo(scale=10.0, poll="6s", installer_expected=12.0, retry_pause=6.0, lease_seconds=15.0)
"""Vendors ten times as fast as in reality, and an operator with waits to match."""
_DEFAULT_POLL = "60s"
_OPTIONS = ("--limits", "--guests", "fast")
_FIRST_POLL_SECONDS = 60.0
_MINIMUM_PATIENCE, _PATIENCE_PER_HOST = 180.0, 1.2
_SETTLED_SECONDS = 35.0
"""Without a write for so long, the last change is fully written: Events are aggregated every 30 s."""
_LOOK = 1.0
_TELL_EVERY = 10.0


@dataclass(frozen=True, slots=True)
class Onboarding:
    """From the creation of all VMs until the last one is commissioned. Times are seconds since the creation."""

    seconds: float
    bound: Bound
    middle: float
    """When half of the hosts were commissioned, by their status (whole seconds)."""
    curve: list[tuple[float, int]]
    """(seconds, hosts commissioned)."""
    writes: Counter[str]
    conflicts: int
    calls: dict[str, Counter[str]]
    throttled: Counter[str]
    cpu: float
    memory: int
    installers: Counter[int]
    """Installers started on a VM -> number of VMs."""
    starts: tuple[float, float, float]
    """When the first, the median and the last installer started."""
    load: float
    """The machine's load average (1 minute) before the creation."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """A time in which nothing changes outside."""

    seconds: float
    writes: Counter[str]
    calls: dict[str, Counter[str]]
    cpu: float
    memory: int


@dataclass(frozen=True, slots=True)
class Run:
    """The results of one size."""

    hosts: int
    onboarding: Onboarding
    quiet: Quiet
    restart: Restart
    steady: Quiet
    """After the restart, with the interval between readings that an Estate has by default."""


def run(folder: Path, hosts: int, *, quiet: float, say: Say, flames: Path | None = None) -> Run:
    """Measure one size in `folder`. Raises NotInTime if the fleet is not commissioned in time."""
    with Rig.build(folder, tempo=TEMPO, world_options=_OPTIONS, say=say) as rig:
        rig.apply_estate()
        rig.operator.start()
        rig.wait_until(lambda: _polled(rig.estate()), seconds=_FIRST_POLL_SECONDS, what="a first complete poll")
        with sampled(rig.operator.process.pid, flames):
            onboarding = _onboard(rig, hosts, say)
        _settle(rig, hosts)
        say(f"all {hosts} hosts are commissioned; {quiet:g} idle seconds follow")
        idle = _be_quiet(rig, quiet)
        say(f"the operator is stopped and started again; from now on it reads every {_DEFAULT_POLL}")
        rig.apply_estate(_read_as_by_default)
        again = restart(rig, hosts)
        _settle(rig, hosts)
        return Run(hosts, onboarding, idle, again, _be_quiet(rig, quiet * 2))


def _read_as_by_default(estate: dict[str, Any]) -> None:
    estate["spec"]["azure"]["pollInterval"] = _DEFAULT_POLL


def _polled(estate: dict[str, Any]) -> bool:
    conditions = {each["type"]: each["status"] for each in estate.get("status", {}).get("conditions", ())}
    return all(conditions.get(f"{system}Reachable") == "True" for system in ("Azure", "Illumio", "CheckPoint"))


def _onboard(rig: Rig, hosts: int, say: Say) -> Onboarding:
    subscriptions = rig.worlds.described["azure"]["subscriptions"]
    ordered = fleet.orders(hosts, subscriptions)
    before, load = count(rig), os.getloadavg()[0]
    began = time.time()
    rig.worlds.post("/azure/vms", ordered)
    say(f"{hosts} VMs created at once")
    curve = _watch(rig, hosts, began, say)
    ends = rig.wait_until(lambda: _recorded(rig, began), seconds=_FIRST_POLL_SECONDS, what="all recorded", pause=_LOOK)
    seconds = time.time() - began
    after = count(rig)
    writes, calls = between(before, after)
    scripts = rig.worlds.scripts()
    begun = [script.at - began for script in scripts]
    return Onboarding(
        seconds=seconds,
        bound=lower_bound(hosts, len(subscriptions), TEMPO.scale),
        middle=median(ends),
        curve=curve,
        writes=writes,
        conflicts=after.conflicts - before.conflicts,
        calls=calls,
        throttled=throttled(rig.worlds.ledger(since=before.sequence)),
        cpu=after.usage.cpu - before.usage.cpu,
        memory=after.usage.memory,
        installers=Counter(Counter(script.vm_id for script in scripts).values()),
        starts=(min(begun), median(begun), max(begun)),
        load=load,
    )


def _recorded(rig: Rig, began: float) -> list[float]:
    """Return when each host was commissioned, by its status; empty until all are. The Estate's counts run ahead."""
    ends = [host.timeline.get("commissionedAt") for host in rig.hosts()]
    known = [at.timestamp() - began for at in ends if at is not None]
    return known if len(known) == len(ends) else []


def _watch(rig: Rig, hosts: int, began: float, say: Say) -> list[tuple[float, int]]:
    """Read the Estate's counts until all are commissioned; the hosts themselves are megabytes per read."""
    curve: list[tuple[float, int]] = [(0.0, 0)]
    told = 0.0
    deadline = began + max(_MINIMUM_PATIENCE, hosts * _PATIENCE_PER_HOST)

    def look() -> bool:
        nonlocal told
        counts = rig.estate()["status"].get("hosts", {})
        done, at = int(counts.get("commissioned", 0)), time.time() - began
        if done != curve[-1][1]:
            curve.append((round(at, 1), done))
            if at - told >= _TELL_EVERY or done >= hosts:
                told = at
                say(f"{at:6.1f} s after: {_standing(counts)}")
        return done >= hosts

    rig.wait_until(look, seconds=deadline - time.time(), what=f"all {hosts} commissioned", pause=_LOOK)
    return curve


def _standing(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items() if number)


def _settle(rig: Rig, hosts: int) -> None:
    """Wait for the last writes: summaries, Events, deletions of used run-commands, which wait for all starts."""
    seen, since = count(rig).writes, time.monotonic()

    def calm() -> bool:
        nonlocal seen, since
        now = count(rig).writes
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since >= _SETTLED_SECONDS

    patience = _FIRST_POLL_SECONDS * 2 + hosts * _PATIENCE_PER_HOST / 4
    rig.wait_until(calm, seconds=patience, what="no write any more", pause=_LOOK)


def _be_quiet(rig: Rig, seconds: float) -> Quiet:
    before, began = count(rig), time.monotonic()
    time.sleep(seconds)
    after, took = count(rig), time.monotonic() - began
    writes, calls = between(before, after)
    return Quiet(took, +writes, calls, after.usage.cpu - before.usage.cpu, after.usage.memory)


def total(numbers: Iterable[Counter[str]]) -> int:
    """Return the sum over all systems."""
    return sum(sum(each.values()) for each in numbers)
