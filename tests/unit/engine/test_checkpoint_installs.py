"""Install-policy: one a package for everybody, none while more is about to be published, failures tried again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.estate import fakes
from tests.unit.stages import makers as m

from microseg.estate.book import EstateBook
from microseg.estate.clock import SteadyClock
from microseg.estate.lanes import installs as module
from microseg.estate.lanes.installs import Installs
from microseg.estate.ledger import Ledger
from microseg.estate.ports import LeaseLost
from microseg.estate.readings import FirewallReading
from microseg.estate.workers import Workers
from microseg.gateways.ports import Busy, GatewayError, OutcomeUnknown, Rejected, Unreachable
from microseg.kube.errors import Unavailable
from microseg.model.estate import EstateStatus, InstallRecord
from microseg.model.facts import HostFacts, Task, TaskState
from microseg.model.host import HostSpec, ManagedHost
from microseg.model.plan import InstallPolicy
from microseg.planning.decide import Decision, Standing, decide


class Desk:
    """The installs and all that they touch."""

    def __init__(self, workers: Workers, *, patience: float = 5.0, status: EstateStatus | None = None) -> None:
        self.journal = fakes.Journal()
        self.cp = fakes.FakeCheckPoint(self.journal)
        self.estates = fakes.FakeEstates(fakes.estate(status=status or EstateStatus()), self.journal)
        self.term = fakes.FakeTerm()
        self.book = EstateBook(self.estates.stored, self.estates, workers, self.term)
        self.ledger = Ledger()
        self.ledger.saw_firewall(FirewallReading.of(m.OWNER, (), (), (), m.PUBLISHED))
        self.installs = Installs(
            self.cp, self.ledger, self.book, workers, self.term,
            task_pause=0.0, patience=patience, clock=SteadyClock(),
        )  # fmt: skip
        self.done = asyncio.Event()

    def want(self, vm: str, package: str = "Standard", *targets: str) -> None:
        """A host's decision asks for an install."""
        host = ManagedHost(name=vm, namespace="plant", spec=HostSpec(estate="respiro", vm_id=vm), uid=vm)
        self.ledger.upsert(host)
        base = decide(host, HostFacts(), m.estate(), None, m.NOW)
        action = InstallPolicy(vm, package, targets or ("gw1",), m.PUBLISHED.published_at)
        entry = self.ledger.entries[vm]
        entry.decision = Decision(base.status, base.verdicts, (action,), None, Standing.IN_PROGRESS)
        entry.stale = False

    def settle(self) -> None:
        """The keeper decided everybody again, and the gateways were read."""
        for entry in self.ledger.entries.values():
            entry.stale = False
        self.installs.observed(self.installs.unseen())

    async def go(self, *, more: bool = False) -> None:
        """One round of the lane, to its end."""
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            self.installs.begin(tasks, more_to_publish=more, done=self.done)

    @property
    def calls(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(package, targets) for package, targets in self.journal.of("cp.install")]


@pytest.fixture
def desk(workers: Workers) -> Desk:
    return Desk(workers)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the lane's monotonic clock."""
    moved = [0.0]
    real = time.monotonic

    class Moved:
        """The module's `time`, so many seconds on."""

        @staticmethod
        def monotonic() -> float:
            return real() + moved[0]

    monkeypatch.setattr(module, "time", Moved)
    return lambda seconds: moved.__setitem__(0, moved[0] + seconds)


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
    assert desk.journal.names("estates.patch_status", "cp.install") == [
        "estates.patch_status",
        "cp.install",
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
    desk.cp.meanwhile("task", lambda: gate.wait(5))
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        desk.installs.begin(tasks, more_to_publish=False, done=desk.done)
        await asyncio.sleep(0)
        desk.installs.begin(tasks, more_to_publish=False, done=desk.done)
        gate.set()
    desk.want("vm")
    await desk.go()
    assert len(desk.calls) == 1
    desk.settle()
    desk.cp.revisions.append(m.PUBLISHED)
    assert len(desk.calls) == 1


async def test_nothing_is_installed_for_a_decision_that_is_older_than_what_is_known(desk: Desk) -> None:
    desk.want("vm")
    desk.ledger.touch(["vm"])
    await desk.go()
    assert desk.calls == []


async def test_a_failed_install_is_noted_for_its_targets_and_tried_again_after_a_pause(
    desk: Desk, at: Callable[[float], None]
) -> None:
    desk.cp.install_result = TaskState.FAILED
    desk.want("vm", "Standard", "gw1", "gw2")
    await desk.go()
    refused = "refused the policy: No memory."
    assert desk.installs.failures == {"gw1": refused, "gw2": refused}
    desk.settle()
    await desk.go()
    assert len(desk.calls) == 1, "not before its pause"
    at(31)
    desk.cp.install_result = TaskState.SUCCEEDED
    await desk.go()
    assert len(desk.calls) == 2, "the failed task is not followed again"
    assert desk.installs.failures == {}


async def test_partial_success_names_the_targets_that_failed(desk: Desk) -> None:
    def partial() -> None:
        desk.cp.tasks["task-1"] = [
            Task("task-1", TaskState.PARTIAL, messages=("gw2 is away.",), failed_targets=("gw2",))
        ]

    desk.cp.meanwhile("task", partial)
    desk.want("vm", "Standard", "gw1", "gw2")
    await desk.go()
    assert desk.installs.failures == {"gw2": "refused the policy: gw2 is away."}


@pytest.mark.parametrize(
    ("error", "noted", "pause"),
    [
        (Busy("gateway busy"), True, 30),
        (Rejected("no such target"), True, 30),
        (Unreachable("away"), True, 30),
        (OutcomeUnknown("lost"), False, 1800),
    ],
)
async def test_a_call_that_failed_is_tried_again_later_and_in_doubt_much_later(
    desk: Desk, at: Callable[[float], None], error: GatewayError, pause: float, *, noted: bool
) -> None:
    desk.cp.fail("install", error)
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


def earlier(**changes: object) -> EstateStatus:
    record = InstallRecord(
        package="Standard", targets=("gw1",), revision=m.PUBLISHED.uid, task="task-0", at=datetime.now(UTC)
    )
    known = {name: getattr(record, name) for name in record.__struct_fields__}
    return EstateStatus(installs=(InstallRecord(package="Edge"), InstallRecord(**(known | changes))))


async def test_an_install_of_an_earlier_term_that_runs_still_is_followed(workers: Workers) -> None:
    desk = Desk(workers, status=earlier())
    desk.cp.tasks["task-0"] = [Task("task-0", TaskState.RUNNING), Task("task-0", TaskState.SUCCEEDED)]
    desk.want("vm")
    await desk.go()
    assert desk.calls == []
    assert desk.journal.of("cp.task") == [("task-0",), ("task-0",)]


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
    assert {item.package for item in desk.book.status.installs} == {"Edge", "Standard"}


async def test_an_earlier_task_that_the_server_does_not_know_any_more_is_given_up(
    workers: Workers, at: Callable[[float], None]
) -> None:
    desk = Desk(workers, status=earlier())
    desk.cp.fail("task", Rejected("no such task"))
    desk.want("vm")
    await desk.go()
    at(31)
    desk.settle()
    await desk.go()
    assert len(desk.calls) == 1


async def test_a_server_that_is_away_while_a_task_is_followed_does_not_cause_a_second_install(
    desk: Desk, at: Callable[[float], None]
) -> None:
    desk.cp.fail("task", Unreachable("away"))
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
    desk.ledger.entries.clear()
    await desk.go()
    assert (desk.calls, desk.installs.next_due()) == ([], None)
