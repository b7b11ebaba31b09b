"""What a record says that was lost and is made again of what the systems show (S6)."""

from __future__ import annotations

import msgspec
import pytest

from lab.memory import samples as m
from microseg.model.checkpoint_facts import HostObject
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.desired import Desired
from microseg.model.host import HostStatus, ManagedHost, MappingRecord, Timeline
from microseg.model.illumio_record import IllumioRecord
from microseg.planning import guard
from microseg.planning.lost_record import as_shown, has_something_to_lose, is_blank, is_open

NEW = m.host()
WORKLOAD = m.stamped(("app", "Orchestrate"), ("env", "Dev"))
OBJECT = m.host_object(m.OBJECT, m.IP, "SO", "Theirs")
RULES = Desired("new", labels=(("app", "Orchestrate"),), groups=("so",))


def with_status(**changes: object) -> ManagedHost:
    return msgspec.structs.replace(NEW, status=msgspec.structs.replace(HostStatus(), **changes))


def paired(reason: Reason) -> Condition:
    return Condition(
        type=ConditionType.AGENT_PAIRED, status=ConditionStatus.UNKNOWN, reason=reason.value, message="",
        last_transition_time=m.NOW,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("host", "blank"),
    [
        (NEW, True),
        (with_status(conditions=(paired(Reason.ILLUMIO_UNREADABLE),)), True),
        (with_status(conditions=(paired(Reason.STAMPING),)), False),
        (with_status(agent=m.attempt()), False),
        (with_status(timeline=Timeline(commissioned_at=m.NOW)), False),
    ],
)
def test_a_record_is_blank_until_somebody_looked_in_the_pce_for_it(host: ManagedHost, *, blank: bool) -> None:
    assert is_blank(host) is blank


def test_what_was_made_again_counts_for_the_guard_until_rules_decide_and_afterwards_by_its_timeline() -> None:
    again = as_shown(NEW, WORKLOAD, (OBJECT,), (RULES,))
    assert (guard.was_commissioned(again), guard.is_made_again(again), is_open(again)) == (True, True, True)
    decided = msgspec.structs.replace(again.status, mapping=MappingRecord(revision="new"))
    assert not guard.was_commissioned(msgspec.structs.replace(again, status=decided)), "it is a host in its onboarding"


def test_labels_that_the_rules_set_are_ours_again_and_a_persons_stay_a_persons() -> None:
    illumio = as_shown(NEW, WORKLOAD, None, (RULES,)).status.illumio
    assert illumio is not None
    assert {label.key: label.value for label in illumio.labels} == {"app": "Orchestrate", "env": "Dev"}
    assert (illumio.workload, illumio.owned_keys, illumio.paired_by_us) == (m.HREF, ("app",), False)


@pytest.mark.parametrize(
    ("answers", "ours"),
    [
        ((RULES,), ("SO",)),
        ((Desired("new", groups=("Web",)), RULES), ("SO",)),
        ((Desired("new", pending_groups=("SO",)),), ("SO",)),
        ((Desired("new", groups=("Web",)),), ("SO", "Theirs")),
        ((), ("SO", "Theirs")),
    ],
)
def test_memberships_are_ours_where_the_rules_know_them_and_all_where_they_know_none(
    answers: tuple[Desired, ...], ours: tuple[str, ...]
) -> None:
    check_point = as_shown(NEW, WORKLOAD, (OBJECT,), answers).status.check_point
    assert check_point is not None
    assert (check_point.groups, [item.uid for item in check_point.hosts]) == (ours, [OBJECT.uid])


def test_what_one_system_showed_stays_when_the_other_one_is_read() -> None:
    first = as_shown(NEW, WORKLOAD, None, (RULES,))
    later = as_shown(first, m.stamped(), (OBJECT,), (RULES,))
    assert later.status.illumio == first.status.illumio
    assert later.status.check_point is not None
    assert as_shown(with_status(illumio=IllumioRecord()), None, (), ()).status.check_point is None


@pytest.mark.parametrize(
    ("labels", "objects", "has"),
    [
        ((("env", "Dev"),), (), True),
        ((), (OBJECT,), True),
        ((), None, True),
        ((), (m.host_object(),), False),
        ((), (), False),
    ],
)
def test_a_newcomer_has_nothing_to_lose(
    labels: tuple[tuple[str, str], ...], objects: tuple[HostObject, ...] | None, *, has: bool
) -> None:
    assert has_something_to_lose(m.stamped(*labels), objects) is has
    assert not has_something_to_lose(None, objects)
