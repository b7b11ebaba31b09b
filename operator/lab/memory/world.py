"""A whole estate in memory: the real engine over the fakes, in real time that a test may put forward.

The fake Azure "runs" each script at once: it pairs the VM with the fake PCE and prints its result line.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from lab.memory import samples as m
from lab.memory.azure import FakeAzure
from lab.memory.checkpoint import FakeCheckPoint
from lab.memory.cluster import FakeApprovals, FakeEstates, FakeEvents, FakeHosts, FakeRevisions, FakeTombstones
from lab.memory.estate import estate
from lab.memory.illumio import FakeIllumio
from lab.memory.scripted import FakeLimiter, FakeTerm, Journal
from microseg.engine.build import ClusterStores, EnginePorts, Outside, build_engine
from microseg.engine.ground.engine_settings import EngineSettings, Pauses
from microseg.engine.ground.workers import WorkerPools, Workers
from microseg.engine.lanes.budgets import Budget, Budgets
from microseg.engine.mapping.revisions import KEY
from microseg.gateways.http.rate_limiter import RateLimiter
from microseg.kube.reflector import Deleted, Event, Synced, Upserted
from microseg.kube.secrets import ConfigMapData
from microseg.model.azure_facts import Vm, VmDetail
from microseg.model.azure_record import Tag
from microseg.model.condition import Condition, ConditionType, find
from microseg.model.facts import ABSENT
from microseg.model.host import ManagedHost
from microseg.model.script import Script
from microseg.stages.context import Timing

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
        self.journal = Journal()
        self.azure = FakeAzure(*vms, journal=self.journal)
        self.illumio = FakeIllumio(self.journal)
        self.check_point = FakeCheckPoint(self.journal)
        self.hosts = FakeHosts(self.journal)
        self.estates = FakeEstates(estate(), self.journal)
        self.events = FakeEvents(self.journal)
        self.revisions = FakeRevisions(self.journal)
        self.tombstones = FakeTombstones(self.journal)
        self.approvals = FakeApprovals(self.journal)
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
            self.illumio.stored[href] = m.workload(
                href=href, ven=href.replace("workloads", "vens"), hostname=hostname, addresses=addresses, created_at=now
            )
        record = msgspec.structs.replace(m.attempt(), nonce=script.parameters["MICROSEG_NONCE"])
        line = m.result_line(record, outcome, 0 if claim != "-" else 9, claim)
        self.azure.show(script.name, "Succeeded", line, started_at=now, ended_at=now)

    def add(self, *vms: Vm) -> None:
        """VMs appear, or are shown anew, and their VENs with them."""
        for made in vms:
            self.beat(made, online=True)
            self.azure.vms = [item for item in self.azure.vms if item.vm_id != made.vm_id] + [made]
            self.azure.details[made.record.resource_id] = VmDetail(
                made.vm_id, made.record.power_state, agent_ready=True
            )

    def delete(self, made: Vm) -> None:
        """A VM is deleted in Azure; its VEN goes offline, and its objects know nothing of that."""
        self.beat(made, online=False)
        self.azure.vms = [item for item in self.azure.vms if item.vm_id != made.vm_id]
        self.azure.details[made.record.resource_id] = ABSENT

    def beat(self, made: Vm, *, online: bool, at: datetime | None = None) -> None:
        """The PCE shows the VM's VEN so, with its latest heartbeat."""
        for href, found in self.illumio.stored.items():
            if found.external_reference == made.vm_id:
                self.illumio.stored[href] = replace(found, online=online, heartbeat_at=at)

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
        return {str(int(item.vm_id[-12:])): set(item.groups) for item in self.check_point.published.values()}

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


QUICK = Pauses(settle=0.01, estate_status=0.1, retirement=1.0, approvals=0.05, write_retry=0.01, lesser_news=0.1)
"""The pauses that spare real servers, short: the fakes need no sparing."""


class FakeReflector:
    """Brings what the fake API server has, for ever."""

    def __init__(self, hosts: FakeHosts) -> None:
        self._hosts = hosts
        self.beat = time.monotonic()

    def run(self, deliver: Callable[[Sequence[Event]], None], stop: threading.Event) -> None:
        """Deliver what changed, every 10 ms."""
        before: dict[str, ManagedHost] = {}
        synced = False
        while not stop.is_set():
            self.beat = time.monotonic()
            stored = dict(self._hosts.stored)
            events: list[Event] = [Deleted(name, before[name].spec.vm_id) for name in before.keys() - stored.keys()]
            events += [Upserted(host) for name, host in stored.items() if before.get(name) is not host]
            if not synced:
                events.append(Synced(frozenset(stored), 0.0))
                synced = True
            if events:
                deliver(events)
            before = stored
            stop.wait(0.01)


class Process:
    """One run of the operator over the world: the engine as the application builds it, over the fakes."""

    def __init__(
        self,
        world: World,
        workers: Workers,
        term: int = 3,
        *,
        limiter: Callable[[], RateLimiter] = FakeLimiter,
        slice: int = 100,  # noqa: A002 - the setting's name
    ) -> None:
        """`limiter` makes each budget; `slice`: decisions between two turns of the event loop."""
        self.world, self.term = world, FakeTerm(term)
        outside = Outside(
            azure={"main": world.azure},
            illumio=world.illumio,
            check_point=world.check_point,
            resource_manager=Budgets(lambda: Budget(limiter(), limiter()), graph=limiter),
            illumio_budget=limiter(),
        )
        cluster = ClusterStores(
            estates=world.estates,
            hosts=world.hosts,
            records=FakeReflector(world.hosts),
            events=world.events,
            revisions=world.revisions,
            tombstones=world.tombstones,
            approvals=world.approvals,
            mappings=lambda: world.documents,
        )
        settings = EngineSettings(
            Timing(expected=0.05, look_pause=0.02, retry_pause=0.05),
            task_pause=0.001,
            install_patience=1.0,
            pauses=QUICK,
            slice=slice,
        )
        pools = WorkerPools(*[workers] * 4)
        ports = EnginePorts(outside, cluster, pools, self.term, world.now)
        self.reconciler = build_engine(world.estates.stored, ports, settings)
        self.parts = self.reconciler.parts
        self.table = self.parts.table

    def later(self, **parts: float) -> None:
        """So much time after the beginning of the test; the keeper looks at its clock."""
        self.world.ahead = timedelta(**parts)
        self.parts.estate_status.report_soon()

    def map(self, text: str) -> None:
        """A person applies another document."""
        self.world.map(text)
        self.reconciler.mapping_changed()

    def annotate(self, **annotations: str) -> None:
        """A person annotates the Estate."""
        self.world.estates.annotate(annotations)
        self.reconciler.annotated(annotations)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run until the block ends; what fails in the background fails the test."""
        reconciling = asyncio.create_task(self.reconciler.run())
        try:
            yield
            assert not reconciling.done(), reconciling.exception()
        finally:
            reconciling.cancel()
            await asyncio.gather(reconciling, return_exceptions=True)


async def until(holds: Callable[[], bool], seconds: float = 50.0) -> None:
    """Wait for a condition with a deadline."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - the fakes have no events
            await asyncio.sleep(0.005)


def forgotten(world: World) -> None:
    """Every record loses its status."""
    for host in list(world.hosts.stored.values()):
        world.hosts.put(ManagedHost(name=host.name, namespace=host.namespace, spec=host.spec, uid=host.uid))
