"""SIGTERM in the midst of everything: nothing begins after it, and what runs outside is followed by the next start."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, Snapshot

from lab.oracles import effects

INSTALLING = ("installing-1", "installing-2")
"""VMs on which an installer runs."""
WAITING = tuple(f"waiting-{number}" for number in range(6))
"""VMs for which a pairing key is asked for, or is about to be."""
_SLOW_PUBLISH = 400.0
"""Vendor seconds: a publish that is under way at SIGTERM."""
_SLOW_PAIRING = 6.0
_SLOW_KEY = 2.0
"""Seconds that the PCE takes for a key: no key that is asked for at SIGTERM is there before, so no start is due."""


def scenario(run: ScenarioRun) -> None:
    """Installers run, a publish is under way, and keys are asked for; two SIGTERM; then a start."""
    run.worlds.post("/checkpoint/durations", {"publish": _SLOW_PUBLISH})
    slow = run.inject_fault("illumio", "agents.activate", action="delay", seconds=_SLOW_PAIRING, count=len(INSTALLING))
    run.start(*(vm(name, tags=SEED) for name in INSTALLING))
    run.wait("both scripts pair", lambda: run.fault_was_met(slow))
    run.inject_fault("illumio", "pairing_keys.create", action="delay", seconds=_SLOW_KEY, count=100)
    run.create_vms(*(vm(name, tags=SEED) for name in WAITING))
    run.wait("a publish is under way", lambda: run.worlds.ledger("checkpoint", "publish"))
    run.wait("keys are asked for", lambda: _keys_asked_for(run) > 0)
    since, at = run.ledger_end(), time.time()
    for _ in range(2):
        os.kill(run.operator.process.pid, signal.SIGTERM)
    code = run.operator.process.wait(seconds=30)
    lease = json.loads(run.rig.kubectl("get", "lease", "microseg-respiro", "-o", "json"))
    run.worlds.delete("/faults")
    run.wait_for_entry("illumio", "pairing_keys.create", since=since)
    run.wait_for_entry("checkpoint", "world.published", since=since)
    notes = {"at": at, "code": code, "holder": lease["spec"].get("holderIdentity") or "", "log": run.operator.output()}
    run.snapshot("ended", **notes)

    run.worlds.post("/checkpoint/durations", {"publish": 20.0})
    run.operator.start()
    run.wait_commissioned(*INSTALLING)
    run.snapshot("the end")


def _keys_asked_for(run: ScenarioRun) -> int:
    """How many requests for a key began since the fault was injected."""
    return sum(int(fault["hits"]) for fault in run.worlds.get("/faults")["faults"] if fault["action"] == "delay")


SCENARIO = Scenario("told-to-end", scenario)


@pytest.fixture
def ended(recording: Recording) -> Snapshot:
    return recording.snapshot("ended")


def test_no_effect_begins_after_it(ended: Snapshot) -> None:
    later = [entry for entry in ended.entries if entry.at - entry.seconds > ended.notes["at"]]
    assert later, "an entry is written when its request ends: what is later here began later"
    assert effects(later).keys() <= {"checkpoint discard"}


def test_installers_a_publish_and_keys_were_under_way(ended: Snapshot) -> None:
    assert [ended.scripts(name) for name in INSTALLING] == [1, 1]
    for system, operation in (("illumio", "pairing_keys.create"), ("checkpoint", "world.published")):
        assert any(entry.at > ended.notes["at"] for entry in ended.of(system, operation))


def test_the_process_ends_well_although_it_is_told_twice_with_its_lease_released(ended: Snapshot) -> None:
    assert ended.notes["code"] == 0
    assert ended.notes["holder"] == ""
    assert "Traceback" not in ended.notes["log"]


def test_what_ran_is_followed_and_nothing_is_done_again(recording: Recording) -> None:
    end = recording.snapshot("the end")
    assert [end.scripts(name) for name in INSTALLING] == [1, 1]
    assert all(end.scripts(name) <= 1 for name in WAITING)
    hosts = {thing["name"] for thing in end.objects if thing["type"] == "host"}
    published = [name for entry in end.publishes() for name in entry.changed if name in hosts]
    assert sorted(published) == sorted(hosts), "each object is published once"
