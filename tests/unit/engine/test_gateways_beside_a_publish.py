"""An install that ends while others' changes are published is seen then, and not after the publish."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.unit.engine.test_reconciler import rounds

from lab.memory import samples as m
from lab.memory.checkpoint import FakeCheckPoint
from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.engine.state.accepted_effects import ENOUGH
from microseg.engine.state.host_table import HostTable
from microseg.engine.state.snapshots import CheckPointSnapshot
from microseg.gateways.ports import Busy, GatewayError, Reading, Refused, Throttled, Unreachable, Wait
from microseg.model.azure_facts import Vm
from microseg.model.checkpoint_facts import EnforcementPoint
from microseg.model.condition import ConditionStatus, ConditionType, find
from microseg.model.plan import PutObject

Look = Callable[[], tuple[EnforcementPoint, ...] | None]
FIRST, SECOND = vm(1), vm(2)
_PATIENCE = 30.0


class SlowGateways(FakeCheckPoint):
    """`slowly` happens once, between what the gateways show to a reading and its answer, which it may replace."""

    slowly: Look | None = None

    def gateways(self) -> Reading[tuple[EnforcementPoint, ...]]:
        yield Wait()
        self.asked("gateways")
        shown, (happens, self.slowly) = tuple(self.shown), (self.slowly, None)
        instead = happens() if happens is not None else None
        return shown if instead is None else instead


class Scene:
    """The first VM's install ends while the publish for the second one is under way, which ends when it is let go."""

    def __init__(self, look: Look) -> None:
        """`look` happens in the reading of the gateways beside that publish."""
        self.world = World(FIRST)
        self.check_point = SlowGateways(self.world.journal)
        self.world.check_point = self.check_point
        self.publishing, self.free = threading.Event(), threading.Event()
        self.check_point.meanwhile("install", self._install)
        self.check_point.meanwhile("publish", lambda: None)
        self.check_point.meanwhile("publish", lambda: self._publish(look))

    def _install(self) -> None:
        self.world.add(SECOND)
        assert self.publishing.wait(_PATIENCE)

    def _publish(self, look: Look) -> None:
        self.check_point.slowly = look
        self.publishing.set()
        assert self.free.wait(_PATIENCE)

    def installed(self, made: Vm) -> list[bool]:
        """Whether the VM's policy was said to be installed, each time that something was said of it."""
        name = self.world.host(made).name
        told = [status for of, status, *_ in self.world.journal.of("hosts.patch_status") if of == name]
        found = [find(status.conditions, ConditionType.POLICY_INSTALLED) for status in told]
        return [condition.status == ConditionStatus.TRUE for condition in found if condition is not None]


async def test_an_install_is_seen_while_a_publish_goes_on(workers: Workers) -> None:
    scene = Scene(lambda: None)
    async with Process(scene.world, workers).running():
        await until(scene.publishing.is_set)
        await until(lambda: True in scene.installed(FIRST))
        scene.free.set()
        await until(lambda: scene.world.all_are("Commissioned"))
    assert (scene.world.count("checkpoint.publish"), scene.world.count("checkpoint.install")) == (2, 2)


@pytest.mark.parametrize("error", [Unreachable("away"), Throttled("too many", 1.0), Refused("no right to list")])
async def test_gateways_that_cannot_be_read_at_once_are_read_after_the_publish(
    workers: Workers, error: GatewayError
) -> None:
    asked = threading.Event()

    def refuse() -> None:
        asked.set()
        raise error

    scene = Scene(refuse)
    async with Process(scene.world, workers).running():
        await until(asked.is_set)
        assert True not in scene.installed(FIRST)
        scene.free.set()
        await until(lambda: scene.world.all_are("Commissioned"))


async def test_a_pause_that_is_asked_for_beside_a_publish_is_kept_after_it(workers: Workers) -> None:
    """What was refused waits that long (S13)."""
    refused = threading.Event()

    def refuse() -> None:
        refused.set()
        raise Throttled("too many", 600.0)

    scene = Scene(refuse)
    async with Process(scene.world, workers).running():
        await until(refused.is_set)
        await asyncio.sleep(0.2)  # so that the lane has heard it
        asked = scene.world.count("checkpoint.gateways")
        scene.free.set()
        await until(lambda: len(scene.check_point.published) == 2)
        await asyncio.sleep(0.5)  # a whole reading would follow the publish within that time
        assert scene.world.count("checkpoint.gateways") == asked


@pytest.mark.parametrize("published", [True, False])
async def test_what_the_gateways_showed_while_a_publish_went_on_takes_nothing_back_later(
    workers: Workers, *, published: bool
) -> None:
    """Not even where that publish failed, so that no revision is newer."""
    later = threading.Event()

    def late() -> tuple[EnforcementPoint, ...]:
        if not published:
            scene.check_point.fail("publish", Busy("another publish is in progress"))
        scene.free.set()
        assert later.wait(_PATIENCE)
        return (EnforcementPoint("gw1", "Standard", None, None),)

    scene = Scene(late)
    async with Process(scene.world, workers).running():
        await until(scene.free.is_set)
        await until(lambda: True in scene.installed(FIRST))
        later.set()
        await until(lambda: scene.world.all_are("Commissioned"))
        await rounds(scene.world)
    for made in (FIRST, SECOND):
        told = scene.installed(made)
        assert all(told[told.index(True) :])


async def test_gateways_tell_nothing_where_somebody_else_published_beside_us(workers: Workers) -> None:
    """Their install may be of a revision without the host's address, and the objects are as they were before (S8)."""
    seen = threading.Event()

    def look() -> None:
        scene.check_point.meanwhile("last_published", revise)

    def revise() -> None:
        scene.check_point.revisions.append(replace(scene.check_point.revisions[-1], uid="by-hand"))
        seen.set()

    scene = Scene(look)
    async with Process(scene.world, workers).running():
        await until(seen.is_set)
        await asyncio.sleep(0.2)  # what would be told wrongly is told in that time
        assert True not in scene.installed(FIRST)
        scene.free.set()
        await until(lambda: scene.world.all_are("Commissioned"))


def test_gateways_alone_are_no_reading_of_the_objects() -> None:
    """What was published and is not listed is counted by readings that could have shown it (L6)."""
    table, snapshot = HostTable(), CheckPointSnapshot.of(m.OWNER, (), (), (), m.PUBLISHED)
    table.upsert(m.host())
    table.saw_check_point(snapshot)
    put = PutObject(m.VM_ID, m.OBJECT, "", "10.1.2.3")
    table.effect_answered(put)
    for _ in range(ENOUGH):
        table.saw_check_point(snapshot, whole=False)
    assert not any(each.holds(put, m.NOW) for each in table.effects.untaken(m.VM_ID))
    for _ in range(ENOUGH):
        table.saw_check_point(snapshot)
    assert any(each.holds(put, m.NOW) for each in table.effects.untaken(m.VM_ID))
