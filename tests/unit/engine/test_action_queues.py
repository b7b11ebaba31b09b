"""Actions are delivered by type; a decision replaces the one before, and nothing stale is ever taken."""

from __future__ import annotations

import pytest

from microseg.engine.state.action_queues import ActionQueues
from microseg.model.plan import CreateLabel, ReadRunCommand, StampWorkload, StartScript

START = StartScript("vm", "install")
LOOK = ReadRunCommand("vm", "microseg-x-1")


@pytest.fixture
def queues() -> ActionQueues:
    return ActionQueues()


def test_actions_are_taken_by_type_in_the_order_of_the_types(queues: ActionQueues) -> None:
    queues.deliver("vm", (START, LOOK))
    assert list(queues.of(ReadRunCommand, StartScript)) == [("vm", LOOK), ("vm", START)]
    assert list(queues.of(StampWorkload)) == []


def test_a_host_may_ask_for_several_actions_of_one_type(queues: ActionQueues) -> None:
    labels = (CreateLabel("vm", "app", "A"), CreateLabel("vm", "env", "B"))
    queues.deliver("vm", labels)
    assert [action for _, action in queues.of(CreateLabel)] == list(labels)


def test_a_decision_replaces_the_actions_of_the_one_before(queues: ActionQueues) -> None:
    queues.deliver("vm", (START,))
    queues.deliver("vm", (LOOK,))
    assert list(queues.of(StartScript, ReadRunCommand)) == [("vm", LOOK)]


def test_what_is_withdrawn_is_not_taken_until_it_is_delivered_again(queues: ActionQueues) -> None:
    queues.deliver("vm", (START,))
    queues.deliver("other", (StartScript("other", "probe"),))
    queues.withdraw("vm")
    queues.withdraw("vm")
    assert [vm_id for vm_id, _ in queues.of(StartScript)] == ["other"]
    queues.deliver("vm", (START,))
    assert [vm_id for vm_id, _ in queues.of(StartScript)] == ["other", "vm"], "who waited longer comes first"


def test_only_the_lane_whose_actions_came_or_went_is_woken(queues: ActionQueues) -> None:
    woken: list[str] = []
    queues.subscribe((StartScript, ReadRunCommand), lambda: woken.append("azure"))
    queues.subscribe((StampWorkload,), lambda: woken.append("illumio"))
    queues.deliver("vm", (START,))
    assert woken == ["azure"]
    queues.withdraw("vm")
    assert woken == ["azure"], "what is withdrawn is decided again"
    queues.deliver("vm", ())
    assert woken == ["azure", "azure"], "it is asked for no more"
    queues.deliver("vm", ())
    assert woken == ["azure", "azure"]


def test_a_host_whose_record_is_gone_leaves_nothing_behind(queues: ActionQueues) -> None:
    queues.deliver("vm", (START,))
    queues.forget("vm")
    queues.deliver("vm", ())
    assert list(queues.of(StartScript)) == []


def test_lanes_are_woken_at_the_end_of_a_round(queues: ActionQueues) -> None:
    woken: list[str] = []
    queues.subscribe((StartScript,), lambda: woken.append("azure"))
    with queues.round():
        queues.deliver("vm", (START,))
        queues.deliver("other", (StartScript("other", "probe"),))
        assert (woken, queues.in_round) == ([], True)
    assert (woken, queues.in_round) == (["azure"], False)
