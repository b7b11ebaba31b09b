"""Leader election with two replicas: if the leader dies or sleeps too long, the other takes over."""

from __future__ import annotations

import json
import os
import signal

from tests.integration.scenario import ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording

from lab.operator_process import Operator


def scenario(run: ScenarioRun) -> None:
    """Kill the leader; later suspend its successor for longer than its Lease."""
    one, two = run.operator, run.rig.another_operator("second")
    try:
        run.start(vm("first"))
        run.wait_commissioned("first")
        two.start()
        run.wait_polls()
        holder = _holder(run)
        run.snapshot("two of them", holder=holder, probes=_probes(one, two))

        run.create_vms(vm("second"))
        run.wait_for_entry("azure", "world.script-started", since=run.ledger_end() - 1)
        one.kill()
        run.wait_commissioned("second")
        run.snapshot("one was killed", holder=_holder(run), probes=_probes(two))

        one.start()
        asleep = two.process.pid
        os.kill(asleep, signal.SIGSTOP)
        run.create_vms(vm("third"))
        run.wait_commissioned("third")
        awake = run.ledger_end()
        os.kill(asleep, signal.SIGCONT)
        two.wait_for_log("lease lost", seconds=30)
        run.wait_polls()
        run.wait_settled()
        run.snapshot("one overslept", awake=awake, holder=_holder(run), probes=_probes(one, two))
    finally:
        two.kill()


def _holder(run: ScenarioRun) -> str:
    """Return the POD_NAME of the Lease's holder."""
    lease = json.loads(run.rig.kubectl("get", "lease", "microseg-respiro", "-o", "json"))
    return str(lease["spec"]["holderIdentity"]).partition("_")[0]


def _probes(*operators: Operator) -> list[tuple[bool, bool]]:
    return [(operator.healthy, operator.ready) for operator in operators]


SCENARIO = Scenario("leader-election", scenario)


def test_only_the_holder_speaks_to_the_outside(recording: Recording) -> None:
    snapshot = recording.snapshot("two of them")

    assert snapshot.notes["holder"] == "operator"
    assert len(snapshot.of("azure", "token")) == 1
    assert len(snapshot.of("checkpoint", "login")) == 1


def test_a_replica_that_waits_is_healthy_and_ready(recording: Recording) -> None:
    for name in ("two of them", "one was killed", "one overslept"):
        assert all(probe == (True, True) for probe in recording.snapshot(name).notes["probes"])


def test_the_other_takes_over_what_a_killed_one_began(recording: Recording) -> None:
    snapshot = recording.snapshot("one was killed")

    assert snapshot.notes["holder"] == "second"
    assert snapshot.hosts["second"].commissioned
    assert snapshot.scripts("second") == 1


def test_who_overslept_its_lease_does_nothing_more(recording: Recording) -> None:
    snapshot = recording.snapshot("one overslept")

    assert snapshot.notes["holder"] == "operator"
    assert {name: snapshot.scripts(name) for name in snapshot.hosts} == dict.fromkeys(("first", "second", "third"), 1)
    assert len(snapshot.of_vm("azure", "third", "commands.put")) == 1
    ours = [each["name"] for each in snapshot.firewall["sessions"] if str(each.get("name", "")).startswith("microseg/")]
    assert len(ours) <= 1, ours
