"""The Estate's own status: compare-and-swap by one writer, asked anew on every conflict."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lab.memory.cluster import FakeEstates
from lab.memory.estate import estate
from lab.memory.scripted import FakeClock, FakeTerm
from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.ground.ports import LeaseLost, SpecChanged
from microseg.engine.ground.runtime import Runtime
from microseg.engine.ground.workers import Workers
from microseg.kube.errors import Conflict, Invalid, Unavailable
from microseg.model.estate_status import EstateStatus


@pytest.fixture
def store() -> FakeEstates:
    return FakeEstates(estate())


@pytest.fixture
def estate_status(store: FakeEstates, workers: Workers) -> EstateStatusWriter:
    return EstateStatusWriter(store.stored, store, Runtime(FakeTerm(), FakeClock(), workers), lambda: None)


def counted(status: EstateStatus) -> EstateStatus:
    return msgspec.structs.replace(status, observed_generation=status.observed_generation + 1)


async def test_a_change_that_makes_no_difference_is_not_written(
    estate_status: EstateStatusWriter, store: FakeEstates
) -> None:
    await estate_status.update(lambda status: status)
    assert store.journal.lines == []


async def test_a_conflict_reads_again_and_asks_for_the_change_anew(
    estate_status: EstateStatusWriter, store: FakeEstates
) -> None:
    other = estate(resource_version="7", status=EstateStatus(observed_generation=40))
    store.meanwhile("patch_status", lambda: setattr(store, "stored", other))
    await estate_status.update(counted)
    assert store.stored.status.observed_generation == 41
    assert estate_status.status == store.stored.status
    assert store.journal.names() == ["estates.patch_status", "estates.read", "estates.patch_status"]


async def test_endless_conflicts_end(estate_status: EstateStatusWriter, store: FakeEstates) -> None:
    store.fail("patch_status", *[Conflict("c")] * 5)
    with pytest.raises(Conflict):
        await estate_status.update(counted)
    assert store.stored.status == EstateStatus()


async def test_other_errors_are_the_callers(estate_status: EstateStatusWriter, store: FakeEstates) -> None:
    store.fail("patch_status", Unavailable("away"))
    with pytest.raises(Unavailable):
        await estate_status.update(counted)


@pytest.mark.parametrize("changed", ["spec", "uid", "deleting"])
async def test_an_answer_with_another_spec_ends_the_engine_and_is_not_half_taken_over(
    estate_status: EstateStatusWriter, store: FakeEstates, changed: str
) -> None:
    built = estate_status.estate
    spec = msgspec.structs.replace(built.spec, suspend=True)
    changes: dict[str, Any] = {"spec": spec, "uid": "another", "deleting": True}
    generation = 2 if changed == "spec" else built.generation
    store.meanwhile("patch_status", lambda: store._put(**{changed: changes[changed], "generation": generation}))
    with pytest.raises(SpecChanged):
        await estate_status.update(counted)
    assert estate_status.estate == built


async def test_what_happened_is_known_at_once_and_written_when_the_server_is_back(
    estate_status: EstateStatusWriter, store: FakeEstates
) -> None:
    store.fail("patch_status", Unavailable("away"), Unavailable("away"))
    estate_status.report_due = False
    await estate_status.record(counted)
    assert estate_status.report_due, "so that the next report writes it"
    await estate_status.record(counted)
    assert (estate_status.status.observed_generation, store.stored.status.observed_generation) == (2, 0)
    await estate_status.update(lambda status: status)
    await estate_status.update(lambda status: status)
    assert estate_status.status == store.stored.status == EstateStatus(observed_generation=2)


async def test_an_intent_that_could_not_be_written_is_not_kept(
    estate_status: EstateStatusWriter, store: FakeEstates
) -> None:
    store.fail("patch_status", Unavailable("away"))
    with pytest.raises(Unavailable):
        await estate_status.update(counted)
    await estate_status.update(lambda status: status)
    assert estate_status.status == store.stored.status == EstateStatus()


async def test_a_record_that_the_server_refuses_for_its_content_stops_no_later_write(
    estate_status: EstateStatusWriter, store: FakeEstates
) -> None:
    store.fail("patch_status", Invalid("too long"))
    await estate_status.record(counted)
    store.fail("patch_status", Unavailable("away"), Invalid("too long"), Invalid("too long"))
    await estate_status.record(counted)
    await estate_status.update(counted)
    assert estate_status.status == store.stored.status == EstateStatus(observed_generation=1)


async def test_a_change_that_the_server_refuses_takes_no_record_along_that_waits(
    estate_status: EstateStatusWriter, store: FakeEstates
) -> None:
    store.fail("patch_status", Unavailable("away"))
    await estate_status.record(counted)
    store.fail("patch_status", Invalid("too long"))
    for _ in range(2):
        store.meanwhile("patch_status", lambda: None)
    store.meanwhile("patch_status", lambda: store.fail("patch_status", Invalid("too long")))
    with pytest.raises(Invalid):
        await estate_status.update(lambda status: msgspec.structs.replace(status, observed_generation=50))
    assert estate_status.status == store.stored.status == EstateStatus(observed_generation=1)


async def test_annotations_change_without_a_write(estate_status: EstateStatusWriter, store: FakeEstates) -> None:
    estate_status.annotated({"a": "b"})
    assert (estate_status.estate.annotations, store.journal.lines) == ({"a": "b"}, [])


async def test_without_the_lease_nothing_is_written(store: FakeEstates, workers: Workers) -> None:
    term = FakeTerm()
    term.lose_after(0)
    estate_status = EstateStatusWriter(store.stored, store, Runtime(term, FakeClock(), workers), lambda: None)
    with pytest.raises(LeaseLost):
        await estate_status.update(counted)
    assert store.journal.lines == []


@pytest.mark.parametrize("answered", ["write", "conflict"])
async def test_an_annotation_that_comes_while_an_answer_is_on_its_way_is_not_lost(
    estate_status: EstateStatusWriter, store: FakeEstates, answered: str
) -> None:
    if answered == "conflict":
        store.stored = estate(resource_version="7")
    store.meanwhile("patch_status", lambda: estate_status.annotated({"microseg.dev/approve": "a1:2"}))
    await estate_status.update(counted)
    assert estate_status.estate.annotations == {"microseg.dev/approve": "a1:2"}
    assert estate_status.status.observed_generation == 1
