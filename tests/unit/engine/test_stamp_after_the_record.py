"""What a script named is in the record before the PCE hears of it: a stamp that is shown first would hide whose it is.

An API server that is slow, or that a rush of writes keeps busy, takes the end of an attempt late, and the PCE shows the
stamp at once. Nobody reads the script's result any more then, and the VEN counts as somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.engine.test_reconciler import COMMISSIONED, rounds

from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.kube.errors import KubeError
from microseg.model.host import HostStatus, ManagedHost


@pytest.fixture
def world() -> World:
    return World(vm(1))


class Busy:
    """An API server that does not take the end of an attempt, until it is `over`."""

    def __init__(self, plain: Callable[[ManagedHost, HostStatus], ManagedHost]) -> None:
        self._plain, self.over, self.refused = plain, False, 0

    def patch_status(self, host: ManagedHost, status: HostStatus) -> ManagedHost:
        ended = status.agent is not None and status.agent.workload != ""
        if ended and not self.over:
            self.refused += 1
            raise KubeError("the API server is busy")
        return self._plain(host, status)


async def test_no_workload_is_stamped_before_the_record_says_that_our_script_paired_it(
    world: World, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Busy(world.hosts.patch_status)
    monkeypatch.setattr(world.hosts, "patch_status", busy.patch_status)
    process = Process(world, workers)
    async with process.running():
        await until(lambda: busy.refused > 1)
        await rounds(world, 4)
        stamped = world.count("illumio.update_workloads")
        busy.over = True
        await until(lambda: world.all_are(COMMISSIONED))
    illumio = world.host(vm(1)).status.illumio
    assert stamped == 0
    assert illumio is not None
    assert illumio.paired_by_us
