"""Retirement: on Azure's word only (S5), then trace after trace, each step on the owning system's word."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.unit.stages import makers as m

from microseg.model.condition import Reason
from microseg.model.facts import ABSENT, UNREADABLE, Gateway, Group, HostFacts, Revision, Seen
from microseg.model.host import GoneProof, HostStatus, ManagedHost, RetirementRecord
from microseg.model.plan import BeginRetirement, DeleteRecord, DropObject, InstallPolicy, ProveGone, UnpairWorkload
from microseg.model.verdict import Act, Blocked, Verdict, Wait
from microseg.stages import retirement
from microseg.stages.situation import EstateView, RetirementBounds, Situation

BEGAN = m.ago(minutes=30)
WITHOUT = Revision("rev-3", m.ago(minutes=20))
"""The first revision that lacks the objects."""


def gone_host(
    record: RetirementRecord | None = None, *, missing: datetime | None = None, **changes: Any
) -> ManagedHost:
    """A host that Azure's lists have lacked for an hour."""
    status = HostStatus(
        azure=m.vm(subscription="S1").record,
        missing_since=missing or m.ago(hours=1),
        retirement=record,
    )
    return m.host(status, **changes)


def gone_facts(**changes: Any) -> HostFacts:
    """Lacked by many polls; nothing of ours is left outside unless said."""
    return m.facts(**({"azure": ABSENT, "missed_polls": 9} | changes))


def estate(**changes: Any) -> EstateView:
    return m.estate(**({"subscriptions": frozenset({"s1"})} | changes))


def judge(host: ManagedHost, facts: HostFacts, view: EstateView | None = None) -> Verdict | None:
    return retirement.judge(Situation(host, facts, view or estate(), None, m.NOW))


def begun(**steps: datetime) -> RetirementRecord:
    return RetirementRecord(proof=GoneProof.NOT_FOUND, began_at=BEGAN, **steps)


# the proof --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("azure", [Seen(m.vm()), UNREADABLE])
def test_a_vm_that_is_there_or_that_nobody_can_see_is_no_matter_of_retirement(azure: Any) -> None:
    assert judge(gone_host(), gone_facts(azure=azure, gone=GoneProof.NOT_FOUND)) is None
    assert judge(gone_host(begun()), gone_facts(azure=azure)) is None


@pytest.mark.parametrize(
    ("missed", "since"),
    [(2, m.ago(hours=1)), (9, m.ago(seconds=899)), (2, m.ago(seconds=899))],
    ids=["too few polls", "too short a time", "both"],
)
def test_absence_must_last_polls_and_time_before_azure_is_even_asked(missed: int, since: datetime) -> None:
    found = judge(gone_host(missing=since), gone_facts(missed_polls=missed, gone=GoneProof.NOT_FOUND))
    assert isinstance(found, Wait)
    assert (found.reason, found.doubt, found.actions) == (Reason.NOT_SEEN, True, ())


def test_then_azure_is_asked_for_it_by_its_id() -> None:
    found = judge(gone_host(), gone_facts())
    assert isinstance(found, Wait)
    assert found.actions == (ProveGone(m.VM_ID, m.RESOURCE_ID),)


def test_the_id_comes_from_the_tombstone_where_the_record_was_lost() -> None:
    lost = msgspec.structs.replace(gone_host(), status=HostStatus(missing_since=m.ago(hours=1)))
    found = judge(lost, gone_facts(last_resource_id="/from/the/tombstone"))
    assert isinstance(found, Wait)
    assert found.actions == (ProveGone(m.VM_ID, "/from/the/tombstone"),)
    assert isinstance(judge(lost, gone_facts()), Blocked), "nobody can be asked, so nobody is retired"


@pytest.mark.parametrize("proof", [GoneProof.NOT_FOUND, GoneProof.RECREATED])
def test_azures_word_begins_it(proof: GoneProof) -> None:
    found = judge(gone_host(), gone_facts(gone=proof))
    assert isinstance(found, Act)
    assert found.actions == (BeginRetirement(m.VM_ID, proof),)


def test_an_answer_that_is_none_needs_a_person_who_vouches_for_this_very_vm() -> None:
    def confirmed(value: str) -> Verdict | None:
        host = gone_host(annotations={retirement.CONFIRM_ANNOTATION: value})
        return judge(host, gone_facts(gone=UNREADABLE))

    for word in ("", "true", m.OTHER_VM_ID, "*"):
        found = confirmed(word)
        assert isinstance(found, Blocked), word
        assert (found.reason, m.VM_ID in found.message) == (Reason.GONE_UNPROVEN, True)
    found = confirmed(m.VM_ID.upper())
    assert isinstance(found, Act)
    assert found.actions == (BeginRetirement(m.VM_ID, GoneProof.CONFIRMED),)


def test_a_person_cannot_vouch_for_a_vm_that_was_seen_just_now() -> None:
    host = gone_host(missing=m.ago(minutes=1), annotations={retirement.CONFIRM_ANNOTATION: m.VM_ID})
    assert isinstance(judge(host, gone_facts()), Wait)


def test_a_subscription_that_left_the_estate_retires_nobody() -> None:
    found = judge(gone_host(), gone_facts(gone=GoneProof.NOT_FOUND), estate(subscriptions=frozenset({"s2"})))
    assert isinstance(found, Wait)
    assert (found.reason, found.actions) == (Reason.DESELECTED, ())


