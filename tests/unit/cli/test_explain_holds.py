"""`microseg explain`: which rules gave what a host has, which would now, what a file would; and what holds it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.cli.test_commands import run
from tests.unit.cli.world import MOVED, NOW, REVISION, RULES, FakeCluster, host, revision, with_hosts

from microseg.mapping import parse
from microseg.model.checkpoint_record import CheckPointRecord, FirewallObject
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.estate_status import HeldPlan, KnownNames, MappingState
from microseg.model.host import ManagedHost

Capture = pytest.CaptureFixture[str]
Write = Callable[[str], Path]
DIGEST = "a" * 64
SETTLED = tuple(
    Condition(type=kind, status=ConditionStatus.TRUE, reason=Reason.PUBLISHED, message="m", last_transition_time=NOW)
    for kind in (ConditionType.LABELLED, ConditionType.GROUPED)
)
APPROVE = "To let the held change through: microseg approve plan {} -n ns --reason WHY"


def status(cluster: FakeCluster, **changes: Any) -> None:
    made = msgspec.structs.replace(cluster.now.estate.status, **changes)
    cluster.now = replace(cluster.now, estate=msgspec.structs.replace(cluster.now.estate, status=made))


def asked(capsys: Capture, *words: object) -> dict[str, Any]:
    code, out, err = run(["explain", *words, "-o", "json"], capsys)
    assert code == 0, err
    data: dict[str, Any] = json.loads(out)
    return data


def retagged(env: str, **more: Any) -> ManagedHost:
    """A host in production whose tags were changed after it was commissioned."""
    one = host("prod", env="prd", conditions=SETTLED, **more)
    return msgspec.structs.replace(
        one, status=msgspec.structs.replace(one.status, azure=host("prod", env=env).status.azure)
    )


def held_for_facts(cluster: FakeCluster, one: ManagedHost) -> None:
    cluster.now = with_hosts(cluster.now, [one, *(host(f"d{number}", env="dev") for number in range(5))])
    status(cluster, held=(HeldPlan(kind="facts", digest=DIGEST, hosts=6, since=NOW),))


def test_while_a_mapping_is_held_explain_tells_the_rules_that_gave_what_it_has_and_those_of_now(
    cluster: FakeCluster, capsys: Capture
) -> None:
    cluster.now = with_hosts(cluster.now, [host(f"prod{number}", conditions=SETTLED) for number in range(3)])
    before, after = revision(1, RULES), revision(2, MOVED)
    cluster.now = replace(cluster.now, revisions=(before, after))
    plan = HeldPlan(kind="mapping", digest="d", hosts=3, since=NOW, instead=before.digest)
    status(cluster, held=(plan,), mapping=MappingState(revision=after.digest))
    data = asked(capsys, "prod0-1")
    assert data["has"][1].startswith('env = Prod <- tag env="prd"')
    assert data["why"][1].startswith('env = Test <- tag env="prd"')
    assert data["differences"] == ["group az-pci: leave", "label env: Prod -> Test"]
    assert "a change of the mapping is held" in data["next"][0]
    assert data["person"] == [APPROVE.format(data["held"])]
    assert data["held"].endswith(":3")


def test_while_its_tags_are_held_explain_tells_what_it_has_and_what_the_rules_give_it_now(
    cluster: FakeCluster, capsys: Capture
) -> None:
    held_for_facts(cluster, retagged("dev"))
    data = asked(capsys, "prod-1")
    assert [line.partition(" <- ")[0] for line in data["has"]] == [
        "app = shop", "env = Prod", "group az-pci: member", "group az-shop: member",
    ]  # fmt: skip
    assert f"confirmed last, by revision {REVISION[:12]}; the tags of that time are not kept" in data["has"][0]
    assert data["why"][1].startswith('env = Dev <- tag env="dev"')
    assert "what changed on too many hosts within an hour" in data["next"][0]
    assert (data["held"], data["person"]) == (f"{DIGEST}:6", [APPROVE.format(f"{DIGEST}:6")])
    others = asked(capsys, "d0-1")
    assert (others["held"], others["has"], others["person"]) == (None, [], [])
    text = run(["explain", "prod-1"], capsys)[1]
    assert f"What revision {REVISION} gives it now" in text


def test_an_address_that_is_held_is_told_too(cluster: FakeCluster, capsys: Capture) -> None:
    record = CheckPointRecord(groups=("az-pci", "az-shop"), hosts=(FirewallObject(uid="u", name="n", ipv4="10.0.0.9"),))
    held_for_facts(cluster, retagged("prd", check_point=record))
    data = asked(capsys, "prod-1")
    assert data["differences"] == ["object: no address any more"]
    assert data["held"] == f"{DIGEST}:6"


def test_a_hold_that_names_a_missing_group_says_what_comes_before_the_approval(
    cluster: FakeCluster, capsys: Capture
) -> None:
    one = host("web", env="dev", conditions=SETTLED)
    azure = host("web", env="prd").status.azure
    held_for_facts(cluster, msgspec.structs.replace(one, status=msgspec.structs.replace(one.status, azure=azure)))
    status(cluster, known=KnownNames(groups=("az-shop",), label_types=("app", "env")))
    first, approve = asked(capsys, "web-1")["person"]
    assert first.startswith("First: Check Point has no group az-pci.")
    assert "no approval counts before that" in first
    assert approve == APPROVE.format(f"{DIGEST}:6")


@pytest.mark.parametrize(
    ("hosts", "text", "changes", "verdict"),
    [
        (20, MOVED, ["group az-pci: leave", "label env: Prod -> Test"], "the guard would not hold it."),
        (3, MOVED, ["group az-pci: leave", "label env: Prod -> Test"], "microseg approve plan "),
        (3, f"# the same\n{RULES}", [], "Nothing of this host would change."),
        (
            20,
            RULES.replace("name: az-pci", "name: az-new"),
            ["group az-new: join", "group az-pci: leave"],
            "Check Point has no group az-new. Hosts that need it would be blocked, so no approval counts before",
        ),
    ],
)
def test_explain_with_a_file_tells_what_it_would_give_what_that_changes_and_whether_it_would_be_held(
    document: Write, cluster: FakeCluster, capsys: Capture, hosts: int, text: str, changes: list[str], verdict: str
) -> None:
    cluster.now = with_hosts(cluster.now, [host("prod"), *(host(f"d{n}", env="dev") for n in range(hosts - 1))])
    data = asked(capsys, "prod-1", "-f", document(text))
    assert cluster.asked[-1] == "platform"
    shown = parse(text, "t").shown
    assert all(shown in line for line in data["would"] if " = " in line)
    assert data["wouldChange"] == changes
    assert verdict in data["wouldVerdict"]
    assert data["why"][1].startswith("env = Prod"), "what is in force is told beside it"
    told = run(["explain", "prod-1", "-f", document(text)], capsys)[1]
    assert "What the file would give it" in told
    assert "What the file would change" in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (RULES.replace("labels:\n", "labls:\n"), "did you mean 'labels'?"),
        (RULES.replace("name: platform", "name: other"), "Estate ns/respiro uses platform"),
        (f"{RULES}tests:\n  - {{name: t, given: {{tags: {{app: shop}}}}, labels: {{env: Prod}}}}\n", "expected Prod"),
    ],
)
def test_explain_refuses_a_file_that_the_operator_would_refuse(
    document: Write, cluster: FakeCluster, capsys: Capture, text: str, words: str
) -> None:
    assert cluster.now.hosts
    code, out, err = run(["explain", "prod-1", "-f", document(text)], capsys)
    assert (code, out) == (1, "")
    assert words in err
