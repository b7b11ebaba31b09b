"""A whole estate in memory: the real keeper with its lanes over the fakes, in real time that a test may put forward.

The fake Azure "runs" each script at once: it pairs the VM with the fake PCE and prints its result line.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from tests.unit.estate import fakes
from tests.unit.stages import makers as m

from microseg.estate.acceptance import Documents
from microseg.estate.book import EstateBook
from microseg.estate.keeper import Keeper, Lanes, Records
from microseg.estate.lanes.attempts import Attempts, Pairing
from microseg.estate.lanes.azure import AzureLane
from microseg.estate.lanes.budgets import Budget, Budgets
from microseg.estate.lanes.checkpoint import CheckPointLane, Marks
from microseg.estate.lanes.flush import Flush
from microseg.estate.lanes.illumio import IllumioLane
from microseg.estate.lanes.installs import Installs
from microseg.estate.lanes.rhythm import Rhythm
from microseg.estate.ledger import Ledger
from microseg.estate.mappings import KEY, Mappings
from microseg.estate.recorder import Recorder
from microseg.estate.retirements import Retirements
from microseg.estate.view import EstateViews
from microseg.estate.workers import Workers
from microseg.gateways.ports import Script
from microseg.gateways.transport import RateLimiter
from microseg.kube.secrets import ConfigMapData
from microseg.model.condition import Condition, ConditionType, find
from microseg.model.facts import ABSENT, Vm, VmDetail
from microseg.model.host import ManagedHost, Tag
from microseg.stages.situation import Timing

PREFIX = "microseg/plant/respiro/"
RULES = """\
apiVersion: mapping.microseg.dev/v1
name: platform
labels:
  app: {fromTag: [app], oneOf: [Orchestrate, Shop], onMiss: hold}
  env: {fromTag: [env], oneOf: [Dev, New], default: Dev, onMiss: default}
groups:
  - {name: SO, when: {tags: {app: [Orchestrate]}}}
  - {name: Web, when: {tags: {app: [Shop]}}}
"""


def vm(number: int, app: str = "Orchestrate", **record: Any) -> Vm:
    """The VM of this number."""
    vm_id = f"5b8b1c2d-0000-4000-8000-{number:012}"
    tags = (Tag(key="app", value=app),)
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
        self.events = fakes.FakeEvents(self.journal)
        self.revisions = fakes.FakeRevisions(self.journal)
        self.tombstones = fakes.FakeTombstones(self.journal)
        self.documents: list[ConfigMapData] = []
        self.map(RULES)
        self.ahead = timedelta()
        self.outcome: Callable[[Script], str] = lambda _: "paired"
        self.azure.started = self._run

    def _run(self, script: Script) -> None:
        """The script runs on the VM, and its agent pairs."""
        vm_id, now = script.parameters["MICROSEG_VM_ID"], self.now()
        found = next(item for item in self.azure.vms if item.vm_id == vm_id)
        outcome, uuid, claim = self.outcome(script), f"{vm_id[:-12]}{int(vm_id[-12:]) + 500:012}", "-"
        if outcome == "paired":
            claim = uuid
            href = f"/orgs/50/workloads/{uuid}"
            addresses = frozenset(address.ip for address in found.record.addresses())
            hostname = found.record.computer_name
            self.pce.stored[href] = m.workload(
                href=href, ven=href.replace("workloads", "vens"), hostname=hostname, addresses=addresses, created_at=now
            )
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

    def delete(self, made: Vm) -> None:
        """A VM is deleted in Azure; its VEN and its objects know nothing of that."""
        self.azure.vms = [item for item in self.azure.vms if item.vm_id != made.vm_id]
        self.azure.details[made.record.resource_id] = ABSENT

    def map(self, text: str) -> None:
        """The mapping's ConfigMap says this from now on."""
        version = str(len(self.documents) + int(self.documents[0].resource_version if self.documents else 0))
        self.documents = [ConfigMapData("mapping", "plant", "uid-map", version, {KEY: text}, {})]

    def spec(self, **changes: Any) -> None:
        """The Estate's spec, changed before a process begins."""
        stored = self.estates.stored
        self.estates.stored = msgspec.structs.replace(stored, spec=msgspec.structs.replace(stored.spec, **changes))

    def now(self) -> datetime:
        """The real time, as the fakes' workloads are made in it, and what a test put it ahead."""
        return datetime.now(UTC) + self.ahead

    def host(self, made: Vm) -> ManagedHost:
        """The record of a VM."""
        return next(host for host in self.hosts.stored.values() if host.spec.vm_id == made.vm_id)

    def groups(self) -> dict[str, set[str]]:
        """Groups of the published objects by VM's number."""
        return {str(int(item.vm_id[-12:])): set(item.groups) for item in self.cp.published.values()}

    def standings(self) -> dict[str, int]:
        """How the hosts stand, as the Estate's status counts them; without zeros."""
        hosts = self.estates.stored.status.hosts
        counted = msgspec.structs.asdict(hosts) if hosts else {}
        return {name: number for name, number in counted.items() if number and name != "total"}

    def condition(self, kind: ConditionType) -> Condition | None:
        """A condition of the Estate."""
        return find(self.estates.stored.status.conditions, kind)

    def stages(self) -> dict[str, str]:
        """Stage by VM's name."""
        return {host.name.rsplit("-", 1)[0]: host.status.stage for host in self.hosts.stored.values()}

    def all_are(self, stage: str) -> bool:
        """Whether every VM has its record, in this stage."""
        return len(self.hosts.stored) == len(self.azure.vms) and set(self.stages().values()) == {stage}

    def count(self, operation: str) -> int:
        """Calls of one operation."""
        return len(self.journal.of(operation))