def test_where_retirement_is_off_nothing_begins() -> None:
    view = estate(retirement=RetirementBounds(enabled=False))
    assert judge(gone_host(), gone_facts(gone=GoneProof.NOT_FOUND), view) is None


def test_a_held_retirement_says_why_and_does_nothing() -> None:
    found = judge(gone_host(), gone_facts(gone=GoneProof.NOT_FOUND, retirement_held="Too many."))
    assert isinstance(found, Wait)
    assert (found.reason, found.message, found.actions) == (Reason.RETIREMENT_HELD, "Too many.", ())


# trace after trace ------------------------------------------------------------------------------------------------

FULL = {
    "pce": m.pce(stamped=m.stamped()),
    "firewall": m.firewall(m.host_object(m.OBJECT, m.IP, "SO"), m.host_object("az-x", "10.1.0.5", "Web", "SO")),
}


def test_the_objects_go_first_out_of_all_their_groups() -> None:
    found = judge(gone_host(begun()), gone_facts(**FULL))
    assert isinstance(found, Act)
    assert found.actions == (
        DropObject(m.VM_ID, m.OBJECT, f"uid-{m.OBJECT}", ("SO",)),
        DropObject(m.VM_ID, "az-x", "uid-az-x", ("SO", "Web")),
    )


def test_a_locked_group_is_waited_for_and_named() -> None:
    view = estate(groups={"SO": Group("SO", "g1"), "Web": Group("Web", "g2", "anna")})
    found = judge(gone_host(begun()), gone_facts(**FULL), view)
    assert isinstance(found, Wait)
    assert (found.reason, "anna" in found.message) == (Reason.GROUP_LOCKED, True)


def test_nothing_further_happens_while_check_point_cannot_be_read() -> None:
    found = judge(gone_host(begun()), gone_facts(pce=FULL["pce"], firewall=UNREADABLE))
    assert isinstance(found, Wait)
    assert found.doubt


@pytest.mark.parametrize(
    "gateway",
    [
        Gateway("gw1", "Standard", m.PUBLISHED, m.NOW),
        Gateway("gw1", "Standard", None, m.ago(minutes=25)),
        Gateway("gw1", "Standard", None, None),
    ],
    ids=["an older revision", "installed before", "never installed"],
)
def test_the_agent_stays_until_the_gateways_lost_the_objects(gateway: Gateway) -> None:
    host, facts = gone_host(begun(ungrouped_at=WITHOUT.published_at)), gone_facts(pce=FULL["pce"])
    found = judge(host, facts, estate(gateways={"gw1": gateway}))
    assert isinstance(found, Act)
    assert found.actions == (InstallPolicy(m.VM_ID, "Standard", ("gw1",), WITHOUT.published_at),)
    closed = judge(host, facts, estate(gateways={"gw1": gateway}, window_opens=m.ahead(hours=3)))
    assert isinstance(closed, Wait)
    assert (closed.until, closed.actions) == (m.ahead(hours=3), ())


@pytest.mark.parametrize(
    "gateways",
    [{"gw1": Gateway("gw1", "Standard", WITHOUT, m.NOW)}, {"gw1": Gateway("gw1", "Other", m.PUBLISHED, m.NOW)}, {}],
    ids=["it has the revision", "it has another package", "there is no such gateway"],
)
def test_then_the_agent_is_unpaired_as_the_estate_says(gateways: dict[str, Gateway]) -> None:
    host, facts = gone_host(begun(ungrouped_at=WITHOUT.published_at)), gone_facts(pce=FULL["pce"])
    view = estate(gateways=gateways, retirement=RetirementBounds(firewall_restore="default"))
    found = judge(host, facts, view)
    assert isinstance(found, Act)
    assert found.actions == (UnpairWorkload(m.VM_ID, "/orgs/50/vens/1", "default"),)


def test_an_object_that_check_point_does_not_let_go_needs_a_person_and_nothing_further_is_done() -> None:
    said = "az-x is used in rule 7."
    found = judge(gone_host(begun()), gone_facts(**FULL, rejection=said))
    assert isinstance(found, Blocked)
    assert found.reason == Reason.OBJECT_REJECTED
    assert said in found.message


def test_only_the_workload_with_our_stamp_is_unpaired() -> None:
    facts = gone_facts(pce=m.pce(claimed=m.workload(), recorded=m.workload(), candidates=(m.workload(),)))
    found = judge(gone_host(begun()), facts)
    assert isinstance(found, Act)
    assert found.actions == (DeleteRecord(m.VM_ID),)


def test_a_pce_that_cannot_be_read_keeps_the_record() -> None:
    found = judge(gone_host(begun()), gone_facts(pce=UNREADABLE))
    assert isinstance(found, Wait)
    assert found.doubt


def test_a_dead_agent_is_waited_for_a_day_and_unpaired_once() -> None:
    facts = gone_facts(pce=FULL["pce"])
    found = judge(gone_host(begun(unpaired_at=m.ago(hours=23))), facts)
    assert isinstance(found, Wait)
    assert found.until == m.ahead(hours=1)
    found = judge(gone_host(begun(unpaired_at=m.ago(hours=24) - timedelta(seconds=1))), facts)
    assert isinstance(found, Act)
    assert found.actions == (DeleteRecord(m.VM_ID, left=m.workload().href),)
    assert "never acknowledged" in found.message


def test_the_record_goes_last_when_nothing_is_left() -> None:
    found = judge(gone_host(begun(ungrouped_at=m.ago(hours=2))), gone_facts())
    assert isinstance(found, Act)
    assert found.actions == (DeleteRecord(m.VM_ID),)
