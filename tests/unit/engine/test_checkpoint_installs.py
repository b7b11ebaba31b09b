"""Install-policy: one a package for everybody, none while more is about to be published, failures tried again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from lab.memory import samples as m
from lab.memory.checkpoint import FakeCheckPoint
from lab.memory.cluster import FakeEstates
from lab.memory.estate import estate
from lab.memory.scripted import FakeClock, FakeTerm, Journal
from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.ground.clock import SteadyClock
from microseg.engine.ground.engine_settings import EngineSettings
from microseg.engine.ground.ports import LeaseLost
from microseg.engine.ground.runtime import Runtime
from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.checkpoint_installs import PolicyInstalls
from microseg.engine.state.host_table import HostTable
from microseg.engine.state.snapshots import CheckPointSnapshot
from microseg.gateways.ports import Busy, GatewayError, OutcomeUnknown, Refused, Rejected, Unreachable
from microseg.kube.errors import Unavailable
from microseg.model.checkpoint_facts import Task, TaskState
from microseg.model.estate_status import EstateStatus, InstallRecord
from microseg.model.facts import HostFacts
from microseg.model.host import HostSpec, ManagedHost
from microseg.model.plan import InstallPolicy
from microseg.planning.decide import Decision, Standing, decide

_AHEAD = [0.0]
"""Seconds that the lane's monotonic clock is ahead."""


class Desk:
    """The installs and all that they touch."""

    def __init__(self, workers: Workers, *, patience: float = 5.0, status: EstateStatus | None = None) -> None:
        self.journal = Journal()
        self.check_point = FakeCheckPoint(self.journal)
        self.estates = FakeEstates(estate(status=status or EstateStatus()), self.journal)
        self.term = FakeTerm()
        self.estate_status = EstateStatusWriter(
            self.estates.stored, self.estates, Runtime(self.term, FakeClock(), workers), lambda: None
        )
        self.table = HostTable()
        self.table.saw_check_point(CheckPointSnapshot.of(m.OWNER, (), (), (), m.PUBLISHED))
        self.installs = PolicyInstalls(
            self.check_point, self.table, self.estate_status, workers, self.term,
            EngineSettings(task_pause=0.0, install_patience=patience, install_margin=0.05), SteadyClock(),
            self.monotonic,
        )  # fmt: skip
        self.done = asyncio.Event()

    def want(self, vm: str, package: str = "Standard", *targets: str) -> None:
        """A host's decision asks for an install."""
        host = ManagedHost(name=vm, namespace="plant", spec=HostSpec(estate="respiro", vm_id=vm), uid=vm)
        self.table.upsert(host)
        base = decide(host, HostFacts(), m.estate(), None, m.NOW)
        action = InstallPolicy(vm, package, targets or ("gw1",), m.PUBLISHED.published_at)
        self.table.decided(vm, Decision(base.status, base.verdicts, (action,), None, Standing.IN_PROGRESS))

    def monotonic(self) -> float:
        return time.monotonic() + _AHEAD[0]

    def settle(self) -> None:
        """Everybody was decided again, and the gateways were read."""
        for vm, state in self.table.hosts.items():
            if state.decision is not None:
                self.table.decided(vm, state.decision)
        self.installs.observed(self.installs.unseen())

    async def go(self, *, more: bool = False) -> None:
        """One round of the lane, to its end."""
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            self.installs.begin(tasks, more_to_publish=more, done=self.done)

    @property
    def calls(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(package, targets) for package, targets in self.journal.of("checkpoint.install")]


@pytest.fixture
def desk(workers: Workers) -> Desk:
    return Desk(workers)


@pytest.fixture
def at() -> Iterator[Callable[[float], None]]:
    """Moves the lane's monotonic clock."""

    def forward(seconds: float) -> None:
        _AHEAD[0] += seconds

    yield forward
    _AHEAD[0] = 0.0


async def test_all_hosts_wishes_for_a_package_are_one_install_of_all_its_targets(desk: Desk) -> None:
    for number in range(50):
        desk.want(f"vm-{number}", "Standard", "gw1" if number % 2 else "gw2")
    desk.want("vm-x", "Edge", "gw9")
    await desk.go()
    assert sorted(desk.calls) == [("Edge", ("gw9",)), ("Standard", ("gw1", "gw2"))]
    assert desk.done.is_set()
    assert desk.installs.failures == {}


