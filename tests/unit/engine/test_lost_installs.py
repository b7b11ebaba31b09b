"""An install whose answer was lost: the server's own tasks tell what became of it; what they do not tell stays open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.engine import test_checkpoint_installs as installs
from tests.unit.engine.test_checkpoint_installs import Desk

from lab.memory import samples as m
from microseg.engine.ground.workers import Workers
from microseg.engine.state.snapshots import CheckPointSnapshot
from microseg.gateways.ports import GatewayError, OutcomeUnknown, Refused, Rejected, Throttled, Unreachable
from microseg.kube.errors import Unavailable
from microseg.model.checkpoint_facts import Package, Task, TaskState
from microseg.model.checkpoint_tasks import BegunTask
from microseg.model.estate_status import EstateStatus, InstallRecord

LOST = OutcomeUnknown("Check Point failed during a change (503)")


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


PUBLISHED = BegunTask("task-of-a-publish", "", ago(100))
"""That it is listed shows that ours are listed."""


@pytest.fixture
def desk(workers: Workers) -> Desk:
    made = Desk(workers)
    made.check_point.begun.append(PUBLISHED)
    packages = [Package("Standard"), Package("Edge")]
    made.table.saw_check_point(CheckPointSnapshot.of(m.OWNER, (), (), (), m.PUBLISHED, packages))
    made.want("vm")
    return made


@pytest.fixture
def at() -> Iterator[Callable[[float], None]]:
    """Moves the lane's monotonic clock."""

    def forward(seconds: float) -> None:
        installs._AHEAD[0] += seconds

    yield forward
    installs._AHEAD[0] = 0.0


def looks(desk: Desk) -> int:
    return len(desk.journal.of("checkpoint.own_tasks"))


async def again(desk: Desk) -> None:
    """The gateways were read, and the host asks still."""
    desk.settle()
    desk.want("vm")
    await desk.go()


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(hours=3), timedelta(hours=-3)])
async def test_an_install_that_runs_is_followed_as_if_its_answer_had_come(desk: Desk, ahead: timedelta) -> None:
    desk.check_point.ahead = ahead
    desk.check_point.lose("install", LOST)
    await desk.go()
    assert (len(desk.calls), looks(desk)) == (1, 1)
    assert desk.journal.of("checkpoint.task") == [("task-1",), ("task-1",)]
    assert (desk.installs.failures, desk.installs.doubts) == ({}, {})
    (record,) = desk.estate_status.status.installs
    assert (record.task, record.revision) == ("task-1", m.PUBLISHED.uid)


async def test_the_result_of_one_that_ended_counts(desk: Desk, at: Callable[[float], None]) -> None:
    desk.check_point.lose("install", LOST)
    desk.check_point.install_result = TaskState.FAILED
    await desk.go()
    assert desk.installs.failures == {"gw1": "refused the policy: No memory."}
    assert desk.installs.doubts == {}
    at(31)
    await again(desk)
    assert len(desk.calls) == 2


async def test_one_that_did_not_begin_is_begun_again_within_half_a_minute(
    desk: Desk, at: Callable[[float], None]
) -> None:
    desk.check_point.fail("install", LOST)
    await desk.go()
    assert (desk.installs.failures, desk.installs.doubts) == ({}, {})
    assert looks(desk) == 2, "at once, and when the request had time to be carried out"
    at(31)
    await again(desk)
    assert len(desk.calls) == 2
    assert looks(desk) == 2, "an answer that came is not asked about"


async def test_one_that_is_listed_late_is_found(desk: Desk) -> None:
    desk.check_point.fail("install", LOST)
    late = BegunTask("task-late", "standard", None)

    def appears() -> None:
        desk.check_point.tasks["task-late"] = [Task("task-late", TaskState.SUCCEEDED)]
        desk.check_point.begun.append(BegunTask(late.id, late.package, datetime.now(UTC)))

    desk.check_point.meanwhile("own_tasks", lambda: None)
    desk.check_point.meanwhile("own_tasks", appears)
    await desk.go()
    assert (looks(desk), desk.journal.of("checkpoint.task")) == (2, [("task-late",)])


async def test_while_the_answer_is_in_doubt_the_targets_say_so_and_nothing_begins(desk: Desk) -> None:
    desk.check_point.fail("install", LOST)
    seen: list[object] = []
    desk.check_point.meanwhile("own_tasks", lambda: seen.append(dict(desk.installs.doubts)))
    await desk.go()
    assert seen == [{"gw1": str(LOST)}]
    assert len(desk.calls) == 1


@pytest.mark.parametrize("error", [Unreachable("away"), Throttled("wait", 1.0)])
async def test_a_server_that_is_away_is_asked_until_it_tells(desk: Desk, error: GatewayError) -> None:
    desk.check_point.lose("install", LOST)
    desk.check_point.fail("own_tasks", error, Unreachable("away"))
    await desk.go()
    assert (len(desk.calls), looks(desk), desk.installs.doubts) == (1, 3, {})
    assert desk.journal.of("checkpoint.task")