class FakeMirror:
    """Brings what the fake API server has into the ledger, for ever."""

    def __init__(self, hosts: fakes.FakeHosts, ledger: Ledger) -> None:
        self._hosts, self._ledger, self._seen = hosts, ledger, dict[str, ManagedHost]()

    async def run(self) -> None:
        while True:
            stored = dict(self._hosts.stored)
            for name in self._seen.keys() - stored.keys():
                self._ledger.drop(name)
            for name, host in stored.items():
                if self._seen.get(name) is not host:
                    self._ledger.upsert(host)
            self._seen = stored
            if not self._ledger.synced:
                self._ledger.keep_only(frozenset(stored), 0.0)
            await asyncio.sleep(0.01)


class Process:
    """One run of the operator over the world."""

    def __init__(self, world: World, workers: Workers, term: int = 3) -> None:
        self.world, self.term = world, fakes.FakeTerm(term)
        timing = Timing(expected=0.05, look_pause=0.02, retry_pause=0.05)
        self.ledger = Ledger()
        budgets = Budgets(lambda: Budget(RateLimiter(1e6, 1e6), RateLimiter(1e6, 1e6)))
        self.recorder = Recorder(world.hosts, world.events, self.ledger, workers, self.term)
        book = EstateBook(world.estates.stored, world.estates, workers, self.term)
        self.rhythms = [Rhythm(name, 0.05, self._health_changed) for name in ("az", "pce", "cp")]
        pairing = Pairing(world.pce, lambda _: world.pce.profile, "pce:8443", "18", m.OWNER)
        attempts = Attempts(
            pairing, self.ledger, self.recorder, self.term, world.now, timing, (workers, workers), budgets
        )
        azure = AzureLane(
            {"main": world.azure}, attempts, world.hosts, self.ledger, self.rhythms[0], workers,
            estate="respiro", subscriptions={"s1": "main"},
        )  # fmt: skip
        self.illumio = IllumioLane(world.pce, m.MARK, self.ledger, self.rhythms[1], workers, self.term)
        flush = Flush(
            world.cp,
            book,
            workers,
            self.term,
            owner=m.OWNER,
            task_pause=0.001,
            alive=self.rhythms[2].alive,
            clock=world.now,
        )
        self.installs = Installs(
            world.cp, self.ledger, book, workers, self.term, task_pause=0.001, patience=1.0, clock=world.now
        )
        self.check_point = CheckPointLane(
            world.cp, flush, self.installs, self.ledger, self.rhythms[2], workers, self.term, Marks(m.OWNER, PREFIX)
        )
        retirements = Retirements(
            world.tombstones, world.hosts, self.ledger, self.recorder, book, workers, self.term, world.now
        )
        self.keeper = Keeper(
            book,
            self.ledger,
            Lanes(azure, self.illumio, self.check_point),
            Records(FakeMirror(world.hosts, self.ledger), self.recorder, retirements),
            Documents(Mappings(world.revisions, book.estate.spec.mapping, frozenset()), lambda: world.documents),
            EstateViews(timing),
            world.now,
            workers,
        )

    def _health_changed(self) -> None:
        self.keeper.health_changed()

    def later(self, **parts: float) -> None:
        """So much time after the beginning of the test; the keeper looks at its clock."""
        self.world.ahead = timedelta(**parts)
        self.keeper.health_changed()

    def map(self, text: str) -> None:
        """A person applies another document."""
        self.world.map(text)
        self.keeper.mapping_changed()

    def annotate(self, **annotations: str) -> None:
        """A person annotates the Estate."""
        self.world.estates.annotate(annotations)
        self.keeper.annotated(annotations)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run until the block ends; what fails in the background fails the test."""
        keeping = asyncio.create_task(self.keeper.run())
        try:
            yield
            assert not keeping.done(), keeping.exception()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def until(holds: Callable[[], bool], seconds: float = 50.0) -> None:
    """Wait for a condition with a deadline."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - the fakes have no events
            await asyncio.sleep(0.005)


def forgotten(world: World) -> None:
    """Every record loses its status."""
    for host in list(world.hosts.stored.values()):
        world.hosts.put(ManagedHost(name=host.name, namespace=host.namespace, spec=host.spec, uid=host.uid))
