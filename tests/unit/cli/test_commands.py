"""The command line: what each command answers, and with which exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from tests.unit.cli.world import MOVED, NOW, RULES, FakeCluster, host, revision, with_hosts

from microseg.__main__ import main
from microseg.cli import advice
from microseg.cli import explain as explaining
from microseg.cli import plan as previewing
from microseg.cli.errors import CommandError
from microseg.cli.times import Times, unreadable
from microseg.kube.deployments import OperatorDeployment
from microseg.kube.errors import Forbidden
from microseg.mapping import parse
from microseg.model.agent_record import AgentRecord
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.estate_status import HeldPlan, KnownNames, MappingState, PollRecord
from microseg.model.history_line import HistoryLine
from microseg.model.host import ManagedHost

Write = Callable[[str], Path]
Capture = pytest.CaptureFixture[str]
STAGES = sorted((Path(__file__).parents[3] / "operator" / "microseg" / "stages").glob("*.py"))
CLEAN = RULES.replace(", dev: Dev", "")
_HOLDS = {
    "COMMISSIONED", "SEEN", "PAIRED", "LABELS_SET", "PUBLISHED", "NO_GROUP_WANTED", "INSTALLED", "NOTHING_TO_INSTALL",
}  # fmt: skip


def run(arguments: Sequence[object], capsys: Capture) -> tuple[int, str, str]:
    capsys.readouterr()
    try:
        code = main([str(each) for each in arguments])
    except SystemExit as ended:
        code = int(ended.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


# validate


def test_validate_says_fit_with_the_revision_and_ends_with_0(document: Write, capsys: Capture) -> None:
    code, out, _ = run(["validate", document(CLEAN)], capsys)
    told = f"platform: fit to be accepted as revision {parse(CLEAN, 't').shown}; it has no tests: write some\n"
    assert (code, out) == (0, told)


@pytest.mark.parametrize("output", ["table", "md", "json", "yaml"])
def test_validate_tells_problems_and_failed_tests_with_their_place_and_ends_with_1(
    document: Write, capsys: Capture, output: str
) -> None:
    failing = f"{RULES}tests:\n  - {{name: t, given: {{tags: {{app: shop}}}}, labels: {{env: Prod}}}}\n"
    for text, place in ((RULES.replace("oneOf", "onOf"), ":5:"), (failing, ":11:")):
        code, out, _ = run(["validate", document(text), "-o", output], capsys)
        assert code == 1
        assert place in out


def test_validate_lets_warnings_pass_unless_they_are_asked_to_count(document: Write, capsys: Capture) -> None:
    file = document(RULES.replace("oneOf: [shop, sap], onMiss: hold", "oneOf: [shop, Shop], onMiss: hold"))
    assert run(["validate", file], capsys)[0] == 0
    code, out, _ = run(["validate", file, "--strict", "-o", "json"], capsys)
    assert code == 1
    assert "differ only in case" in json.loads(out)["warnings"][0]


# plan


def test_plan_ends_with_0_where_nothing_changes(document: Write, cluster: FakeCluster, capsys: Capture) -> None:
    code, out, _ = run(["plan", "-f", document(f"# a comment\n{RULES}")], capsys)
    assert code == 0
    assert "0 of 11 commissioned hosts change" in out
    assert cluster.asked == ["platform"]


def test_plan_ends_with_2_and_tells_label_group_count_examples_and_verdict(
    document: Write, cluster: FakeCluster, capsys: Capture
) -> None:
    code, out, _ = run(["plan", "-f", document(MOVED), "-o", "json"], capsys)
    data = json.loads(out)
    assert code == 2
    assert data["changes"] == [
        {"kind": "group az-pci: leave", "hosts": 1, "examples": ["Prod"]},
        {"kind": "label env: Prod -> Test", "hosts": 1, "examples": ["Prod"]},
    ]
    assert data["emptiedGroups"] == ["az-pci"]
    assert data["hosts"]["onboarding"] == 1
    assert data["guard"]["held"] is False
    assert cluster.pins == []


@pytest.mark.parametrize("output", ["table", "md"])
def test_plan_shows_a_person_the_same(document: Write, cluster: FakeCluster, capsys: Capture, output: str) -> None:
    assert cluster.now.key == "ns/respiro"
    code, out, _ = run(["plan", "-f", document(MOVED), "-o", output], capsys)
    assert code == 2
    for words in ("Prod -> Test", "az-pci", "passes: 1 of 11", "still being onboarded", "lose their last member"):
        assert words in out.replace("\\", "")


def test_plan_tells_a_hold_with_the_command_that_approves_it(
    document: Write, cluster: FakeCluster, capsys: Capture
) -> None:
    cluster.now = with_hosts(cluster.now, [host(f"prod{number}") for number in range(3)])
    code, out, _ = run(["plan", "-f", document(MOVED), "-o", "yaml"], capsys)
    guard = yaml.safe_load(out)["guard"]
    assert code == 2
    assert guard["held"]
    assert re.fullmatch(r"[0-9a-f]{64}:3", guard["approve"])
    assert f"microseg approve plan {guard['approve']} -n ns" in guard["verdict"]


def test_plan_tells_what_an_observing_estate_would_do(cluster: FakeCluster, capsys: Capture) -> None:
    told = Condition(
        type=ConditionType.GROUPED,
        status=ConditionStatus.FALSE,
        reason="Observing",
        message="The estate observes. Enforcing, it would: Objects are being changed and published: az-web1.",
        last_transition_time=NOW,
    )
    new = host("web1", commissioned=False, conditions=(told,))
    cluster.now = with_hosts(cluster.now, [new])
    code, out, _ = run(["plan", "-o", "json"], capsys)
    assert json.loads(out)["observing"] == {new.name: {"Grouped": "Objects are being changed and published: az-web1."}}
    code, out, _ = run(["plan"], capsys)
    assert code == 0
    assert re.search(r"Grouped +1 +Web1", out)


def test_plan_counts_hosts_that_no_rule_would_know(document: Write, cluster: FakeCluster, capsys: Capture) -> None:
    assert cluster.now.hosts
    code, out, _ = run(["plan", "-f", document(RULES.replace("shop, sap", "sap").replace("[shop]", "[sap]"))], capsys)
    assert code == 2
    assert "MappingMiss" in out
    assert "12" in out
    assert "HELD: 11 of 11" in out


def test_plan_says_that_suspended_and_missing_hosts_are_not_as_the_others(
    document: Write, cluster: FakeCluster, capsys: Capture
) -> None:
    frozen = host("prod1")
    frozen = msgspec.structs.replace(frozen, spec=msgspec.structs.replace(frozen.spec, suspend=True))
    cluster.now = with_hosts(cluster.now, [frozen, host("prod2", missing_since=NOW)])
    _, out, _ = run(["plan", "-f", document(MOVED)], capsys)
    assert "1 of them are suspended" in out
    assert "1 hosts are missing in Azure now" in out


def test_plan_compares_with_what_was_let_through_last_while_a_change_is_held(
    document: Write, cluster: FakeCluster, capsys: Capture
) -> None:
    before, held = revision(1, RULES), revision(2, MOVED)
    plan = HeldPlan(kind="mapping", digest="d", hosts=1, since=NOW, instead=before.digest)
    state = MappingState(revision=held.digest)
    status = msgspec.structs.replace(cluster.now.estate.status, held=(plan,), mapping=state)
    estate = msgspec.structs.replace(cluster.now.estate, status=status)
    cluster.now = replace(cluster.now, estate=estate, revisions=(before, held))
    assert run(["plan", "-f", document(RULES)], capsys)[0] == 0
    code, out, _ = run(["plan"], capsys)
    assert code == 2
    assert f"until one is approved, hosts follow revision {before.digest}" in out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (RULES.replace("labels:\n", "labls:\n"), "did you mean 'labels'?"),
        (f"{RULES}tests:\n  - {{name: t, given: {{tags: {{app: shop}}}}, labels: {{env: Prod}}}}\n", "expected Prod"),
    ],
)
def test_plan_ends_with_1_for_what_the_operator_would_refuse(
    document: Write, cluster: FakeCluster, capsys: Capture, text: str, words: str
) -> None:
    assert cluster.now.hosts
    code, out, err = run(["plan", "-f", document(text)], capsys)
    assert (code, out) == (1, "")
    assert words in err
    assert re.search(r"mapping\.yaml:\d+:\d+: ", err)


def test_plan_refuses_a_group_that_the_estate_does_not_allow(
    document: Write, cluster: FakeCluster, capsys: Capture
) -> None:
    spec = cluster.now.estate.spec
    allowed = msgspec.structs.replace(spec.check_point, allowed_groups=("az-shop",))
    estate = msgspec.structs.replace(cluster.now.estate, spec=msgspec.structs.replace(spec, check_point=allowed))
    cluster.now = replace(cluster.now, estate=estate)
    code, _, err = run(["plan", "-f", document(RULES)], capsys)
    assert code == 1
    assert 'the estate does not allow the group "az-pci"' in err


def known(cluster: FakeCluster, record: KnownNames | None, **more: Any) -> None:
    """The Estate keeps these names of the outside."""
    status = msgspec.structs.replace(cluster.now.estate.status, known=record, **more)
    cluster.now = replace(cluster.now, estate=msgspec.structs.replace(cluster.now.estate, status=status))


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (KnownNames(groups=("az-shop",)), ["Check Point has no group az-pci."]),
        (KnownNames(groups=("AZ-SHOP",), left_out=9), ["Check Point may have no (the Estate keeps a part of the"]),
        (
            KnownNames(groups=("az-shop", "az-pci"), mistakes=("Check Point has no package P.",)),
            ["Check Point has no package P."],
        ),
        (None, ["Which names the PCE and Check Point have was never read"]),
    ],
)
def test_plan_lists_what_is_named_and_missing_outside_and_ends_with_1(
    document: Write, cluster: FakeCluster, capsys: Capture, record: KnownNames | None, told: list[str]
) -> None:
    known(cluster, record)
    code, out, _ = run(["plan", "-f", document(MOVED), "-o", "json"], capsys)
    data = json.loads(out)
    assert code == 1
    assert [sentence[: len(told[0])] for sentence in data["missingOutside"]] == told
    held = "has no group" in told[0]
    assert (data["guard"]["held"], data["guard"]["approve"] is None) == (held, True)
    assert not held or "no approval counts before that" in data["guard"]["verdict"]
    assert told[0][:20] in run(["plan"], capsys)[1], "the mapping in force is compared, too"


@pytest.mark.parametrize("poll", [None, PollRecord(complete=False, vms=0)])
def test_plan_of_an_estate_that_was_never_read_says_so_and_ends_with_1(
    cluster: FakeCluster, capsys: Capture, poll: PollRecord | None
) -> None:
    cluster.now = with_hosts(cluster.now, ())
    known(cluster, None, poll=poll)
    code, out, err = run(["plan"], capsys)
    assert (code, out) == (1, "")
    assert "was never read" in err


def test_plan_of_another_mapping_is_refused(document: Write, cluster: FakeCluster, capsys: Capture) -> None:
    assert cluster.now.hosts
    code, _, err = run(["plan", "-f", document(RULES.replace("name: platform", "name: other"))], capsys)
    assert code == 1
    assert "Estate ns/respiro uses platform" in err


# explain


def told(live: Any, one: ManagedHost) -> dict[str, Any]:
    return dict(explaining.report(live, one, Times()).data)


def failing(one: ManagedHost, kind: ConditionType, reason: Reason, **more: Any) -> ManagedHost:
    made = Condition(
        type=kind, status=ConditionStatus.FALSE, reason=reason.value, message="words", last_transition_time=NOW
    )
    return msgspec.structs.replace(one, status=msgspec.structs.replace(one.status, conditions=(made,), **more))


@pytest.mark.parametrize("name", ["prod-1", "PROD", "prod.corp"])
def test_explain_finds_a_host_by_any_of_its_names(cluster: FakeCluster, capsys: Capture, name: str) -> None:
    assert cluster.now.hosts
    code, out, _ = run(["explain", name, "-o", "json"], capsys)
    assert code == 0
    data = json.loads(out)
    assert data["host"] == "prod-1"
    assert data["why"][1].startswith('env = Prod <- tag env="prd" -> values prd (platform@')
    assert data["why"][2].startswith("group az-pci: member <- ")
    assert "every 60s" in data["next"][0] or "decided for the first time" in data["next"][0]


def test_explain_names_those_that_it_could_mean(cluster: FakeCluster, capsys: Capture) -> None:
    cluster.now = with_hosts(cluster.now, [host("twin"), host("twin")])
    one, other = (msgspec.structs.replace(each, name=f"twin-{n}") for n, each in enumerate(cluster.now.hosts))
    cluster.now = with_hosts(cluster.now, [one, other])
    code, _, err = run(["explain", "Twin"], capsys)
    assert (code, err) == (1, "microseg: 2 hosts are called Twin: name one of twin-0, twin-1\n")
    code, _, err = run(["explain", "win"], capsys)
    assert code == 1
    assert "did you mean twin-0, twin-1?" in err


@pytest.mark.parametrize(
    "reason", [Reason.KEY_REFUSED, Reason.GROUP_MISSING, Reason.MAPPING_MISS, Reason.VM_NOT_RUNNING]
)
def test_explain_tells_what_is_next_and_what_a_person_can_do(cluster: FakeCluster, reason: Reason) -> None:
    data = told(cluster.now, failing(host("stuck"), ConditionType.LABELLED, reason))
    assert f"({reason.value})" in data["next"][0]
    assert data["person"] == [f"Labelled ({reason.value}): {advice.advice(reason.value).person}."]


def test_explain_tells_the_times_of_a_running_attempt(cluster: FakeCluster) -> None:
    agent = AgentRecord(attempt=2, mode="install", intended_at=NOW, seals_at=NOW)
    one = failing(host("new", commissioned=False), ConditionType.AGENT_PAIRED, Reason.INSTALLING_AGENT, agent=agent)
    text = " ".join(told(cluster.now, one)["next"])
    assert "Attempt 2 (install) began 2027-01-01 12:00:00Z" in text
    assert "it is over at 2027-01-01 12:40:00Z" in text


def test_explain_takes_the_times_of_the_running_deployment(cluster: FakeCluster, capsys: Capture) -> None:
    agent = AgentRecord(attempt=1, mode="install", intended_at=NOW, seals_at=NOW)
    one = failing(host("new", commissioned=False), ConditionType.AGENT_PAIRED, Reason.INSTALLING_AGENT, agent=agent)
    cluster.now = with_hosts(cluster.now, [one])
    cluster.deployments = [OperatorDeployment("microseg", {"MICROSEG_INSTALLER_EXPECTED": "600"})]
    data = json.loads(run(["explain", "new", "-o", "json"], capsys)[1])
    assert data["timesFrom"] == "ns/microseg"
    assert any("a script usually ends by 2027-01-01 12:10:00Z" in line for line in data["next"])
    assert not [line for line in data["next"] if "defaults" in line]


@pytest.mark.parametrize(
    ("deployments", "why"),
    [
        ([], "namespace ns has no Deployment of the operator"),
        ([OperatorDeployment("a", {}), OperatorDeployment("b", {})], "several Deployments of the operator (a, b)"),
        ([OperatorDeployment("a", {}, ("POD_NAME", "envFrom"))], "the Deployment a takes envFrom from another object"),
        (
            [OperatorDeployment("a", {"MICROSEG_LOOK_PAUSE": "soon"})],
            "a setting of the Deployment a cannot be used (MICROSEG_LOOK_PAUSE is 'soon'; it is a number of seconds)",
        ),
    ],
)
def test_explain_says_in_one_line_that_times_are_the_defaults(
    cluster: FakeCluster, capsys: Capture, deployments: list[OperatorDeployment], why: str
) -> None:
    agent = AgentRecord(attempt=1, mode="install", intended_at=NOW, seals_at=NOW)
    one = failing(host("new", commissioned=False), ConditionType.AGENT_PAIRED, Reason.INSTALLING_AGENT, agent=agent)
    cluster.now = with_hosts(cluster.now, [one])
    cluster.deployments = deployments
    data = json.loads(run(["explain", "new", "-o", "json"], capsys)[1])
    assert data["timesFrom"] == "defaults"
    (line,) = [line for line in data["next"] if "defaults" in line]
    assert line.startswith("Times are the defaults: ")
    assert why in line
    assert any("a script usually ends by 2027-01-01 12:05:00Z" in line for line in data["next"])


def test_a_deployment_that_may_not_be_read_is_told_with_the_servers_reason() -> None:
    error = Forbidden('deployments.apps is forbidden: User "nora" cannot list resource "deployments"')
    assert unreadable(error).notice == f"Times are the defaults: the Deployment microseg could not be read ({error})."


def test_explain_shows_what_differs_and_the_history(cluster: FakeCluster) -> None:
    line = HistoryLine(at=NOW, what="Labels: env Dev -> Prod", revision="abc")
    one = host("prod", env="dev", history=(line,))
    assert one.status.azure is not None
    azure = msgspec.structs.replace(one.status.azure, tags=host("x").status.azure.tags)  # type: ignore[union-attr]
    one = msgspec.structs.replace(one, status=msgspec.structs.replace(one.status, azure=azure))
    data = told(cluster.now, one)
    assert data["differences"] == ["group az-pci: join", "label env: Dev -> Prod"]
    assert data["history"][0]["what"] == "Labels: env Dev -> Prod"


def test_every_reason_with_which_a_stage_does_not_hold_has_advice() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in STAGES)
    named = set(re.findall(r"Reason\.([A-Z_]+)", text)) - _HOLDS
    assert {"KEY_REFUSED", "GONE_UNPROVEN"} <= named
    assert [name for name in sorted(named) if not advice.has_advice(Reason[name])] == []


def test_every_reason_that_blocks_tells_what_a_person_can_do() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in STAGES)
    blocking = set(re.findall(r"Blocked\(\s*Reason\.([A-Z_]+)", text))
    assert [name for name in sorted(blocking) if not advice.advice(Reason[name].value).person] == []


# rollback


@pytest.fixture
def three(cluster: FakeCluster) -> FakeCluster:
    kept = (revision(1, RULES), revision(2, MOVED), revision(3, RULES))
    cluster.now = replace(cluster.now, revisions=kept)
    return cluster


def test_rollback_lists_and_changes_nothing(three: FakeCluster, capsys: Capture) -> None:
    code, out, _ = run(["rollback"], capsys)
    assert code == 0
    rows = [line.split() for line in out.splitlines() if "c0ffee1" in line]
    assert [row[0] for row in rows] == ["3", "2", "1"]
    assert [row[-2:] == ["in", "force"] for row in rows] == [True, False, False]
    assert three.pins == []


@pytest.mark.parametrize("named", ["previous", "2", parse(MOVED, "t").digest, parse(MOVED, "t").digest[:7]])
def test_rollback_prints_a_document_alone_on_standard_output(three: FakeCluster, capsys: Capture, named: str) -> None:
    code, out, err = run(["rollback", named], capsys)
    assert (code, out) == (0, MOVED)
    assert f"this is revision {parse(MOVED, 't').digest} (number 2" in err
    assert three.pins == []


def test_rollback_pins_loudly_and_says_what_the_guard_will_say(three: FakeCluster, capsys: Capture) -> None:
    code, out, _ = run(["rollback", "--pin", "previous"], capsys)
    assert code == 0
    assert out.startswith("PINNED: ")
    assert "Guard: passes: 1 of 11" in out
    assert three.pins == [parse(MOVED, "t").digest]


def test_rollback_takes_a_pin_off(three: FakeCluster, capsys: Capture) -> None:
    spec = three.now.estate.spec
    pinned = msgspec.structs.replace(spec, mapping=msgspec.structs.replace(spec.mapping, pin="abc"))
    three.now = replace(three.now, estate=msgspec.structs.replace(three.now.estate, spec=pinned))
    assert "PINNED to abc" in run(["rollback"], capsys)[1]
    assert run(["rollback", "--unpin"], capsys)[0] == 0
    assert three.pins == [""]


@pytest.mark.parametrize("wrong", [["--pin"], ["--unpin", "2"], ["9"], ["ffffffffffff"], ["a"]])
def test_rollback_refuses_what_it_cannot_mean_in_one_sentence(
    three: FakeCluster, capsys: Capture, wrong: list[str]
) -> None:
    code, out, err = run(["rollback", *wrong], capsys)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert three.pins == []


# all


@pytest.mark.parametrize(
    "wrong", [[], ["paln"], ["plan", "-o", "xml"], ["plan", "-f", "a", "--revision", "b"], ["explain"]]
)
def test_a_wrong_command_line_ends_with_1_because_2_means_changes(capsys: Capture, wrong: list[str]) -> None:
    code, out, err = run(wrong, capsys)
    assert (code, out) == (1, "")
    assert err.startswith("usage: microseg")


@pytest.mark.parametrize("command", ["validate", "plan", "explain", "rollback", "run"])
def test_each_command_has_help(capsys: Capture, command: str) -> None:
    code, out, _ = run([command, "--help"], capsys)
    assert code == 0
    assert f"usage: microseg {command}" in out


def test_a_cluster_that_cannot_be_found_is_one_sentence(tmp_path: Path, capsys: Capture) -> None:
    code, out, err = run(["explain", "x", "--kubeconfig", str(tmp_path / "none")], capsys)
    assert (code, out) == (1, "")
    assert err.startswith("microseg: no cluster: ")
    assert "--kubeconfig" in err


def test_a_revision_that_is_not_kept_is_no_ground_to_compare(cluster: FakeCluster) -> None:
    cluster.now = replace(cluster.now, revisions=())
    found = previewing.foresee(cluster.now, parse(RULES, "t"))
    assert found.before is None
    with pytest.raises(CommandError, match="no revision 'previous' of platform is kept"):
        cluster.now.revision("previous")
