"""One host in memory: its record, what was observed of it outside, and the latest decision."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import TypedDict

import msgspec

from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.azure_facts import RunCommand, Vm
from microseg.model.condition import ConditionType
from microseg.model.facts import UNREADABLE, Absent, HostFacts, Postponed, Seen, Unreadable
from microseg.model.host import GoneProof, HostSpec, HostStatus, ManagedHost, host_name
from microseg.model.sharing import Sharing
from microseg.model.verdict import Verdict
from microseg.planning.decide import Decision

_TOLD: Mapping[ConditionType, Verdict] = MappingProxyType({})
"""The verdicts of a decision that is held: the table's indexes were told of them, and nobody asks for them later."""


class AttemptFacts(TypedDict, total=False):
    """The part of `HostFacts` that the effect protocol writes."""

    run_command: Seen[RunCommand] | Absent | Unreadable
    looked_at: datetime | None
    looks: int
    look_failed: str
    starting: bool
    postponed: Postponed | None
    not_taken: bool
    key_until: datetime | None
    concluded: AgentOutcome | None
    refusal: str
    commands_deleted: bool
    delete_after: datetime | None
    missed_polls: int
    gone: GoneProof | Unreadable | None


NOTHING_OBSERVED: AttemptFacts = {
    "run_command": UNREADABLE, "looked_at": None, "looks": 0, "look_failed": "", "postponed": None, "concluded": None,
    "refusal": "", "commands_deleted": False, "delete_after": None,
}  # fmt: skip
"""Of an attempt whose intent was just written."""


@dataclass(slots=True)
class HostState:
    """A row of the host table. Everybody may read it; only the methods of `HostTable` write into it."""

    record: ManagedHost
    """As the API server has it, as far as we know."""
    observed: HostFacts = field(default_factory=HostFacts)
    """What the lanes observed of this host alone, replaced as a whole; `HostTable.facts` adds what the systems show."""
    decision: Decision | None = None
    stale: bool = True
    """Something is known that the decision does not know: its actions must not be carried out."""
    known_since: float = field(default_factory=time.monotonic)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while its record is written: one write at a time per host."""
    sending: HostStatus | None = None
    """The status that is being written to the record."""
    sharing: Sharing = field(default_factory=Sharing, repr=False)
    """The table's, of values that hosts have in common."""
    settled: HostStatus | None = None
    """The status whose parts are held once."""

    def __post_init__(self) -> None:
        """After a start ten thousand records come before the first is decided."""
        self._settle()

    def decided(self, decision: Decision) -> bool:
        """This is its latest decision; whether that says another status than the record. An equal one is held once."""
        differs = decision.status != self.record.status
        self.decision = replace(decision, status=decision.status if differs else self.record.status, verdicts=_TOLD)
        self.stale = False
        self._settle()
        return differs

    def recorded(self, record: ManagedHost) -> None:
        """This is its record now. What of it is as it was, or as it was decided, is held once."""
        decided = self.decision.status if self.decision is not None else None
        status = next((each for each in (self.record.status, decided) if each == record.status), record.status)
        spec = self.record.spec if self.record.spec == record.spec else record.spec
        self.record = msgspec.structs.replace(record, spec=spec, status=status)
        self._settle()

    def _settle(self) -> None:
        """A host for which nothing is to be done may keep its status for weeks."""
        moving = self.decision is not None and (self.decision.actions or self.decision.status is not self.record.status)
        if not moving and self.settled is not self.record.status:
            self.settled = self.sharing.once(self.record.status)

    @property
    def agent(self) -> AgentRecord:
        """The latest attempt: as it was decided to have ended, else as it is recorded."""
        recorded = self.record.status.agent or AgentRecord()
        decided = self.decision.status.agent if self.decision else None
        return decided if decided is not None and decided.attempt >= recorded.attempt else recorded

    @property
    def claimed(self) -> str:
        """The workload uuid that the host's script printed, as decided last; empty: none."""
        return named_workload(self.decision.status if self.decision else self.record.status)

    @property
    def names_its_workload(self) -> bool:
        """Whether the record, as the API server has it, says what the host's script printed."""
        return not self.claimed or self.claimed in recorded_first(self.record)

    def owns(self, keys: Iterable[str]) -> bool:
        """Whether the record, as the API server has it, says that these label keys are ours."""
        return recorded_first(self.record).issuperset(keys)

    @property
    def workload(self) -> str:
        """Href of the workload that the record names; empty: none."""
        illumio = self.record.status.illumio
        return illumio.workload if illumio is not None else ""


def unrecorded(vm: Vm) -> HostState:
    """A row for a VM without a record, as if it had one that knows nothing; it is in no table."""
    name = host_name(vm.record.name, vm.vm_id)
    return HostState(ManagedHost(name=name, namespace="", spec=HostSpec(estate="", vm_id=vm.vm_id)))


def older(record: ManagedHost, than: ManagedHost) -> bool:
    """Whether it is an older state of the same object.

    ResourceVersions of one resource count up (KEP-5504, Kubernetes 1.35); others are not compared.
    """
    versions = (record.resource_version, than.resource_version)
    if record.uid != than.uid or not all(version.isdigit() for version in versions):
        return False
    return int(versions[0]) < int(versions[1])


def same(record: ManagedHost, before: ManagedHost) -> bool:
    """Whether nothing differs that a decision looks at."""
    return (record.spec, record.annotations, record.status) == (before.spec, before.annotations, before.status)


def named_workload(status: HostStatus) -> str:
    """Uuid of the workload that the host's script printed; empty: none."""
    return status.agent.workload if status.agent is not None else ""


def recorded_first(record: ManagedHost) -> frozenset[str]:
    """What the PCE is changed for once it is in the record: the workload that the script named, our label keys.

    Once the PCE shows a stamp nobody asks the script again, and a key that it shows may be anybody's.
    """
    illumio = record.status.illumio
    keys = illumio.owned_keys if illumio is not None else ()
    return frozenset({named_workload(record.status), *keys} - {""})
