"""What Resource Graph hints at, and what follows from it: pure decisions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from lab.memory import samples as m
from lab.memory.azure import sighting
from microseg.engine.lanes.azure_hints import Hints, Plan, hints_in, plan
from microseg.engine.lanes.list_pace import LONG, RAREST, ListPace
from microseg.model.azure_facts import Vm
from microseg.model.azure_glimpse import Glimpse
from microseg.model.azure_record import Nic, Tag

ONE = m.vm()
KNOWN = {ONE.vm_id: ONE}
NEW = replace(m.vm("10.1.0.9", resource_id=m.RESOURCE_ID + "-2"), vm_id=m.OTHER_VM_ID)


def changed(**record: Any) -> Vm:
    return replace(ONE, record=msgspec.structs.replace(ONE.record, **record))


def with_nics(*nics: Nic) -> Vm:
    return changed(nics=nics)


def look(*shown: Vm, answered: dict[str, Glimpse | None] | None = None) -> Hints:
    return hints_in(map(sighting, shown), KNOWN, answered or {}, {})


(NIC,) = ONE.record.nics


@pytest.mark.parametrize(
    ("shown", "hint"),
    [
        (ONE, False),
        (changed(resource_id=m.RESOURCE_ID.upper()), False),
        (changed(location="West Europe", os_type="linux"), False),
        (changed(provisioning_state="Updating", agent_ready=True), False),
        (changed(power_state=""), False),
        (changed(computer_name=""), False),
        (with_nics(msgspec.structs.replace(NIC, id=NIC.id.upper())), False),
        (with_nics(msgspec.structs.replace(NIC, unreadable=True, addresses=())), False),
        (with_nics(Nic(id="", unreadable=True)), False),
        (changed(power_state="deallocated"), True),
        (changed(resource_id=m.RESOURCE_ID + "-moved"), True),
        (changed(tags=()), True),
        (changed(tags=(Tag(key="app", value="Shop"),)), True),
        (changed(vm_size="Standard_D2s_v5"), True),
        (changed(nics=m.nics("10.9.9.9")), True),
        (with_nics(NIC, msgspec.structs.replace(NIC, id="/nic/2")), True),
        (replace(ONE, unselected_by="tags"), True),
    ],
)
def test_what_differs_from_resource_manager_is_a_hint_and_another_spelling_or_silence_is_none(
    shown: Vm, hint: bool
) -> None:
    assert (ONE.vm_id in look(shown).open) is hint


def test_tags_are_compared_by_key_in_any_letter_case() -> None:
    assert look(changed(tags=(Tag(key="APP", value="Orchestrate"),))).open == {}
    assert look(changed(tags=(Tag(key="app", value="orchestrate"),))).open != {}


def test_a_newcomer_and_a_vm_that_is_lacking_are_hints() -> None:
    assert look(NEW).open == {NEW.vm_id: Glimpse.of(NEW), ONE.vm_id: None}


def test_what_agreed_is_read_again_only_where_the_graph_or_resource_manager_shows_something_else() -> None:
    unread = replace(sighting(ONE), glimpse=lambda: pytest.fail("it was read"))

    before = look(ONE).agreed
    assert hints_in([unread], KNOWN, {}, before) == Hints(open={}, answered={})
    other = changed(power_state="deallocated")
    assert hints_in([sighting(other)], KNOWN, {}, before).open == {ONE.vm_id: Glimpse.of(other)}
    assert hints_in([sighting(ONE)], {ONE.vm_id: other}, {}, before).open == {ONE.vm_id: Glimpse.of(ONE)}


def test_an_answered_hint_is_not_followed_again_until_the_graph_shows_something_else() -> None:
    stale, staler = changed(power_state="stopped"), changed(power_state="deallocated")
    answered: dict[str, Glimpse | None] = {ONE.vm_id: Glimpse.of(stale)}
    assert look(stale, answered=answered) == Hints(open={}, answered=answered)
    assert look(staler, answered=answered) == Hints(open={ONE.vm_id: Glimpse.of(staler)}, answered={})
    assert look(ONE, answered=answered) == Hints(open={}, answered={}), "it agrees again: the next difference is news"


def test_a_vm_whose_absence_was_answered_is_lacking_no_longer() -> None:
    assert look(answered={ONE.vm_id: None}) == Hints(open={}, answered={ONE.vm_id: None})


def test_a_vm_that_moves_and_is_shown_twice_is_no_hint_while_one_row_agrees() -> None:
    moved = changed(resource_id=m.RESOURCE_ID + "-moved")
    assert look(ONE, moved).open == look(moved, ONE).open == {}


def test_few_hints_are_read_by_themselves_and_many_by_the_lists() -> None:
    hints = {NEW.vm_id: Glimpse.of(NEW)}
    assert plan(hints, KNOWN, (), {"s1": 2}).reread == {NEW.vm_id: NEW.record.resource_id}
    assert not plan(hints, KNOWN, (), {"s1": 2}).lists
    assert plan(hints, KNOWN, (), {"s1": 1}) == plan(hints, KNOWN, (ONE.vm_id,), {"s1": 3})
    assert plan(hints, KNOWN, (), {"s1": 1}).lists
    assert plan(hints, KNOWN, (), {"s1": 1}).reread == {}


def test_many_hints_in_one_subscription_hold_up_no_vm_of_another() -> None:
    other = msgspec.structs.replace(NEW.record, resource_id=NEW.record.resource_id.replace("/s1/", "/S2/"))
    elsewhere = replace(NEW, vm_id="elsewhere", record=other)
    hints = {each.vm_id: Glimpse.of(each) for each in (NEW, elsewhere)}
    for most in ({"s1": 1, "s2": 2}, {"s2": 2}):
        assert plan(hints, KNOWN, (), most) == Plan({"elsewhere": other.resource_id}, lists=True)


def test_absence_is_for_the_lists_to_tell_and_the_others_are_read_all_the_same() -> None:
    made = plan({ONE.vm_id: None, NEW.vm_id: Glimpse.of(NEW)}, KNOWN, (), {"s1": 10})
    assert (made.lists, made.reread) == (True, {NEW.vm_id: NEW.record.resource_id})


def test_a_vm_whose_change_waits_to_be_shown_again_is_read_without_a_hint() -> None:
    assert plan({}, KNOWN, (ONE.vm_id, "unknown"), {"s1": 10}).reread == {ONE.vm_id: ONE.record.resource_id}


class Pace:
    """A pace, and its clock."""

    def __init__(self, requests: int = LONG + 1, cost: int = 250, *, doubtful: bool = False) -> None:
        self.now = 1000.0
        self.pace = ListPace(60.0, lambda: self.now)
        self.pace.read(requests, cost, doubtful=doubtful)

    def after(self, seconds: float) -> ListPace:
        self.now += seconds
        return self.pace


def test_short_lists_are_read_at_each_poll() -> None:
    short = Pace(LONG).pace
    assert (short.due(), short.looks, short.interval) == (True, False, 100.0)


def test_long_lists_are_read_rarely_and_looked_at_in_between() -> None:
    made = Pace()
    assert (made.pace.interval, made.pace.next_in()) == (60.0, 60.0)
    assert not made.after(RAREST - 1).due()
    assert made.after(1).due()


def test_what_is_wanted_waits_for_azures_budget_only() -> None:
    made = Pace()
    made.pace.want()
    assert (made.after(60).due(), made.pace.next_in()) == (False, 40.0)
    assert made.after(40).due()


def test_a_graph_that_does_not_answer_is_asked_again_after_the_lists() -> None:
    made = Pace()
    made.pace.want()
    assert made.pace.next_in(blind=True) == 100.0
    assert made.after(100).due()


def test_a_person_waits_for_nothing() -> None:
    assert Pace().pace.due(asked=True)


def test_in_doubt_the_lists_are_read_as_soon_as_their_length_allows_and_looks_go_on_in_between() -> None:
    made = Pace(doubtful=True)
    assert (made.pace.interval, made.after(60).due(), made.pace.next_in()) == (60.0, False, 40.0)
    assert made.after(40).due()


def test_lists_that_could_not_be_read_are_read_each_time() -> None:
    failed = Pace()
    failed.pace.failed()
    assert failed.pace.due()
