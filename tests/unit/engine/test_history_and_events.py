"""What a change leaves behind: a line in the host's history, and Events that stay few however many hosts change."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from tests.unit.cli.world import estate, host

from lab.memory.scripted import FakeClock, FakeTerm
from lab.memory.world import Process, World, until, vm
from microseg.engine.cluster.event_recorder import EventRecorder, PendingEvent
from microseg.engine.ground.runtime import Runtime
from microseg.engine.ground.workers import Workers
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.host import HostStatus, ManagedHost, MappingRecord
from microseg.model.illumio_record import LabelRecord
from microseg.planning import history

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)


class NoSink:
    """Posts nothing."""

    def post(self, *_: object, **__: object) -> bool:
        return True


def events() -> EventRecorder:
    return EventRecorder(NoSink(), estate, Runtime(FakeTerm(), FakeClock(), Workers("none", 1)))


def queued(made: EventRecorder) -> list[PendingEvent]:
    return [made._queue.get_nowait() for _ in range(made._queue.qsize())]


def relabelled(one: ManagedHost, value: str = "Test") -> HostStatus:
    assert one.status.illumio is not None
    labels = (LabelRecord(key="app", value="shop"), LabelRecord(key="env", value=value))
    illumio = msgspec.structs.replace(one.status.illumio, labels=labels)
    return msgspec.structs.replace(one.status, illumio=illumio, mapping=MappingRecord(revision="abc"))


def test_a_changed_label_is_one_line_and_one_event_with_the_revision_that_asked_for_it() -> None:
    one, made = host("prod"), events()
    after = relabelled(one)
    (line,) = history.lines(one.status, after, (), NOW)
    assert (line.what, line.revision, line.at) == ("Labels: env Prod -> Test", "abc", NOW)
    made.host_changed(one, one.status, after)
    (told,) = queued(made)
    assert (told.reason, told.message, told.warning) == (
        "LabelsChanged",
        "Labels: env Prod -> Test (mapping abc).",
        False,
    )


def test_a_label_that_a_person_set_is_no_line_of_ours() -> None:
    one = host("prod")
    assert one.status.illumio is not None
    labels = (*one.status.illumio.labels, LabelRecord(key="bu", value="x"))
    after = msgspec.structs.replace(one.status, illumio=msgspec.structs.replace(one.status.illumio, labels=labels))
    assert history.lines(one.status, after, (), NOW) == ()


def test_groups_that_were_left_and_joined_are_one_line() -> None:
    one = host("prod")
    assert one.status.check_point is not None
    record = msgspec.structs.replace(one.status.check_point, groups=("az-db", "az-shop"))
    after = msgspec.structs.replace(one.status, check_point=record)
    (line,) = history.lines(one.status, after, (), NOW)
    assert line.what == "Groups: joined az-db; left az-pci"


def test_an_override_that_ended_is_told() -> None:
    one = host("prod")
    before = msgspec.structs.replace(
        one.status, mapping=MappingRecord(revision="a", cases=("override env until X", "web"))
    )
    after = msgspec.structs.replace(one.status, mapping=MappingRecord(revision="a"))
    told = [change.reason for change in history.changes(before, after)]
    assert told == ["OverrideEnded"]


def test_the_last_lines_stay() -> None:
    one = host("prod")
    status = one.status
    for number in range(history.KEPT + 5):
        after = relabelled(msgspec.structs.replace(one, status=status), f"V{number}")
        status = msgspec.structs.replace(after, history=history.lines(status, after, (), NOW))
    assert [line.what for line in status.history][-1] == f"Labels: env V{history.KEPT + 3} -> V{history.KEPT + 4}"
    assert len(status.history) == history.KEPT


def test_a_change_of_ten_thousand_hosts_is_not_ten_thousand_events() -> None:
    made = events()
    for number in range(10_000):
        one = host(f"h{number}")
        made.host_changed(one, one.status, relabelled(one))
    single = queued(made)
    assert len(single) == 50
    made.post_aggregated()
    (told,) = queued(made)
    assert told.regarding.name == "respiro"
    assert told.reason == "LabelsChanged"
    assert told.message.startswith("9950 hosts since the last aggregated Event: h50-1, h51-1, ")
    made.post_aggregated()
    assert queued(made) == []


def test_hosts_that_need_a_person_are_told_beside_any_number_of_others() -> None:
    made = events()
    for number in range(200):
        one = host(f"h{number}")
        made.host_changed(one, one.status, relabelled(one))
    queued(made)
    blocked = Condition(
        type=ConditionType.READY, status=ConditionStatus.FALSE, reason=Reason.GROUP_MISSING.value, message="no group",
        last_transition_time=NOW,
    )  # fmt: skip
    one = host("stuck")
    made.host_changed(one, one.status, msgspec.structs.replace(one.status, stage="Blocked", conditions=(blocked,)))
    (told,) = queued(made)
    assert (told.regarding.name, told.reason, told.warning) == ("stuck-1", "GroupMissing", True)


async def test_a_person_is_told_once_of_an_annotation_of_a_host_that_does_nothing(workers: Workers) -> None:
    world = World(vm(1))
    async with Process(world, workers).running():
        await until(lambda: world.all_are("Commissioned"))
        (name,) = world.hosts.stored
        world.hosts.annotate(name, **{"microseg.dev/retyr": "agent"})
        await until(lambda: "AnnotationUnknown" in [reason for reason, _, _ in world.events.posted])
        world.hosts.annotate(name, **{"microseg.dev/adopt": "00000000-0000-4000-8000-000000000000"})
        world.hosts.annotate(name, **{"microseg.dev/retry": "agnet"})
        await until(lambda: [reason for reason, _, _ in world.events.posted].count("AnnotationUnknown") == 2)
    told = [message for reason, message, warning in world.events.posted if reason == "AnnotationUnknown" and warning]
    assert ["retyr means nothing: did you mean microseg.dev/retry?" in told[0], "write agent or drift" in told[1]] == [
        True,
        True,
    ]
