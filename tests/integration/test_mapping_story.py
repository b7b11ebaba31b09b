"""A mapping lives: changed in Git, previewed, held, approved, broken, overridden, and hosts whose tags flap."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.library import Story
from tests.integration.life import SEED, Said, Scene, vm
from tests.integration.pages import Page, Tale, condition

from lab.cluster import ROOT
from simulators.ledger import Entry

SAP = {"app": "sap", "env": "prd", "rol": "web"}
WEB = tuple(f"web-{number}" for number in range(1, 5))
SAPS = tuple(f"sap-{number}" for number in range(1, 5))
OVERRIDDEN, FLAPPING = "exception-1", "flapping-1"
ALL = (*WEB, *SAPS, OVERRIDDEN, FLAPPING)
TEXT: str = yaml.safe_load((ROOT / "manifests" / "examples" / "mapping.yaml").read_text())["data"]["mapping.yaml"]
GUARD = {"maxChangedPercent": 10}


class Desk:
    """The security engineer's: a mapping in Git, the command line, and what reaches the cluster."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def file(self, name: str, text: str) -> Path:
        path = self._scene.rig.folder / f"{name}.yaml"
        path.write_text(text)
        return path

    def run(self, *arguments: str) -> Said:
        return self._scene.microseg(*arguments)

    def plan(self, file: Path) -> Said:
        return self.run("plan", "-f", str(file), "-o", "json")

    def deliver(self, text: str, name: str = "microseg-mapping") -> None:
        """What GitOps does after a merge."""
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "labels": {"microseg.dev/mapping": "v1"},
                "annotations": {"microseg.dev/commit": "c0ffee1", "microseg.dev/author": "nora"},
            },
            "data": {"mapping.yaml": text},
        }
        path = self._scene.rig.folder / f"delivered-{name}.json"
        path.write_text(json.dumps(body))
        self._scene.rig.kubectl("apply", "-f", str(path))


def facts(scene: Scene) -> dict[str, tuple[str, str]]:
    """Labels and groups by the record's name, as they are recorded."""
    return {host.name: (host.labels, host.groups) for host in scene.hosts().values()}


def held(scene: Scene) -> str:
    """Wait until a plan is held; returns what must be approved."""
    message: str = scene.tells_of_estate("PlanHeld", "True", "Held")["message"]
    return message.partition("microseg.dev/approve=")[2].split(".")[0]


def tell(scene: Scene) -> None:
    """Ten hosts, five versions of the mapping, and one VM whose owner cannot decide."""
    orders = [
        *(vm(name, tags=SEED, location="australiaeast") for name in WEB),
        *(vm(name, tags=SAP) for name in SAPS),
        vm(OVERRIDDEN, tags={"app": "shop", "env": "dev"}),
        vm(FLAPPING, tags={"app": "billing", "env": "tst"}),
    ]
    scene.begin(*orders, mapping=TEXT)
    desk = Desk(scene)
    scene.commissioned(*ALL)
    scene.settled()

    exception = scene.hosts()[OVERRIDDEN].vm_id
    small = with_override(TEXT, exception, minutes=60)
    _small(scene, desk, small)
    large = changed(small)
    file = desk.file("large", large)
    planned, before = desk.plan(file), facts(scene)
    desk.deliver(large)
    approve = held(scene)
    scene.appear(vm("new-1", tags=SAP))
    scene.page("held", planned=planned, before=before, approve=approve, explained=desk.run("explain", SAPS[0]))

    _broken(scene, desk, large)
    scene.commissioned("new-1")
    scene.page("new hosts do not wait", before=before)

    since = scene.seq()
    scene.annotate("est/respiro", f"microseg.dev/approve={approve}")
    scene.wait("the approved change", lambda: all(scene.hosts()[name].groups == "az-pci,az-web" for name in SAPS))
    scene.settled()
    scene.page("approved", since=since, before=before, planned=planned, after=facts(scene), again=desk.plan(file))

    _used_once(scene, desk, small, large, approve)
    _flapping(scene)
    desk.deliver(with_override(TEXT, exception, minutes=0.1))
    _ended(scene)


