"""A whole estate in memory: three lanes, the recorder and a keeper of ten lines over the fakes, in real time.

The fake Azure "runs" each script at once: it pairs the VM with the fake PCE and prints its result line.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
from tests.unit.estate import fakes
from tests.unit.stages import makers as m

from microseg.estate.book import EstateBook
from microseg.estate.lanes.attempts import Attempts, Pairing
from microseg.estate.lanes.azure import AzureLane
from microseg.estate.lanes.budgets import Budget, Budgets
from microseg.estate.lanes.checkpoint import CheckPointLane, Marks
from microseg.estate.lanes.flush import Flush
from microseg.estate.lanes.illumio import IllumioLane
from microseg.estate.lanes.installs import Installs
from microseg.estate.lanes.rhythm import Rhythm
from microseg.estate.ledger import Ledger
from microseg.estate.recorder import Recorder
from microseg.estate.workers import Workers
from microseg.gateways.ports import Script
from microseg.gateways.transport import RateLimiter
from microseg.mapping import parse
from microseg.model.facts import Vm, VmDetail
from microseg.model.host import ManagedHost
from microseg.planning.decide import decide
from microseg.stages.situation import EstateView, Policy, RetirementBounds, Timing

PREFIX = "microseg/plant/respiro/"
RULES = parse(
    """\
apiVersion: mapping.microseg.dev/v1
name: platform
labels:
  app: {fromTag: [app], oneOf: [Orchestrate, Shop], onMiss: hold}
  env: {fromTag: [env], oneOf: [Dev, New], default: Dev, onMiss: default}
groups:
  - {name: SO, when: {tags: {app: [Orchestrate]}}}
  - {name: Web, when: {tags: {app: [Shop]}}}
""",
    "mapping.yaml",
)


def vm(number: int, app: str = "Orchestrate", **record: object) -> Vm:
    """The VM of this number."""
    vm_id = f"5b8b1c2d-0000-4000-8000-{number:012}"
    tags = (m.Tag(key="app", value=app),)
    made = m.vm(
        f"10.3.{number // 250}.{number % 250 + 1}", name=f"vm{number}", computer_name=f"vm{number}",
        resource_id=f"/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm{number}",
        tags=tags, **record,
    )  # fmt: skip
    return replace(made, vm_id=vm_id)


class World:
    """The outside, which outlives every process."""

    def __init__(self, *vms: Vm) -> None:
        self.journal = fakes.Journal()
        self.azure = fakes.FakeAzure(*vms, journal=self.journal)
        self.pce = fakes.FakePce(self.journal)
        self.cp = fakes.FakeCheckPoint(self.journal)
        self.hosts = fakes.FakeHosts(self.journal)
        self.estates = fakes.FakeEstates(fakes.estate(), self.journal)
        self.outcome: Callable[[Script], str] = lambda script: "paired"
        self.azure.started = self._run

    def _run(self, script: Script) -> None:
        """The script runs on the VM, and its agent pairs."""
        vm_id, now = script.parameters["MICROSEG_VM_ID"], datetime.now(UTC)
        found = next(item for item in self.azure.vms if item.vm_id == vm_id)
        outcome, uuid, claim = self.outcome(script), f"{vm_id[:-12]}{int(vm_id[-12:]) + 500:012}", "-"
        if outcome == "paired":
            claim = uuid
            href = f"/orgs/50/workloads/{uuid}"
            addresses = frozenset(address.ip for address in found.record.addresses())
            hostname = found.record.computer_name
            self.pce.stored[href] = m.workload(href=href, hostname=hostname, addresses=addresses, created_at=now)
        record = msgspec.structs.replace(m.attempt(), nonce=script.parameters["MICROSEG_NONCE"])
        line = m.result_line(record, outcome, 0 if claim != "-" else 9, claim)
        self.azure.show(script.name, "Succeeded", line, started_at=now, ended_at=now)

    def add(self, *vms: Vm) -> None:
        """VMs appear, or are shown anew."""
        for made in vms:
            self.azure.vms = [item for item in self.azure.vms if item.vm_id != made.vm_id] + [made]
            self.azure.details[made.record.resource_id] = VmDetail(
                made.vm_id, made.record.power_state, agent_ready=True
            )

    def stages(self) -> dict[str, str]:
        """Stage by VM's name."""
        return {host.name.rsplit("-", 1)[0]: host.status.stage for host in self.hosts.stored.values()}

    def all_are(self, stage: str) -> bool:
        """Whether every VM has its record, in this stage."""
        return len(self.hosts.stored) == len(self.azure.vms) and set(self.stages().values()) == {stage}

    def count(self, operation: str) -> int:
        """Calls of one operation."""
        return len(self.journal.of(operation))


