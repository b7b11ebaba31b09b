"""A mapping that names what the outside lacks moves nobody, and nobody can approve it before that is there (S6)."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine.test_hourly_changes import change
from tests.unit.engine.test_mapping_changes import WEB, approve
from tests.unit.engine.test_reconciler import COMMISSIONED, commissioned, effects, rounds
from tests.unit.engine.test_retirement import held

from lab.memory.world import RULES, Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.model.condition import ConditionType
from microseg.model.illumio_facts import Label

MANY = 12
"""So many that a single host is below `maxChangedPercent`."""
ONE = f"vm{MANY - 1}"
GROUP = RULES + f"  - {{name: SOx, when: {{name: [{ONE}]}}}}\n"
LABEL = RULES.replace(
    "env: {fromTag: [env],", f"env: {{fromTag: [env], cases: [{{name: c, when: {{name: [{ONE}]}}, value: New}}],"
)
TYPE = RULES.replace("groups:", "  cost: {fromTag: [app], oneOf: [x], default: x, onMiss: default}\ngroups:")


def mend(world: World, what: str) -> None:
    """A person makes what is missing."""
    if what == "group":
        world.check_point.make_group("SOx")
    else:
        pairs = [("app", "Shop"), ("env", "New")] if what == "label" else [("cost", "x")]
        world.illumio.known += [Label(key, value, f"/orgs/50/labels/{key}-{value}") for key, value in pairs]


@pytest.mark.parametrize(
    ("what", "text", "told"),
    [
        ("group", GROUP, "Check Point has no group SOx."),
        ("label", LABEL, "The PCE has no label env=New, and createLabels is false."),
        ("type", TYPE, "The PCE has no label of the type cost"),
    ],
)
async def test_a_mapping_that_names_what_is_missing_moves_nobody_until_it_is_there(
    workers: Workers, what: str, text: str, told: str
) -> None:
    world = await commissioned(MANY, workers)
    before = effects(world)
    if what == "label":
        spec = world.estates.stored.spec
        world.spec(illumio=msgspec.structs.replace(spec.illumio, create_labels=False))
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        process.map(text)
        await until(lambda: held(world) != "")
        plan_held = world.condition(ConditionType.PLAN_HELD)
        assert plan_held is not None
        assert told in plan_held.message
        approve(process, held(world))
        await rounds(world, 2)
        assert (effects(world), world.all_are(COMMISSIONED)) == (before, True), "0 hosts leave Ready"
        assert world.estates.stored.status.approvals == (), "an approval is not used up by what cannot be done"
        mend(world, what)
        await until(lambda: held(world) == "" and effects(world) != before and world.all_are(COMMISSIONED))
    assert world.estates.stored.status.known is not None


async def test_tags_that_ask_for_a_missing_group_are_not_let_through_by_an_approval(workers: Workers) -> None:
    world = await commissioned(MANY, workers)
    world.check_point.known_groups.remove("Web")
    before = effects(world)
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 1)
        change(world, range(6), "Shop")
        await until(lambda: held(world).endswith(":6"))
        approve(process, held(world))
        await rounds(world, 2)
        assert (effects(world), world.all_are(COMMISSIONED)) == (before, True)
        world.check_point.make_group("Web")
        await until(lambda: list(world.groups().values()).count(WEB) == 6 and world.all_are(COMMISSIONED))
    assert vm(0).vm_id in {item.vm_id for item in world.check_point.published.values()}
