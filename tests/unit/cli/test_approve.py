"""`microseg approve`: what it creates in whose name, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.unit.cli.test_commands import run
from tests.unit.cli.world import MOVED, NOW, RULES, FakeCluster, host, revision, with_hosts

from microseg.mapping import parse
from microseg.model.approval import ApprovalAction
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.estate_status import HeldPlan, MappingState
from microseg.planning import guard, hourly_guard, retirement_guard
from microseg.planning.preview import preview

Capture = pytest.CaptureFixture[str]
WHY = ("--reason", "CHG-1")
VM_ID = "5b8b1c1e-0f6d-4d5e-9a3b-2f6c7d8e9f01"


def holding(cluster: FakeCluster, *held: HeldPlan, **status: Any) -> None:
    status = {"held": held, **status}
    changed = msgspec.structs.replace(cluster.now.estate.status, **status)
    cluster.now = replace(cluster.now, estate=msgspec.structs.replace(cluster.now.estate, status=changed))


def test_a_held_plan_is_approved_by_the_beginning_of_its_digest_with_the_list_that_it_is_of(
    cluster: FakeCluster, capsys: Capture
) -> None:
    hosts = [host("a"), host("b"), host("c", env="dev")]
    before, after = revision(1, RULES), revision(2, MOVED)
    cluster.now = replace(with_hosts(cluster.now, hosts), revisions=(before, after))
    foreseen = preview(parse(MOVED, "t"), parse(RULES, "t"), hosts, percent=10, now=NOW)
    assert foreseen.hold is not None
    plan = HeldPlan(kind="mapping", digest=foreseen.hold.digest, hosts=2, since=NOW, instead=before.digest)
    holding(cluster, plan, mapping=MappingState(revision=after.digest))
    code, out, _ = run(["approve", "plan", foreseen.hold.digest[:12], *WHY], capsys)
    assert code == 0
    assert "by nora" in out
    (spec,) = cluster.approved
    assert (spec.estate, spec.action, spec.what) == ("respiro", ApprovalAction.PLAN, foreseen.hold.approval)
    assert (spec.by, spec.reason) == ("nora", "CHG-1")
    made = {vm_id: kinds for each in spec.seen for vm_id in each.hosts for kinds in [frozenset(each.kinds)]}
    shown = guard.shown(foreseen.hold.digest, made, after.digest)
    assert shown is not None
    assert shown.hosts == foreseen.hold.hosts


def test_held_tags_are_approved_with_the_hosts_and_changes_that_their_records_show(
    cluster: FakeCluster, capsys: Capture
) -> None:
    settled = tuple(
        Condition(type=kind, status=ConditionStatus.TRUE, reason="x", message="", last_transition_time=NOW)
        for kind in (ConditionType.LABELLED, ConditionType.GROUPED)
    )
    azure = host("x", env="dev").status.azure
    retagged = [host(name, conditions=settled, azure=azure) for name in "abcdef"]
    begun = host("g", azure=azure)
    cluster.now = replace(
        with_hosts(cluster.now, [*retagged, begun, host("h", conditions=settled)]), revisions=(revision(1, RULES),)
    )
    kinds = frozenset({"group az-pci: leave", "label env: Prod -> Dev"})
    hold = hourly_guard.judge({each.spec.vm_id: kinds for each in retagged}, counted=(), commissioned=8, percent=10)
    assert hold is not None
    holding(cluster, HeldPlan(kind="facts", digest=hold.digest, hosts=6, since=NOW))
    assert run(["approve", "plan", hold.digest[:12], *WHY], capsys)[0] == 0
    (spec,) = cluster.approved
    assert spec.what == hold.approval
    assert [(frozenset(each.kinds), frozenset(each.hosts)) for each in spec.seen] == [(kinds, hold.hosts)]


def test_held_retirements_are_approved_with_the_hosts_that_their_records_show(
    cluster: FakeCluster, capsys: Capture
) -> None:
    discovered = Condition(
        type=ConditionType.DISCOVERED, status=ConditionStatus.FALSE, reason=Reason.RETIREMENT_HELD.value,
        message="", last_transition_time=NOW,
    )  # fmt: skip
    hosts = [host("a", conditions=(discovered,)), host("b")]
    cluster.now = with_hosts(cluster.now, hosts)
    hold = retirement_guard.judge([retirement_guard.Gone(hosts[0].spec.vm_id, NOW)], recent=(), groups=1, most=0)
    assert hold is not None
    holding(cluster, HeldPlan(kind="retirement", digest=hold.digest, hosts=1, since=NOW))
    assert run(["approve", "retirement", hold.approval, *WHY], capsys)[0] == 0
    (spec,) = cluster.approved
    assert [each.hosts for each in spec.seen] == [(hosts[0].spec.vm_id,)]


def test_a_list_that_changed_since_is_approved_by_its_digest_alone(cluster: FakeCluster, capsys: Capture) -> None:
    assert run(["approve", "retirement", f"{'0' * 64}:3", *WHY], capsys)[0] == 0
    assert [(spec.what, spec.seen) for spec in cluster.approved] == [(f"{'0' * 64}:3", ())]


@pytest.mark.parametrize(
    ("word", "what", "meant"),
    [
        ("gone", f"{VM_ID}@2026-06-01T11:00:00Z", f"{VM_ID}@2026-06-01T11:00:00Z"),
        ("adoption", f"{VM_ID}@{VM_ID}", f"{VM_ID}@{VM_ID}"),
        ("pin", "none", "none"),
        ("pin", "1", revision(1, RULES).digest),
    ],
)
def test_a_person_vouches_for_exactly_what_the_message_named(
    cluster: FakeCluster, capsys: Capture, word: str, what: str, meant: str
) -> None:
    cluster.now = replace(cluster.now, revisions=(revision(1, RULES),))
    assert run(["approve", word, what, *WHY], capsys)[0] == 0
    assert [(spec.action.word, spec.what) for spec in cluster.approved] == [(word, meant)]


@pytest.mark.parametrize(
    ("word", "what", "why"),
    [
        ("plan", "0123456789ab", "nothing that is held begins with '0123456789ab'; what waits now: nothing"),
        ("plan", "0123", "nothing that is held"),
        ("gone", VM_ID, "<vmId>@<since when it is missing>"),
        ("adoption", f"{VM_ID}@x", "<vmId>@<uuid of the workload>"),
        ("pin", "17", "no revision '17'"),
    ],
)
def test_what_names_nothing_is_refused_with_a_sentence(
    cluster: FakeCluster, capsys: Capture, word: str, what: str, why: str
) -> None:
    code, _, told = run(["approve", word, what, *WHY], capsys)
    assert code == 1
    assert why in told
    assert cluster.approved == []


def test_a_person_vouches_for_several_hosts_at_once_with_an_approval_for_each(
    cluster: FakeCluster, capsys: Capture
) -> None:
    adoptions = [f"{VM_ID}@{VM_ID[:-1]}{last}" for last in "012"]
    code, out, _ = run(["approve", "adoption", *adoptions, adoptions[0], *WHY, "-o", "json"], capsys)
    assert code == 0
    assert [(spec.action.word, spec.what) for spec in cluster.approved] == [("adoption", each) for each in adoptions]
    assert [each["what"] for each in json.loads(out)["approvals"]] == adoptions


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["adoption", f"{VM_ID}@{VM_ID}", "typo"], "'typo' is not what an approval of this kind names"),
        (["pin", "none", "previous"], "an approval of this kind is of one thing"),
        (["plan", "0123456789ab", "0123456789cd"], "an approval of this kind is of one thing"),
    ],
)
def test_of_several_that_are_named_none_is_approved_where_one_cannot_be(
    cluster: FakeCluster, capsys: Capture, arguments: list[str], why: str
) -> None:
    code, _, told = run(["approve", *arguments, *WHY], capsys)
    assert (code, why in told, cluster.approved) == (1, True, [])


def test_without_a_reason_nothing_is_approved(cluster: FakeCluster, capsys: Capture) -> None:
    assert run(["approve", "pin", "none"], capsys)[0] == 1
    assert cluster.approved == []