@pytest.mark.parametrize("error", [Refused("no right"), Rejected("no such command")])
async def test_where_tasks_may_not_be_listed_half_an_hour_is_waited(
    desk: Desk, at: Callable[[float], None], error: GatewayError
) -> None:
    desk.check_point.lose("install", LOST)
    desk.check_point.fail("own_tasks", error)
    await desk.go()
    assert desk.installs.doubts == {"gw1": str(LOST)}
    for seconds, calls in ((1790, 1), (15, 2)):
        at(seconds)
        await again(desk)
        assert len(desk.calls) == calls
    assert looks(desk) == 1


@pytest.mark.parametrize(
    "shown",
    [
        (),
        (PUBLISHED, BegunTask("t", None, ago(0))),
        (PUBLISHED, BegunTask("t", None, None)),
        (PUBLISHED, BegunTask("t", "Standard", None)),
    ],
    ids=["none at all", "one with a foreign name", "one without name and time", "one without a time"],
)
async def test_a_list_that_explains_not_everything_leaves_the_doubt_for_half_an_hour(
    desk: Desk, at: Callable[[float], None], shown: tuple[BegunTask, ...]
) -> None:
    desk.check_point.begun = list(shown)
    desk.check_point.fail("install", LOST)
    desk.check_point.meanwhile("own_tasks", lambda: None)
    desk.check_point.meanwhile("own_tasks", lambda: at(900))
    desk.check_point.meanwhile("own_tasks", lambda: at(901))
    desk.check_point.meanwhile("own_tasks", lambda: None)
    await desk.go()
    assert (len(desk.calls), looks(desk)) == (1, 4)
    assert desk.installs.doubts == {"gw1": str(LOST)}
    await again(desk)
    assert len(desk.calls) == 2, "half an hour after the call, not after the last look"


@pytest.mark.parametrize(
    "other",
    [
        BegunTask("t", "Standard", ago(20)),
        BegunTask("t", None, ago(20)),
        BegunTask("t", "Edge", ago(0)),
        BegunTask("t", "", ago(0)),
    ],
    ids=["before the call", "of unknown name, before it", "another package's", "a publish"],
)
async def test_what_is_certainly_another_task_is_not_it(desk: Desk, other: BegunTask) -> None:
    desk.check_point.begun.append(other)
    desk.check_point.fail("install", LOST)
    await desk.go()
    assert (looks(desk), desk.installs.doubts, desk.journal.of("checkpoint.task")) == (2, {}, [])


async def test_a_task_that_was_followed_before_is_not_it(desk: Desk, at: Callable[[float], None]) -> None:
    desk.check_point.install_result = TaskState.FAILED
    await desk.go()
    at(31)
    desk.check_point.fail("install", LOST)
    await again(desk)
    assert len(desk.calls) == 2
    assert [name for (name,) in desk.journal.of("checkpoint.task")] == ["task-1"] * 2


async def test_where_the_packages_are_not_known_another_name_may_be_the_same_package(
    desk: Desk, at: Callable[[float], None]
) -> None:
    """It may be asked for by its uid, and its task has its name."""
    desk.table.saw_check_point(CheckPointSnapshot.of(m.OWNER, (), (), (), m.PUBLISHED))
    desk.want("vm")
    desk.check_point.begun.append(BegunTask("t", "Edge", ago(0)))
    desk.check_point.fail("install", LOST)
    desk.check_point.meanwhile("own_tasks", lambda: at(1801))
    desk.check_point.meanwhile("own_tasks", lambda: None)
    await desk.go()
    assert desk.installs.doubts == {"gw1": str(LOST)}


async def test_without_a_lost_answer_no_tasks_are_listed(desk: Desk) -> None:
    await desk.go()
    assert (len(desk.calls), looks(desk)) == (1, 0)


ENDED = Task("task-0", TaskState.SUCCEEDED, targets=("gw1",))


async def test_a_task_that_an_earlier_term_recorded_is_not_it(workers: Workers) -> None:
    record = InstallRecord(package="Standard", targets=("gw1",), revision="older", task="task-0", at=ago(3))
    desk = Desk(workers, status=EstateStatus(installs=(record,)))
    desk.check_point.tasks["task-0"] = [ENDED]
    desk.check_point.begun.append(BegunTask("task-0", "Standard", ago(2)))
    desk.check_point.fail("install", LOST)
    desk.want("vm")
    await desk.go()
    assert (len(desk.calls), looks(desk), desk.journal.of("checkpoint.task")) == (1, 2, [])
    assert desk.installs.effects.packages == frozenset()


def intended(workers: Workers, *begun: BegunTask, seconds: float = 30) -> Desk:
    """An earlier term wrote its intent so many seconds ago, by its clock, and ended. The server lists what `begun`.

    Its task 0 runs at the first look and is over at the second.
    """
    record = InstallRecord(package="Standard", targets=("gw1",), revision=m.PUBLISHED.uid, at=ago(seconds))
    desk = Desk(workers, status=EstateStatus(installs=(record,)))
    desk.check_point.tasks["task-0"] = [Task("task-0", TaskState.RUNNING), ENDED]
    desk.check_point.begun += begun
    desk.want("vm")
    return desk


