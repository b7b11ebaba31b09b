"""The storms: what each begins, and what ends it. `run.py` plays them on a settled fleet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab import etcd
from lab.bench.run import TEMPO
from lab.storms.settled import Settled
from lab.sweep.points import LASTING

AWAY = 600.0
"""Vendor seconds for which the PCE does not answer."""
SLOW = 0.3
"""Seconds that each answer of the API server takes longer."""
_TENTH, _TWENTIETH = 10, 5
"""Percent of the fleet."""


@dataclass(frozen=True, slots=True)
class Storm:
    """One storm. `begin` returns while it goes on; `end` ends what does not end by itself.

    `away`: seconds for which no VM at all can be protected; the time then counts from its end on.
    """

    name: str
    begin: Callable[[Settled], None]
    end: Callable[[Settled], None] = lambda _: None
    away: float = 0.0


def _throttle(settled: Settled) -> None:
    """Somebody else uses up the limits of the second subscription, in which VMs wait for their installers."""
    second = settled.subscriptions[1]
    settled.rig.worlds.post("/azure/traits", {"exhausted": [second]})
    settled.create_vms(max(1, settled.hosts * _TWENTIETH // 100), second)


def _let_go(settled: Settled) -> None:
    settled.rig.worlds.post("/azure/traits", {"exhausted": []})


def _pce_goes(settled: Settled) -> None:
    settled.rig.worlds.post("/faults", {"system": "illumio", "action": "cut", "count": LASTING})


def _pce_returns(settled: Settled) -> None:
    settled.rig.worlds.delete("/faults")


def _delay(settled: Settled, seconds: float) -> None:
    settled.relay.delay = seconds


def _compact(settled: Settled) -> None:
    """Every connection ends as well, so that all watches resume, at revisions that are no more."""
    etcd.compact(settled.plane)
    settled.background.run(settled.relay.cut())


def _all_at_once(settled: Settled) -> None:
    _throttle(settled)
    settled.delete_vms(_TWENTIETH)
    settled.remap()


STORMS: tuple[Storm, ...] = (
    Storm("a tenth of the VMs deleted", lambda settled: settled.delete_vms(_TENTH)),
    Storm("a tenth of the VMs remapped", Settled.remap),
    Storm("PCE away for ten minutes", _pce_goes, _pce_returns, away=AWAY / TEMPO.scale),
    Storm("one subscription throttled", _throttle, _let_go),
    Storm("API server 300 ms slower", lambda settled: _delay(settled, SLOW), lambda settled: _delay(settled, 0.0)),
    Storm("etcd compacted, watches cut", _compact),
    Storm("remapped, 5 % deleted, one subscription throttled", _all_at_once, _let_go),
)
