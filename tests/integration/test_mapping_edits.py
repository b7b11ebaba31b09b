"""Edits of the mapping: previewed, held, approved, broken, overridden; and a host whose tags flap."""

from __future__ import annotations

import json

import pytest
import yaml
from tests.integration.mapping_edits import (
    SecurityEngineer,
    changed,
    differences,
    events,
    facts,
    held,
    label_calls,
    with_override,
)
from tests.integration.scenario import SEED, CommandResult, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, Snapshot, condition

from lab.cluster import ROOT

SAP = {"app": "sap", "env": "prd", "rol": "web"}
WEB = tuple(f"web-{number}" for number in range(1, 5))
SAPS = tuple(f"sap-{number}" for number in range(1, 5))
OVERRIDDEN, FLAPPING = "exception-1", "flapping-1"
ALL = (*WEB, *SAPS, OVERRIDDEN, FLAPPING)
TEXT: str = yaml.safe_load((ROOT / "manifests" / "examples" / "mapping.yaml").read_text())["data"]["mapping.yaml"]


def scenario(run: ScenarioRun) -> None:
    """Ten hosts, five versions of the mapping, and one VM whose tags change at every poll."""
    vms = [
        *(vm(name, tags=SEED, location="australiaeast") for name in WEB),
        *(vm(name, tags=SAP) for name in SAPS),
        vm(OVERRIDDEN, tags={"app": "shop", "env": "dev"}),
        vm(FLAPPING, tags={"app": "billing", "env": "tst"}),
    ]
    run.start(*vms, mapping=TEXT)
    engineer = SecurityEngineer(run)
    run.wait_commissioned(*ALL)
    run.wait_settled()

    exception = run.hosts()[OVERRIDDEN].vm_id
    small = with_override(TEXT, exception, minutes=60)
    _edit_one_host(run, engineer, small)
    large = changed(small)
    file = engineer.file("large", large)
    planned, before = engineer.plan(file), facts(run)
    engineer.deliver(large)
    approve = held(run)
    run.create_vms(vm("new-1", tags=SAP))
    run.snapshot("held", planned=planned, before=before, approve=approve, explained=engineer.run("explain", SAPS[0]))

    _break_mapping(run, engineer, large)
    run.wait_commissioned("new-1")
    run.snapshot("new hosts do not wait", before=before)

    since = run.ledger_end()
    approval = engineer.run("approve", "plan", approve.partition(":")[0][:12], "--reason", "CHG-1", "-o", "json")
    assert approval.code == 0, approval.err
    run.wait("the approved change", lambda: all(run.hosts()[name].groups == "az-pci,az-web" for name in SAPS))
    run.wait_settled()
    given = engineer.settled(approval.data["approval"])
    run.snapshot(
        "approved", since=since, before=before, planned=planned, after=facts(run), again=engineer.plan(file),
        approval=given,
    )  # fmt: skip

    _approve_once(run, engineer, small, large)
    _flap_a_tag(run)
    engineer.deliver(with_override(TEXT, exception, minutes=0.1))
    _end_override(run)


def _edit_one_host(run: ScenarioRun, engineer: SecurityEngineer, small: str) -> None:
    """Add one override: ten per cent of the hosts, so that the guard allows it."""
    planned, before, since = engineer.plan(engineer.file("small", small)), facts(run), run.ledger_end()
    engineer.deliver(small)
    run.wait("the override", lambda: "env=Prod" in run.hosts()[OVERRIDDEN].labels)
    run.wait_settled()
    run.snapshot(
        "overridden", planned=planned, before=before, after=facts(run), since=since,
        explained=engineer.run("explain", OVERRIDDEN), listed=engineer.run("rollback", "-o", "json"),
    )  # fmt: skip


def _break_mapping(run: ScenarioRun, engineer: SecurityEngineer, large: str) -> None:
    """Deliver a bad edit, and restart the operator with it."""
    broken = large.replace("onMiss: hold ", "onMis: hold ")
    engineer.deliver(broken)
    run.wait_for_estate_condition("MappingValid", "False", "MappingInvalid")
    run.operator.restart()
    run.wait_polls(1)
    run.wait("the Event of the refusal", lambda: "MappingInvalid" in run.rig.kubectl("get", "events"))
    result = engineer.run("plan", "-f", str(engineer.file("broken", broken)))
    run.snapshot("broken", result=result, line=1 + broken[: broken.index("onMis: hold")].count("\n"), after=facts(run))
    engineer.deliver(large)
    run.wait_for_estate_condition("MappingValid", "True", "Accepted")


