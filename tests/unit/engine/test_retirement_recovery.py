"""Retirements whose records are lost, whose VENs are dead, and whose VMs come back; and news of whole gateways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import pytest

from lab.memory import samples as m
from lab.memory.cluster import FakeEstates, FakeEvents, FakeHosts
from lab.memory.estate import estate
from lab.memory.scripted import FakeClock, FakeTerm
from lab.memory.world import QUICK
from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.cluster.event_recorder import EventRecorder, _events
from microseg.engine.cluster.host_status import HostStatusWriter
from microseg.engine.ground.runtime import Runtime
from microseg.engine.ground.workers import Workers
from microseg.engine.retirement import RetirementController
from microseg.engine.state.host_table import HostTable
from microseg.engine.state.snapshots import CheckPointSnapshot, IllumioSnapshot
from microseg.kube.tombstones import Tombstone
from microseg.model.agent_record import AgentOutcome
from microseg.model.checkpoint_facts import EnforcementPoint, HostObject, Revision
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.host import DriftRecord, GoneProof, HostStatus, RetirementRecord
from microseg.model.illumio_facts import Workload
from microseg.model.plan import ProveGone
from microseg.planning.decide import decide
from microseg.planning.drift import taken_back
from microseg.stages.attempt import absorb
from microseg.stages.context import Policy, Timing


class Stones:
    """Tombstones by vmId."""

    def __init__(self, *stones: Tombstone) -> None:
        self.stored = {stone.vm_id: stone for stone in stones}

    def all(self) -> Sequence[Tombstone]:
        return tuple(self.stored.values())

    def write(self, stone: Tombstone) -> None:
        self.stored[stone.vm_id] = stone

    def prune(self, before: datetime) -> Sequence[str]:
        assert before < m.NOW
        return ()


class Hosts(FakeHosts):
    """With an end."""

    def delete(self, name: str, uid: str) -> None:
        self.asked("delete", name, uid)
        del self.stored[name]


class Yard:
    """Retirements over a ledger whose outside is read by hand."""

    def __init__(self, workers: Workers, *stones: Tombstone) -> None:
        self.stones, self.hosts, self.table = Stones(*stones), Hosts(), HostTable()
        self.clock, term = FakeClock(), FakeTerm()
        runtime = Runtime(term, self.clock, workers, QUICK)
        events = EventRecorder(FakeEvents(), estate, runtime)
        self.host_status = HostStatusWriter(self.hosts, events, self.table, runtime)
        estates = FakeEstates(estate())
        estate_status = EstateStatusWriter(estates.stored, estates, runtime, lambda: None)
        self.retirements = RetirementController(
            self.stones, self.hosts, self.table, self.host_status, estate_status, events, runtime
        )
        self.table.saw_azure([])
        self.read()

    def read(self, *workloads: Workload, objects: tuple[HostObject, ...] = ()) -> None:
        self.table.saw_illumio(IllumioSnapshot.of(m.MARK, workloads, (), ()))
        self.table.saw_check_point(CheckPointSnapshot.of(m.OWNER, objects, (), (), m.PUBLISHED))

    def record(self, status: HostStatus) -> None:
        self.table.upsert(self.hosts.put(m.host(status)))

    async def round(self) -> None:
        for state in self.table.hosts.values():
            facts = self.table.facts(m.VM_ID)
            view = m.estate(subscriptions=frozenset({"s1"}), policies=())
            self.table.decided(m.VM_ID, decide(state.record, facts, view, None, self.clock()))
        await self.retirements._round()


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers("test", 4)
    yield pool
    pool.close()


RETIRING = RetirementRecord(
    proof=GoneProof.NOT_FOUND, began_at=m.ago(days=2), ungrouped_at=m.ago(days=2), unpaired_at=m.ago(hours=25)
)
STONE = Tombstone(
    vm_id=m.VM_ID, host=m.NAME, vm="Host24", at=m.ago(days=2), proof="ResourceNotFound", resource_id=m.RESOURCE_ID
)


async def test_a_dead_ven_that_the_pce_still_lists_brings_no_record_back(workers: Workers) -> None:
    yard = Yard(workers, STONE)
    dead = m.stamped()
    yard.read(dead)
    known = CheckPointRecord(groups=("SO",))
    yard.record(HostStatus(azure=m.vm().record, retirement=RETIRING, check_point=known, missing_since=m.ago(days=3)))
    await yard.round()
    assert yard.hosts.stored, "nothing of a retirement goes on before the tombstones were read"
    await yard.round()

    assert yard.hosts.stored == {}
    assert yard.stones.stored[m.VM_ID].ended_at == m.NOW
    assert yard.stones.stored[m.VM_ID].at == STONE.at
    yard.read(dead)
    assert yard.table.latest.orphans({}) == {}

    again = Yard(workers, *yard.stones.all())
    await again.round()
    again.read(dead)
    assert again.table.latest.orphans({}) == {}, "a restart forgets nothing"


async def test_a_record_that_was_lost_in_the_midst_comes_back_and_azure_is_asked_again(workers: Workers) -> None:
    yard = Yard(workers, STONE)
    await yard.round()
    yard.read(m.stamped(hostname="host24"))
    assert yard.table.latest.orphans({}) == {m.VM_ID: "host24"}

    yard.record(HostStatus())
    state = yard.table.hosts[m.VM_ID]
    yard.table.attempt_observed(m.VM_ID, missed_polls=3)
    facts = yard.table.facts(m.VM_ID)
    host = msgspec.structs.replace(state.record, status=HostStatus(missing_since=m.ago(hours=1)))
    view = m.estate(subscriptions=frozenset({"s1"}))
    assert decide(host, facts, view, None, m.NOW).actions == (ProveGone(m.VM_ID, m.RESOURCE_ID),)


async def test_an_orphan_object_of_an_ended_retirement_still_gets_its_record_back(workers: Workers) -> None:
    yard = Yard(workers, msgspec.structs.replace(STONE, ended_at=m.ago(days=1)))
    await yard.round()
    yard.read(objects=(m.host_object(),))
    assert yard.table.latest.orphans({}) == {m.VM_ID: m.OBJECT}


def test_an_orphan_is_named_after_its_machine(workers: Workers) -> None:
    yard = Yard(workers)
    yard.read(m.stamped(hostname="host24"), objects=(m.host_object(),))
    assert yard.table.latest.orphans({}) == {m.VM_ID: "host24"}


@pytest.mark.parametrize("outcome", [AgentOutcome.BUSY, AgentOutcome.TOO_LATE])
def test_a_lock_or_a_wrong_clock_that_lasts_brings_no_storm(outcome: AgentOutcome) -> None:
    pauses = []
    for number in (1, 2, 5, 9, 40):
        record = absorb(m.attempt(number), replace(m.facts(), concluded=outcome), Timing(), m.NOW)
        assert record.failures == 0
        assert record.retry_at is not None
        pauses.append(record.retry_at - m.NOW)
    assert pauses == [timedelta(seconds=15 * 2**power) for power in (0, 1, 4, 8, 8)]


# news of whole gateways --------------------------------------------------------------------------------------------

STANDARD = (Policy("Standard", ("gw1", "gw2")),)
NEW = Revision("r2", m.NOW)
GATEWAYS = {name: EnforcementPoint(name, "Standard", NEW, m.NOW) for name in ("gw1", "gw2")}


def test_each_target_that_lost_its_policy_is_told_once() -> None:
    older = EnforcementPoint("gw1", "Standard", m.PUBLISHED, m.NOW)
    assert taken_back(GATEWAYS, GATEWAYS, STANDARD) == []
    assert taken_back({}, GATEWAYS, STANDARD) == []
    assert taken_back(GATEWAYS, GATEWAYS | {"gw1": older}, STANDARD) == [
        "Target gw1 has an older revision of Standard installed, published 2026-06-01 11:00 UTC."
    ]
    other = EnforcementPoint("gw2", "Branch", NEW, m.NOW)
    assert taken_back(GATEWAYS, {"gw2": other}, STANDARD) == [
        "Target gw1 is not in Check Point's list of gateways any more.",
        "Target gw2 has Branch installed instead of Standard.",
    ]
    assert taken_back(GATEWAYS | {"gw1": older}, GATEWAYS, STANDARD) == [], "a newer revision takes nothing back"


def test_its_hosts_have_no_event_each() -> None:
    drift = (DriftRecord(stage="PolicyInstalled", since=m.NOW, at=m.NOW, open=True),)
    commissioned = decide(m.host(), m.facts(), m.estate(), m.desired(), m.NOW).status
    before = msgspec.structs.replace(commissioned, stage="Commissioned", drift=())
    after = msgspec.structs.replace(commissioned, stage="InstallingPolicy", drift=drift)
    assert _events(before, after) == []
    assert _events(after, before) == []
    assert _events(before, msgspec.structs.replace(after, drift=())) != []
    assert _events(before, msgspec.structs.replace(after, stage="Blocked")) != []
