"""One Estate in this process: what begins a keeper anew, what ends it, and what an unusable estate says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest

from lab.memory import samples as m
from lab.memory.cluster import FakeEstates, FakeEvents
from lab.memory.estate import estate
from lab.memory.scripted import FakeTerm, Journal, Scripted
from lab.memory.world import until
from microseg.engine.ground.ports import LeaseLost, SpecChanged
from microseg.engine.ground.workers import Workers
from microseg.engine.leadership.elector import Elector, LeaseTerm
from microseg.engine.leadership.estate_runner import (
    EstateRunner,
    RunnerPauses,
    RunnerPorts,
    RunningReconciler,
)
from microseg.engine.leadership.registry import EstateRegistry
from microseg.engine.leadership.unusable import EstateUnusable
from microseg.engine.reconciler import EstateReconciler
from microseg.kube.errors import Unavailable
from microseg.kube.secrets import ConfigMapData
from microseg.model.condition import ConditionStatus, ConditionType, Reason, find
from microseg.model.estate import Estate

SHORT = RunnerPauses(credentials=0.02, restart=0.05, forget=0.0)


class FakeReconciler:
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

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    async def acquire(self) -> FakeTerm:
        self.journal.lines.append(("lease.acquire", ()))
        return FakeTerm()

    async def hold(self, _: object, _report: object) -> None:
        await asyncio.get_running_loop().create_future()

    async def release(self, _: object) -> None:
        self.journal.lines.append(("lease.release", ()))


class FakeRecords(Scripted):
    """Counts deletions of all records."""

    system = "records"

    def delete_all(self, estate_name: str) -> int:
        self.asked("delete_all", estate_name)
        return 3


@dataclass
class Desk:
    """A tenure and what it was built from."""

    workers: Workers
    estate: Estate = field(default_factory=estate)
    built: list[FakeReconciler] = field(default_factory=list)
    problem: EstateUnusable | None = None
    digest: str = "1"

    def __post_init__(self) -> None:
        self.journal = Journal()
        self.estates = FakeEstates(self.estate, self.journal)
        self.records, self.events = FakeRecords(self.journal), FakeEvents(self.journal)
        self.runner = self.make(self.estate)

    def make(self, estate: Estate) -> EstateRunner:
        ports = RunnerPorts(
            self.estates, self.events, self.records, self.workers, self.build, self.credentials, lambda: m.NOW
        )
        return EstateRunner(estate, cast("Elector", FakeElector(self.journal)), ports, SHORT)

    async def build(self, estate: Estate, _: LeaseTerm) -> RunningReconciler:
        if self.problem is not None:
            raise self.problem
        reconciler = FakeReconciler(estate)
        self.built.append(reconciler)
        close = lambda: self.journal.lines.append(("closed", ()))  # noqa: E731
        return RunningReconciler(cast("EstateReconciler", reconciler), close, self.digest, estate.generation)

    async def credentials(self, _: Estate) -> str:
        return self.digest

    def change(self, **spec: Any) -> None:
        """A person changes the spec."""
        stored = self.estates.stored
        self.estates.stored = msgspec.structs.replace(stored, spec=msgspec.structs.replace(stored.spec, **spec))
        self.runner.saw(self.estates.stored, self.runner.shared_with)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.runner.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def stalled(self) -> tuple[str, str]:
        made = find(self.estates.stored.status.conditions, ConditionType.STALLED)
        return (made.reason, made.message) if made and made.status == ConditionStatus.TRUE else ("", "")


@pytest.fixture
def desk(workers: Workers) -> Desk:
    return Desk(workers)


async def test_annotations_reach_the_running_keeper_and_a_changed_spec_builds_another(desk: Desk) -> None:
    async with desk.running():
        await until(lambda: desk.runner.running is not None)
        approved = msgspec.structs.replace(desk.estates.stored, annotations={"microseg.dev/approve": "abc:1"})
        desk.runner.saw(approved, "")
        desk.runner.saw(approved, "")
        assert desk.built[0].told == [{"microseg.dev/approve": "abc:1"}]
        desk.change(suspend=True)
        await until(lambda: len(desk.built) == 2 and desk.runner.running is not None)
        desk.change(suspend=False)
        await until(lambda: len(desk.built) == 3 and desk.runner.running is not None)
    assert desk.built[1].estate.spec.suspend
    assert [(reason, warning) for reason, _, warning in desk.events.posted] == [("Suspended", True), ("Resumed", False)]
    assert desk.journal.names("closed", "lease.acquire", "lease.release") == [
        "lease.acquire", "closed", "closed", "closed", "lease.release",
    ]  # fmt: skip


async def test_a_spec_that_no_watch_brings_is_found_by_reading_and_builds_anew(desk: Desk) -> None:
    async with desk.running():
        await until(lambda: desk.runner.running is not None)
        spec = msgspec.structs.replace(desk.estates.stored.spec, suspend=True)
        desk.estates.stored = msgspec.structs.replace(desk.estates.stored, spec=spec, generation=2)
        await until(lambda: len(desk.built) == 2)
    assert desk.built[1].estate.spec.suspend


async def test_a_spec_that_an_answer_of_our_own_write_shows_builds_anew_at_once(desk: Desk) -> None:
    async with desk.running():
        await until(lambda: desk.runner.running is not None)
        desk.built[0].end.set_exception(SpecChanged("suspended meanwhile"))
        await until(lambda: len(desk.built) == 2)
    assert desk.stalled() == ("", "")


async def test_a_process_that_ends_touches_nothing_from_then_on(desk: Desk) -> None:
    registry = EstateRegistry(lambda _: desk.runner)
    registry.saw_estate(desk.estate, "")
    await until(lambda: desk.runner.running is not None)
    term = desk.runner._term
    assert term is not None
    term.check()
    stopping = asyncio.create_task(registry.stop())
    await asyncio.sleep(0)
    with pytest.raises(LeaseLost):
        term.check()
    await stopping
    assert desk.journal.names("closed", "lease.release") == ["closed", "lease.release"]


async def test_a_rotated_secret_builds_the_clients_anew(desk: Desk) -> None:
    async with desk.running():
        await until(lambda: desk.runner.running is not None)
        desk.digest = "2"
        await until(lambda: len(desk.built) == 2)


async def test_an_unusable_estate_says_why_and_is_tried_again_by_itself(desk: Desk) -> None:
    desk.problem = EstateUnusable(Reason.SECRET_INVALID, "Secret s has no key user, or it is empty.")
    async with desk.running():
        await until(lambda: desk.stalled()[0] == Reason.SECRET_INVALID)
        assert "Secret s has no key user" in desk.stalled()[1]
        await until(lambda: len(desk.journal.of("estates.read")) > 3)
        ((reason, message, warning),) = desk.events.posted
        assert (reason, warning) == (Reason.SECRET_INVALID, True), "told once, however often it is tried"
        assert "Secret s has no key user" in message
        desk.problem = None
        await until(lambda: len(desk.built) == 1)


async def test_a_keeper_that_met_a_bug_is_told_and_begun_anew(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    async with desk.running():
        await until(lambda: desk.runner.running is not None)
        desk.built[0].end.set_exception(ValueError("a bug"))
        await until(lambda: len(desk.built) == 2)
    assert desk.stalled()[0] == Reason.IN_PROGRESS
    assert "reconciler failed" in caplog.text


async def test_a_lost_lease_closes_everything_and_waits_for_it_anew(desk: Desk) -> None:
    async with desk.running():
        await until(lambda: desk.runner.running is not None)
        desk.built[0].end.set_exception(LeaseLost("taken"))
        await until(lambda: len(desk.built) == 2)
        assert desk.stalled() == ("", ""), "nothing is written without the Lease"
        assert desk.journal.names("closed", "lease.acquire", "lease.release") == [
            "lease.acquire", "closed", "lease.release", "lease.acquire",
        ]  # fmt: skip


async def test_the_log_says_why_the_lease_was_lost(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    async with desk.running():
        await until(lambda: desk.runner.running is not None)
        desk.built[0].end.set_exception(ExceptionGroup("errors in the lanes", [LeaseLost("taken by another")]))
        await until(lambda: len(desk.built) == 2)
    (lost,) = [record for record in caplog.records if record.message == "lease lost"]
    assert vars(lost)["why"] == "taken by another"


@pytest.mark.parametrize(("choice", "deleted"), [("Keep", 0), ("Delete", 1), ("something else", 0)])
async def test_a_deleted_estate_lets_go_and_its_records_go_only_by_its_wish(
    workers: Workers, choice: str, deleted: int
) -> None:
    desk = Desk(workers)
    desk.change(records_on_deletion=choice)
    async with desk.running() as task:
        await until(lambda: desk.runner.running is not None)
        desk.runner.gone()
        await asyncio.wait_for(task, 10)
    assert len(desk.journal.of("records.delete_all")) == deleted
    assert desk.journal.names("closed", "lease.release") == ["closed", "lease.release"]


async def test_a_deletion_ends_even_where_the_records_can_never_be_deleted(desk: Desk) -> None:
    desk.change(records_on_deletion="Delete")
    desk.records.fail("delete_all", *[Unavailable("away")] * 100)
    async with desk.running() as task:
        await until(lambda: desk.runner.running is not None)
        desk.runner.gone()
        await asyncio.wait_for(task, 10)


# all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["{}", "{}:443", "{}.", "{}./"])
async def test_of_two_estates_with_one_endpoint_the_elder_is_kept_and_the_younger_says_so(
    desk: Desk, spelling: str
) -> None:
    made: dict[str, Desk] = {}

    def runner(estate: Estate) -> EstateRunner:
        made[estate.name] = Desk(desk.workers, estate)
        return made[estate.name].runner

    registry = EstateRegistry(runner)
    younger, elder = estate(name="a-younger"), estate(name="elder")
    check_point = msgspec.structs.replace(elder.spec.check_point, url=spelling.format("https://MGMT.corp.internal"))
    illumio = msgspec.structs.replace(elder.spec.illumio, url="https://another-pce.corp.internal")
    elder = msgspec.structs.replace(
        elder, spec=msgspec.structs.replace(elder.spec, check_point=check_point, illumio=illumio)
    )
    check_point = msgspec.structs.replace(younger.spec.check_point, url="https://mgmt.corp.internal")
    younger = msgspec.structs.replace(younger, spec=msgspec.structs.replace(younger.spec, check_point=check_point))
    registry.saw_estate(younger, "2026-02-02T00:00:00Z")
    await until(lambda: made["a-younger"].runner.running is not None)
    registry.saw_estate(elder, "2026-01-01T00:00:00Z")
    await until(lambda: made["a-younger"].stalled()[0] == Reason.ENDPOINT_SHARED)
    await until(lambda: made["elder"].runner.running is not None)
    assert made["a-younger"].runner.running is None
    assert "plant/elder" in made["a-younger"].stalled()[1]
    registry.estate_gone(elder.key)
    await until(lambda: made["a-younger"].runner.running is not None)
    await registry.stop()


async def test_a_document_wakes_the_keepers_of_its_own_namespace(desk: Desk) -> None:
    registry = EstateRegistry(lambda _: desk.runner)
    registry.saw_estate(desk.estate, "2026")
    await until(lambda: desk.runner.running is not None)
    document = ConfigMapData("map", "plant", "u", "1", {}, {})
    registry.saw_mapping(document)
    registry.saw_mapping(ConfigMapData("map", "elsewhere", "u", "1", {}, {}))
    assert (desk.built[0].looks, registry.mappings("plant")) == (1, [document])
    registry.mapping_gone("plant", "map")
    registry.mapping_gone("plant", "map")
    assert (desk.built[0].looks, registry.mappings("plant")) == (2, [])
    assert list(registry.beats()) == ["plant/respiro/decide"]
    await registry.stop()
    assert registry.beats() == {}


async def test_an_estate_that_is_made_again_waits_until_the_one_before_was_let_go(desk: Desk) -> None:
    registry = EstateRegistry(desk.make)
    registry.saw_estate(desk.estate, "2026")
    await until(lambda: len(desk.built) == 1)
    registry.estate_gone(desk.estate.key)
    registry.saw_estate(desk.estate, "2027")
    await until(lambda: len(desk.built) == 2)
    assert desk.journal.names("closed", "lease.acquire", "lease.release") == [
        "lease.acquire", "closed", "lease.release", "lease.acquire",
    ]  # fmt: skip
    await registry.stop()
