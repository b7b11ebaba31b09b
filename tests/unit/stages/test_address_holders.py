"""One address and several VMs: who lives keeps it, the later one is blocked, and only what is free moves (S2, S14)."""

from __future__ import annotations

from typing import Any

import pytest

from lab.memory import samples as m
from microseg.model.checkpoint_record import CheckPointRecord, FirewallObject
from microseg.model.condition import Reason
from microseg.model.facts import Presence, Rival, Seen
from microseg.model.host import HostStatus, host_name
from microseg.model.plan import PutObject, ReleaseAddress
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.stages import grouping

YOUNGER, OLDER = "ffffffff-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000001"


def rival(presence: Presence = Presence.HAS_IT, vm_id: str = YOUNGER, **changes: Any) -> Rival:
    known: dict[str, Any] = {"name": "shop1-1", "primary": True, "onboarded": True, "created_at": m.NOW}
    return Rival(vm_id, presence=presence, **(known | changes))


def theirs(*groups: str, vm_id: str = YOUNGER, owner: str = m.OWNER) -> Any:
    return m.host_object(f"az-{host_name('shop1', vm_id)}", m.IP, *groups, vm_id=vm_id, owner=owner)


def judge(*rivals: Rival, own: tuple[Any, ...] = (), clashes: tuple[Any, ...] = (), **changes: Any) -> Verdict:
    made = changes.pop("made", m.NOW)
    facts = m.facts(
        azure=Seen(m.vm(created_at=made)),
        check_point=m.check_point(*own, address_clashes={m.IP: clashes} if clashes else {}),
        rivals={m.IP: rivals},
    )
    return grouping.judge(m.context(facts=facts, **changes))


def assert_shared(verdict: Verdict, name: str = "shop1-1") -> None:
    assert isinstance(verdict, Blocked), verdict
    assert verdict.reason == Reason.ADDRESS_SHARED
    assert name in verdict.message
    assert m.IP in verdict.message


@pytest.mark.parametrize("group", ["SO", "Web"])
@pytest.mark.parametrize("made", [m.ago(hours=9), m.NOW, m.ahead(hours=9), None])
@pytest.mark.parametrize("onboarded", [True, False])
def test_a_living_vm_whose_object_is_published_keeps_its_address(group: str, made: Any, *, onboarded: bool) -> None:
    """Whoever is older, selected or not."""
    assert_shared(judge(rival(onboarded=onboarded), clashes=(theirs(group),), made=made))


@pytest.mark.parametrize(
    ("created", "made", "vm_id", "first"),
    [
        (m.ago(hours=2), m.ago(hours=1), YOUNGER, True),
        (m.ago(hours=1), m.ago(hours=2), OLDER, False),
        (m.NOW, m.NOW, OLDER, True),
        (m.NOW, m.NOW, YOUNGER, False),
        (m.NOW, None, YOUNGER, True),
        (None, m.NOW, OLDER, False),
        (None, None, OLDER, True),
    ],
)
def test_of_two_that_come_at_once_the_older_one_is_first_then_the_lower_vm_id(
    created: Any, made: Any, vm_id: str, *, first: bool
) -> None:
    verdict = judge(rival(vm_id=vm_id, created_at=created), made=made)
    if first:
        assert_shared(verdict)
    else:
        assert isinstance(verdict, Act)


def test_an_own_published_object_is_first_whoever_is_older() -> None:
    verdict = judge(rival(vm_id=OLDER, created_at=m.ago(hours=9)), own=(m.host_object(m.OBJECT, m.IP, "SO"),))
    assert verdict == Done(Reason.PUBLISHED, "Published in SO.")


def test_one_that_is_in_groups_is_before_one_whose_object_is_in_none() -> None:
    old = rival(vm_id=OLDER, created_at=m.ago(hours=9))
    in_groups = m.host_object(m.OBJECT, m.IP, "SO")
    assert isinstance(judge(old, own=(in_groups,), clashes=(theirs(vm_id=OLDER),)), Done)
    assert_shared(judge(rival(), own=(m.host_object(),), clashes=(theirs("SO"),)))


