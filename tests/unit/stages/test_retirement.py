"""Retirement: on Azure's word only (S5), then trace after trace, each step on the owning system's word."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from lab.memory import samples as m
from microseg.model.approval import ApprovalAction
from microseg.model.checkpoint_facts import EnforcementPoint, Group, Revision
from microseg.model.condition import Reason
from microseg.model.facts import ABSENT, UNREADABLE, HostFacts, Seen
from microseg.model.host import GoneProof, HostStatus, ManagedHost, RetirementRecord
from microseg.model.illumio_record import IllumioRecord
from microseg.model.names import Annotation
from microseg.model.plan import BeginRetirement, DeleteRecord, DropObject, InstallPolicy, ProveGone, UnpairWorkload
from microseg.model.verdict import Act, Blocked, Verdict, Wait
from microseg.planning.record import with_retirement
from microseg.stages import retirement
from microseg.stages.context import EstateContext, HostContext, RetirementBounds

BEGAN = m.ago(minutes=30)
VOUCHED = f"{m.VM_ID}@2026-06-01T11:00:00Z"
"""What a person writes who knows that the VM of `gone_host` is gone."""
WITHOUT = Revision("rev-3", m.ago(minutes=20))
"""The first revision that lacks the objects."""


def gone_host(
    record: RetirementRecord | None = None, *, missing: datetime | None = None, adopted: bool = False, **changes: Any
) -> ManagedHost:
    """A host that we paired, and that Azure's lists have lacked for an hour."""
    status = HostStatus(
        azure=m.vm(subscription="S1").record,
        missing_since=missing or m.ago(hours=1),
        retirement=record,
        illumio=IllumioRecord(workload=m.HREF, paired_by_us=not adopted),
    )
    return m.host(status, **changes)


def gone_facts(**changes: Any) -> HostFacts:
    """Lacked by many polls; nothing of ours is left outside unless said: the PCE answered that the workload is gone."""
    return m.facts(**({"azure": ABSENT, "missed_polls": 9, "unpaired_readings": 2, "tombstone": Seen(BEGAN)} | changes))


def estate(**changes: Any) -> EstateContext:
    return m.estate(**({"subscriptions": frozenset({"s1"}), "illumio_read_at": m.NOW} | changes))


def judge(host: ManagedHost, facts: HostFacts, view: EstateContext | None = None) -> Verdict | None:
    return retirement.judge(HostContext(host, facts, view or estate(), None, m.NOW))


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
        host = gone_host(annotations={Annotation.CONFIRM_GONE: value})
        return judge(host, gone_facts(gone=UNREADABLE))

    for word in ("", "true", m.OTHER_VM_ID, "*", m.VM_ID, f"{m.VM_ID}@2026-06-01T10:59:59Z"):
        found = confirmed(word)
        assert isinstance(found, Blocked), word
        assert (found.reason, m.VM_ID in found.message) == (Reason.GONE_UNPROVEN, True)
    found = confirmed(VOUCHED.upper())
    assert isinstance(found, Act)
    assert found.actions == (BeginRetirement(m.VM_ID, GoneProof.CONFIRMED),)


def test_a_person_cannot_vouch_for_a_vm_that_was_seen_just_now() -> None:
    host = gone_host(missing=m.ago(minutes=1), annotations={Annotation.CONFIRM_GONE: f"{m.VM_ID}@2026-06-01T11:59:00Z"})
    assert isinstance(judge(host, gone_facts()), Wait)


def test_a_persons_word_acts_only_where_nothing_proves_it() -> None:
    host = gone_host(annotations={Annotation.CONFIRM_GONE: VOUCHED})
    asked = judge(host, gone_facts(gone=None))
    assert isinstance(asked, Wait)
    assert asked.reason == Reason.PROVING_GONE, "Azure is asked first"
    found = judge(host, gone_facts(gone=GoneProof.NOT_FOUND))
    assert isinstance(found, Act)
    assert found.actions == (BeginRetirement(m.VM_ID, GoneProof.NOT_FOUND),)


@pytest.mark.parametrize("stone", [ABSENT, Seen(m.ago(days=3))], ids=["none", "of an earlier retirement"])
def test_a_record_of_a_retirement_without_its_tombstone_begins_nothing(stone: Any) -> None:
    host, facts = (
        gone_host(begun()),
        gone_facts(tombstone=stone, check_point=m.check_point(m.host_object()), missed_polls=1),
    )
    found = judge(host, facts)
    assert isinstance(found, Wait)
    assert (found.reason, found.actions) == (Reason.NOT_SEEN, ())
    context = HostContext(host, facts, estate(), None, m.NOW)
    assert with_retirement(context).status.retirement is None, "what somebody forged is taken off"
    assert not retirement.begun(context)


def test_nothing_is_removed_and_no_record_dropped_before_the_tombstones_were_read() -> None:
    facts = gone_facts(tombstone=UNREADABLE, check_point=m.check_point(m.host_object()))
    found = judge(gone_host(begun()), facts)
    assert isinstance(found, Wait)
    assert (found.reason, found.doubt, found.actions) == (Reason.RETIRING, True, ())
    context = HostContext(gone_host(begun()), facts, estate(), None, m.NOW)
    assert with_retirement(context).status.retirement == begun()


def test_a_subscription_that_left_the_estate_retires_nobody() -> None:
    found = judge(gone_host(), gone_facts(gone=GoneProof.NOT_FOUND), estate(subscriptions=frozenset({"s2"})))
    assert isinstance(found, Wait)
    assert (found.reason, found.actions) == (Reason.DESELECTED, ())


