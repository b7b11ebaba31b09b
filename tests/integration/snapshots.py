"""What a life looked like from outside at its interesting moments: pages, and the tale that has them.

A `Scene` (see `life.py`) turns pages while the story is told; tests wait for them and look.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from lab.hosts import Host
from lab.processes import NotInTime
from simulators.ledger import Entry

_LONGEST_PAGE = 280.0


class Abandoned(RuntimeError):
    """The run ends before the story does."""


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that can be seen from outside at one moment."""

    hosts: Mapping[str, Host]
    """By the VM's name."""
    estate: Mapping[str, Any]
    entries: tuple[Entry, ...]
    """The worlds' ledgers so far."""
    workloads: tuple[dict[str, Any], ...]
    objects: tuple[dict[str, Any], ...]
    firewall: Mapping[str, Any]
    events: tuple[dict[str, Any], ...]
    state: str
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What else the story kept of the moment."""

    def of(self, system: str, *operations: str, since: int = 0) -> list[Entry]:
        """The ledger's entries of some operations."""
        return [e for e in self.entries if e.system == system and e.operation in operations and e.seq > since]

    def of_vm(self, system: str, name: str, *operations: str) -> list[Entry]:
        """The ledger's entries of some operations that changed something of one VM."""
        vm_id = self.hosts[name].vm_id
        return [entry for entry in self.of(system, *operations) if vm_id in " ".join(entry.changed)]

    @property
    def seq(self) -> int:
        """Where the ledger ended."""
        return self.entries[-1].seq

    def scripts(self, name: str, mode: str = "install") -> int:
        """How often a script started inside this VM."""
        vm_id = self.hosts[name].vm_id
        started = self.of("azure", "world.script-started")
        return sum(1 for entry in started if (entry.changed[0], entry.changed[2]) == (vm_id, mode))

    def publishes(self, since: int = 0) -> list[Entry]:
        """Revisions that the operator published."""
        return [entry for entry in self.of("checkpoint", "world.published", since=since) if entry.who == "microseg"]

    def workload(self, name: str) -> dict[str, Any]:
        """The workload that carries this VM's stamp."""
        vm_id = self.hosts[name].vm_id
        (found,) = [each for each in self.workloads if each["external_data_reference"] == vm_id]
        return found

    def objects_of(self, name: str) -> dict[str, dict[str, Any]]:
        """Published host objects with this VM's mark, by address."""
        mark = f" {self.hosts[name].vm_id}"
        marked = [each for each in self.objects if each["type"] == "host" and each["comments"].endswith(mark)]
        return {each.get("ipv4-address") or each["ipv6-address"]: each for each in marked}

    def condition(self, kind: str) -> Mapping[str, Any]:
        """A condition of the Estate; an empty one where it was never written."""
        return condition(self.estate, kind)


def condition(estate: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """A condition of an Estate as JSON."""
    found = estate.get("status", {}).get("conditions", ())
    return next((each for each in found if each["type"] == kind), {"status": "", "reason": "", "message": ""})


class Tale:
    """One story being told: its pages, and how it ended."""

    def __init__(self, name: str) -> None:
        """Nothing is told yet."""
        self.name = name
        self.state = "nothing was told yet"
        self._pages: dict[str, Page] = {}
        self._news = threading.Condition()
        self._abandoned = False
        self._future: Future[None] | None = None

    def follow(self, future: Future[None]) -> None:
        """The future of its telling."""
        self._future = future
        future.add_done_callback(lambda _: self._tell_waiting())

    def page(self, name: str) -> Page:
        """Wait for a page; raises what ended the story if it ended before."""
        assert self._future is not None
        with self._news:
            if not self._news.wait_for(lambda: name in self._pages or self._over, timeout=_LONGEST_PAGE):
                raise NotInTime(f"the story {self.name} did not come to its page {name!r}\n{self.state}")
        if name not in self._pages:
            self._future.result()
            raise LookupError(f"the story {self.name} has no page {name!r}")
        self.state = self._pages[name].state
        return self._pages[name]

    def finish(self) -> None:
        """Wait for the end; raises what went wrong in it, and every broken invariant."""
        assert self._future is not None
        self._future.result(timeout=_LONGEST_PAGE)

    # for the teller:

    def turned(self, name: str, page: Page) -> None:
        """A page was turned."""
        with self._news:
            self._pages[name] = page
            self._news.notify_all()

    def abandon(self) -> None:
        """Nobody listens any more."""
        self._abandoned = True

    def check(self) -> None:
        """Raise Abandoned where nobody listens any more."""
        if self._abandoned:
            raise Abandoned(self.name)

    @property
    def _over(self) -> bool:
        return self._future is not None and self._future.done()

    def _tell_waiting(self) -> None:
        with self._news:
            self._news.notify_all()