async def test_the_intent_is_written_before_the_call_and_the_task_after(desk: Desk) -> None:
    desk.want("vm")
    await desk.go()
    assert desk.journal.names("estates.patch_status", "checkpoint.install") == [
        "estates.patch_status",
        "checkpoint.install",
        "estates.patch_status",
    ]
    first, second = (args[0].installs[0] for args in desk.journal.of("estates.patch_status"))
    assert (first.package, first.targets, first.revision, first.task) == ("Standard", ("gw1",), m.PUBLISHED.uid, "")
    assert (second.task, second.at) == ("task-1", first.at)


@pytest.mark.parametrize("error", [Unavailable("away"), None])
async def test_without_a_written_intent_or_the_lease_nothing_is_installed(desk: Desk, error: Exception | None) -> None:
    desk.want("vm")
    if error is not None:
        desk.estates.fail("patch_status", error)
        await desk.go()
    else:
        desk.term.lose_after(0)
        with pytest.raises(ExceptionGroup) as lost:
            await desk.go()
        assert lost.group_contains(LeaseLost)
    assert desk.calls == []


async def test_an_install_waits_for_publishes_that_are_coming_but_not_for_ever(workers: Workers) -> None:
    patient, hasty = Desk(workers, patience=60.0), Desk(workers, patience=0.0)
    for desk in (patient, hasty):
        desk.want("vm")
        await desk.go(more=True)
    assert (patient.calls, len(hasty.calls)) == ([], 1)
    due = patient.installs.next_due()
    assert due is not None
    assert 0 < due - time.monotonic() <= 60
    await patient.go()
    assert len(patient.calls) == 1


async def test_one_install_runs_at_a_time_and_none_begins_before_the_gateways_were_read(desk: Desk) -> None:
    desk.want("vm")
    gate = threading.Event()
    desk.check_point.meanwhile("task", lambda: gate.wait(5))
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        desk.installs.begin(tasks, more_to_publish=False, done=desk.done)
        await asyncio.sleep(0)
        desk.installs.begin(tasks, more_to_publish=False, done=desk.done)
        gate.set()
    desk.want("vm")
    await desk.go()
    assert len(desk.calls) == 1
    desk.settle()
    desk.check_point.revisions.append(m.PUBLISHED)
    assert len(desk.calls) == 1


async def test_nothing_is_installed_for_a_decision_that_is_older_than_what_is_known(desk: Desk) -> None:
    desk.want("vm")
    desk.table.touch(["vm"])
    await desk.go()
    assert desk.calls == []


async def test_a_failed_install_is_noted_for_its_targets_and_tried_again_after_a_pause(
    desk: Desk, at: Callable[[float], None]
) -> None:
    desk.check_point.install_result = TaskState.FAILED
    desk.want("vm", "Standard", "gw1", "gw2")
    await desk.go()
    refused = "refused the policy: No memory."
    assert desk.installs.failures == {"gw1": refused, "gw2": refused}
    desk.settle()
    await desk.go()
    assert len(desk.calls) == 1, "not before its pause"
    at(31)
    desk.check_point.install_result = TaskState.SUCCEEDED
    await desk.go()
    assert len(desk.calls) == 2, "the failed task is not followed again"
    assert desk.installs.failures == {}


async def test_partial_success_names_the_targets_that_failed(desk: Desk) -> None:
    def partial() -> None:
        desk.check_point.tasks["task-1"] = [
            Task("task-1", TaskState.PARTIAL, messages=("gw2 is away.",), failed_targets=("gw2",))
        ]

    desk.check_point.meanwhile("task", partial)
    desk.want("vm", "Standard", "gw1", "gw2")
    await desk.go()
    assert desk.installs.failures == {"gw2": "refused the policy: gw2 is away."}


