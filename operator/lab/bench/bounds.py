"""The least time in which the systems allow a fleet to be commissioned, from their limits and latencies.

Rate limits are the vendors' and never scaled; latencies are divided by the clock's scale. The operator's own pauses
and budgets are not included: the ratio measures them. For the sources of the limits see
`simulators/azure/throttle.py` and `simulators/illumio/limits.py`, which enforce them.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulators.azure.throttle import FRONT_DOOR, Verb
from simulators.azure.timing import Timing
from simulators.checkpoint import Durations
from simulators.illumio import Traits
from simulators.illumio.limits import CALLS_PER_MINUTE

_CALLS_PER_START: dict[Verb, int] = {"writes": 1, "reads": 1}
"""One PUT, and one GET of the VM: Azure's list does not show whether its agent is ready."""
_MOST_CHANGES = 500
"""Changes per publish; the vendor recommends chunks."""


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the least time: seconds, and why."""

    name: str
    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Bound:
    """The least seconds until the last host is commissioned, and their parts."""

    seconds: float
    paced_by: Term
    terms: tuple[Term, ...]


def lower_bound(hosts: int, subscriptions: int, scale: float) -> Bound:
    """Return the slower of two parallel ways: the agent's (its pace, then one host's latency) and the firewall's."""
    paces = _paces(hosts, subscriptions)
    paced_by = max(paces, key=lambda term: term.seconds)
    agent, firewall = _agent(paced_by, scale), _firewall(hosts, scale)
    return Bound(max(agent.seconds, firewall.seconds), paced_by, (*paces, agent, firewall))


def _paces(hosts: int, subscriptions: int) -> tuple[Term, ...]:
    """Return when the last script can start, per limit."""
    share = -(-hosts // subscriptions)
    found = []
    for verb, calls in _CALLS_PER_START.items():
        burst, rate = FRONT_DOOR[verb]
        seconds = max(0.0, (share * calls - burst) / rate)
        why = f"Azure, {verb}: ({share} VMs per subscription x {calls} - burst {burst:g}) / {rate:g} per second"
        found.append(Term(f"azure-{verb}", seconds, why))
    minutes = (hosts - 1) // CALLS_PER_MINUTE
    why = f"PCE: {hosts} pairing keys, {CALLS_PER_MINUTE} calls per sliding minute"
    return (*found, Term("pce-keys", minutes * 60.0, why))


def _agent(pace: Term, scale: float) -> Term:
    """Return the last host's time, from the start of its script to its labels."""
    azure, pce = Timing(), Traits()
    begin = max(pace.seconds, azure.agent / scale)
    seconds = begin + (azure.pickup + pce.pairing_seconds + azure.report) / scale
    why = (
        f"last start after {begin:.1f} s, then (picked up {azure.pickup:g} + pairing {pce.pairing_seconds:g}"
        f" + report {azure.report:g}) / {scale:g}"
    )
    return Term("agent", seconds, why)


def _firewall(hosts: int, scale: float) -> Term:
    """Return the time of all host objects in batches, one publish per batch, and one install."""
    took, batches = Durations(), -(-hosts // _MOST_CHANGES)
    create = batches * took.batch + hosts * took.batch_per_object
    publish = batches * took.publish + hosts * took.publish_per_change
    install = took.install + hosts * took.install_per_change
    why = f"({batches} objects-batches {create:g} + publishes {publish:g} + one install {install:g}) / {scale:g}"
    return Term("firewall", (create + publish + install) / scale, why)