def _end_override(run: ScenarioRun) -> None:
    """Wait until the override ends by itself."""
    run.wait("the override's end", lambda: "env=Dev" in run.hosts()[OVERRIDDEN].labels)
    run.wait("the Event of its end", lambda: "OverrideEnded" in run.rig.kubectl("get", "events"))
    run.snapshot("override ended")


def _approve_once(run: ScenarioRun, engineer: SecurityEngineer, small: str, large: str) -> None:
    """Go back by a second approval, then forth again: the first approval is used up."""
    engineer.deliver(small)
    back = held(run)
    run.annotate("est/respiro", f"microseg.dev/approve={back}")
    run.wait("back", lambda: all(run.hosts()[name].groups == "az-web" for name in SAPS))
    run.wait_settled()
    engineer.deliver(large)
    run.wait_for_estate_condition("PlanHeld", "True", "Held")
    pinned = engineer.run("rollback", "--pin", "previous")
    run.wait_for_estate_condition("MappingValid", "True", "Pinned")
    run.wait("the Event of the pin", lambda: "PINNED to" in run.rig.kubectl("get", "events"))
    run.wait_for_estate_condition("PlanHeld", "False")
    run.snapshot("used once", back=back, pinned=pinned, listed=engineer.run("rollback"))
    engineer.deliver(small)
    unpinned = engineer.run("rollback", "--unpin")
    assert unpinned.code == 0, unpinned.err
    run.wait_for_estate_condition("MappingValid", "True", "Accepted")
    run.wait_settled()


def _flap_a_tag(run: ScenarioRun) -> None:
    """Change a tag at every poll, then let it stay; and change a tag that no rule reads."""
    since = run.ledger_end()
    edits = [{"vm": FLAPPING, "do": "retag", "tags": {"app": "billing", "env": env}} for env in ("prd", "tst") * 3]
    lists = len(run.worlds.described["azure"]["subscriptions"])  # in one poll
    numbers = run.inject_faults(
        *({"system": "azure", "operation": "vms.list", "nth": 1 + poll * lists, "action": "human-edit", "body": edit}
          for poll, edit in enumerate(edits))
    )  # fmt: skip
    run.wait("a retagging before each of six polls", lambda: all(map(run.fault_was_met, numbers)))
    run.wait_polls(1)
    run.snapshot("flapping", since=since)
    _retag(run, {"app": "billing", "env": "tst", "costcenter": "4711"})
    run.wait_polls(1)
    unread = run.ledger_end()
    _retag(run, {"app": "billing", "env": "tst", "costcenter": "4712"})
    run.wait("the record's tags", lambda: "4712" in json.dumps(run.hosts()[FLAPPING].raw["status"]["azure"]))
    run.wait_polls(2)
    run.snapshot("a tag that nobody reads", since=unread)
    _retag(run, {"app": "billing", "env": "prd", "costcenter": "4712"})
    run.wait("the new tag", lambda: "env=Prod" in run.hosts()[FLAPPING].labels)
    run.snapshot("the tag stays")


def _retag(run: ScenarioRun, tags: dict[str, str]) -> None:
    """Change tags, and wait until the operator has read a list with them."""
    since = run.ledger_end()
    run.worlds.post(f"/azure/vms/{FLAPPING}/retag", {"tags": tags})
    run.wait_for_entry("azure", "vms.list", since=since)


SCENARIO = Scenario("mapping-edits", scenario, long=True)


@pytest.fixture
def approved(recording: Recording) -> Snapshot:
    return recording.snapshot("approved")


def test_the_approval_is_kept_with_who_gave_it_why_and_what_came_of_it(recording: Recording) -> None:
    approval = recording.snapshot("approved").notes["approval"]
    spec, status = approval["spec"], approval["status"]
    assert (spec["reason"], status["outcome"]) == ("CHG-1", "Used")
    assert len([vm_id for seen in spec["seen"] for vm_id in seen["hosts"]]) == len(SAPS)
    lines = recording.snapshot("approved").estate["status"]["history"]
    assert f"approved by {spec['by']}, Approval {approval['metadata']['name']}: CHG-1" in [
        one["cause"] for one in lines
    ]


