"""Which hosts' changes go into the next publish: VMs without an object do not wait for changes of those that have one.

Pure: `checkpoint.py` has them published (docs/decisions/0029).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from microseg.engine.lanes.turns import Turns
from microseg.engine.state.action_queues import ActionQueues
from microseg.model.plan import DropObject, FirewallChange, PutObject, ReleaseAddress

MOST = 500
"""Changes in one publish. The vendor advises to publish in chunks where there are many hundreds."""
MOST_CALLS = 200
"""Those among them that are a call each, of objects that exist. At 0.15 s per call that is half a minute, in which the
session holds its locks and a VM that just came waits. The vendor publishes no figure: 0.15 s is the simulator's."""
_NEW = "new"


def next_publish(actions: ActionQueues, turns: Turns, most: int = MOST) -> list[FirewallChange]:
    """The changes of the hosts whose turn it is, as many as fit into one publish."""
    by_host: dict[str, list[FirewallChange]] = {}
    for vm_id, action in actions.of(ReleaseAddress, DropObject, PutObject):
        by_host.setdefault(vm_id, []).append(action)
    waiting = ((vm_id, _NEW if any(map(_is_new, changes)) else "") for vm_id, changes in by_host.items())
    return one_publish(_together(turns.line(waiting, len(by_host)), by_host), most)


def _together(line: Iterable[str], by_host: Mapping[str, list[FirewallChange]]) -> Iterator[list[FirewallChange]]:
    """The hosts' changes in the order of their line; with who takes an address comes the former holder's own change.

    In a publish without that one the former holder's object would only give the address up, and leave its groups (S4).
    """
    owners = {
        change.uid: vm_id
        for vm_id, changes in by_host.items()
        for change in changes
        if not isinstance(change, ReleaseAddress) and change.uid
    }
    taken: set[str] = set()
    for first in line:
        unit: list[FirewallChange] = []
        waits = [first]
        while waits:
            vm_id = waits.pop()
            if vm_id not in taken:
                taken.add(vm_id)
                unit += by_host[vm_id]
                released = (change.uid for change in by_host[vm_id] if isinstance(change, ReleaseAddress))
                waits += [owners[uid] for uid in released if uid in owners]
        if unit:
            yield unit


def one_publish(
    hosts: Iterable[list[FirewallChange]], most: int = MOST, calls: int = MOST_CALLS
) -> list[FirewallChange]:
    """As many hosts' changes as fit into one publish: what one host asks for is never split (S2)."""
    batch: list[FirewallChange] = []
    called = 0
    for changes in hosts:
        more = _calls(changes)
        if not batch or (len(batch) + len(changes) <= most and (not called or called + more <= calls)):
            batch += changes
            called += more
    return batch


def is_full(batch: Sequence[FirewallChange]) -> bool:
    """Whether a host more would hardly fit."""
    return len(batch) >= MOST or _calls(batch) >= MOST_CALLS


def _is_new(change: FirewallChange) -> bool:
    return isinstance(change, PutObject) and not change.uid


def _calls(changes: Iterable[FirewallChange]) -> int:
    return sum(not _is_new(change) for change in changes)
