"""Two VMs with one address over the whole engine: while both live nobody is released; a free address moves (S14)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.unit.engine.test_reconciler import COMMISSIONED, commissioned, rounds
from tests.unit.engine.test_retirement import LONG_ENOUGH

from lab.memory import samples as m
from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.engine.state.host_table import HostTable
from microseg.engine.state.snapshots import CheckPointSnapshot
from microseg.kube.tombstones import Tombstone
from microseg.model.azure_facts import Vm
from microseg.model.checkpoint_facts import Revision
from microseg.model.condition import ConditionStatus, ConditionType, Reason, find
from microseg.model.facts import Presence
from microseg.model.host import GoneProof, HostStatus, RetirementRecord

ADDRESS = "10.3.0.2"
"""Of vm(1)."""


def twin(number: int, app: str = "Orchestrate", **record: Any) -> Vm:
    """A VM in another network, with the address of vm(1)."""
    return with_addresses(vm(number, app, **record), ADDRESS)


def with_addresses(made: Vm, *addresses: str) -> Vm:
    return replace(made, record=msgspec.structs.replace(made.record, nics=m.nics(*addresses)))


def reason(world: World, number: int) -> str:
    """Why its record is not Ready; empty: there is none yet."""
    return next((host.status.reason for host in world.hosts.stored.values() if host.spec.vm_id == vm(number).vm_id), "")


def only_the_address_is_missing(world: World, number: int) -> bool:
    """Whether it is paired and labelled: before that its decisions come and go, and it may miss a publish."""
    found = find(world.host(vm(number)).status.conditions, ConditionType.LABELLED)
    return found is not None and found.status == ConditionStatus.TRUE


@pytest.mark.parametrize("app", ["Orchestrate", "Shop"])
async def test_a_newcomer_takes_nothing_from_one_that_lives_before_and_after_a_restart(
    workers: Workers, app: str
) -> None:
    world = await commissioned(2, workers)
    before = dict(world.check_point.published)
    publishes = world.count("checkpoint.publish")
    world.add(twin(7, app, created_at=m.ago(days=900)))
    for term in (4, 5):
        async with Process(world, workers, term=term).running():
            await until(lambda: reason(world, 7) == Reason.ADDRESS_SHARED)
            await until(lambda: world.standings() == {"commissioned": 2, "blocked": 1})
            await rounds(world, 2)
        assert (world.check_point.published, world.count("checkpoint.publish")) == (before, publishes)
    grouped = find(world.host(vm(7)).status.conditions, ConditionType.GROUPED)
    assert grouped is not None
    assert world.host(vm(1)).name in grouped.message


@pytest.mark.parametrize("late", [7, 8])
async def test_of_two_that_come_at_once_the_older_one_is_published(workers: Workers, late: int) -> None:
    first = 15 - late
    world = World(*(twin(n, created_at=m.ago(hours=1 if n == late else 2)) for n in (7, 8)), vm(2))
    async with Process(world, workers).running():
        await until(lambda: reason(world, late) == Reason.ADDRESS_SHARED)
        await until(lambda: world.standings() == {"commissioned": 2, "blocked": 1})
    assert world.groups() == {"2": {"SO"}, str(first): {"SO"}}


async def test_an_address_that_its_first_vm_gave_up_moves_in_one_publish_and_both_are_protected(
    workers: Workers,
) -> None:
    world = await commissioned(2, workers)
    world.add(twin(7))
    async with Process(world, workers, term=4).running():
        await until(lambda: reason(world, 7) == Reason.ADDRESS_SHARED and only_the_address_is_missing(world, 7))
        publishes = world.count("checkpoint.publish")
        world.add(with_addresses(vm(1), "10.3.9.9"))
        await until(lambda: world.all_are(COMMISSIONED))
    shown = {item.address: item.groups for item in world.check_point.published.values()}
    assert shown == {"10.3.0.1": {"SO"}, ADDRESS: {"SO"}, "10.3.9.9": {"SO"}}
    assert world.count("checkpoint.publish") == publishes + 1
    assert world.count("checkpoint.leave_groups") == 0


async def test_a_missing_vm_keeps_its_address_until_it_is_proven_gone(workers: Workers) -> None:
    world = await commissioned(2, workers)
    world.add(twin(7))
    async with Process(world, workers, term=4).running():
        await until(lambda: reason(world, 7) == Reason.ADDRESS_SHARED)
        before = dict(world.check_point.published)
        world.delete(vm(1))
        await until(lambda: reason(world, 7) == Reason.ADDRESS_HELD)
        await rounds(world, 2)
        assert world.check_point.published == before
        assert world.standings() == {"commissioned": 1, "waiting": 2}
        world.ahead = LONG_ENOUGH
        await until(lambda: len(world.hosts.stored) == 2)
        await until(lambda: world.all_are(COMMISSIONED))
    assert world.groups() == {"0": {"SO"}, "7": {"SO"}}


async def test_a_living_vm_whose_object_a_person_deleted_gets_it_back_before_a_newcomer(workers: Workers) -> None:
    world = await commissioned(2, workers)
    before = {item.address: (item.name, item.groups) for item in world.check_point.published.values()}
    world.add(twin(7, created_at=m.ago(days=900)))
    async with Process(world, workers, term=4).running():
        await until(lambda: reason(world, 7) == Reason.ADDRESS_SHARED)
        del world.check_point.published[f"az-{world.host(vm(1)).name}"]
        world.check_point.pending = dict(world.check_point.published)
        world.check_point.revisions.append(Revision("by-hand", m.ahead(hours=1), by="alice"))
        await until(lambda: len(world.check_point.published) == 2)
        await until(lambda: world.standings() == {"commissioned": 2, "blocked": 1})
    assert {item.address: (item.name, item.groups) for item in world.check_point.published.values()} == before


async def test_a_missing_vm_that_comes_back_has_kept_everything(workers: Workers) -> None:
    world = await commissioned(2, workers)
    before = dict(world.check_point.published)
    async with Process(world, workers, term=4).running():
        world.delete(vm(1))
        world.add(twin(7))
        await until(lambda: len(world.hosts.stored) == 3)
        await until(lambda: reason(world, 7) == Reason.ADDRESS_HELD)
        world.add(vm(1))
        await until(lambda: reason(world, 7) == Reason.ADDRESS_SHARED)
        await until(lambda: world.standings() == {"commissioned": 2, "blocked": 1})
    assert world.check_point.published == before


# who is decided again ---------------------------------------------------------------------------------------------

NEWCOMER = "ffffffff-0000-4000-8000-000000000001"


@pytest.fixture
def table() -> HostTable:
    """Two hosts with one address; the first has its object."""
    made = HostTable()
    made.upsert(m.host())
    second = msgspec.structs.replace(m.host().spec, vm_id=NEWCOMER)
    made.upsert(msgspec.structs.replace(m.host(uid="u2"), name="second", spec=second))
    made.keep_only(frozenset({m.NAME, "second"}), began=0.0)
    made.saw_azure([m.vm(), replace(m.vm(), vm_id=NEWCOMER)])
    made.saw_check_point(CheckPointSnapshot.of(m.OWNER, (m.host_object(m.OBJECT, m.IP, "SO"),), (), (), m.PUBLISHED))
    made.dirty.clear()
    return made


def presence(table: HostTable) -> Presence:
    ((rival,),) = table.facts(NEWCOMER).rivals.values()
    assert rival.vm_id == m.VM_ID
    return rival.presence


def test_whatever_concerns_the_first_one_makes_the_newcomer_be_decided_again(table: HostTable) -> None:
    newcomer = replace(m.vm(), vm_id=NEWCOMER)
    assert presence(table) is Presence.HAS_IT
    for vms, seen in (
        ([m.vm("10.9.9.9"), newcomer], Presence.WITHOUT_IT),
        ([newcomer], Presence.MISSING),
        ([m.vm(), newcomer], Presence.HAS_IT),
        ([newcomer], Presence.MISSING),
    ):
        table.saw_azure(vms)
        assert NEWCOMER in table.dirty
        assert presence(table) is seen
        table.dirty.clear()
    retiring = RetirementRecord(proof=GoneProof.NOT_FOUND, began_at=m.NOW)
    table.upsert(m.host(HostStatus(retirement=retiring), resource_version="11"))
    assert NEWCOMER in table.dirty
    assert presence(table) is Presence.MISSING, "a record alone, which many may write, frees no address"
    stone = Tombstone(vm_id=m.VM_ID, host=m.NAME, vm="Host24", at=m.NOW, proof="ResourceNotFound")
    table.latest.tombstones = {m.VM_ID: stone}
    assert presence(table) is Presence.GONE


def test_a_poll_without_news_touches_nobody(table: HostTable) -> None:
    table.saw_azure([m.vm(), replace(m.vm(), vm_id=NEWCOMER)])
    assert table.dirty == set()


def test_a_vm_whose_address_nobody_shares_has_no_rivals(table: HostTable) -> None:
    table.saw_azure([m.vm(), replace(m.vm("10.9.9.9"), vm_id=NEWCOMER)])
    assert table.facts(NEWCOMER).rivals == {}
    assert table.facts(m.VM_ID).rivals == {}
