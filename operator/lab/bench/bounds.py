"""The least time in which the worlds let a fleet be protected, from their limits and latencies, with the reasons.

The limits are the vendors' and are never scaled; latencies are divided by the clock's scale. The operator's own
pauses and budgets are not in it: they are what the ratio measures. Where the limits' numbers come from stands in
`simulators/azure/throttle.py` and `simulators/illumio/limits.py`, which enforce them.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulators.azure.throttle import FRONT_DOOR, Verb
from simulators.azure.timing import Timing
from simulators.checkpoint import Durations
from simulators.illumio import Traits
from simulators.illumio.limits import CALLS_A_MINUTE

_CALLS_A_START: dict[Verb, int] = {"writes": 1, "reads": 1}
"""One PUT, and one reading of the VM by itself: Azure's list does not tell whether its agent is ready."""
_MOST_CHANGES = 500
"""Changes in one publish; the vendor advises chunks."""


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that takes time at least; seconds, and why."""

    name: str
    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Bound:
    """The least seconds for the last host, and what it is made of."""

    seconds: float
    paced_by: Term
    terms: tuple[Term, ...]


def lower_bound(hosts: int, subscriptions: int, scale: float) -> Bound:
    """The slower of the agent's way (its pace, then one host's latency) and the firewall's way beside it."""
    paces = _paces(hosts, subscriptions)
    paced_by = max(paces, key=lambda term: term.seconds)
    agent, firewall = _agent(paced_by, scale), _firewall(hosts, scale)
    return Bound(max(agent.seconds, firewall.seconds), paced_by, (*paces, agent, firewall))


def _paces(hosts: int, subscriptions: int) -> tuple[Term, ...]:
    """When the last script can have been started, by each limit on its own."""
    share = -(-hosts // subscriptions)
    found = []
    for verb, calls in _CALLS_A_START.items():
        burst, rate = FRONT_DOOR[verb]
        seconds = max(0.0, (share * calls - burst) / rate)
        why = f"Azure, {verb}: ({share} VMs a subscription x {calls} - {burst:g} at once) / {rate:g} a second"
        found.append(Term(f"azure-{verb}", seconds, why))
    minutes = (hosts - 1) // CALLS_A_MINUTE
    why = f"PCE: {hosts} pairing keys, {CALLS_A_MINUTE} calls in a sliding minute"
    return (*found, Term("pce-keys", minutes * 60.0, why))


def _agent(pace: Term, scale: float) -> Term:
    """The last host's way, from its start to its labels."""
    azure, pce = Timing(), Traits()
    begin = max(pace.seconds, azure.agent / scale)
    seconds = begin + (azure.pickup + pce.pairing_seconds + azure.report) / scale
    why = (
        f"last start after {begin:.1f} s, then (picked up {azure.pickup:g} + pairing {pce.pairing_seconds:g}"
        f" + report {azure.report:g}) / {scale:g}"
    )
    return Term("agent", seconds, why)


def _firewall(hosts: int, scale: float) -> Term:
    """All host objects in batches with a publish each, then one install."""
    took, batches = Durations(), -(-hosts // _MOST_CHANGES)
    create = batches * took.batch + hosts * took.batch_per_object
    publish = batches * took.publish + hosts * took.publish_per_change
    install = took.install + hosts * took.install_per_change
    why = f"({batches} objects-batches {create:g} + publishes {publish:g} + one install {install:g}) / {scale:g}"
    return Term("firewall", (create + publish + install) / scale, why)