def test_one_whose_published_object_a_person_deleted_is_still_first() -> None:
    younger = m.host(HostStatus(check_point=CheckPointRecord(hosts=(FirewallObject(name=m.OBJECT, ipv4=m.IP),))))
    old = rival(vm_id=OLDER, created_at=m.ago(hours=9))
    assert isinstance(judge(old, host=younger), Act)
    assert_shared(judge(rival(recorded=True), made=m.ago(hours=9)))
    assert_shared(judge(rival(recorded=True, onboarded=False), made=m.ago(hours=9)))


def test_where_both_are_published_nobody_loses_anything_and_the_later_one_says_so() -> None:
    verdict = judge(
        rival(vm_id=OLDER, created_at=m.ago(hours=9)),
        own=(m.host_object(m.OBJECT, m.IP, "SO"),), clashes=(theirs("SO", vm_id=OLDER),),
    )  # fmt: skip
    assert_shared(verdict)


@pytest.mark.parametrize(
    ("changes", "all_addresses"),
    [({"onboarded": False}, True), ({"primary": False}, False)],
)
def test_a_vm_that_never_gets_an_object_with_the_address_takes_no_part(
    changes: dict[str, Any], *, all_addresses: bool
) -> None:
    older = rival(vm_id=OLDER, created_at=m.ago(hours=9), **changes)
    assert isinstance(judge(older, estate=m.estate(all_addresses=all_addresses)), Act)


def test_of_several_that_were_first_the_very_first_is_named() -> None:
    """Whoever else waits for the address is no help to a person."""
    waits = rival(vm_id=OLDER, name="waits", created_at=m.ago(hours=9))
    assert_shared(judge(waits, rival(), clashes=(theirs("SO"),)))


@pytest.mark.parametrize("presence", [Presence.WITHOUT_IT, Presence.GONE])
def test_an_address_that_was_given_up_moves_in_one_publish(presence: Presence) -> None:
    verdict = judge(rival(presence), clashes=(theirs("SO", "Web"),))
    assert isinstance(verdict, Act)
    assert verdict.actions == (
        ReleaseAddress(m.VM_ID, theirs().name, theirs().uid, ("SO", "Web")),
        PutObject(m.VM_ID, m.OBJECT, "", m.IP, ("SO",), shares_address=True),
    )


def test_absence_frees_no_address() -> None:
    verdict = judge(rival(Presence.MISSING), clashes=(theirs("SO"),))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.moving, verdict.doubt) == (Reason.ADDRESS_HELD, False, False)
    assert "shop1-1" in verdict.message


def test_an_absent_vm_whose_object_is_in_no_group_holds_nothing() -> None:
    assert isinstance(judge(rival(Presence.MISSING), clashes=(theirs(),)), Act)


def test_an_own_object_in_groups_is_not_given_up_for_an_absent_vm() -> None:
    own = (m.host_object(m.OBJECT, m.IP, "SO"),)
    assert isinstance(judge(rival(Presence.MISSING), own=own, clashes=(theirs("SO"),)), Done)


def test_of_three_the_living_one_counts_and_nobody_is_released() -> None:
    gone = rival(Presence.GONE, "11111111-0000-4000-8000-000000000001", name="gone-1")
    verdict = judge(gone, rival(), clashes=(theirs("SO", vm_id=gone.vm_id), theirs("SO")))
    assert_shared(verdict)


def test_an_object_of_another_owner_beside_ours_blocks_too() -> None:
    foreign = m.host_object("by-hand", m.IP, "SO", vm_id="", owner="")
    verdict = judge(rival(Presence.WITHOUT_IT), clashes=(theirs("SO"), foreign))
    assert isinstance(verdict, Blocked)
    assert (verdict.reason, "by-hand" in verdict.message) == (Reason.ADDRESS_TAKEN, True)


def test_a_vm_without_address_whose_object_was_released_says_where_it_went() -> None:
    record = m.host(HostStatus(check_point=CheckPointRecord(groups=("SO",))))
    facts = m.facts(azure=Seen(m.vm(nics=())), check_point=m.check_point(m.host_object()))
    verdict = grouping.judge(m.context(host=record, facts=facts))
    assert isinstance(verdict, Wait)
    assert verdict.reason == Reason.ADDRESS_MOVED
