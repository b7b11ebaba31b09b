"""One Estate in this process: what begins a keeper anew, what ends it, and what an unusable estate says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest
from tests.unit.estate import fakes
from tests.unit.estate.world import until
from tests.unit.stages import makers as m

from microseg.estate import tenure as module
from microseg.estate.keeper import Keeper
from microseg.estate.lease import Elector, HeldTerm
from microseg.estate.ports import LeaseLost
from microseg.estate.register import Register
from microseg.estate.tenure import Running, Tenure, Unusable
from microseg.estate.workers import Workers
from microseg.kube.errors import Unavailable
from microseg.kube.secrets import ConfigMapData
from microseg.model.condition import ConditionStatus, ConditionType, Reason, find
from microseg.model.estate import Estate


class FakeKeeper:
    """Runs until cancelled, or until a test makes it end."""

    def __init__(self, estate: Estate) -> None:
        self.estate, self.told, self.looks = estate, list[dict[str, str]](), 0
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._until_ended())

    async def _until_ended(self) -> None:
        await self.end

    def annotated(self, annotations: dict[str, str]) -> None:
        self.told.append(annotations)

    def mapping_changed(self) -> None:
        self.looks += 1

    def beats(self) -> dict[str, float]:
        return {"decide": 1.0}


class FakeElector:
    """Gives the Lease whenever it is asked."""

    def __init__(self, journal: fakes.Journal) -> None:
        self.journal = journal

    async def acquire(self) -> fakes.FakeTerm:
        self.journal.lines.append(("lease.acquire", ()))
        return fakes.FakeTerm()

    async def hold(self, _: object) -> None:
        await asyncio.get_running_loop().create_future()

    async def release(self, _: object) -> None:
        self.journal.lines.append(("lease.release", ()))


class FakeRecords(fakes.Scripted):
    """Counts deletions of all records."""

    system = "records"

    def delete_all(self, estate_name: str) -> int:
        self.asked("delete_all", estate_name)
        return 3


@dataclass
class Desk:
    """A tenure and what it was built from."""

    workers: Workers
    estate: Estate = field(default_factory=fakes.estate)
    built: list[FakeKeeper] = field(default_factory=list)
    problem: Unusable | None = None
    digest: str = "1"

    def __post_init__(self) -> None:
        self.journal = fakes.Journal()
        self.estates = fakes.FakeEstates(self.estate, self.journal)
        self.records = FakeRecords(self.journal)
        self.tenure = self.make(self.estate)

    def make(self, estate: Estate) -> Tenure:
        return Tenure(
            estate, cast("Elector", FakeElector(self.journal)), self.estates, self.records, self.workers,
            self.build, self.inputs, lambda: m.NOW,
        )  # fmt: skip

    async def build(self, estate: Estate, _: HeldTerm) -> Running:
        if self.problem is not None:
            raise self.problem
        keeper = FakeKeeper(estate)
        self.built.append(keeper)
        close = lambda: self.journal.lines.append(("closed", ()))  # noqa: E731
        return Running(cast("Keeper", keeper), close, self.digest)

    async def inputs(self, _: Estate) -> str:
        return self.digest

    def change(self, **spec: Any) -> None:
        """A person changes the spec."""
        stored = self.estates.stored
        self.estates.stored = msgspec.structs.replace(stored, spec=msgspec.structs.replace(stored.spec, **spec))
        self.tenure.saw(self.estates.stored, self.tenure.shared_with)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.tenure.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def stalled(self) -> tuple[str, str]:
        made = find(self.estates.stored.status.conditions, ConditionType.STALLED)
        return (made.reason, made.message) if made and made.status == ConditionStatus.TRUE else ("", "")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_INPUTS_EVERY", 0.02)
    monkeypatch.setattr(module, "_AGAIN", 0.05)
    monkeypatch.setattr(module, "_FORGET_PAUSE", 0.0)


@pytest.fixture
def desk(workers: Workers) -> Desk:
    return Desk(workers)


async def test_annotations_reach_the_running_keeper_and_a_changed_spec_builds_another(desk: Desk) -> None:
    async with desk.running():
        await until(lambda: desk.tenure.running is not None)
        approved = msgspec.structs.replace(desk.estates.stored, annotations={"microseg.dev/approve": "abc:1"})
        desk.tenure.saw(approved, "")
        desk.tenure.saw(approved, "")
        assert desk.built[0].told == [{"microseg.dev/approve": "abc:1"}]
        desk.change(suspend=True)
        await until(lambda: len(desk.built) == 2 and desk.tenure.running is not None)
    assert desk.built[1].estate.spec.suspend
    assert desk.journal.names("closed", "lease.acquire", "lease.release") == [
        "lease.acquire", "closed", "closed", "lease.release",
    ]  # fmt: skip


async def test_a_rotated_secret_builds_the_clients_anew(desk: Desk) -> None:
    async with desk.running():
        await until(lambda: desk.tenure.running is not None)
        desk.digest = "2"
        await until(lambda: len(desk.built) == 2)


async def test_an_unusable_estate_says_why_and_is_tried_again_by_itself(desk: Desk) -> None:
    desk.problem = Unusable(Reason.SECRET_INVALID, "Secret s has no key user, or it is empty.")
    async with desk.running():
        await until(lambda: desk.stalled()[0] == Reason.SECRET_INVALID)
        assert "Secret s has no key user" in desk.stalled()[1]
        desk.problem = None
        await until(lambda: len(desk.built) == 1)


async def test_a_keeper_that_met_a_bug_is_told_and_begun_anew(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    async with desk.running():
        await until(lambda: desk.tenure.running is not None)
        desk.built[0].end.set_exception(ValueError("a bug"))
        await until(lambda: len(desk.built) == 2)
    assert desk.stalled()[0] == Reason.IN_PROGRESS
    assert "keeper failed" in caplog.text


async def test_a_lost_lease_closes_everything_and_waits_for_it_anew(desk: Desk) -> None:
    async with desk.running():
        await until(lambda: desk.tenure.running is not None)
        desk.built[0].end.set_exception(LeaseLost("taken"))
        await until(lambda: len(desk.built) == 2)
        assert desk.stalled() == ("", ""), "nothing is written without the Lease"
        assert desk.journal.names("closed", "lease.acquire", "lease.release") == [
            "lease.acquire", "closed", "lease.release", "lease.acquire",
        ]  # fmt: skip


@pytest.mark.parametrize(("choice", "deleted"), [("Keep", 0), ("Delete", 1), ("something else", 0)])
async def test_a_deleted_estate_lets_go_and_its_records_go_only_by_its_wish(
    workers: Workers, choice: str, deleted: int
) -> None:
    desk = Desk(workers)
    desk.change(records_on_deletion=choice)
    async with desk.running() as task:
        await until(lambda: desk.tenure.running is not None)
        desk.tenure.gone()
        await asyncio.wait_for(task, 10)
    assert len(desk.journal.of("records.delete_all")) == deleted
    assert desk.journal.names("closed", "lease.release") == ["closed", "lease.release"]


async def test_a_deletion_ends_even_where_the_records_can_never_be_deleted(desk: Desk) -> None:
    desk.change(records_on_deletion="Delete")
    desk.records.fail("delete_all", *[Unavailable("away")] * 100)
    async with desk.running() as task:
        await until(lambda: desk.tenure.running is not None)
        desk.tenure.gone()
        await asyncio.wait_for(task, 10)


# all of them ------------------------------------------------------------------------------------------------------


async def test_of_two_estates_with_one_endpoint_the_elder_is_kept_and_the_younger_says_so(desk: Desk) -> None:
    made: dict[str, Desk] = {}

    def tenure(estate: Estate) -> Tenure:
        made[estate.name] = Desk(desk.workers, estate)
        return made[estate.name].tenure

    register = Register(tenure)
    younger, elder = fakes.estate(name="a-younger"), fakes.estate(name="elder")
    register.saw_estate(younger, "2026-02-02T00:00:00Z")
    await until(lambda: made["a-younger"].tenure.running is not None)
    register.saw_estate(elder, "2026-01-01T00:00:00Z")
    await until(lambda: made["a-younger"].stalled()[0] == Reason.ENDPOINT_SHARED)
    await until(lambda: made["elder"].tenure.running is not None)
    assert made["a-younger"].tenure.running is None
    assert "plant/elder" in made["a-younger"].stalled()[1]
    register.estate_gone(elder.key)
    await until(lambda: made["a-younger"].tenure.running is not None)
    await register.stop()


async def test_a_document_wakes_the_keepers_of_its_own_namespace(desk: Desk) -> None:
    register = Register(lambda _: desk.tenure)
    register.saw_estate(desk.estate, "2026")
    await until(lambda: desk.tenure.running is not None)
    document = ConfigMapData("map", "plant", "u", "1", {}, {})
    register.saw_mapping(document)
    register.saw_mapping(ConfigMapData("map", "elsewhere", "u", "1", {}, {}))
    assert (desk.built[0].looks, register.mappings("plant")) == (1, [document])
    register.mapping_gone("plant", "map")
    register.mapping_gone("plant", "map")
    assert (desk.built[0].looks, register.mappings("plant")) == (2, [])
    assert list(register.beats()) == ["respiro/decide"]
    await register.stop()
    assert register.beats() == {}


async def test_an_estate_that_is_made_again_waits_until_the_one_before_was_let_go(desk: Desk) -> None:
    register = Register(desk.make)
    register.saw_estate(desk.estate, "2026")
    await until(lambda: len(desk.built) == 1)
    register.estate_gone(desk.estate.key)
    register.saw_estate(desk.estate, "2027")
    await until(lambda: len(desk.built) == 2)
    assert desk.journal.names("closed", "lease.acquire", "lease.release") == [
        "lease.acquire", "closed", "lease.release", "lease.acquire",
    ]  # fmt: skip
    await register.stop()
