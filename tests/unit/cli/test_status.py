"""`microseg status`, `history` and `report`: what they say of an estate; a stopped operator never looks well."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.cli.world import NOW, FakeCluster, host, with_hosts

from microseg.__main__ import main
from microseg.cli.cluster import Leadership
from microseg.kube.leases import Lease
from microseg.kube.tombstones import Tombstone
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.estate_status import HeldPlan
from microseg.model.history_line import HistoryLine
from microseg.model.host import ManagedHost, RetirementRecord, Timeline
from microseg.model.operator_report import CallCount, OperatorReport, SystemReport
from microseg.planning import retirement_times

Capture = pytest.CaptureFixture[str]
AGO = timedelta(seconds=3)


def leads(*, age: timedelta = AGO, holder: str = "pod-a_1", duration: int = 15) -> Leadership:
    lease = Lease("microseg-respiro", "ns", holder, 4, NOW - age, duration, acquired_at=NOW - timedelta(hours=5))
    azure = SystemReport(
        system="azure", readable=True, read_at=NOW - timedelta(seconds=40), requests=512, failed=3, median=0.21,
        slow=1.4, budgets={"reads": 141.0, "writes": 118.0},
    )  # fmt: skip
    pce = SystemReport(system="illumio", readable=False, message="The PCE could not be reached: no answer.")
    calls = (
        CallCount(system="azure", operation="list-vms", outcome="200", requests=509),
        CallCount(system="azure", operation="list-vms", outcome="429", requests=3),
        CallCount(system="checkpoint", operation="login", outcome="200", requests=2),
    )
    report = OperatorReport(version="1", started_at=NOW - timedelta(days=3), systems=(azure, pce), calls=calls)
    return Leadership(lease, report)


def stuck(one: ManagedHost, stage: str, reason: Reason, days: int) -> ManagedHost:
    ready = Condition(
        type=ConditionType.READY, status=ConditionStatus.FALSE, reason=reason.value,
        last_transition_time=NOW - timedelta(days=days),
    )  # fmt: skip
    status = msgspec.structs.replace(one.status, stage=stage, reason=reason.value, conditions=(ready,))
    return msgspec.structs.replace(one, status=status)


def gone(one: ManagedHost, reason: Reason, minutes: int) -> ManagedHost:
    missing = NOW - timedelta(minutes=minutes)
    seen = Condition(
        type=ConditionType.DISCOVERED, status=ConditionStatus.FALSE, reason=reason.value, last_transition_time=missing
    )
    return msgspec.structs.replace(
        one, status=msgspec.structs.replace(one.status, missing_since=missing, conditions=(seen,))
    )


def said(arguments: list[str], capsys: Capture) -> str:
    capsys.readouterr()
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_status_says_who_leads_and_how_each_system_is(cluster: FakeCluster, capsys: Capture) -> None:
    cluster.leads = leads()
    out = said(["status"], capsys)
    assert "pod-a_1 leads for 5 h 0 min; it renewed the Lease 3 s ago" in out
    assert "40 s ago" in out
    assert "reads 141 writes 118" in out
    assert "3 of 512" in out
    assert "illumio: The PCE could not be reached: no answer." in out
    data = json.loads(said(["status", "-o", "json"], capsys))
    assert data["leader"]["alive"] is True
    assert data["systems"][0]["budgets"] == {"reads": 141.0, "writes": 118.0}
    assert data["systems"][0]["age"] == 40


@pytest.mark.parametrize(
    ("leadership", "words"),
    [
        (Leadership(None, None), "NOBODY LEADS: there is no Lease"),
        (leads(age=timedelta(minutes=9)), "NOBODY LEADS: pod-a_1 renewed the Lease last 9 min ago"),
        (leads(holder=""), "NOBODY LEADS: the Lease was released"),
        (Leadership(None, None, (), "the Lease could not be read (forbidden)"), "could not be read (forbidden)"),
    ],
)
def test_a_stopped_operator_never_looks_well(
    cluster: FakeCluster, capsys: Capture, leadership: Leadership, words: str
) -> None:
    cluster.leads = leadership
    assert words in said(["status"], capsys)
    assert json.loads(said(["status", "-o", "json"], capsys))["leader"]["alive"] is False


def test_what_is_stuck_is_counted_by_stage_and_reason_with_the_oldest_host(
    cluster: FakeCluster, capsys: Capture
) -> None:
    hosts = [
        stuck(host("one"), "Blocked", Reason.KEY_REFUSED, 2),
        stuck(host("two"), "Blocked", Reason.KEY_REFUSED, 9),
        stuck(host("three"), "Labelling", Reason.MAPPING_MISS, 1),
        stuck(host("four"), "Commissioned", Reason.COMMISSIONED, 30),
    ]
    cluster.now = with_hosts(cluster.now, hosts)
    rows = json.loads(said(["status", "-o", "json"], capsys))["hosts"]
    assert [(row["stage"], row["reason"], row["hosts"], row["oldest"]) for row in rows] == [
        ("Blocked", "KeyRefused", 2, "two-1"),
        ("Labelling", "MappingMiss", 1, "three-1"),
        ("Commissioned", "Commissioned", 1, "four-1"),
    ]
    assert "two-1, 9 d" in said(["status"], capsys)


def test_what_is_held_and_suspended_is_said(cluster: FakeCluster, capsys: Capture) -> None:
    cluster.leads = leads()
    held = HeldPlan(kind="mapping", digest="abc123", hosts=7, since=NOW - timedelta(hours=3))
    spec = msgspec.structs.replace(cluster.now.estate.spec, suspend=True)
    status = msgspec.structs.replace(cluster.now.estate.status, held=(held,))
    quiet = host("quiet")
    quiet = msgspec.structs.replace(quiet, spec=msgspec.structs.replace(quiet.spec, suspend=True))
    cluster.now = replace(
        cluster.now, hosts=(quiet,), estate=msgspec.structs.replace(cluster.now.estate, spec=spec, status=status)
    )
    out = " ".join(said(["status"], capsys).split())
    assert "SUSPENDED" in out
    assert "microseg approve plan abc123:7 -n ns --reason WHY" in out
    assert "Suspended hosts: 1 (quiet-1)" in out


def test_every_line_of_a_table_fits_80_columns(
    cluster: FakeCluster, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microseg.cli.terminal.PIPE_WIDTH", 80)
    cluster.leads = leads()
    cluster.now = with_hosts(cluster.now, [stuck(host("h" * 50), "Blocked", Reason.PCE_UNREACHABLE_FROM_VM, 9)])
    table = said(["status"], capsys).split("Systems", 1)[1]
    assert max(len(line) for line in table.splitlines()) <= 80


def test_calls_are_requests_as_they_were_sent(cluster: FakeCluster, capsys: Capture) -> None:
    cluster.leads = leads()
    rows = json.loads(said(["status", "--calls", "-o", "json"], capsys))["calls"]
    assert [(row["operation"], row["requests"], row["throttled"]) for row in rows] == [
        ("list-vms", 512, 3),
        ("login", 2, 0),
    ]


def test_prom_has_the_names_of_the_metrics(cluster: FakeCluster, capsys: Capture) -> None:
    cluster.leads = leads()
    families = {each.name: each for each in text_string_to_metric_families(said(["status", "-o", "prom"], capsys))}
    assert families["microseg_estate_leader"].samples[0].value == 1
    assert sum(sample.value for sample in families["microseg_hosts_by_reason"].samples) == 12


def test_retiring_says_why_not_yet(cluster: FakeCluster, capsys: Capture) -> None:
    hosts = [gone(host(f"h{number}"), Reason.RETIREMENT_HELD, 30) for number in range(7)]
    hosts.append(gone(host("fresh"), Reason.NOT_SEEN, 1))
    cluster.now = with_hosts(cluster.now, hosts)
    shown = json.loads(said(["status", "--retiring", "-o", "json"], capsys))["hosts"]
    rows = {row["host"]: row["notYet"] for row in shown}
    assert rows["h1-1"].startswith("never by itself: 7 are gone at once, and 5 may begin in an hour")
    asked = retirement_times.asked_at(cluster.now.estate, NOW - timedelta(minutes=1))
    assert f"{asked:%H:%M:%S}Z" in rows["fresh-1"]


def test_a_hold_ends_when_earlier_retirements_leave_the_hour() -> None:
    began = [NOW - timedelta(minutes=50), NOW - timedelta(minutes=20), NOW - timedelta(minutes=10)]
    assert retirement_times.hold_ends(2, 5, began, NOW) == NOW
    assert retirement_times.hold_ends(3, 5, began, NOW) == NOW + timedelta(minutes=10)
    assert retirement_times.hold_ends(5, 5, began, NOW) == NOW + timedelta(minutes=50)
    assert retirement_times.hold_ends(6, 5, began, NOW) is None


LINES = (
    HistoryLine(at=NOW - timedelta(days=3), what="Ready: All stages hold.", revision="aa"),
    HistoryLine(at=NOW - timedelta(days=2), what="Not ready: GroupLocked", revision="aa"),
    HistoryLine(at=NOW - timedelta(days=2, hours=-1), what="Ready: All stages hold again.", revision="aa"),
    HistoryLine(
        at=NOW - timedelta(hours=1), what="Labels: env Prod -> Test", system="illumio", cause="mapping bb"
    ),
    HistoryLine(
        at=NOW - timedelta(minutes=5), what="Groups: joined az-web", system="checkpoint", cause="drift repaired: x",
        times=4, since=NOW - timedelta(days=1),
    ),
)  # fmt: skip


def told(cluster: FakeCluster) -> None:
    one = host("prod")
    status = msgspec.structs.replace(
        one.status, history=LINES, timeline=Timeline(commissioned_at=NOW - timedelta(days=3))
    )
    cluster.now = with_hosts(cluster.now, [msgspec.structs.replace(one, status=status), host("dev")])
    stone = Tombstone(
        vm_id="v-1", host="old-1", vm="old", at=NOW - timedelta(hours=2), proof="ResourceNotFound", workload="w",
        groups=("az-db",), ended_at=NOW - timedelta(hours=1),
    )  # fmt: skip
    cluster.leads = replace(leads(), stones=(stone,))


def test_history_of_a_host_says_what_when_and_why(cluster: FakeCluster, capsys: Capture) -> None:
    told(cluster)
    changes = json.loads(said(["history", "prod-1", "-o", "json"], capsys))["changes"]
    assert [(each["system"], each["what"], each["cause"], each["times"]) for each in changes][-2:] == [
        ("illumio", "Labels: env Prod -> Test", "mapping bb", 1),
        ("checkpoint", "Groups: joined az-web", "drift repaired: x", 4),
    ]


def test_history_of_a_retired_host_comes_from_its_tombstone(cluster: FakeCluster, capsys: Capture) -> None:
    told(cluster)
    changes = json.loads(said(["history", "old", "-o", "json"], capsys))["changes"]
    assert [each["cause"] for each in changes] == ["retirement, proven by ResourceNotFound"] * 2
    assert "az-db" in changes[1]["what"]


def test_history_of_a_system_is_limited_by_time(cluster: FakeCluster, capsys: Capture) -> None:
    told(cluster)
    changes = json.loads(said(["history", "--system", "checkpoint", "--since", "30m", "-o", "json"], capsys))["changes"]
    assert [each["what"] for each in changes] == ["Groups: joined az-web"]
    assert main(["history", "--since", "yesterday"]) == 1
    assert "neither a duration" in capsys.readouterr().err


def test_a_report_knows_gaps_what_changed_since_and_whom_it_retired(cluster: FakeCluster, capsys: Capture) -> None:
    told(cluster)
    at = (NOW - timedelta(days=2, minutes=-30)).isoformat()
    vms = {row["host"]: row for row in json.loads(said(["report", "--at", at, "-o", "json"], capsys))["vms"]}
    assert vms["prod-1"]["protected"] is False
    assert vms["prod-1"]["gaps"][0]["reason"] == "GroupLocked"
    assert "Labels: env Prod -> Test" in vms["prod-1"]["changedSince"]
    assert vms["old-1"]["protected"] is True
    later = (NOW - timedelta(days=1)).isoformat()
    vms = {row["host"]: row for row in json.loads(said(["report", "--at", later, "-o", "json"], capsys))["vms"]}
    assert vms["prod-1"]["protected"] is True


def test_explain_says_since_when_and_with_which_gaps(cluster: FakeCluster, capsys: Capture) -> None:
    told(cluster)
    data = json.loads(said(["explain", "prod-1", "-o", "json"], capsys))
    assert data["protectedSince"] == f"{NOW - timedelta(days=3):%Y-%m-%d %H:%M:%S}Z"
    assert [gap["reason"] for gap in data["gaps"]] == ["GroupLocked"]
    assert "Gap: " in said(["explain", "prod-1"], capsys)


def test_explain_says_when_for_a_host_that_is_gone(cluster: FakeCluster, capsys: Capture) -> None:
    cluster.now = with_hosts(cluster.now, [gone(host("lost"), Reason.NOT_SEEN, 1)])
    assert any("Azure is asked for it by its id from" in line for line in _following("lost-1", capsys))
    held = gone(host("held"), Reason.RETIREMENT_HELD, 60)
    cluster.now = with_hosts(cluster.now, [held])
    assert any("it begins by itself at" in line for line in _following("held-1", capsys))
    begun = RetirementRecord(proof="Confirmed", began_at=NOW)  # type: ignore[arg-type]
    assert msgspec.structs.replace(held.status, retirement=begun).retirement is begun


def test_explain_says_that_a_blocked_host_waits_for_a_person(cluster: FakeCluster, capsys: Capture) -> None:
    since = NOW - timedelta(days=2)
    kinds = ((ConditionType.AGENT_PAIRED, ConditionStatus.FALSE), (ConditionType.STALLED, ConditionStatus.TRUE))
    conditions = tuple(
        Condition(type=kind, status=status, reason="KeyRefused", last_transition_time=since) for kind, status in kinds
    )
    one = host("stuck", commissioned=False)
    blocked = msgspec.structs.replace(one.status, stage="Blocked", conditions=conditions)
    cluster.now = with_hosts(cluster.now, [msgspec.structs.replace(one, status=blocked)])
    lines = _following("stuck-1", capsys)
    assert any(line.startswith("Blocked since") and "never by itself" in line for line in lines)


def _following(name: str, capsys: Capture) -> list[str]:
    following: list[str] = json.loads(said(["explain", name, "-o", "json"], capsys))["next"]
    return following


def test_a_plan_of_an_estate_that_was_never_read_is_not_a_plan(cluster: FakeCluster, capsys: Capture) -> None:
    cluster.now = with_hosts(cluster.now, [])
    assert main(["plan"]) == 1
    assert "was never read" in capsys.readouterr().err


def test_completion_knows_every_command(capsys: Capture) -> None:
    script = said(["completion", "bash"], capsys)
    for command in ("status", "history", "doctor", "explain", "--retiring"):
        assert command in script
