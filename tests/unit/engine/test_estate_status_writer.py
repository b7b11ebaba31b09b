"""The Estate's own status: compare-and-swap by one writer, asked anew on every conflict."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.estate import fakes

from microseg.estate.book import EstateBook
from microseg.estate.ports import LeaseLost
from microseg.estate.workers import Workers
from microseg.kube.errors import Conflict, Unavailable
from microseg.model.estate import EstateStatus


@pytest.fixture
def store() -> fakes.FakeEstates:
    return fakes.FakeEstates(fakes.estate())


@pytest.fixture
def book(store: fakes.FakeEstates, workers: Workers) -> EstateBook:
    return EstateBook(store.stored, store, workers, fakes.FakeTerm())


def counted(status: EstateStatus) -> EstateStatus:
    return msgspec.structs.replace(status, observed_generation=status.observed_generation + 1)


async def test_a_change_that_makes_no_difference_is_not_written(book: EstateBook, store: fakes.FakeEstates) -> None:
    await book.update(lambda status: status)
    assert store.journal.lines == []


async def test_a_conflict_reads_again_and_asks_for_the_change_anew(book: EstateBook, store: fakes.FakeEstates) -> None:
    other = fakes.estate(resource_version="7", status=EstateStatus(observed_generation=40))
    store.meanwhile("patch_status", lambda: setattr(store, "stored", other))
    await book.update(counted)
    assert store.stored.status.observed_generation == 41
    assert book.status == store.stored.status
    assert store.journal.names() == ["estates.patch_status", "estates.read", "estates.patch_status"]


async def test_endless_conflicts_end(book: EstateBook, store: fakes.FakeEstates) -> None:
    store.fail("patch_status", *[Conflict("c")] * 5)
    with pytest.raises(Conflict):
        await book.update(counted)
    assert store.stored.status == EstateStatus()


async def test_other_errors_are_the_callers(book: EstateBook, store: fakes.FakeEstates) -> None:
    store.fail("patch_status", Unavailable("away"))
    with pytest.raises(Unavailable):
        await book.update(counted)


async def test_annotations_change_without_a_write(book: EstateBook, store: fakes.FakeEstates) -> None:
    book.annotated({"a": "b"})
    assert (book.estate.annotations, store.journal.lines) == ({"a": "b"}, [])


async def test_without_the_lease_nothing_is_written(store: fakes.FakeEstates, workers: Workers) -> None:
    term = fakes.FakeTerm()
    term.lose_after(0)
    book = EstateBook(store.stored, store, workers, term)
    with pytest.raises(LeaseLost):
        await book.update(counted)
    assert store.journal.lines == []


@pytest.mark.parametrize("answered", ["write", "conflict"])
async def test_an_annotation_that_comes_while_an_answer_is_on_its_way_is_not_lost(
    book: EstateBook, store: fakes.FakeEstates, answered: str
) -> None:
    if answered == "conflict":
        store.stored = fakes.estate(resource_version="7")
    store.meanwhile("patch_status", lambda: book.annotated({"microseg.dev/approve": "a1:2"}))
    await book.update(counted)
    assert book.estate.annotations == {"microseg.dev/approve": "a1:2"}
    assert book.status.observed_generation == 1