def _small(scene: Scene, desk: Desk, small: str) -> None:
    """One override: ten per cent of the hosts, so the guard lets it through."""
    planned, before, since = desk.plan(desk.file("small", small)), facts(scene), scene.seq()
    desk.deliver(small)
    scene.wait("the override", lambda: "env=Prod" in scene.hosts()[OVERRIDDEN].labels)
    scene.settled()
    scene.page(
        "overridden", planned=planned, before=before, after=facts(scene), since=since,
        explained=desk.run("explain", OVERRIDDEN), listed=desk.run("rollback", "-o", "json"),
    )  # fmt: skip


def _broken(scene: Scene, desk: Desk, large: str) -> None:
    """A bad edit goes live, and the operator is killed and started with it."""
    broken = large.replace("onMiss: hold ", "onMis: hold ")
    desk.deliver(broken)
    scene.tells_of_estate("MappingValid", "False", "MappingInvalid")
    scene.operator.restart()
    scene.rounds(1)
    scene.wait("the Event of the refusal", lambda: "MappingInvalid" in scene.rig.kubectl("get", "events"))
    said = desk.run("plan", "-f", str(desk.file("broken", broken)))
    scene.page("broken", said=said, line=1 + broken[: broken.index("onMis: hold")].count("\n"), after=facts(scene))
    desk.deliver(large)
    scene.tells_of_estate("MappingValid", "True", "Accepted")


def _ended(scene: Scene) -> None:
    """The override ends, and nobody does anything."""
    scene.wait("the override's end", lambda: "env=Dev" in scene.hosts()[OVERRIDDEN].labels)
    scene.wait("the Event of its end", lambda: "OverrideEnded" in scene.rig.kubectl("get", "events"))
    scene.page("override ended")


def _used_once(scene: Scene, desk: Desk, small: str, large: str, approve: str) -> None:
    """Back by a second approval beside the first, then forth again: the first does not admit twice."""
    desk.deliver(small)
    back = held(scene)
    scene.annotate("est/respiro", f"microseg.dev/approve={approve},{back}")
    scene.wait("back", lambda: all(scene.hosts()[name].groups == "az-web" for name in SAPS))
    scene.settled()
    desk.deliver(large)
    scene.tells_of_estate("PlanHeld", "True", "Held")
    pinned = desk.run("rollback", "--pin", "previous")
    scene.tells_of_estate("MappingValid", "True", "Pinned")
    scene.wait("the Event of the pin", lambda: "PINNED to" in scene.rig.kubectl("get", "events"))
    scene.tells_of_estate("PlanHeld", "False")
    scene.page("used once", back=back, pinned=pinned, listed=desk.run("rollback"))
    desk.deliver(small)
    unpinned = desk.run("rollback", "--unpin")
    assert unpinned.code == 0, unpinned.err
    scene.tells_of_estate("MappingValid", "True", "Accepted")
    scene.settled()


def _flapping(scene: Scene) -> None:
    """A tag that changes at every poll, then stays; and a tag that no rule reads."""
    since = scene.seq()
    edits = [{"vm": FLAPPING, "do": "retag", "tags": {"app": "billing", "env": env}} for env in ("prd", "tst") * 3]
    lists = len(scene.worlds.described["azure"]["subscriptions"])  # in one poll
    numbers = scene.order_faults(
        *({"system": "azure", "operation": "vms.list", "nth": 1 + poll * lists, "action": "human-edit", "body": edit}
          for poll, edit in enumerate(edits))
    )  # fmt: skip
    scene.wait("a retagging before each of six polls", lambda: all(map(scene.met, numbers)))
    scene.rounds(1)
    scene.page("flapping", since=since)
    _retag(scene, {"app": "billing", "env": "tst", "costcenter": "4711"})
    scene.rounds(1)
    unread = scene.seq()
    _retag(scene, {"app": "billing", "env": "tst", "costcenter": "4712"})
    scene.wait("the record's tags", lambda: "4712" in json.dumps(scene.hosts()[FLAPPING].raw["status"]["azure"]))
    scene.rounds(2)
    scene.page("a tag that nobody reads", since=unread)
    _retag(scene, {"app": "billing", "env": "prd", "costcenter": "4712"})
    scene.wait("the new tag", lambda: "env=Prod" in scene.hosts()[FLAPPING].labels)
    scene.page("the tag stays")