class Process:
    """One run of the operator over the world."""

    def __init__(self, world: World, workers: Workers, term: int = 3) -> None:
        self.world, self.term = world, fakes.FakeTerm(term)
        self.timing = Timing(expected=0.05, look_pause=0.02, retry_pause=0.05)
        self.ledger = Ledger()
        budgets = Budgets(lambda: Budget(RateLimiter(1e6, 1e6), RateLimiter(1e6, 1e6)))
        self.recorder = Recorder(world.hosts, fakes.FakeEvents(), self.ledger, workers, self.term)
        book = EstateBook(world.estates.stored, world.estates, workers, self.term)
        rhythms = [Rhythm(name, 0.05, lambda: None) for name in ("azure", "illumio", "checkpoint")]
        pairing = Pairing(world.pce, lambda _: world.pce.profile, "pce:8443", "18", m.OWNER)
        attempts = Attempts(
            pairing, self.ledger, self.recorder, self.term, self.now, self.timing, (workers, workers), budgets
        )
        self.azure = AzureLane(
            {"main": world.azure}, attempts, world.hosts, self.ledger, rhythms[0], workers,
            estate="respiro", subscriptions={"s1": "main"},
        )  # fmt: skip
        self.illumio = IllumioLane(world.pce, m.MARK, self.ledger, rhythms[1], workers, self.term)
        flush = Flush(world.cp, book, workers, self.term, owner=m.OWNER, task_pause=0.001, alive=rhythms[2].alive)
        self.installs = Installs(world.cp, self.ledger, book, workers, self.term, task_pause=0.001, patience=1.0)
        self.check_point = CheckPointLane(
            world.cp, flush, self.installs, self.ledger, rhythms[2], workers, self.term, Marks(m.OWNER, PREFIX)
        )
        self.rhythms = rhythms
        self.enforcing = True

    def now(self) -> datetime:
        """The real time: the fakes' workloads are made in it."""
        return datetime.now(UTC)

    def view(self) -> EstateView:
        """As `estate/view.py` makes it, without an Estate."""
        pce, wall = self.ledger.pce, self.ledger.firewall
        return EstateView(
            owner_id=m.OWNER,
            enforcing=self.enforcing,
            labels=pce.labels if pce else {},
            profiles={"Linux": self.world.pce.profile},
            groups=wall.groups if wall else {},
            last_revision=wall.last if wall else None,
            policies=(Policy("Standard", ("gw1",)),),
            gateways=wall.gateways if wall else {},
            install_failures=dict(self.installs.failures),
            timing=self.timing,
            subscriptions=frozenset({"s1"}),
            retirement=RetirementBounds(enabled=False),
        )

    async def _keep(self) -> None:
        """Decide whoever changed, and everybody now and then."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await self.ledger.wake.wait()
            self.ledger.wake.clear()
            now = self.now()
            late = [
                vm_id
                for vm_id, entry in self.ledger.entries.items()
                if entry.decision and entry.decision.look_again and entry.decision.look_again <= now
            ]
            self.ledger.touch(late)
            dirty, self.ledger.dirty = self.ledger.dirty, set()
            view = self.view()
            for vm_id in dirty & self.ledger.entries.keys():
                entry = self.ledger.entries[vm_id]
                facts = self.ledger.facts(vm_id, "az-", now)
                entry.decision = decide(entry.host, facts, view, self.ledger.wanted(vm_id, now), now)
                entry.stale = False
                if entry.decision.status != entry.host.status:
                    self.recorder.offer(vm_id)
            if dirty:
                for rhythm in self.rhythms:
                    rhythm.wake()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run until the block ends; what fails in the background fails the test."""
        self.ledger.rules = RULES
        for host in self.world.hosts.stored.values():
            self.ledger.upsert(host)
        self.ledger.synced = True
        loops = (self.azure.run, self.illumio.run, self.check_point.run, self.recorder.run, self._keep)
        tasks = [asyncio.create_task(loop()) for loop in loops]
        try:
            yield
            failed = [task for task in tasks if task.done()]
            assert not failed, [task.exception() for task in failed]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for a condition with a deadline."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - the fakes have no events
            await asyncio.sleep(0.005)


def forgotten(world: World) -> None:
    """Every record loses its status."""
    for host in list(world.hosts.stored.values()):
        world.hosts.put(ManagedHost(name=host.name, namespace=host.namespace, spec=host.spec, uid=host.uid))
