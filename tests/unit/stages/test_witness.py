"""The second witness of a retirement (S5): while the PCE hears a VM's VEN, Azure's 404 is no death."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.stages.test_retirement import BEGAN, VOUCHED, begun, estate, gone_facts, gone_host, judge

from lab.memory import samples as m
from microseg.model.condition import Reason
from microseg.model.facts import UNREADABLE, Seen, WorkloadMatches
from microseg.model.host import GoneProof
from microseg.model.names import Annotation
from microseg.model.plan import BeginRetirement
from microseg.model.verdict import Act, Blocked, Verdict, Wait

MISSING = m.ago(hours=1)
"""When Azure's list first lacked the VM, in `gone_host`."""
SINCE = MISSING + timedelta(minutes=20)


def with_ven(*, recorded_only: bool = False, **ven: Any) -> Any:
    found = m.workload(**ven) if recorded_only else m.stamped(**ven)
    matches = WorkloadMatches(recorded=found) if recorded_only else WorkloadMatches(stamped=found)
    return gone_facts(gone=GoneProof.NOT_FOUND, illumio=Seen(matches))


def unproven(verdict: Verdict | None) -> str:
    assert isinstance(verdict, Blocked)
    assert verdict.reason == Reason.GONE_UNPROVEN
    return verdict.message


@pytest.mark.parametrize(
    "ven",
    [
        {"online": True, "heartbeat_at": SINCE},
        {"online": True, "heartbeat_at": None},
        {"online": True, "heartbeat_at": m.ago(minutes=14)},
        {"online": None, "heartbeat_at": None},
        {"online": False, "heartbeat_at": SINCE},
        {"online": False, "heartbeat_at": SINCE, "ven_status": "suspended"},
        {"online": True, "heartbeat_at": SINCE, "recorded_only": True},
    ],
    ids=["alive", "online", "online lately", "unsaid", "stopped after its move", "suspended", "its stamp was removed"],
)
def test_a_ven_that_lives_is_told_beside_azures_word_with_what_a_person_can_do(ven: dict[str, Any]) -> None:
    message = unproven(judge(gone_host(), with_ven(**ven)))
    assert "Azure" in message
    assert "VEN" in message
    assert m.UUID in message
    assert f"`microseg approve gone {VOUCHED}`" in message


def test_a_heartbeat_that_advances_changes_no_word() -> None:
    texts = {unproven(judge(gone_host(), with_ven(heartbeat_at=m.ago(minutes=age)))) for age in (25, 20, 5, 0)}
    assert len(texts) == 1


@pytest.mark.parametrize(
    "ven",
    [
        {"online": False, "heartbeat_at": MISSING - timedelta(minutes=4)},
        {"online": False, "heartbeat_at": None},
        {"online": True, "heartbeat_at": MISSING - timedelta(minutes=4)},
        {"ven": "", "heartbeat_at": SINCE},
    ],
    ids=["offline", "never heard", "the PCE's offline timer is long, or never", "no VEN"],
)
def test_a_ven_that_fell_silent_when_the_vm_vanished_speaks_against_nothing(ven: dict[str, Any]) -> None:
    found = judge(gone_host(), with_ven(**ven))
    assert isinstance(found, Act)
    assert found.actions == (BeginRetirement(m.VM_ID, GoneProof.NOT_FOUND),)


def test_a_vm_without_any_ven_goes_on_azures_word_alone() -> None:
    assert isinstance(judge(gone_host(), gone_facts(gone=GoneProof.RECREATED, illumio=Seen(WorkloadMatches()))), Act)


@pytest.mark.parametrize("ahead", [timedelta(hours=3), timedelta(hours=-3)])
def test_heartbeats_are_compared_by_the_pces_own_clock(ahead: timedelta) -> None:
    view = estate(illumio_ahead=ahead)
    dead = with_ven(online=False, heartbeat_at=MISSING - timedelta(minutes=4) + ahead)
    assert isinstance(judge(gone_host(), dead, view), Act)
    unproven(judge(gone_host(), with_ven(online=False, heartbeat_at=SINCE + ahead), view))


@pytest.mark.parametrize("read_at", [None, MISSING, MISSING + timedelta(minutes=14)])
def test_a_pce_that_was_not_read_since_lets_nothing_be_concluded(read_at: Any) -> None:
    silent = with_ven(online=False, heartbeat_at=MISSING - timedelta(minutes=4))
    found = judge(gone_host(), silent, estate(illumio_read_at=read_at))
    assert isinstance(found, Wait)
    assert (found.reason, found.doubt, found.actions) == (Reason.PROVING_GONE, True, ())
    assert isinstance(judge(gone_host(), gone_facts(gone=GoneProof.NOT_FOUND, illumio=UNREADABLE)), Wait)