def _retag(scene: Scene, tags: dict[str, str]) -> None:
    """Tags change, and the operator has read the list with them once more."""
    since = scene.seq()
    scene.worlds.post(f"/azure/vms/{FLAPPING}/retag", {"tags": tags})
    scene.entry("azure", "vms.list", since=since)


def with_override(text: str, vm_id: str, *, minutes: float) -> str:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=minutes)
    override = f'{{vmId: {vm_id}, labels: {{env: Prod}}, reason: "CHG-1234", until: {until.isoformat()}}}'
    return text.replace("\ngroups:\n", f"\noverrides:\n  - {override}\n\ngroups:\n")


def changed(text: str) -> str:
    """Production SAP hosts are called Test from now on, and belong to az-pci."""
    text = text.replace("prd: Prod", "prd: Test").replace("Environment: PRD, dataclass: PCI", "env: production")
    text = text.replace("groups: [az-db, az-pci]", "groups: [az-db]")
    when = "{tags: {DataClass: [pci]}, labels: {env: [Prod]}}"
    assert when in text
    return text.replace(when, "{labels: {app: [sap]}}")


STORY = Story("mapping-edited", tell, long=True)


def differences(before: Mapping[str, tuple[str, str]], after: Mapping[str, tuple[str, str]]) -> dict[str, list[str]]:
    """What changed between two looks, in the words of a plan, by the record's name."""
    return {name: found for name in before if (found := sorted(_kinds(before[name], after[name])))}


def _kinds(before: tuple[str, str], after: tuple[str, str]) -> Iterator[str]:
    old, new = (dict(pair.split("=") for pair in labels.split(",") if pair) for labels in (before[0], after[0]))
    for key in old.keys() | new.keys():
        if old.get(key) != new.get(key):
            yield f"label {key}: {old.get(key, '(none)')} -> {new.get(key, '(none)')}"
    was, now = ({name for name in groups.split(",") if name} for groups in (before[1], after[1]))
    yield from (f"group {name}: join" for name in now - was)
    yield from (f"group {name}: leave" for name in was - now)


def label_calls(page: Page, since: int) -> list[Entry]:
    return page.of("illumio", "workloads.set_labels", "workloads.remove_labels", "workloads.update", since=since)


def events(page: Page, reason: str) -> list[str]:
    found: Callable[[Any], str] = lambda event: event.get("message") or event.get("note", "")  # noqa: E731
    return [found(event) for event in page.events if event["reason"] == reason]


@pytest.fixture
def approved(tale: Tale) -> Page:
    return tale.page("approved")


def test_a_small_change_goes_through_and_is_what_plan_said(tale: Tale) -> None:
    page = tale.page("overridden")
    plan: Said = page.notes["planned"]

    assert plan.code == 2, plan.err
    assert plan.data["guard"]["held"] is False
    name = page.hosts[OVERRIDDEN].name
    assert plan.data["byHost"] == {name: ["label env: Dev -> Prod"]}
    assert differences(page.notes["before"], page.notes["after"]) == plan.data["byHost"]
    assert page.publishes(page.notes["since"]) == []


