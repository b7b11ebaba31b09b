"""An Estate that is deleted: what becomes of its keeper, its records, and of one that is made again at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
import pytest
from tests.unit.estate import fakes
from tests.unit.stages import makers as m

from microseg.estate.keeper import Keeper
from microseg.estate.lease import Elector, HeldTerm, Pace
from microseg.estate.register import Register
from microseg.estate.tenure import Running, Tenure
from microseg.estate.workers import Workers
from microseg.kube.errors import Forbidden
from microseg.model.estate import Estate


class FakeKeeper:
    """Runs until it is cancelled, and takes a moment to close its session."""

    def __init__(self, house: House) -> None:
        self._house = house

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
        self.workers, self.leases = workers, fakes.FakeLeases()
        self.told: list[str] = []
        self.fails = 0
        self.while_building: Callable[[], object] = lambda: None
        self.now = self.most = 0
        self.register = Register(self.tenure)

    def tenure(self, estate: Estate) -> Tenure:
        elector = Elector(
            self.leases, self.workers, namespace="plant", name="microseg-respiro", identity="me",
            pace=Pace(5.0, 0.2, 0.01, 0.5),
        )  # fmt: skip
        return Tenure(
            estate, elector, fakes.FakeEstates(estate), self, self.workers, self.build, self.digest, lambda: m.NOW
        )

    def delete_all(self, estate_name: str) -> int:
        if self.fails:
            self.fails -= 1
            raise Forbidden("no")
        self.told.append(f"records of {estate_name} deleted")
        return 1

    async def build(self, _: Estate, __: HeldTerm) -> Running:
        self.while_building()
        self.told.append("built")
        return Running(cast("Keeper", FakeKeeper(self)), lambda: None, "same")

    async def digest(self, _: Estate) -> str:
        return "same"

    async def until(self, *told: str) -> None:
        async with asyncio.timeout(30):
            while self.told[-len(told) :] != list(told):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.005)


def estate(records: str = "Keep", **changes: Any) -> Estate:
    made = fakes.estate(**changes)
    return msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, records_on_deletion=records))


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers("test", 4)
    yield pool
    pool.close()


@pytest.fixture
def house(workers: Workers) -> House:
    return House(workers)


async def gone(house: House, made: Estate) -> None:
    house.register.saw_estate(made, "2026")
    await house.until("built")
    house.register.estate_gone(made.key)
    await asyncio.wait(list(house.register._tasks.values()), timeout=10)


@pytest.mark.parametrize(
    ("word", "told"),
    [("Keep", []), ("Delete", ["records of respiro deleted"]), ("Burn", [])],
    ids=["kept", "deleted", "an unknown word keeps"],
)
async def test_the_session_is_closed_first_and_the_records_go_only_by_choice(
    house: House, word: str, told: list[str]
) -> None:
    await gone(house, estate(word))
    assert house.told == ["built", "closed", *told]
    assert house.leases.stored is not None
    assert house.leases.stored.holder == ""


async def test_rights_that_went_with_the_namespace_do_not_keep_it(house: House, monkeypatch: Any) -> None:
    monkeypatch.setattr("microseg.estate.tenure._FORGET_PAUSE", 0.001)
    house.fails = 100
    await gone(house, estate("Delete"))
    assert house.told == ["built", "closed"]


async def test_an_estate_that_somebody_else_still_holds_is_not_kept(house: House) -> None:
    made = estate()
    house.register.saw_estate(made, "2026")
    await house.until("built")
    house.register.saw_estate(msgspec.structs.replace(made, deleting=True), "2026")
    await house.until("built", "closed")
    await house.register.stop()
    assert house.told == ["built", "closed"]


async def test_an_annotation_that_comes_while_the_estate_is_being_built_is_not_lost(house: House) -> None:
    made = estate()
    annotated = msgspec.structs.replace(made, annotations={"microseg.dev/approve": "a1:2"})
    house.while_building = lambda: house.register.saw_estate(annotated, "2026")
    house.register.saw_estate(made, "2026")
    await house.until("built", "annotated {'microseg.dev/approve': 'a1:2'}")
    await house.register.stop()


async def test_one_that_is_made_again_waits_until_the_one_before_is_let_go(house: House) -> None:
    made = estate()
    house.register.saw_estate(made, "2026")
    await house.until("built")
    house.register.estate_gone(made.key)
    house.register.saw_estate(made, "2027")
    await house.until("built", "closed", "built")
    assert house.most == 1
    await house.register.stop()
