"""What people change on our objects, against the simulated server: each is put right once or told, and it ends (L6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest
from tests.unit.engine.test_reconciler import COMMISSIONED

from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.model.condition import Reason
from microseg.model.estate_spec import PolicyTargets
from simulators.checkpoint.edits import Editor
from simulators.checkpoint.fields import Delta, ObjectSpec
from simulators.checkpoint.objects import ManagementObject

from .checkpoint_objects import Firewall
from .conftest import check_point_gateway

Edit = Callable[[ManagementObject], ObjectSpec]
PUT_RIGHT: tuple[Edit, ...] = (
    lambda _: ObjectSpec("host", ipv6="fd00::9"),
    lambda _: ObjectSpec("host", "by-hand", ipv6="fd00::9"),
    lambda _: ObjectSpec("host", ipv4="", ipv6="fd00::9"),
    lambda _: ObjectSpec("host", ipv4="10.99.0.1"),
    lambda _: ObjectSpec("host", "renamed"),
    lambda _: ObjectSpec("host", groups=Delta("replace", ())),
)
LEFT: tuple[Edit, ...] = (
    lambda item: ObjectSpec("host", item.name.upper()),
    lambda _: ObjectSpec("host", color="red"),
    lambda item: ObjectSpec("host", comments=f"{item.comments} and a word"),
    lambda _: ObjectSpec("host", groups=Delta("add", ("az-db",))),
)
TOLD: tuple[Edit, ...] = (
    lambda _: ObjectSpec("host", comments="changed by hand"),
    lambda item: ObjectSpec("host", comments=item.comments.upper()),
    lambda _: ObjectSpec("host", tags=Delta("replace", ())),
)


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers("test", 8)
    yield pool
    pool.close()


async def readings(firewall: Firewall, count: int) -> None:
    before = firewall.count("show-last-published-session")
    await until(lambda: firewall.count("show-last-published-session") >= before + count)


async def test_whatever_is_changed_by_hand_is_put_right_in_few_publishes_or_told_and_then_it_is_silent(
    workers: Workers, firewall: Firewall
) -> None:
    edits = (*PUT_RIGHT, *LEFT, *TOLD)
    world = World(*(vm(number) for number in range(len(edits))))
    spec = world.estates.stored.spec.check_point
    policies = (PolicyTargets(package="sTANDARD", targets=("GW-East",)),)
    world.spec(check_point=msgspec.structs.replace(spec, policies=policies))
    world.check_point = check_point_gateway(firewall)  # type: ignore[assignment]  # the real gateway in its place
    async with Process(world, workers).running():
        await until(lambda: world.all_are(COMMISSIONED))
        names = [f"az-{world.host(vm(number)).name}" for number in range(len(edits))]
        publishes = firewall.count("publish")

        def by_hand(editor: Editor) -> None:
            for name, edit in zip(names, edits, strict=True):
                item = editor.find(name, "host")
                editor.alter(item, edit(item), tolerance="warnings")

        firewall.act(lambda: firewall.world.edit("bob", by_hand))
        right, told = range(len(edits) - len(TOLD)), range(len(edits) - len(TOLD), len(edits))
        await until(lambda: all(world.host(vm(number)).status.reason == Reason.NAME_TAKEN for number in told))
        await until(lambda: all(world.host(vm(number)).status.stage == COMMISSIONED for number in right))
        await readings(firewall, 3)
        after, writes = firewall.count("publish"), world.count("hosts.patch_status")
        await readings(firewall, 12)
        assert (firewall.count("publish"), world.count("hosts.patch_status")) == (after, writes)
    assert 1 <= after - publishes <= 3
    shown = {item.name: item for item in firewall.world.published.listing("host")}
    assert {shown[name].ipv6 for name in names[: len(PUT_RIGHT)]} <= {None, ""}
    assert names[len(PUT_RIGHT)].upper() in shown
    for number in told:
        message = next(each.message for each in world.host(vm(number)).status.conditions if each.type == "Grouped")
        mark = f"the comment microseg.dev/plant/respiro {vm(number).vm_id} and the tag microseg.dev-plant.respiro"
        assert f"Put back {mark}, or delete the object." in message