@pytest.mark.parametrize(
    ("error", "begins"),
    [(None, 0), (Unreachable("away"), 1), (Refused("no right"), 1)],
    ids=["told", "away", "refused"],
)
async def test_an_install_that_an_earlier_term_began_and_could_not_record_is_followed_where_it_is_listed(
    workers: Workers, error: GatewayError | None, begins: int
) -> None:
    desk = intended(workers, BegunTask("task-0", "Standard", ago(29)))
    if error is not None:
        desk.check_point.fail("own_tasks", error)
    await desk.go()
    assert (len(desk.calls), looks(desk)) == (begins, 1)
    assert (("task-0",) in desk.journal.of("checkpoint.task")) is (begins == 0)


async def test_an_install_that_ended_right_before_an_intent_of_an_earlier_term_is_not_that_one(
    workers: Workers,
) -> None:
    desk = intended(workers, BegunTask("task-0", "Standard", ago(33)))
    desk.check_point.tasks["task-0"] = [ENDED]
    await desk.go()
    assert (len(desk.calls), looks(desk)) == (1, 1)


@pytest.mark.parametrize(("names", "counts"), [(("gw1",), True), (("gw9",), False), ((), False)])
async def test_a_task_that_was_found_counts_for_the_targets_that_it_names(
    desk: Desk, names: tuple[str, ...], *, counts: bool
) -> None:
    """It may be another's, who has the same administrator: what it does not bring must not count as not taken."""
    desk.check_point.fail("install", LOST)
    desk.check_point.unseen.add("install")
    desk.check_point.tasks["t"] = [Task("t", TaskState.SUCCEEDED, targets=names)]
    desk.check_point.meanwhile(
        "own_tasks", lambda: desk.check_point.begun.append(BegunTask("t", "Standard", datetime.now(UTC)))
    )
    await desk.go()
    assert desk.journal.of("checkpoint.task") == [("t",)]
    assert (desk.installs.effects.packages == {"Standard"}) is counts


async def test_an_intent_of_an_earlier_term_that_came_to_nothing_holds_nothing_up(workers: Workers) -> None:
    desk = intended(workers, PUBLISHED)
    await desk.go()
    assert (len(desk.calls), looks(desk)) == (1, 1)


@pytest.mark.parametrize("seconds", [15, -600], ids=["ten seconds behind it", "ten minutes behind it"])
async def test_an_earlier_term_whose_clock_was_ahead_of_ours_is_found_out_as_well(
    workers: Workers, seconds: float
) -> None:
    desk = intended(workers, PUBLISHED, BegunTask("task-0", "Standard", ago(25)), seconds=seconds)
    await desk.go()
    assert (desk.calls, looks(desk)) == ([], 1)
    assert desk.installs.effects.packages == frozenset(), "it may be older than what is to be installed"


@pytest.mark.parametrize("lost", [False, True], ids=["its answer came", "its answer was lost"])
async def test_an_install_whose_task_could_not_be_recorded_is_followed_and_recorded_later(
    desk: Desk, *, lost: bool
) -> None:
    if lost:
        desk.check_point.lose("install", LOST)
    desk.check_point.meanwhile("install", lambda: desk.estates.fail("patch_status", Unavailable("away")))
    await desk.go()
    assert desk.journal.of("checkpoint.task") == [("task-1",), ("task-1",)]
    await desk.estate_status.update(lambda status: status)
    (record,) = desk.estates.stored.status.installs
    assert (record.task, [line.what for line in desk.estates.stored.status.history]) == (
        "task-1",
        ["Policy Standard installed on gw1"],
    )


async def test_an_install_of_an_earlier_term_that_was_found_is_known_also_while_the_server_is_away(
    workers: Workers, at: Callable[[float], None]
) -> None:
    desk = intended(workers, PUBLISHED, BegunTask("task-0", "Standard", ago(25)))
    desk.check_point.meanwhile("task", lambda: None)
    desk.check_point.meanwhile("task", lambda: desk.check_point.fail("task", Unreachable("away")))
    await desk.go()
    assert desk.installs.doubts == {"gw1": "away"}
    at(31)
    desk.check_point.fail("own_tasks", Unreachable("away"))
    await again(desk)
    assert desk.calls == []
    (record,) = desk.estate_status.status.installs
    assert record.task == "task-0"


@pytest.mark.parametrize("seconds", [0, -600], ids=["just now", "by a clock ahead of ours"])
async def test_an_install_whose_request_is_on_its_way_while_the_engine_begins_anew_is_found(
    workers: Workers, seconds: float
) -> None:
    """A person edits the spec, or a Secret, in the half minute in which a lost answer is being settled."""
    desk = intended(workers, PUBLISHED, seconds=seconds)
    desk.check_point.meanwhile("own_tasks", lambda: None)
    desk.check_point.meanwhile(
        "own_tasks", lambda: desk.check_point.begun.append(BegunTask("task-0", "Standard", datetime.now(UTC)))
    )
    await desk.go()
    assert (desk.calls, looks(desk), desk.journal.of("checkpoint.task")) == ([], 2, [("task-0",)] * 2)
