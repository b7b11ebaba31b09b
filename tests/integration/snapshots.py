"""What the whole looked like from outside at the interesting moments of a scenario.

A `ScenarioRun` (see `scenario.py`) takes them while the scenario runs; tests wait for them and look.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from lab.hosts import Host
from lab.oracles import effects
from lab.processes import NotInTime
from simulators.ledger import Entry

LONGEST_WAIT = 900.0
"""Seconds. A scenario may have to wait for others; what hangs inside of it is bounded by the scenario's own waits."""


class Abandoned(RuntimeError):
    """The test run ends before the scenario."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is visible from outside at one moment."""

    hosts: Mapping[str, Host]
    """VM name -> ManagedHost."""
    estate: Mapping[str, Any]
    entries: tuple[Entry, ...]
    """The simulators' ledger so far."""
    workloads: tuple[dict[str, Any], ...]
    objects: tuple[dict[str, Any], ...]
    firewall: Mapping[str, Any]
    events: tuple[dict[str, Any], ...]
    state: str
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What else the scenario kept of the moment."""

    def of(self, system: str, *operations: str, since: int = 0) -> list[Entry]:
        """Return the ledger entries of some operations."""
        return [e for e in self.entries if e.system == system and e.operation in operations and e.seq > since]

    def of_vm(self, system: str, name: str, *operations: str) -> list[Entry]:
        """Return the ledger entries of some operations that changed something of one VM."""
        vm_id = self.hosts[name].vm_id
        return [entry for entry in self.of(system, *operations) if vm_id in " ".join(entry.changed)]

    @property
    def seq(self) -> int:
        """The number of the ledger's latest entry."""
        return self.entries[-1].seq

    def scripts(self, name: str, mode: str = "install") -> int:
        """Return how often a script started inside this VM; what a fresh disk runs again is not counted."""
        vm_id = self.hosts[name].vm_id
        started = [entry for entry in self.of("azure", "world.script-started") if not entry.note]
        return sum(1 for entry in started if (entry.changed[0], entry.changed[2]) == (vm_id, mode))

    def publishes(self, since: int = 0) -> list[Entry]:
        """Return the operator's publishes."""
        return [entry for entry in self.of("checkpoint", "world.published", since=since) if entry.who == "microseg"]

    def workload(self, name: str) -> dict[str, Any]:
        """Return the workload with this VM's stamp."""
        vm_id = self.hosts[name].vm_id
        (found,) = [each for each in self.workloads if each["external_data_reference"] == vm_id]
        return found

    def objects_of(self, name: str) -> dict[str, dict[str, Any]]:
        """Return address -> published host object with this VM's mark."""
        mark = f" {self.hosts[name].vm_id}"
        marked = [each for each in self.objects if each["type"] == "host" and each["comments"].endswith(mark)]
        return {each.get("ipv4-address") or each["ipv6-address"]: each for each in marked}

    def condition(self, kind: str) -> Mapping[str, Any]:
        """Return a condition of the Estate, or an empty one if it was never written."""
        return condition(self.estate, kind)


def condition(estate: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return a condition of an Estate, or an empty one if it was never written."""
    found = estate.get("status", {}).get("conditions", ())
    return next((each for each in found if each["type"] == kind), {"status": "", "reason": "", "message": ""})


class Recording:
    """The snapshots of one scenario, and how it ended."""

    def __init__(self, name: str) -> None:
        """The scenario does not run yet."""
        self.name = name
        self.state = "the scenario has not started"
        self._snapshots: dict[str, Snapshot] = {}
        self._changed = threading.Condition()
        self._abandoned = False
        self._future: Future[None] | None = None

    def follow(self, future: Future[None]) -> None:
        """Wait on the future of the scenario's thread."""
        self._future = future
        future.add_done_callback(lambda _: self._notify())

    def snapshot(self, name: str) -> Snapshot:
        """Wait for a snapshot; raises what ended the scenario if it ended before."""
        assert self._future is not None
        with self._changed:
            if not self._changed.wait_for(lambda: name in self._snapshots or self._ended, timeout=LONGEST_WAIT):
                raise NotInTime(f"the scenario {self.name} did not reach its snapshot {name!r}\n{self.state}")
        if name not in self._snapshots:
            self._future.result()
            raise LookupError(f"the scenario {self.name} has no snapshot {name!r}")
        self.state = self._snapshots[name].state
        return self._snapshots[name]

    def finish(self) -> None:
        """Wait for the scenario's end; raises its failure or its broken invariants."""
        assert self._future is not None
        self._future.result(timeout=LONGEST_WAIT)

    # for the scenario's thread:

    def add(self, name: str, snapshot: Snapshot) -> None:
        """Add a snapshot."""
        with self._changed:
            self._snapshots[name] = snapshot
            self._changed.notify_all()

    def abandon(self) -> None:
        """The test run ends: let the scenario end too."""
        self._abandoned = True

    def check(self) -> None:
        """Raise Abandoned if the test run ends."""
        if self._abandoned:
            raise Abandoned(self.name)

    @property
    def _ended(self) -> bool:
        return self._future is not None and self._future.done()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


def assert_untouched(before: Snapshot, snapshot: Snapshot) -> None:
    """Nothing changed outside between the two, and no host came or went."""
    assert effects(entry for entry in snapshot.entries if entry.seq > before.seq) == {}
    assert {host.vm_id for host in snapshot.hosts.values()} == {host.vm_id for host in before.hosts.values()}