def test_a_small_change_goes_through_and_is_what_plan_said(recording: Recording) -> None:
    snapshot = recording.snapshot("overridden")
    plan: CommandResult = snapshot.notes["planned"]

    assert plan.code == 2, plan.err
    assert plan.data["guard"]["held"] is False
    name = snapshot.hosts[OVERRIDDEN].name
    assert plan.data["byHost"] == {name: ["label env: Dev -> Prod"]}
    assert differences(snapshot.notes["before"], snapshot.notes["after"]) == plan.data["byHost"]
    assert snapshot.publishes(snapshot.notes["since"]) == []


def test_explain_names_the_override_its_reason_and_its_end(recording: Recording) -> None:
    explained: CommandResult = recording.snapshot("overridden").notes["explained"]

    assert explained.code == 0, explained.err
    assert "env = Prod <- override until" in explained.out
    assert "CHG-1234" in explained.out
    assert "An override ends" in explained.out


def test_each_accepted_revision_is_kept_with_the_commit_and_the_author(recording: Recording) -> None:
    first, second = reversed(recording.snapshot("overridden").notes["listed"].data["revisions"])

    assert (first["number"], second["number"]) == (1, 2)
    assert (second["commit"], second["author"], second["inForce"]) == ("c0ffee1", "nora", True)


def test_a_change_of_too_many_hosts_is_held_and_plan_said_so_with_the_very_approval(recording: Recording) -> None:
    snapshot = recording.snapshot("held")
    plan: CommandResult = snapshot.notes["planned"]

    assert plan.code == 2, plan.err
    assert plan.data["guard"]["approve"] == snapshot.notes["approve"]
    assert plan.data["hosts"]["changed"] == len(SAPS)
    assert [one["hosts"] for one in plan.data["changes"]] == [len(SAPS)] * 2
    message = snapshot.condition("PlanHeld")["message"]
    assert "group az-pci: join (4)" in message
    assert "label env: Prod -> Test (4)" in message
    assert len(events(snapshot, "PlanHeld")) == 1


def test_explain_tells_a_held_host_what_must_be_approved(recording: Recording) -> None:
    snapshot = recording.snapshot("held")
    explained: CommandResult = snapshot.notes["explained"]

    assert "It stays as it is recorded" in explained.out
    assert f"microseg approve plan {snapshot.notes['approve']}" in explained.out.replace("\n", " ")


def test_a_broken_edit_is_refused_with_its_line_in_the_condition_in_an_event_and_by_plan(recording: Recording) -> None:
    snapshot = recording.snapshot("broken")
    line = snapshot.notes["line"]

    message = snapshot.condition("MappingValid")["message"]
    assert f"microseg-mapping/mapping.yaml:{line}:" in message
    assert "did you mean 'onMiss'?" in message
    assert "stays in force" in message
    assert any(f"mapping.yaml:{line}:" in event for event in events(snapshot, "MappingInvalid"))
    result: CommandResult = snapshot.notes["result"]
    assert (result.code, result.out) == (1, "")
    assert f"broken.yaml:{line}:" in result.err


def test_a_hold_survives_a_restart_with_a_broken_document_live(recording: Recording) -> None:
    held, broken = recording.snapshot("held"), recording.snapshot("broken")

    assert broken.condition("PlanHeld")["status"] == "True"
    assert held.notes["approve"] in broken.condition("PlanHeld")["message"]
    assert broken.estate["status"]["held"][0]["since"] == held.estate["status"]["held"][0]["since"]
    assert {name: broken.notes["after"][broken.hosts[name].name] for name in SAPS} == {
        name: held.notes["before"][held.hosts[name].name] for name in SAPS
    }


def test_an_override_that_ended_is_undone_and_an_event_says_so(recording: Recording) -> None:
    snapshot = recording.snapshot("override ended")

    assert snapshot.workload(OVERRIDDEN)["labels"]["env"] == "Dev"
    assert any("override env until" in event for event in events(snapshot, "OverrideEnded")), snapshot.state
    history = [line["what"] for line in snapshot.hosts[OVERRIDDEN].raw["status"]["history"]]
    assert "Labels: env Prod -> Dev" in history
    assert any("is over" in line for line in history)


def test_new_hosts_never_wait_for_a_held_change(recording: Recording) -> None:
    snapshot = recording.snapshot("new hosts do not wait")

    assert snapshot.condition("PlanHeld")["status"] == "True"
    assert snapshot.workload("new-1")["labels"]["env"] == "Test"
    assert snapshot.hosts["new-1"].groups == "az-pci,az-web"
    assert {name: snapshot.hosts[name].labels for name in SAPS} == {
        name: snapshot.notes["before"][snapshot.hosts[name].name][0] for name in SAPS
    }