def test_explain_names_the_override_its_reason_and_its_end(tale: Tale) -> None:
    told: Said = tale.page("overridden").notes["explained"]

    assert told.code == 0, told.err
    assert "env = Prod <- override until" in told.out
    assert "CHG-1234" in told.out
    assert "An override ends" in told.out


def test_each_accepted_revision_is_kept_with_the_commit_and_the_author(tale: Tale) -> None:
    first, second = reversed(tale.page("overridden").notes["listed"].data["revisions"])

    assert (first["number"], second["number"]) == (1, 2)
    assert (second["commit"], second["author"], second["inForce"]) == ("c0ffee1", "nora", True)


def test_a_change_of_too_many_hosts_is_held_and_plan_said_so_with_the_very_approval(tale: Tale) -> None:
    page = tale.page("held")
    plan: Said = page.notes["planned"]

    assert plan.code == 2, plan.err
    assert plan.data["guard"]["approve"] == f"microseg.dev/approve={page.notes['approve']}"
    assert plan.data["hosts"]["changed"] == len(SAPS)
    assert [one["hosts"] for one in plan.data["changes"]] == [len(SAPS)] * 2
    message = page.condition("PlanHeld")["message"]
    assert "group az-pci: join (4)" in message
    assert "label env: Prod -> Test (4)" in message
    assert len(events(page, "PlanHeld")) == 1


def test_explain_tells_a_held_host_what_must_be_approved(tale: Tale) -> None:
    page = tale.page("held")
    told: Said = page.notes["explained"]

    assert "It stays as it is recorded" in told.out
    assert f"microseg.dev/approve={page.notes['approve']}" in told.out.replace("\n", "")


def test_a_broken_edit_is_refused_with_its_line_in_the_condition_in_an_event_and_by_plan(tale: Tale) -> None:
    page = tale.page("broken")
    line = page.notes["line"]

    message = page.condition("MappingValid")["message"]
    assert f"microseg-mapping/mapping.yaml:{line}:" in message
    assert "did you mean 'onMiss'?" in message
    assert "stays in force" in message
    assert any(f"mapping.yaml:{line}:" in event for event in events(page, "MappingInvalid"))
    said: Said = page.notes["said"]
    assert (said.code, said.out) == (1, "")
    assert f"broken.yaml:{line}:" in said.err


def test_a_hold_survives_a_restart_with_a_broken_document_live(tale: Tale) -> None:
    held, broken = tale.page("held"), tale.page("broken")

    assert broken.condition("PlanHeld")["status"] == "True"
    assert held.notes["approve"] in broken.condition("PlanHeld")["message"]
    assert broken.estate["status"]["held"][0]["since"] == held.estate["status"]["held"][0]["since"]
    assert {name: broken.notes["after"][broken.hosts[name].name] for name in SAPS} == {
        name: held.notes["before"][held.hosts[name].name] for name in SAPS
    }


def test_an_override_that_ended_is_undone_and_an_event_says_so(tale: Tale) -> None:
    page = tale.page("override ended")

    assert page.workload(OVERRIDDEN)["labels"]["env"] == "Dev"
    assert any("override env until" in event for event in events(page, "OverrideEnded")), page.state
    history = [line["what"] for line in page.hosts[OVERRIDDEN].raw["status"]["history"]]
    assert "Labels: env Prod -> Dev" in history
    assert any("is over" in line for line in history)


def test_new_hosts_never_wait_for_a_held_change(tale: Tale) -> None:
    page = tale.page("new hosts do not wait")

    assert page.condition("PlanHeld")["status"] == "True"
    assert page.workload("new-1")["labels"]["env"] == "Test"
    assert page.hosts["new-1"].groups == "az-pci,az-web"
    assert {name: page.hosts[name].labels for name in SAPS} == {
        name: page.notes["before"][page.hosts[name].name][0] for name in SAPS
    }