def test_a_person_who_vouches_for_it_overrules_the_ven() -> None:
    host = gone_host(annotations={Annotation.CONFIRM_GONE: VOUCHED})
    found = judge(host, with_ven(online=True, heartbeat_at=SINCE))
    assert isinstance(found, Act)
    assert found.actions == (BeginRetirement(m.VM_ID, GoneProof.CONFIRMED),)


def test_a_ven_that_is_heard_after_the_retirement_began_stops_it_before_the_next_trace() -> None:
    facts = with_ven(online=True, heartbeat_at=m.ago(minutes=1))
    unproven(judge(gone_host(begun()), facts))
    vouched = gone_host(begun(), annotations={Annotation.CONFIRM_GONE: VOUCHED})
    unproven(judge(vouched, facts))
    assert isinstance(judge(vouched, with_ven(online=True, heartbeat_at=SINCE)), Act), "it has been silent since"
    assert isinstance(judge(gone_host(begun(unpaired_at=m.ago(minutes=5))), facts), Wait), "its VEN says goodbye"


@pytest.mark.parametrize("gone", [GoneProof.NOT_FOUND, UNREADABLE])
def test_nobodys_word_overrules_a_ven_that_is_heard_now(gone: Any) -> None:
    host = gone_host(annotations={Annotation.CONFIRM_GONE: VOUCHED})
    facts = replace(with_ven(online=True, heartbeat_at=m.ago(minutes=2)), gone=gone)
    assert "15 minutes" in unproven(judge(host, facts))
    assert isinstance(judge(host, replace(facts, illumio=UNREADABLE)), Wait), "nobody knows whether it is heard"
    stopped = replace(with_ven(online=False, heartbeat_at=m.ago(minutes=2)), gone=gone)
    assert isinstance(judge(host, stopped), Act)


# every form in which the PCE shows a VEN, and every workload that may be the VM's ------------------------------------

OLDER = {"ven": "", "agent": "/orgs/50/agents/7"}
OTHER = "/orgs/50/workloads/1111aaaa-0000-4000-8000-00000000abcd"


@pytest.mark.parametrize("retired", [None, begun()], ids=["not begun", "begun"])
@pytest.mark.parametrize(
    "matches",
    [
        WorkloadMatches(stamped=m.stamped(**OLDER, heartbeat_at=SINCE)),
        WorkloadMatches(stamped=m.stamped(**OLDER, online=True)),
        WorkloadMatches(recorded=m.workload(heartbeat_at=SINCE)),
        WorkloadMatches(
            stamped=m.stamped(online=False, heartbeat_at=m.ago(hours=72)),
            claimed=m.workload(href=OTHER, heartbeat_at=SINCE),
        ),
    ],
    ids=["the older form, heard", "the older form, online", "its stamp was removed", "the VM named it"],
)
def test_whatever_ven_of_the_vm_lives_speaks_for_it(retired: Any, matches: WorkloadMatches) -> None:
    unproven(judge(gone_host(retired), gone_facts(gone=GoneProof.NOT_FOUND, illumio=Seen(matches))))


def test_a_workload_with_another_vms_stamp_is_no_witness_whatever_the_vm_named() -> None:
    theirs = m.workload(href=OTHER, heartbeat_at=SINCE, external_set=m.MARK, external_reference=m.OTHER_VM_ID)
    facts = gone_facts(gone=GoneProof.NOT_FOUND, illumio=Seen(WorkloadMatches(claimed=theirs)))
    assert isinstance(judge(gone_host(), facts), Act)


@pytest.mark.parametrize("retired", [None, begun()], ids=["not begun", "begun"])
@pytest.mark.parametrize("readings", [0, 1])
def test_a_recorded_ven_that_the_list_lacks_is_doubt_until_the_pce_answers_that_it_is_gone(
    retired: Any, readings: int
) -> None:
    facts = gone_facts(gone=GoneProof.NOT_FOUND, illumio=Seen(WorkloadMatches()), unpaired_readings=readings)
    found = judge(gone_host(retired), facts)
    assert isinstance(found, Wait)
    assert (found.reason, found.doubt, found.actions) == (Reason.PROVING_GONE, True, ())
    assert isinstance(judge(gone_host(retired), replace(facts, unpaired_readings=2)), Act)


@pytest.mark.parametrize("read_at", [None, BEGAN - timedelta(seconds=1)])
def test_a_retirement_that_began_stands_still_until_the_pce_was_read_since(read_at: Any) -> None:
    silent = with_ven(online=False)
    found = judge(gone_host(begun()), silent, estate(illumio_read_at=read_at))
    assert isinstance(found, Wait)
    assert (found.reason, found.doubt, found.actions) == (Reason.PROVING_GONE, True, ())
