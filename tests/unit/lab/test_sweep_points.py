"""The points of a sweep: which there are, what they are called, and which of them a person chooses."""

from __future__ import annotations

from importlib import import_module

import pytest

from lab.sweep import shortened_waits
from lab.sweep.points import FAULTS, FIRST_READS, KILLS, Message, chosen, covered_messages, every_point, parse
from lab.sweep.recording import numbered
from simulators.faults import FaultPlan, fault_from_json
from simulators.ledger import Ledger


def messages(operation: str, number: int, *, scenario: str = "onboarding", system: str = "azure") -> list[Message]:
    return [Message(scenario, system, operation, nth) for nth in range(1, number + 1)]


def test_every_effect_is_a_point_and_of_a_read_the_first_few() -> None:
    found = covered_messages([*messages("vms.list", 9), *messages("commands.put", 9)])

    assert [it.nth for it in found if it.operation == "vms.list"] == list(range(1, FIRST_READS + 1))
    assert [it.nth for it in found if it.operation == "commands.put"] == list(range(1, 10))


def test_each_message_is_killed_at_three_moments_and_each_operation_meets_every_fault_once() -> None:
    points = every_point([*messages("publish", 2), *messages("publish", 2, scenario="retirement")])

    kills = [point for point in points if point.failure.kills]
    faults = [point for point in points if not point.failure.kills]
    assert len(kills) == 4 * len(KILLS)
    assert [point.failure for point in faults] == list(FAULTS)
    assert {(point.message.scenario, point.message.nth) for point in faults} == {("onboarding", 1)}


def test_a_name_leads_back_to_its_point_and_no_two_points_share_one() -> None:
    points = every_point([*messages("publish", 3), *messages("vms.list", 3, scenario="retirement")])

    assert [parse(point.name) for point in points] == points
    assert len({point.name for point in points}) == len(points)


@pytest.mark.parametrize(
    "name", ["onboarding/azure/vms.list/1", "onboarding/azure/vms.list/one/503", "onboarding/a/b/1/bored"]
)
def test_what_is_no_point_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a point"):
        parse(name)


def test_points_are_chosen_by_operation_by_pattern_and_from_one_on() -> None:
    points = every_point([*messages("publish", 1, system="checkpoint"), *messages("vms.list", 2)])

    assert {it.message.operation for it in chosen(points, only=["checkpoint/publish"])} == {"publish"}
    assert {it.message.nth for it in chosen(points, only=["onboarding/azure/vms.list/2"])} == {2}
    assert {it.failure.name for it in chosen(points, only=["*/killed-*"])} == {failure.name for failure in KILLS}
    assert chosen(points, begin=points[4].name) == points[4:]
    with pytest.raises(LookupError):
        chosen(points, only=["azure/vms.list"], begin="onboarding/checkpoint/publish/1/503")


def test_the_simulators_accept_every_fault() -> None:
    plan = FaultPlan()

    for point in every_point(messages("vms.list", 1)):
        plan.add(fault_from_json(point.fault_json()))

    assert len(plan.listed()) == len(KILLS) + len(FAULTS)


def test_only_what_the_operator_asks_for_is_a_message() -> None:
    ledger = Ledger()
    for system, operation in (
        ("azure", "world.vm-created"),
        ("illumio", "pairing_profiles.create"),
        ("illumio", "workloads.list"),
        ("illumio", "agents.activate"),
        ("illumio", "workloads.list"),
    ):
        ledger.append(system, operation)

    assert numbered("onboarding", ledger.entries()) == messages("workloads.list", 2, system="illumio")


@pytest.mark.parametrize(("module", "name", "value"), shortened_waits._SHORTER, ids=lambda it: str(it)[:40])
def test_the_product_has_every_number_that_the_sweep_shortens(module: str, name: str, value: object) -> None:
    there = getattr(import_module(module), name)

    assert callable(there) == callable(value)
    if isinstance(there, float) and isinstance(value, float):
        assert value < there