def test_an_approved_change_is_what_plan_said_of_every_host(approved: Page) -> None:
    plan: Said = approved.notes["planned"]
    before = {name: facts for name, facts in approved.notes["before"].items() if name in plan.data["byHost"]}

    assert differences(before, approved.notes["after"]) == plan.data["byHost"]
    assert set(plan.data["byHost"]) == {approved.hosts[name].name for name in SAPS}


def test_an_approved_change_is_one_publish_and_touches_nobody_else(approved: Page) -> None:
    since = approved.notes["since"]
    assert len(approved.publishes(since)) == 1
    told = [int(call.changed[0].split(" on ")[1].split()[0]) for call in label_calls(approved, since) if call.changed]
    assert sum(told) == len(SAPS)


def test_an_approved_change_leaves_a_line_in_each_history_and_an_event(approved: Page) -> None:
    revision = approved.estate["status"]["mapping"]["revision"]
    for name in SAPS:
        lines = approved.hosts[name].raw["status"]["history"]
        told = {line["what"]: line.get("revision") for line in lines}
        assert told.get("Labels: env Prod -> Test") == revision, lines
        assert told.get("Groups: joined az-pci") == revision, lines
    assert len(events(approved, "LabelsChanged")) >= len(SAPS)
    assert len(events(approved, "PlanApproved")) == 1
    assert approved.estate["status"]["approvals"][0]["maxHosts"] == len(SAPS)


def test_afterwards_plan_has_nothing_to_tell(approved: Page) -> None:
    again: Said = approved.notes["again"]
    assert (again.code, again.data["changed"], again.data["byHost"]) == (0, False, {})


def test_an_approval_admits_once(tale: Tale) -> None:
    page = tale.page("used once")
    told = [event for event in events(page, "PlanHeld") if page.notes["back"] not in event]

    assert len(told) >= 2
    assert all(page.hosts[name].groups == "az-web" for name in SAPS)
    assert page.hosts[SAPS[0]].condition("Ready").status == "True"


def test_a_pin_brings_an_earlier_revision_into_force_at_once_and_is_shown_loudly(tale: Tale) -> None:
    page = tale.page("used once")

    assert page.notes["pinned"].code == 0, page.notes["pinned"].err
    assert page.notes["pinned"].out.startswith("PINNED: ")
    assert page.condition("MappingValid")["message"].startswith("PINNED to revision ")
    assert page.notes["listed"].out.startswith("PINNED to ")
    assert any(event.startswith("PINNED to ") for event in events(page, "Pinned"))


def test_a_tag_that_flaps_does_not_flap_the_firewall(tale: Tale) -> None:
    page = tale.page("flapping")

    since = page.notes["since"]
    course = [
        f"{e.at % 1000:.2f} {e.operation} {e.changed}" for e in page.entries
        if e.seq > since and e.operation in ("vms.list", "world.vm-tagged", "workloads.set_labels", "workloads.list")
    ]  # fmt: skip
    assert len(page.of("azure", "world.vm-tagged", since=since)) == 6
    assert label_calls(page, since) == [], "\n".join(course)
    assert page.publishes(since) == []
    assert page.workload(FLAPPING)["labels"]["env"] == "Test"


def test_a_tag_that_no_rule_reads_costs_nothing_but_the_record(tale: Tale) -> None:
    page = tale.page("a tag that nobody reads")

    assert label_calls(page, page.notes["since"]) == []
    assert page.publishes(page.notes["since"]) == []


def test_a_tag_that_stays_is_followed(tale: Tale) -> None:
    page = tale.page("the tag stays")

    assert page.workload(FLAPPING)["labels"]["env"] == "Prod"
    history = [line["what"] for line in page.hosts[FLAPPING].raw["status"]["history"]]
    assert "Labels: env Test -> Prod" in history


def test_nothing_is_held_at_the_end(tale: Tale) -> None:
    assert condition(tale.page("override ended").estate, "PlanHeld")["status"] == "False"
