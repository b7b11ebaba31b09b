"""An install that ends while others' changes are published is seen then, and not after the publish."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.unit.engine.test_reconciler import rounds

from lab.memory.checkpoint import FakeCheckPoint
from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.gateways.ports import Reading, Unreachable, Wait
from microseg.model.azure_facts import Vm
from microseg.model.checkpoint_facts import EnforcementPoint
from microseg.model.condition import ConditionStatus, ConditionType, find

FIRST, SECOND = vm(1), vm(2)
_PATIENCE = 30.0


class SlowGateways(FakeCheckPoint):
    """`slowly` happens once, between what the gateways show to a reading and its answer."""

    slowly: Callable[[], object] | None = None

    def gateways(self) -> Reading[tuple[EnforcementPoint, ...]]:
        yield Wait()
        self.asked("gateways")
        shown, (happens, self.slowly) = tuple(self.shown), (self.slowly, None)
        if happens is not None:
            happens()
        return shown


class Scene:
    """The first VM's install ends while the publish for the second one is under way, which ends when it is let go."""

    def __init__(self, look: Callable[[], object]) -> None:
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

    def _publish(self, look: Callable[[], object]) -> None:
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
        await until(lambda: scene.installed(FIRST)[-1])
        assert not scene.free.is_set()
        scene.free.set()
        await until(lambda: scene.world.all_are("Commissioned"))
    assert (scene.world.count("checkpoint.publish"), scene.world.count("checkpoint.install")) == (2, 2)


async def test_gateways_that_cannot_be_read_beside_a_publish_are_read_after_it(workers: Workers) -> None:
    asked = threading.Event()

    def away() -> None:
        asked.set()
        raise Unreachable("away")

    scene = Scene(away)
    async with Process(scene.world, workers).running():
        await until(asked.is_set)
        assert True not in scene.installed(FIRST)
        scene.free.set()
        await until(lambda: scene.world.all_are("Commissioned"))


async def test_what_the_gateways_showed_while_a_publish_went_on_takes_nothing_back_later(workers: Workers) -> None:
    later = threading.Event()

    def late() -> None:
        scene.free.set()
        assert later.wait(_PATIENCE)

    scene = Scene(late)
    async with Process(scene.world, workers).running():
        await until(lambda: scene.world.all_are("Commissioned"))
        later.set()
        await rounds(scene.world)
    told = scene.installed(SECOND)
    assert all(told[told.index(True) :])
