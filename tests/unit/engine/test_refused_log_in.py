"""A refused log-in at Check Point stands in the Estate's status, for the next process, until another one is good."""

from __future__ import annotations

import pytest
from tests.unit.engine.test_reconciler import COMMISSIONED, rounds

from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.gateways.ports import Refused
from microseg.kube.errors import Unavailable
from microseg.model.condition import ConditionType, Reason
from microseg.model.estate_status import RefusedLogin


def refused() -> Refused:
    """What the gateway raises for a log-in that is not tried again."""
    error = Refused("Check Point refused this administrator. Correct the Secret")
    error.login = "a1b2"
    return error


def remembered(world: World) -> RefusedLogin | None:
    state = world.estates.stored.status.check_point
    return state.refused_login if state is not None else None


def shown(world: World) -> tuple[str, str]:
    found = world.condition(ConditionType.CHECK_POINT_REACHABLE)
    return (found.reason, found.message) if found is not None else ("", "")


@pytest.mark.parametrize("away", [0, 2])
async def test_a_refused_log_in_is_remembered_once_and_forgotten_when_one_is_good(workers: Workers, away: int) -> None:
    world = World(vm(1))
    world.check_point.fail("open", *[refused()] * 100_000)
    world.check_point.meanwhile("open", lambda: world.estates.fail("patch_status", *[Unavailable("away")] * away))
    async with Process(world, workers).running():
        await until(lambda: remembered(world) is not None)
        found = remembered(world)
        assert found is not None
        assert (found.login, found.at is not None, str(refused()) in found.message) == ("a1b2", True, True)
        told = f"{refused()}. What was confirmed stays as it is."
        await until(lambda: shown(world) == (Reason.REFUSED, told))
        tries = world.count("checkpoint.open")
        await until(lambda: world.count("checkpoint.open") > tries + 2)
        assert remembered(world) == found
        world.check_point._fails.clear()
        await until(lambda: world.all_are(COMMISSIONED) and remembered(world) is None)


async def test_another_refusal_is_no_refused_log_in(workers: Workers) -> None:
    world = World(vm(1))
    world.check_point.fail("hosts", *[Refused("not allowed to list")] * 3)
    async with Process(world, workers).running():
        await until(lambda: world.all_are(COMMISSIONED))
        await rounds(world, 1)
    assert all(
        status.check_point is None or status.check_point.refused_login is None
        for (status,) in world.journal.of("estates.patch_status")
    )
