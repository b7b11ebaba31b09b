"""One host in memory: its record, the facts that only concern its present attempt, and the latest decision."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime

from microseg.model.facts import UNREADABLE, Absent, PutOff, RunCommand, Seen, Unreadable
from microseg.model.host import AgentOutcome, GoneProof, ManagedHost
from microseg.planning.decide import Decision


@dataclass(slots=True)
class Entry:
    """A row of the ledger. What the fields mean to the stages stands in `model.facts.HostFacts`."""

    host: ManagedHost
    decision: Decision | None = None
    stale: bool = True
    """Something is known that the decision does not know: its actions must not be carried out."""
    run_command: Seen[RunCommand] | Absent | Unreadable = UNREADABLE
    looked_at: datetime | None = None
    looks: int = 0
    look_failed: str = ""
    starting: bool = False
    put_off: PutOff | None = None
    refused_starts: int = 0
    """Starts in a row that Azure or the PCE did not let begin."""
    concluded: AgentOutcome | None = None
    missed_polls: int = 0
    gone: GoneProof | Unreadable | None = None
    gone_asked: float = 0.0
    """Monotonic time at which Azure was last asked for the VM by its id."""
    retirement_held: str = ""
    unpaired_readings: int = 0
    unpair_accepted: bool = False
    illumio_complaint: str = ""
    rejection: str = ""
    held_up: str = ""
    known_since: float = field(default_factory=time.monotonic)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def claimed(self) -> str:
        """The workload uuid that the host's script printed, as decided last; empty: none."""
        agent = (self.decision.status if self.decision else self.host.status).agent
        return agent.workload if agent else ""

    @property
    def recorded(self) -> str:
        """Href of the workload that the record names; empty: none."""
        known = self.host.status.illumio
        return known.workload if known is not None else ""

    def new_attempt(self) -> None:
        """Forget what was seen of the attempt before."""
        self.run_command, self.looked_at, self.looks, self.look_failed = UNREADABLE, None, 0, ""
        self.put_off, self.concluded = None, None


def older(host: ManagedHost, held: ManagedHost) -> bool:
    """Whether this state of the same object is older than the held one (resourceVersions count up since 1.35)."""
    if host.uid != held.uid or not (host.resource_version.isdigit() and held.resource_version.isdigit()):
        return False
    return int(host.resource_version) < int(held.resource_version)
