"""One host in memory: table, status writer and effect protocol over fakes, with time moved by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from lab.memory import samples as m
from lab.memory.azure import FakeAzure
from lab.memory.cluster import FakeEvents, FakeHosts
from lab.memory.estate import estate
from lab.memory.illumio import FakeIllumio
from lab.memory.scripted import FakeClock, FakeLimiter, FakeTerm, Journal
from lab.memory.world import QUICK
from microseg.engine.cluster.event_recorder import EventRecorder
from microseg.engine.cluster.host_status import HostStatusWriter
from microseg.engine.ground.runtime import Runtime
from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.azure_attempts import ScriptAttempts
from microseg.engine.lanes.azure_scripts import PairingInputs, ScriptBuilder
from microseg.engine.lanes.budgets import Budget, Budgets, PacedWorkers, ResourceManagerCalls
from microseg.engine.state.host_state import HostState
from microseg.engine.state.host_table import HostTable
from microseg.engine.state.snapshots import IllumioSnapshot
from microseg.model.agent_record import AgentRecord
from microseg.model.azure_facts import Vm
from microseg.model.host import ManagedHost
from microseg.model.illumio_facts import PairingProfile
from microseg.model.plan import ReadRunCommand, StartScript
from microseg.planning.decide import decide
from microseg.stages.context import EstateContext, Timing


class Bench:
    """What a process holds; `restarted` is the next process over the same cluster and the same world."""

    def __init__(self, workers: Workers, before: Bench | None = None) -> None:
        self.workers = workers
        self.journal: Journal = before.journal if before else Journal()
        self.clock: FakeClock = before.clock if before else FakeClock()
        self.hosts: FakeHosts = before.hosts if before else FakeHosts(self.journal)
        self.vm: Vm = before.vm if before else m.vm()
        self.azure: FakeAzure = before.azure if before else FakeAzure(self.vm, journal=self.journal)
        self.illumio: FakeIllumio = before.illumio if before else FakeIllumio(self.journal)
        self.events = FakeEvents()
        self.term = FakeTerm()
        self.timing = Timing()
        self.profile: PairingProfile | str = m.PROFILE
        self.table = HostTable()
        runtime = Runtime(self.term, self.clock, workers, QUICK)
        self.recorder = EventRecorder(self.events, estate, runtime)
        self.host_status = HostStatusWriter(self.hosts, self.recorder, self.table, runtime)
        pairing = PairingInputs(self.illumio, lambda _: self.profile, "illumio.example:8443", "18", m.OWNER)
        illumio = PacedWorkers(workers, FakeLimiter(), self.term.check)
        self.writes = FakeLimiter()
        budgets = Budgets(lambda: Budget(FakeLimiter(), self.writes))
        calls = ResourceManagerCalls(workers, budgets, self.term.check)
        scripts = ScriptBuilder(pairing, illumio, self.timing, self.clock)
        self.attempts = ScriptAttempts(
            scripts, self.table, self.host_status, self.clock, self.timing, calls, part=lambda: m.PART
        )
        if before is None:
            self.hosts.put(m.host())
        self.sync()
        self.table.saw_azure([self.vm])
        self.read_illumio()

    def restarted(self) -> Bench:
        return Bench(self.workers, self)

    @property
    def state(self) -> HostState:
        return self.table.hosts[m.VM_ID]

    @property
    def stored(self) -> ManagedHost:
        return self.hosts.stored[m.NAME]

    @property
    def agent(self) -> AgentRecord:
        return self.stored.status.agent or AgentRecord()

    def sync(self) -> None:
        """The watch brings what the API server has."""
        for host in self.hosts.stored.values():
            self.table.upsert(host)

    def read_illumio(self) -> None:
        """A complete reading of the PCE."""
        self.table.saw_illumio(
            IllumioSnapshot.of(m.MARK, self.illumio.stored.values(), self.illumio.known, (self.illumio.profile,))
        )

    def view(self) -> EstateContext:
        return m.estate(profiles={"Linux": self.profile})

    async def decide(self) -> tuple[object, ...]:
        """One decision, recorded as the status writer records it; returns the Azure lane's actions."""
        state = self.state
        facts = self.table.facts(m.VM_ID)
        self.table.decided(m.VM_ID, decide(state.record, facts, self.view(), m.desired(), self.clock()))
        await self.host_status._write(m.VM_ID, state)
        return tuple(action for _, action in self.table.actions.of(StartScript, ReadRunCommand))

    async def act(self) -> bool:
        """Decide, and carry out the Azure lane's first action; False where there is none."""
        for action in await self.decide():
            if isinstance(action, StartScript):
                await self.attempts.start(self.azure, self.vm, action)
            elif isinstance(action, ReadRunCommand):
                await self.attempts.look(self.azure, self.vm, action)
            self.table.touch((m.VM_ID,))
            return True
        return False

    async def live(self, until: datetime) -> None:
        """Act, decide, and let time pass to the next moment that a decision names."""
        for _ in range(500):
            if await self.act():
                continue
            decision = self.state.decision
            again = decision.look_again if decision else None
            if again is None or again > until:
                self.clock.now = max(self.clock.now, until)
                await self.decide()
                return
            self.clock.now = max(again, self.clock.now)
        raise AssertionError("the host is decided again and again without time passing")


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers("test", 4)
    yield pool
    pool.close()


@pytest.fixture
def bench(workers: Workers) -> Bench:
    return Bench(workers)


@pytest.fixture
def new_bench(workers: Workers) -> Callable[[], Bench]:
    return lambda: Bench(workers)