def test_an_approved_change_is_what_plan_said_of_every_host(approved: Snapshot) -> None:
    plan: CommandResult = approved.notes["planned"]
    before = {name: facts for name, facts in approved.notes["before"].items() if name in plan.data["byHost"]}

    assert differences(before, approved.notes["after"]) == plan.data["byHost"]
    assert set(plan.data["byHost"]) == {approved.hosts[name].name for name in SAPS}


def test_an_approved_change_is_one_publish_and_touches_nobody_else(approved: Snapshot) -> None:
    since = approved.notes["since"]
    assert len(approved.publishes(since)) == 1
    counts = [int(call.changed[0].split(" on ")[1].split()[0]) for call in label_calls(approved, since) if call.changed]
    assert sum(counts) == len(SAPS)


def test_an_approved_change_leaves_a_line_in_each_history_and_an_event(approved: Snapshot) -> None:
    revision = approved.estate["status"]["mapping"]["revision"]
    for name in SAPS:
        lines = approved.hosts[name].raw["status"]["history"]
        revisions = {line["what"]: line.get("revision") for line in lines}
        assert revisions.get("Labels: env Prod -> Test") == revision, lines
        assert revisions.get("Groups: joined az-pci") == revision, lines
    assert len(events(approved, "LabelsChanged")) >= len(SAPS)
    assert len(events(approved, "PlanApproved")) == 1
    assert approved.estate["status"]["approvals"][0]["maxHosts"] == len(SAPS)


def test_afterwards_plan_has_nothing_to_tell(approved: Snapshot) -> None:
    again: CommandResult = approved.notes["again"]
    assert (again.code, again.data["changed"], again.data["byHost"]) == (0, False, {})


def test_an_approval_admits_once(recording: Recording) -> None:
    snapshot = recording.snapshot("used once")
    held_again = [event for event in events(snapshot, "PlanHeld") if snapshot.notes["back"] not in event]

    assert len(held_again) >= 2
    assert all(snapshot.hosts[name].groups == "az-web" for name in SAPS)
    assert snapshot.hosts[SAPS[0]].condition("Ready").status == "True"


def test_a_pin_brings_an_earlier_revision_into_force_at_once_and_is_shown_loudly(recording: Recording) -> None:
    snapshot = recording.snapshot("used once")

    assert snapshot.notes["pinned"].code == 0, snapshot.notes["pinned"].err
    assert snapshot.notes["pinned"].out.startswith("PINNED: ")
    assert snapshot.condition("MappingValid")["message"].startswith("PINNED to revision ")
    assert snapshot.notes["listed"].out.startswith("PINNED to ")
    assert any(event.startswith("PINNED to ") for event in events(snapshot, "Pinned"))


def test_a_tag_that_flaps_does_not_flap_the_firewall(recording: Recording) -> None:
    snapshot = recording.snapshot("flapping")

    since = snapshot.notes["since"]
    course = [
        f"{e.at % 1000:.2f} {e.operation} {e.changed}" for e in snapshot.entries
        if e.seq > since and e.operation in ("vms.list", "world.vm-tagged", "workloads.set_labels", "workloads.list")
    ]  # fmt: skip
    assert len(snapshot.of("azure", "world.vm-tagged", since=since)) == 6
    assert label_calls(snapshot, since) == [], "\n".join(course)
    assert snapshot.publishes(since) == []
    assert snapshot.workload(FLAPPING)["labels"]["env"] == "Test"


def test_a_tag_that_no_rule_reads_costs_nothing_but_the_record(recording: Recording) -> None:
    snapshot = recording.snapshot("a tag that nobody reads")

    assert label_calls(snapshot, snapshot.notes["since"]) == []
    assert snapshot.publishes(snapshot.notes["since"]) == []


def test_a_tag_that_stays_is_followed(recording: Recording) -> None:
    snapshot = recording.snapshot("the tag stays")

    assert snapshot.workload(FLAPPING)["labels"]["env"] == "Prod"
    history = [line["what"] for line in snapshot.hosts[FLAPPING].raw["status"]["history"]]
    assert "Labels: env Test -> Prod" in history


def test_nothing_is_held_at_the_end(recording: Recording) -> None:
    assert condition(recording.snapshot("override ended").estate, "PlanHeld")["status"] == "False"
