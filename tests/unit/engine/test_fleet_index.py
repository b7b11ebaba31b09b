"""What a reading or a publish touches: those for whom it says something new, and nobody else (no work per host)."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from tests.unit.engine.test_reconciler import COMMISSIONED

from lab.memory import samples as m
from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.engine.state.host_table import HostTable
from microseg.engine.state.snapshots import CheckPointSnapshot
from microseg.model.checkpoint_facts import EnforcementPoint, HostObject, Revision
from microseg.planning.decide import Decision

LATER = Revision("rev-later", m.NOW + timedelta(days=1))
EARLIER = Revision("rev-earlier", m.NOW - timedelta(days=900))


def seen(
    last: Revision | None = m.PUBLISHED,
    installed: Revision | None = m.PUBLISHED,
    *objects: HostObject,
    policy: str = "P",
) -> CheckPointSnapshot:
    gateway = EnforcementPoint("gw1", policy, installed, m.NOW)
    return CheckPointSnapshot.of(m.OWNER, objects, (), (gateway,), last)


OWN = m.host_object(m.OBJECT, m.IP, "SO")
BEFORE = seen(m.PUBLISHED, m.PUBLISHED, OWN)


@pytest.mark.parametrize(
    ("after", "everybody"),
    [
        (seen(m.PUBLISHED, m.PUBLISHED, OWN), False),
        (seen(LATER, m.PUBLISHED, OWN), False),
        (seen(LATER, LATER, OWN), False),
        (seen(EARLIER, m.PUBLISHED, OWN), True),
        (seen(m.PUBLISHED, EARLIER, OWN), True),
        (seen(None, m.PUBLISHED, OWN), True),
        (seen(m.PUBLISHED, None, OWN), True),
        (seen(m.PUBLISHED, m.PUBLISHED, OWN, policy="Q"), True),
        (CheckPointSnapshot.of(m.OWNER, (OWN,), (), (), m.PUBLISHED), True),
        (BEFORE.with_gateways(BEFORE.gateways.values(), LATER), False),
        (BEFORE.with_gateways((), LATER), True),
    ],
)
def test_a_revision_that_moved_on_leaves_what_is_settled_settled_and_one_taken_back_does_not(
    after: CheckPointSnapshot, *, everybody: bool
) -> None:
    assert after.changed(BEFORE) == (None if everybody else set())


def test_an_object_of_somebody_else_concerns_whoever_has_its_address() -> None:
    table = HostTable()
    table.upsert(m.host())
    table.keep_only(frozenset({m.NAME}), began=0.0)
    table.saw_azure([m.vm()])
    foreign = m.host_object("theirs", "10.99.0.9", owner="")
    for objects, concerned in (
        ((OWN,), False),
        ((OWN, foreign), True),
        ((OWN, m.host_object("theirs", m.IP, owner="")), True),
    ):
        table.saw_check_point(seen(m.PUBLISHED, m.PUBLISHED, OWN))
        table.dirty.clear()
        table.saw_check_point(seen(m.PUBLISHED, m.PUBLISHED, *objects))
        assert (m.VM_ID in table.dirty) is concerned


async def test_in_a_settled_fleet_a_newcomer_has_nobody_else_decided_again(workers: Workers) -> None:
    world = World(*(vm(number) for number in range(12)))
    process = Process(world, workers)
    async with process.running():
        await until(lambda: world.all_are(COMMISSIONED))
        await until(lambda: not process.table.dirty)
        decided: set[str] = set()
        plain = process.table.decided

        def noted(vm_id: str, decision: Decision) -> bool:
            decided.add(vm_id)
            return plain(vm_id, decision)

        process.table.decided = noted  # type: ignore[method-assign]
        world.add(vm(77))
        await until(lambda: len(world.hosts.stored) == 13 and world.all_are(COMMISSIONED))
    assert decided == {vm(77).vm_id}


def test_our_own_write_that_the_watch_shows_first_is_no_news() -> None:
    table = HostTable()
    table.upsert(m.host())
    status = msgspec.structs.replace(m.host().status, stage="Pairing")
    table.sending(m.VM_ID, status)
    table.dirty.clear()
    table.upsert(msgspec.structs.replace(m.host(), status=status, resource_version="11"))
    assert table.dirty == set()
    assert table.hosts[m.VM_ID].record.status == status
    table.upsert(msgspec.structs.replace(m.host(), status=status, annotations={"a": "b"}, resource_version="12"))
    assert table.dirty == {m.VM_ID}, "somebody else's write is news"
