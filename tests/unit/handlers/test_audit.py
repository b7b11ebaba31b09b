"""Whatever the watch brings or does not bring, the lists are true: Estates come, change and go by them too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest

from lab.memory.estate import estate
from lab.memory.scripted import Scripted
from microseg.engine.ground.workers import Workers
from microseg.engine.leadership.estate_runner import EstateRunner
from microseg.engine.leadership.registry import EstateRegistry
from microseg.handlers.audit import ClusterAudit
from microseg.handlers.watch import Watching, see_estate
from microseg.kube.errors import Forbidden, NotFound, Unavailable
from microseg.kube.listing import Lists
from microseg.model.estate import Estate

NAMESPACE = "plant"


class FakeLists(Scripted):
    """What the API server lists."""

    system = "lists"

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[str, dict[str, Any]] = {}
        self.labelled: dict[str, dict[str, Any]] = {}

    def estates(self, namespace: str) -> tuple[dict[str, Any], ...]:
        self.asked("estates", namespace)
        return tuple(self.stored.values())

    def mappings(self, namespace: str) -> tuple[dict[str, Any], ...]:
        self.asked("mappings", namespace)
        return tuple(self.labelled.values())


class FakeRunner:
    """Remembers what it was told."""

    unsynced = False

    def __init__(self, made: Estate) -> None:
        self.estate, self.let_go = made, ""
        self.running = None

    def saw(self, seen: Estate, _: str) -> None:
        self.estate = seen

    def gone(self, *, keep_records: bool = False) -> None:
        self.let_go = "records stay" if keep_records else "as it wished"

    async def run(self) -> None:
        return None


class FakeWatching:
    """Whether kopf may watch."""

    watches = False

    def resume(self) -> None:
        self.watches = True

    def pause(self) -> None:
        self.watches = False


class Desk:
    def __init__(self, workers: Workers) -> None:
        self.lists, self.watching, self.now = FakeLists(), FakeWatching(), 1000.0
        self.runners: list[FakeRunner] = []
        self.registry = EstateRegistry(self._runner)
        self.audit = ClusterAudit(
            cast("Lists", self.lists), self.registry, cast("Watching", self.watching), workers, (NAMESPACE,),
            lambda: self.now,
        )  # fmt: skip

    def _runner(self, made: Estate) -> EstateRunner:
        self.runners.append(FakeRunner(made))
        return cast("EstateRunner", self.runners[-1])

    def store(self, version: int, *, suspend: bool = False) -> dict[str, Any]:
        """What a person applies."""
        spec = msgspec.to_builtins(estate().spec) | {"suspend": suspend}
        meta = {"name": "respiro", "namespace": NAMESPACE, "uid": "u1", "resourceVersion": str(version)}
        self.lists.stored["respiro"] = {"metadata": meta | {"generation": version}, "spec": spec, "status": {}}
        return self.lists.stored["respiro"]


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers("test", 2)
    yield pool
    pool.close()


@pytest.fixture
async def desk(workers: Workers) -> Desk:
    return Desk(workers)


async def test_a_suspension_reaches_its_runner_although_the_watch_is_deaf_and_so_does_its_end(desk: Desk) -> None:
    desk.store(5)
    assert await desk.audit.look()
    for version, suspend in ((6, True), (7, False), (8, True)):
        desk.store(version, suspend=suspend)
        await desk.audit.look()
        assert [runner.estate.spec.suspend for runner in desk.runners] == [suspend]


async def test_a_list_that_is_older_than_what_the_watch_brought_changes_nothing(desk: Desk) -> None:
    desk.store(5)
    await desk.audit.look()
    newer = desk.store(7, suspend=True)
    see_estate(desk.registry, "MODIFIED", newer)
    desk.store(6, suspend=False)
    await desk.audit.look()
    assert desk.runners[0].estate.spec.suspend


async def test_an_estate_that_went_while_nobody_watched_is_let_go_and_comes_again(desk: Desk) -> None:
    desk.store(5)
    await desk.audit.look()
    desk.lists.stored.clear()
    await desk.audit.look()
    assert desk.runners[0].let_go == "as it wished"
    desk.store(9)
    await desk.audit.look()
    assert len(desk.runners) == 2


async def test_without_the_crds_it_waits_says_so_and_begins_when_they_come(desk: Desk) -> None:
    desk.lists.fail("estates", *[NotFound("no such kind")] * 3)
    for _ in range(3):
        assert not await desk.audit.look()
        assert (desk.watching.watches, "install the CRDs" in desk.audit.unready()) == (False, True)
    desk.store(5)
    assert await desk.audit.look()
    assert (desk.watching.watches, desk.audit.unready(), len(desk.runners)) == (True, "", 1)


async def test_crds_that_go_for_long_end_what_runs_and_keep_its_records(desk: Desk) -> None:
    desk.store(5)
    await desk.audit.look()
    desk.lists.fail("estates", *[NotFound("no such kind")] * 3)
    await desk.audit.look()
    desk.now += 60
    await desk.audit.look()
    assert desk.runners[0].let_go == "", "an API server that starts knows no kinds for a moment"
    desk.now += 60
    await desk.audit.look()
    assert desk.runners[0].let_go == "records stay"


@pytest.mark.parametrize("error", [Unavailable("away"), Forbidden("may not")])
async def test_an_api_server_that_is_away_takes_nothing_and_is_told_when_the_list_is_old(
    desk: Desk, error: Exception
) -> None:
    desk.store(5)
    await desk.audit.look()
    desk.lists.fail("estates", *[error] * 2)
    await desk.audit.look()
    assert desk.audit.unready() == ""
    desk.now += 71
    await desk.audit.look()
    assert desk.audit.unready() == f"the Estates cannot be listed: {error}"
    assert (desk.runners[0].let_go, desk.watching.watches) == ("", True)


async def test_records_that_are_not_read_are_told(desk: Desk) -> None:
    desk.store(5)
    await desk.audit.look()
    desk.runners[0].unsynced = True
    assert desk.audit.unready() == "the records of Estate plant/respiro are not read yet"


async def test_a_mapping_that_went_is_missed_and_one_that_is_as_before_is_no_news(desk: Desk) -> None:
    meta = {"name": "platform", "namespace": NAMESPACE, "uid": "m1", "resourceVersion": "3"}
    desk.lists.labelled["platform"] = {"metadata": meta, "data": {"mapping.yaml": "a"}}
    await desk.audit.look()
    (first,) = desk.registry.mappings(NAMESPACE)
    await desk.audit.look()
    assert desk.registry.mappings(NAMESPACE)[0] is first
    desk.lists.labelled.clear()
    await desk.audit.look()
    assert list(desk.registry.mappings(NAMESPACE)) == []