def test_where_retirement_is_off_nothing_begins() -> None:
    view = estate(retirement=RetirementBounds(enabled=False))
    assert judge(gone_host(), gone_facts(gone=GoneProof.NOT_FOUND), view) is None


def test_a_held_retirement_says_why_and_does_nothing() -> None:
    found = judge(gone_host(), gone_facts(gone=GoneProof.NOT_FOUND, retirement_held="Too many."))
    assert found == Blocked(Reason.RETIREMENT_HELD, "Too many.")


# trace after trace ------------------------------------------------------------------------------------------------

FULL = {
    "illumio": m.illumio(stamped=m.stamped(online=False)),
    "check_point": m.check_point(m.host_object(m.OBJECT, m.IP, "SO"), m.host_object("az-x", "10.1.0.5", "Web", "SO")),
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
    found = judge(gone_host(begun()), gone_facts(illumio=FULL["illumio"], check_point=UNREADABLE))
    assert isinstance(found, Wait)
    assert found.doubt


@pytest.mark.parametrize(
    "gateway",
    [
        EnforcementPoint("gw1", "Standard", m.PUBLISHED, m.NOW),
        EnforcementPoint("gw1", "Standard", None, m.ago(minutes=25)),
        EnforcementPoint("gw1", "Standard", None, None),
    ],
    ids=["an older revision", "installed before", "never installed"],
)
def test_the_agent_stays_until_the_gateways_lost_the_objects(gateway: EnforcementPoint) -> None:
    host, facts = gone_host(begun(ungrouped_at=WITHOUT.published_at)), gone_facts(illumio=FULL["illumio"])
    found = judge(host, facts, estate(gateways={"gw1": gateway}))
    assert isinstance(found, Act)
    assert found.actions == (InstallPolicy(m.VM_ID, "Standard", ("gw1",), WITHOUT.published_at),)
    closed = judge(host, facts, estate(gateways={"gw1": gateway}, window_opens=m.ahead(hours=3)))
    assert isinstance(closed, Wait)
    assert (closed.until, closed.actions) == (m.ahead(hours=3), ())


@pytest.mark.parametrize(
    "gateways",
    [
        {"gw1": EnforcementPoint("gw1", "Standard", WITHOUT, m.NOW)},
        {"gw1": EnforcementPoint("gw1", "Other", m.PUBLISHED, m.NOW)},
        {},
    ],
    ids=["it has the revision", "it has another package", "there is no such gateway"],
)
def test_then_the_agent_is_unpaired_as_the_estate_says(gateways: dict[str, EnforcementPoint]) -> None:
    host, facts = gone_host(begun(ungrouped_at=WITHOUT.published_at)), gone_facts(illumio=FULL["illumio"])
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
    silent = m.workload(online=False)
    facts = gone_facts(illumio=m.illumio(claimed=silent, recorded=silent, candidates=(silent,)))
    found = judge(gone_host(begun()), facts)
    assert isinstance(found, Act)
    assert found.actions == (DeleteRecord(m.VM_ID),)


def test_a_pce_that_cannot_be_read_keeps_the_record() -> None:
    found = judge(gone_host(begun()), gone_facts(illumio=UNREADABLE))
    assert isinstance(found, Wait)
    assert found.doubt


def test_a_dead_agent_is_waited_for_a_day_and_unpaired_once() -> None:
    facts = gone_facts(illumio=FULL["illumio"])
    found = judge(gone_host(begun(unpaired_at=m.ago(hours=23))), facts)
    assert isinstance(found, Wait)
    assert found.until == m.ahead(hours=1)
    found = judge(gone_host(begun(unpaired_at=m.ago(hours=24) - timedelta(seconds=1))), facts)
    assert isinstance(found, Act)
    assert found.actions == (DeleteRecord(m.VM_ID, left=m.workload().href),)
    assert "the PCE still lists" in found.message


def test_the_record_goes_last_when_nothing_is_left() -> None:
    found = judge(gone_host(begun(ungrouped_at=m.ago(hours=2))), gone_facts())
    assert isinstance(found, Act)
    assert found.actions == (DeleteRecord(m.VM_ID),)


def test_an_adopted_agent_is_unpaired_on_a_persons_word_only_and_else_left_behind() -> None:
    facts = gone_facts(illumio=m.illumio(stamped=m.stamped(online=False)))
    waiting = judge(gone_host(begun(), adopted=True), facts)
    assert isinstance(waiting, Wait)
    assert (waiting.reason, waiting.until) == (Reason.RETIRING, BEGAN + timedelta(days=1))
    assert f"`microseg approve adoption {m.VM_ID}@{m.UUID}`" in waiting.message
    vouched = judge(gone_host(begun(), adopted=True, annotations={Annotation.ADOPT: m.UUID}), facts)
    assert isinstance(vouched, Act)
    assert vouched.actions == (UnpairWorkload(m.VM_ID, m.stamped().ven, "saved"),)
    named = (ApprovalAction.ADOPT, f"{m.VM_ID}@{m.UUID}")
    assert isinstance(judge(gone_host(begun(), adopted=True), facts, estate(vouched=frozenset({named}))), Act)
    old = RetirementRecord(proof=GoneProof.NOT_FOUND, began_at=m.ago(days=1))
    over = judge(gone_host(old, adopted=True), replace(facts, tombstone=Seen(old.began_at)))
    assert isinstance(over, Act)
    assert over.actions == (DeleteRecord(m.VM_ID, m.HREF),)
