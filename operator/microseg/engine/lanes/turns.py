"""Whose turn it is, where many wait for a few places: starts of scripts, and places in a publish.

A lane that took its hosts in the order of its queue would serve a crowd in one subscription first, or the hosts that
come back to the queue again and again. Memory only: after a restart everybody waits equally long.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Container, Iterable


class Turns:
    """Parties (subscriptions) in rotation, and within a party the host that was served longest ago first."""

    def __init__(self) -> None:
        """Begin with nobody served."""
        self._number = itertools.count(1)
        self._hosts: dict[str, int] = {}
        self._parties: dict[str, int] = {}

    def line(self, waiting: Iterable[tuple[str, str]], most: int) -> list[str]:
        """The first `most` vmIds to serve. `waiting`: (vmId, party), in the order in which equals are served."""
        parties: defaultdict[str, list[str]] = defaultdict(list)
        for vm_id, party in waiting:
            parties[party].append(vm_id)
        rotation = sorted(parties, key=lambda party: self._parties.get(party, 0))
        lines = [
            heapq.nsmallest(most, parties[party], key=lambda vm_id: self._hosts.get(vm_id, 0)) for party in rotation
        ]
        rounds = itertools.zip_longest(*lines)
        return list(itertools.islice((vm_id for each in rounds for vm_id in each if vm_id is not None), most))

    def served(self, vm_id: str, party: str = "") -> None:
        """The host has had its turn."""
        self._hosts[vm_id] = self._parties[party] = next(self._number)

    def keep_only(self, hosts: Container[str]) -> None:
        """Forget hosts that are no more."""
        for vm_id in [vm_id for vm_id in self._hosts if vm_id not in hosts]:
            del self._hosts[vm_id]
