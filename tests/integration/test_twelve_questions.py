"""An operator that can be asked: each of the twelve questions, compared with what the simulated systems recorded."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import yaml
from tests.integration.scenario import ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, Snapshot

from lab import estate

SHOP = {"app": "shop", "env": "Prod", "rol": "web"}
DONE = ("asked-one", "asked-two", "asked-three")
ODD = "asked-odd"
JSON = ("-o", "json")


def scenario(run: ScenarioRun) -> None:
    """Three hosts are done and one waits for a rule; a label is changed by hand; then everything is asked."""
    run.start(*(vm(name, tags=SHOP) for name in DONE), vm(ODD, tags={"app": "nobody-knows"}))
    run.wait_commissioned(*DONE)
    run.wait_for_reasons(**{ODD.replace("-", "_"): "MappingMiss"})
    run.wait_settled()
    run.worlds.post(f"/illumio/workloads/{DONE[0]}/relabel", {"env": "Dev"})
    run.wait("the label is put right", lambda: "drift repaired" in run.microseg("history", DONE[0], *JSON).out)
    run.wait_settled()
    before = run.worlds.operator_calls()
    questions: dict[str, tuple[str, ...]] = {
        "status": ("status",), "retiring": ("status", "--retiring"), "calls": ("status", "--calls"),
        "explain": ("explain", DONE[0]), "odd": ("explain", ODD), "history": ("history", DONE[0]),
        "system": ("history", "--system", "checkpoint", "--since", "24h"), "plan": ("plan",), "report": ("report",),
    }  # fmt: skip
    answers = {name: run.microseg(*words, *JSON).data for name, words in questions.items()}
    answers["doctor"] = _doctor(run)
    run.snapshot("asked", **answers, before=before, after=run.worlds.operator_calls())
    run.patch("est/respiro", {"spec": {"suspend": True}})
    run.wait("the Estate is suspended", lambda: run.microseg("status", *JSON).data["suspended"])
    run.operator.kill()
    run.wait("nobody leads", lambda: not run.microseg("status", *JSON).data["leader"]["alive"])
    run.snapshot("stopped", text=run.microseg("status").out)
    run.operator.start()
    run.wait("somebody leads again", lambda: run.microseg("status", *JSON).data["leader"]["alive"])
    run.wait_polls(1)


def _doctor(run: ScenarioRun) -> dict[str, Any]:
    file = run.rig.folder / "doctor.yaml"
    file.write_text(yaml.safe_dump_all(estate.documents(run.worlds, run.rig.namespace)), encoding="utf-8")
    return run.microseg("doctor", "-f", str(file), *JSON).data


SCENARIO = Scenario("twelve", scenario)


@pytest.fixture
def asked(recording: Recording) -> Snapshot:
    return recording.snapshot("asked")


def test_is_it_healthy_and_who_leads(asked: Snapshot) -> None:
    status = asked.notes["status"]
    assert status["leader"]["alive"] is True
    assert {each["system"] for each in status["systems"] if each["readable"]} == {"azure", "illumio", "checkpoint"}
    assert all(each["median"] > 0 and each["age"] < 60 for each in status["systems"])


def test_what_is_stuck(asked: Snapshot) -> None:
    rows = {row["reason"]: row for row in asked.notes["status"]["hosts"]}
    assert rows["MappingMiss"]["hosts"] == 1
    assert rows["MappingMiss"]["oldest"] == asked.hosts[ODD].name
    assert rows["Commissioned"]["hosts"] == len(DONE)


def test_why_it_is_not_done_and_when(asked: Snapshot) -> None:
    assert any("MappingMiss" in line for line in asked.notes["odd"]["next"])


def test_which_rule_gave_what_it_has(asked: Snapshot) -> None:
    explained, labels = asked.notes["explain"], asked.workload(DONE[0])["labels"]
    for key, value in labels.items():
        assert any(line.startswith(f"{key} = {value}") for line in explained["why"]), explained["why"]


def test_since_when_it_is_protected_by_which_revision_and_with_which_gaps(asked: Snapshot) -> None:
    explained = asked.notes["explain"]
    assert explained["protectedSince"]
    assert explained["decidedBy"] == asked.estate["status"]["mapping"]["revision"]
    assert [gap for gap in explained["gaps"] if gap["ended"] is None] == []


def test_who_changed_this_is_kept_after_the_repair(asked: Snapshot) -> None:
    causes = [line["cause"] for line in asked.notes["history"]["changes"] if line["cause"].startswith("drift repaired")]
    assert any("label env" in cause for cause in causes), causes


def test_what_it_did_to_the_firewall_are_the_publishes_of_the_ledger(asked: Snapshot) -> None:
    lines = [each for each in asked.notes["system"]["changes"] if each["what"].startswith("Published")]
    assert sum(each["times"] for each in lines) == len(asked.publishes())


def test_nothing_is_retired(asked: Snapshot) -> None:
    assert asked.notes["retiring"]["hosts"] == []


def test_the_mapping_in_force_would_change_nothing(asked: Snapshot) -> None:
    assert asked.notes["plan"]["changes"] == []


def test_calls_are_those_that_the_systems_received(asked: Snapshot) -> None:
    told: Counter[str] = Counter()
    for each in asked.notes["calls"]["calls"]:
        told[each["system"]] += each["requests"] if each["operation"] != "token" else 0
    for system, number in told.items():
        least = sum(n for name, n in asked.notes["before"][system].items() if "token" not in name)
        most = sum(asked.notes["after"][system].values())
        # The report in the Lease is as old as its renewal, and the operator goes on meanwhile.
        assert 0.8 * least - 10 <= number <= most, (system, least, number, most)


def test_a_stopped_operator_and_a_suspended_estate_are_seen(recording: Recording) -> None:
    text = recording.snapshot("stopped").notes["text"]
    assert "NOBODY LEADS" in text
    assert "SUSPENDED" in text


def test_it_would_work_at_all(asked: Snapshot) -> None:
    assert [each for each in asked.notes["doctor"]["checks"] if each["result"] == "bad"] == []


def test_an_auditor_gets_every_vm(asked: Snapshot) -> None:
    rows = {row["vm"]: row for row in asked.notes["report"]["vms"]}
    assert {name for name, row in rows.items() if row["protected"]} == set(DONE)
    assert {name for name, row in rows.items() if row["labels"] == asked.workload(name)["labels"]} >= set(DONE)
