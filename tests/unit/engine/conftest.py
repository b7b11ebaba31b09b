"""One estate in memory: a ledger, a recorder and the effect protocol over fakes, with time moved by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from tests.unit.estate import fakes
from tests.unit.stages import makers as m

from microseg.estate import keeper, retirements
from microseg.estate.entry import Entry
from microseg.estate.lanes.attempts import Attempts, Pairing
from microseg.estate.lanes.budgets import Budget, Budgets
from microseg.estate.ledger import Ledger
from microseg.estate.readings import PceReading
from microseg.estate.recorder import Recorder
from microseg.estate.workers import Workers
from microseg.gateways.transport import RateLimiter
from microseg.model.facts import PairingProfile, Vm
from microseg.model.host import AgentRecord, ManagedHost
from microseg.model.plan import ReadRunCommand, StartScript
from microseg.planning.decide import decide
from microseg.stages.situation import EstateView, Timing


class Bench:
    """What a process holds; `restarted` is the next process over the same cluster and the same world."""

    def __init__(self, workers: Workers, before: Bench | None = None) -> None:
        self.workers = workers
        self.journal: fakes.Journal = before.journal if before else fakes.Journal()
        self.clock: fakes.FakeClock = before.clock if before else fakes.FakeClock()
        self.hosts: fakes.FakeHosts = before.hosts if before else fakes.FakeHosts(self.journal)
        self.vm: Vm = before.vm if before else m.vm()
        self.azure: fakes.FakeAzure = before.azure if before else fakes.FakeAzure(self.vm, journal=self.journal)
        self.pce: fakes.FakePce = before.pce if before else fakes.FakePce(self.journal)
        self.events = fakes.FakeEvents()
        self.term = fakes.FakeTerm()
        self.timing = Timing()
        self.profile: PairingProfile | str = m.PROFILE
        self.ledger = Ledger()
        self.recorder = Recorder(self.hosts, self.events, self.ledger, workers, self.term)
        self.attempts = Attempts(
            Pairing(self.pce, lambda _: self.profile, "pce.example:8443", "18", m.OWNER),
            self.ledger,
            self.recorder,
            self.term,
            self.clock,
            self.timing,
            (workers, workers),
            Budgets(lambda: Budget(RateLimiter(1e6, 1e6), RateLimiter(1e6, 1e6))),
        )
        if before is None:
            self.hosts.put(m.host())
        self.mirror()
        self.ledger.saw_azure([self.vm])
        self.read_pce()

    def restarted(self) -> Bench:
        return Bench(self.workers, self)

    @property
    def entry(self) -> Entry:
        return self.ledger.entries[m.VM_ID]

    @property
    def stored(self) -> ManagedHost:
        return self.hosts.stored[m.NAME]

    @property
    def agent(self) -> AgentRecord:
        return self.stored.status.agent or AgentRecord()

    def mirror(self) -> None:
        """The watch brings what the API server has."""
        for host in self.hosts.stored.values():
            self.ledger.upsert(host)

    def read_pce(self) -> None:
        """A complete reading of the PCE."""
        self.ledger.saw_pce(PceReading.of(m.MARK, self.pce.workloads(), self.pce.labels(), (self.pce.profile,)))

    def view(self) -> EstateView:
        return m.estate(profiles={"Linux": self.profile})

    async def decide(self) -> tuple[object, ...]:
        """One decision of the keeper, written as the recorder writes it; returns the Azure lane's actions."""
        entry = self.entry
        facts = self.ledger.facts(m.VM_ID, "az-")
        entry.decision = decide(entry.host, facts, self.view(), m.wanted(), self.clock())
        entry.stale = False
        await self.recorder._write(m.VM_ID, entry)
        return tuple(action for _, action in self.ledger.actions(StartScript, ReadRunCommand))

    async def act(self) -> bool:
        """Decide, and carry out the Azure lane's first action; False where there is none."""
        for action in await self.decide():
            if isinstance(action, StartScript):
                await self.attempts.start(self.azure, self.vm, action)
            elif isinstance(action, ReadRunCommand):
                await self.attempts.look(self.azure, self.vm, action)
            self.ledger.touch((m.VM_ID,))
            return True
        return False

    async def live(self, until: datetime) -> None:
        """Act, decide, and let time pass to the next moment that a decision names."""
        for _ in range(500):
            if await self.act():
                continue
            decision = self.entry.decision
            again = decision.look_again if decision else None
            if again is None or again > until:
                self.clock.now = max(self.clock.now, until)
                await self.decide()
                return
            self.clock.now = max(again, self.clock.now)
        raise AssertionError("the host is decided again and again without time passing")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses that spare real servers, short: the fakes need no sparing."""
    monkeypatch.setattr(keeper, "_STATUS_EVERY", 0.1)
    monkeypatch.setattr(keeper, "_SETTLE", 0.01)
    monkeypatch.setattr(retirements, "_EVERY", 1.0)


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