@pytest.mark.parametrize(
    ("error", "noted", "pause"),
    [
        (Busy("gateway busy"), True, 30),
        (Unreachable("away"), True, 30),
        (OutcomeUnknown("lost"), False, 1800),
    ],
)
async def test_a_call_that_failed_is_tried_again_later_and_where_no_task_tells_of_it_much_later(
    desk: Desk, at: Callable[[float], None], error: GatewayError, pause: float, *, noted: bool
) -> None:
    desk.check_point.fail("install", error)
    desk.check_point.fail("own_tasks", Refused("no right to list tasks"))
    desk.want("vm")
    await desk.go()
    assert desk.installs.failures == ({"gw1": f"did not get the policy: {error}."} if noted else {})
    assert desk.installs.doubts == ({} if noted else {"gw1": str(error)})
    at(pause - 2)
    desk.settle()
    desk.want("vm")
    await desk.go()
    assert len(desk.calls) == 1
    due = desk.installs.next_due()
    assert due is not None
    at(3)
    await desk.go()
    assert len(desk.calls) == 2


async def test_an_install_that_is_refused_is_tried_again_after_ten_minutes(
    desk: Desk, at: Callable[[float], None]
) -> None:
    desk.check_point.fail("install", Rejected("it was rejected", "generic_err_object_not_found", "no such target"))
    desk.want("vm")
    await desk.go()
    text, again = desk.installs.refused["gw1"]
    assert (text, desk.installs.failures) == ("it was rejected: no such target", {})
    assert again > datetime.now(UTC) + timedelta(minutes=9)
    for seconds, calls in ((590, 1), (15, 2)):
        at(seconds)
        desk.settle()
        desk.want("vm")
        await desk.go()
        assert len(desk.calls) == calls
    assert desk.installs.refused == {}


def earlier(**changes: object) -> EstateStatus:
    record = InstallRecord(
        package="Standard", targets=("gw1",), revision=m.PUBLISHED.uid, task="task-0", at=datetime.now(UTC)
    )
    known = {name: getattr(record, name) for name in record.__struct_fields__}
    return EstateStatus(installs=(InstallRecord(package="Edge"), InstallRecord(**(known | changes))))


async def test_an_install_of_an_earlier_term_that_runs_still_is_followed(workers: Workers) -> None:
    desk = Desk(workers, status=earlier())
    desk.check_point.tasks["task-0"] = [Task("task-0", TaskState.RUNNING), Task("task-0", TaskState.SUCCEEDED)]
    desk.want("vm")
    await desk.go()
    assert desk.calls == []
    assert desk.journal.of("checkpoint.task") == [("task-0",), ("task-0",)]


@pytest.mark.parametrize(
    "change", [{"task": ""}, {"revision": "older"}, {"at": datetime.now(UTC) - timedelta(hours=1)}, {"at": None}]
)
async def test_an_earlier_install_that_does_not_cover_the_revision_is_not_followed(
    workers: Workers, change: dict[str, object]
) -> None:
    desk = Desk(workers, status=earlier(**change))
    desk.want("vm")
    await desk.go()
    assert len(desk.calls) == 1
    assert {item.package for item in desk.estate_status.status.installs} == {"Edge", "Standard"}


async def test_an_earlier_task_that_the_server_does_not_know_any_more_is_given_up(
    workers: Workers, at: Callable[[float], None]
) -> None:
    desk = Desk(workers, status=earlier())
    desk.check_point.fail("task", Rejected("no such task"))
    desk.want("vm")
    await desk.go()
    at(31)
    desk.settle()
    await desk.go()
    assert len(desk.calls) == 1


async def test_a_server_that_is_away_while_a_task_is_followed_does_not_cause_a_second_install(
    desk: Desk, at: Callable[[float], None]
) -> None:
    desk.check_point.fail("task", Unreachable("away"))
    desk.want("vm")
    await desk.go()
    assert len(desk.calls) == 1
    assert (desk.installs.failures, desk.installs.doubts) == ({}, {"gw1": "away"}), "nobody refused anything"
    at(31)
    desk.settle()
    await desk.go()
    assert (len(desk.calls), desk.installs.failures, desk.installs.doubts) == (1, {}, {})


async def test_wishes_that_ended_are_forgotten(desk: Desk) -> None:
    desk.want("vm")
    await desk.go(more=True)
    desk.table.drop("vm")
    await desk.go()
    assert (desk.calls, desk.installs.next_due()) == ([], None)


async def test_in_the_midst_of_a_round_nothing_is_installed(desk: Desk) -> None:
    """Whether more will be published is not known before the round's end."""
    with desk.table.actions.round():
        desk.want("vm")
        await desk.go()
        assert desk.calls == []
    await desk.go()
    assert len(desk.calls) == 1
