"""Two replicas of one operator: one works, one waits; whoever dies or sleeps too long is followed by the other."""

from __future__ import annotations

import json
import os
import signal

from tests.integration.library import Story
from tests.integration.life import Scene, vm
from tests.integration.pages import Tale

from lab.operator_process import Operator


def tell(scene: Scene) -> None:
    """The holder is killed, and later its successor is put to sleep for longer than its Lease runs."""
    one, two = scene.operator, scene.rig.another_operator("second")
    try:
        scene.begin(vm("first"))
        scene.commissioned("first")
        two.start()
        scene.rounds()
        holder = _holder(scene)
        scene.page("two of them", holder=holder, probes=_probes(one, two))

        scene.appear(vm("second"))
        scene.entry("azure", "world.script-started", since=scene.seq() - 1)
        one.kill()
        scene.commissioned("second")
        scene.page("one was killed", holder=_holder(scene), probes=_probes(two))

        one.start()
        asleep = two.process.pid
        os.kill(asleep, signal.SIGSTOP)
        scene.appear(vm("third"))
        scene.commissioned("third")
        awake = scene.seq()
        os.kill(asleep, signal.SIGCONT)
        two.wait_for_log("lease lost", seconds=30)
        scene.rounds()
        scene.settled()
        scene.page("one overslept", awake=awake, holder=_holder(scene), probes=_probes(one, two))
    finally:
        two.kill()


def _holder(scene: Scene) -> str:
    """POD_NAME of who holds the Lease."""
    lease = json.loads(scene.rig.kubectl("get", "lease", "microseg-respiro", "-o", "json"))
    return str(lease["spec"]["holderIdentity"]).partition("_")[0]


def _probes(*operators: Operator) -> list[tuple[bool, bool]]:
    return [(operator.healthy, operator.ready) for operator in operators]


STORY = Story("replicas", tell)


def test_only_the_holder_speaks_to_the_outside(tale: Tale) -> None:
    page = tale.page("two of them")

    assert page.notes["holder"] == "operator"
    assert len(page.of("azure", "token")) == 1
    assert len(page.of("checkpoint", "login")) == 1


def test_a_replica_that_waits_is_healthy_and_ready(tale: Tale) -> None:
    for name in ("two of them", "one was killed", "one overslept"):
        assert all(probe == (True, True) for probe in tale.page(name).notes["probes"])


def test_the_other_takes_over_what_a_killed_one_began(tale: Tale) -> None:
    page = tale.page("one was killed")

    assert page.notes["holder"] == "second"
    assert page.hosts["second"].commissioned
    assert page.scripts("second") == 1


def test_who_overslept_its_lease_does_nothing_more(tale: Tale) -> None:
    page = tale.page("one overslept")

    assert page.notes["holder"] == "operator"
    assert {name: page.scripts(name) for name in page.hosts} == dict.fromkeys(("first", "second", "third"), 1)
    assert len(page.of_vm("azure", "third", "commands.put")) == 1
    ours = [each["name"] for each in page.firewall["sessions"] if str(each.get("name", "")).startswith("microseg/")]
    assert len(ours) <= 1, ours
