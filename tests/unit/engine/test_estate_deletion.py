"""An Estate that is deleted: what becomes of its keeper, its records, and of one that is made again at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest

from lab.memory import samples as m
from lab.memory.cluster import FakeEstates, FakeEvents, FakeLeases
from lab.memory.estate import estate
from microseg.engine.ground.workers import Workers
from microseg.engine.leadership.elector import Elector, LeasePace, LeaseTerm
from microseg.engine.leadership.estate_runner import EstateRunner, RunnerPauses, RunnerPorts, RunningReconciler
from microseg.engine.leadership.registry import EstateRegistry
from microseg.engine.reconciler import EstateReconciler
from microseg.kube.errors import Forbidden
from microseg.model.estate import Estate


class FakeReconciler:
    """Runs until it is cancelled, and takes a moment to close its session."""

    def __init__(self, application: House) -> None:
        self._house = application

    def beats(self) -> dict[str, float]:
        return {}

    def annotated(self, annotations: dict[str, str]) -> None:
        self._house.told.append(f"annotated {annotations}")

    async def run(self) -> None:
        self._house.now += 1
        self._house.most = max(self._house.most, self._house.now)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.02)
            self._house.now -= 1
            self._house.told.append("closed")


class House:
    """Tenures over one Lease and one estate."""

    def __init__(self, workers: Workers) -> None:
        self.workers, self.leases = workers, FakeLeases()
        self.told: list[str] = []
        self.fails = 0
        self.while_building: Callable[[], object] = lambda: None
        self.now = self.most = 0
        self.registry = EstateRegistry(self.runner)

    def runner(self, estate: Estate) -> EstateRunner:
        elector = Elector(
            self.leases, self.workers, namespace="plant", name="microseg-respiro", identity="me",
            pace=LeasePace(5.0, 0.2, 0.01, 0.5),
        )  # fmt: skip
        ports = RunnerPorts(
            FakeEstates(estate), FakeEvents(), self, self.workers, self.build, self.digest, lambda: m.NOW
        )
        return EstateRunner(estate, elector, ports, RunnerPauses(forget=0.001))

    def delete_all(self, estate_name: str) -> int:
        if self.fails:
            self.fails -= 1
            raise Forbidden("no")
        self.told.append(f"records of {estate_name} deleted")
        return 1

    async def build(self, _: Estate, __: LeaseTerm) -> RunningReconciler:
        self.while_building()
        self.told.append("built")
        return RunningReconciler(cast("EstateReconciler", FakeReconciler(self)), lambda: None, "same", 0)

    async def digest(self, _: Estate) -> str:
        return "same"

    async def until(self, *told: str) -> None:
        async with asyncio.timeout(30):
            while self.told[-len(told) :] != list(told):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.005)


def deleted_estate(records: str = "Keep", **changes: Any) -> Estate:
    made = estate(**changes)
    return msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, records_on_deletion=records))


@pytest.fixture
def application(workers: Workers) -> House:
    return House(workers)


async def gone(application: House, made: Estate) -> None:
    application.registry.saw_estate(made, "2026")
    await application.until("built")
    application.registry.estate_gone(made.key)
    await asyncio.wait(list(application.registry._tasks.values()), timeout=10)


@pytest.mark.parametrize(
    ("word", "told"),
    [("Keep", []), ("Delete", ["records of respiro deleted"]), ("Burn", [])],
    ids=["kept", "deleted", "an unknown word keeps"],
)
async def test_the_session_is_closed_first_and_the_records_go_only_by_choice(
    application: House, word: str, told: list[str]
) -> None:
    await gone(application, deleted_estate(word))
    assert application.told == ["built", "closed", *told]
    assert application.leases.stored is not None
    assert application.leases.stored.holder == ""


async def test_rights_that_went_with_the_namespace_do_not_keep_it(application: House) -> None:
    application.fails = 100
    await gone(application, deleted_estate("Delete"))
    assert application.told == ["built", "closed"]


async def test_an_estate_that_somebody_else_still_holds_is_not_kept(application: House) -> None:
    made = deleted_estate()
    application.registry.saw_estate(made, "2026")
    await application.until("built")
    application.registry.saw_estate(msgspec.structs.replace(made, deleting=True), "2026")
    await application.until("built", "closed")
    await application.registry.stop()
    assert application.told == ["built", "closed"]


async def test_an_annotation_that_comes_while_the_estate_is_being_built_is_not_lost(application: House) -> None:
    made = deleted_estate()
    annotated = msgspec.structs.replace(made, annotations={"microseg.dev/approve": "a1:2"})
    application.while_building = lambda: application.registry.saw_estate(annotated, "2026")
    application.registry.saw_estate(made, "2026")
    await application.until("built", "annotated {'microseg.dev/approve': 'a1:2'}")
    await application.registry.stop()


async def test_one_that_is_made_again_waits_until_the_one_before_is_let_go(application: House) -> None:
    made = deleted_estate()
    application.registry.saw_estate(made, "2026")
    await application.until("built")
    application.registry.estate_gone(made.key)
    application.registry.saw_estate(made, "2027")
    await application.until("built", "closed", "built")
    assert application.most == 1
    await application.registry.stop()
