"""Stage 4: one object an address, in the wanted groups; only ours are touched, nobody waits for others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from lab.memory import samples as m
from microseg.model.azure_record import Address, Nic
from microseg.model.checkpoint_facts import Group
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.condition import Reason
from microseg.model.facts import ABSENT, UNREADABLE, Seen
from microseg.model.host import HostStatus
from microseg.model.plan import DropObject, PutObject
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.stages import grouping
from microseg.stages.object_names import object_name

SECOND = "10.2.0.4"
SECOND_OBJECT = object_name("az-", m.NAME, SECOND)


def judge(*own: Any, recorded: tuple[str, ...] = (), view: dict[str, Any] | None = None, **changes: Any) -> Verdict:
    known: dict[str, Any] = {
        "host": m.host(HostStatus(check_point=CheckPointRecord(groups=recorded))),
        "facts": m.facts(check_point=m.check_point(*own, **(view or {}))),
    }
    return grouping.judge(m.context(**(known | changes)))


def changes(verdict: Verdict) -> tuple[Any, ...]:
    assert isinstance(verdict, Act), verdict
    assert verdict.reason == Reason.PUBLISHING
    return verdict.actions


@pytest.mark.parametrize(
    ("change", "reason", "doubt"),
    [
        ({"facts": m.facts(check_point=UNREADABLE)}, Reason.CHECK_POINT_UNREADABLE, True),
        ({"facts": m.facts(azure=ABSENT)}, Reason.AZURE_UNREADABLE, True),
        ({"desired": None}, Reason.NO_MAPPING, False),
        ({"desired": m.desired(groups=(), pending_groups=("SO",), miss="No rule.")}, Reason.MAPPING_MISS, False),
        ({"desired": m.desired(pending_groups=("Web",))}, Reason.ILLUMIO_UNREADABLE, True),
        ({"facts": m.facts(azure=Seen(m.vm(nics=())))}, Reason.NO_ADDRESS, False),
    ],
)
def test_groups_wait_for_what_they_need(change: dict[str, Any], reason: Reason, *, doubt: bool) -> None:
    verdict = judge(**change)
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt) == (reason, doubt)


def test_a_host_whose_labels_miss_joins_what_does_not_depend_on_them_and_loses_nothing() -> None:
    missing = m.desired(groups=("SO", "Web"), pending_groups=("SO", "Other"), miss="No rule.")
    here = m.host_object(m.OBJECT, m.IP, "SO")
    assert changes(judge(here, recorded=("SO",), desired=missing)) == (
        PutObject(m.VM_ID, m.OBJECT, here.uid, m.IP, ("Web",), ()),
    )
    joined = judge(m.host_object(m.OBJECT, m.IP, "SO", "Web"), recorded=("SO", "Web"), desired=missing)
    assert joined == Wait(Reason.MAPPING_MISS, "No rule.", moving=False, partly=True)
    ungrouped = m.desired(groups=(), pending_groups=("SO",), miss="No rule.")
    assert isinstance(judge(m.host_object(m.OBJECT, m.IP), desired=ungrouped), Wait), "its object stays"


def test_a_host_whose_labels_miss_where_no_group_depends_on_them_is_grouped_as_the_mapping_wants() -> None:
    missing = m.desired(groups=(), miss="No rule.")
    assert changes(judge(m.host_object(m.OBJECT, m.IP, "SO"), recorded=("SO",), desired=missing))
    assert judge(recorded=("SO",), desired=missing).reason == Reason.NO_GROUP_WANTED


def test_a_new_host_gets_its_object_with_its_groups() -> None:
    assert changes(judge()) == (PutObject(m.VM_ID, m.OBJECT, "", m.IP, ("SO",)),)


@pytest.mark.parametrize("all_addresses", [True, False])
def test_every_private_address_gets_an_object_or_the_primary_alone(*, all_addresses: bool) -> None:
    facts = m.facts(azure=Seen(m.vm(m.IP, SECOND)))
    puts = changes(judge(facts=facts, estate=m.estate(all_addresses=all_addresses)))
    assert [put.address for put in puts] == ([m.IP, SECOND] if all_addresses else [m.IP])
    assert [put.name for put in puts] == ([m.OBJECT, SECOND_OBJECT] if all_addresses else [m.OBJECT])


def test_published_as_wanted_is_done_whatever_groups_others_put_it_in() -> None:
    verdict = judge(m.host_object(m.OBJECT.upper(), m.IP, "SO", "ByHand"))
    assert verdict == Done(Reason.PUBLISHED, "Published in SO.")


def test_a_host_that_needs_no_group_needs_no_object() -> None:
    verdict = judge(desired=m.desired(groups=()))
    assert isinstance(verdict, Done)
    assert verdict.reason == Reason.NO_GROUP_WANTED


def test_objects_of_a_host_that_needs_no_group_any_more_are_dropped() -> None:
    verdict = judge(m.host_object(m.OBJECT, m.IP, "SO"), recorded=("SO",), desired=m.desired(groups=()))
    assert changes(verdict) == (DropObject(m.VM_ID, m.OBJECT, f"uid-{m.OBJECT}", ("SO",)),)


def test_a_changed_address_changes_the_object_and_not_its_name() -> None:
    verdict = judge(m.host_object(m.OBJECT, "10.9.9.9", "SO"), recorded=("SO",))
    assert changes(verdict) == (PutObject(m.VM_ID, m.OBJECT, f"uid-{m.OBJECT}", m.IP),)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("shown", [(m.IP, "fd00::99"), ("10.9.9.9", "fd00::99"), ("10.9.9.9",)])
def test_an_object_has_exactly_the_address_of_its_form(shown: tuple[str, ...], order: int) -> None:
    own = [m.host_object(m.OBJECT, address, "SO") for address in shown][::order]
    assert changes(judge(*own, recorded=("SO",))) == (PutObject(m.VM_ID, m.OBJECT, f"uid-{m.OBJECT}", m.IP),)


def test_an_object_of_an_address_that_is_gone_is_dropped() -> None:
    verdict = judge(m.host_object(m.OBJECT, m.IP, "SO"), m.host_object(SECOND_OBJECT, SECOND, "SO"), recorded=("SO",))
    assert changes(verdict) == (DropObject(m.VM_ID, SECOND_OBJECT, f"uid-{SECOND_OBJECT}", ("SO",)),)


# a NIC that cannot be read ----------------------------------------------------------------------------------------


def partly(*nics: Nic) -> dict[str, Any]:
    """The host's VM with these NICs."""
    return {"azure": Seen(m.vm(nics=nics))}


def hidden(number: int, *addresses: str, primary: bool = False) -> Nic:
    """A NIC that Azure's list does not show; its addresses are those that were seen last."""
    known = tuple(Address(ip=ip, primary=True) for ip in addresses)
    return Nic(id=f"/nic/{number}", primary=primary, addresses=known, unreadable=True)


def shown(number: int, *addresses: str, primary: bool = False) -> Nic:
    return msgspec.structs.replace(hidden(number, *addresses, primary=primary), unreadable=False)


PRIMARY, OTHER = m.host_object(m.OBJECT, m.IP, "SO"), m.host_object(SECOND_OBJECT, SECOND, "SO")
HIDDEN = {
    "the only one": (hidden(1, primary=True),),
    "the only one, as last seen": (hidden(1, m.IP, SECOND, primary=True),),
    "the other": (shown(1, m.IP, primary=True), hidden(2)),
    "the other, as last seen": (shown(1, m.IP, primary=True), hidden(2, SECOND)),
    "the primary": (hidden(1, primary=True), shown(2, SECOND)),
    "the primary, as last seen": (hidden(1, m.IP, primary=True), shown(2, SECOND)),
    "the primary, of unknown rank": (hidden(1), shown(2, SECOND)),
    "both": (hidden(1), hidden(2)),
}


@pytest.mark.parametrize("all_addresses", [True, False])
@pytest.mark.parametrize("nics", HIDDEN.values(), ids=HIDDEN.keys())
def test_what_belongs_to_a_nic_that_cannot_be_read_stays(nics: tuple[Nic, ...], *, all_addresses: bool) -> None:
    if not all_addresses and not nics[0].unreadable:
        return  # the only address that is needed is shown
    own = (PRIMARY, OTHER) if all_addresses else (PRIMARY,)
    facts = m.facts(check_point=m.check_point(*own), **partly(*nics))
    verdict = judge(facts=facts, recorded=("SO",), estate=m.estate(all_addresses=all_addresses))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt, verdict.partly) == (Reason.NIC_UNREADABLE, True, True)
    assert verdict.differences == ()
    for nic in nics:
        assert (nic.id.rpartition("/")[2] in verdict.message.split(", which")[0]) is nic.unreadable


def test_where_only_the_primary_address_is_needed_another_nic_may_be_unknown() -> None:
    facts = m.facts(check_point=m.check_point(PRIMARY), **partly(*HIDDEN["the other"]))
    verdict = judge(facts=facts, recorded=("SO",), estate=m.estate(all_addresses=False))
    assert isinstance(verdict, Done)


def test_what_is_known_of_a_new_vm_is_published_and_takes_no_name_that_may_be_anothers() -> None:
    puts = changes(judge(facts=m.facts(check_point=m.check_point(), **partly(shown(1, m.IP, primary=True), hidden(2)))))
    assert puts == (PutObject(m.VM_ID, m.OBJECT, "", m.IP, ("SO",)),)
    puts = changes(judge(facts=m.facts(check_point=m.check_point(), **partly(hidden(1), shown(2, SECOND)))))
    assert puts == (PutObject(m.VM_ID, SECOND_OBJECT, "", SECOND, ("SO",)),)


def test_an_object_of_an_address_that_was_seen_last_is_not_made_again() -> None:
    nics = (shown(1, m.IP, primary=True), hidden(2, SECOND))
    verdict = judge(facts=m.facts(check_point=m.check_point(PRIMARY), **partly(*nics)), recorded=("SO",))
    assert isinstance(verdict, Wait)
    assert verdict.reason == Reason.NIC_UNREADABLE


def test_without_any_object_nothing_is_published_in_part() -> None:
    verdict = judge(facts=m.facts(check_point=m.check_point(), **partly(hidden(1, primary=True))))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.partly) == (Reason.NIC_UNREADABLE, False)


def test_a_host_that_needs_no_group_does_not_ask_for_its_nics() -> None:
    facts = m.facts(check_point=m.check_point(), **partly(hidden(1, primary=True)))
    assert isinstance(judge(facts=facts, desired=m.desired(groups=())), Done)


@pytest.mark.parametrize(("recorded", "leave"), [(("Web",), ("Web",)), ((), ()), (("SO",), ())])
def test_only_memberships_that_are_recorded_as_ours_are_left(recorded: tuple[str, ...], leave: tuple[str, ...]) -> None:
    verdict = judge(m.host_object(m.OBJECT, m.IP, "Web"), recorded=recorded)
    assert changes(verdict) == (PutObject(m.VM_ID, m.OBJECT, f"uid-{m.OBJECT}", m.IP, ("SO",), leave),)


def test_a_refused_object_blocks_its_host_with_check_points_words() -> None:
    verdict = judge(facts=m.facts(rejection="Invalid name."))
    assert isinstance(verdict, Blocked)
    assert (verdict.reason, "Invalid name." in verdict.message) == (Reason.OBJECT_REJECTED, True)


def test_what_held_a_change_up_is_told_beside_it() -> None:
    verdict = judge(facts=m.facts(held_up="Check Point is busy (409)"))
    assert isinstance(verdict, Act)
    assert verdict.message.endswith("The last try was delayed: Check Point is busy (409).")


@pytest.mark.parametrize(
    ("estate", "words"),
    [
        (m.estate(groups={}), "does not exist"),
        (m.estate(allowed_groups=frozenset({"Web"})), "allowedGroups"),
        (m.estate(groups={}, allowed_groups=frozenset({"Web"})), "does not exist"),
    ],
)
def test_a_group_is_never_created_and_never_joined_unless_allowed(estate: Any, words: str) -> None:
    verdict = judge(estate=estate)
    assert isinstance(verdict, Blocked)
    assert (verdict.reason, words in verdict.message) == (Reason.GROUP_MISSING, True)


def test_an_allowed_group_is_joined() -> None:
    assert changes(judge(estate=m.estate(allowed_groups=frozenset({"SO"}))))


def test_a_name_that_another_object_has_blocks() -> None:
    foreign = m.host_object(m.OBJECT.upper(), "10.7.7.7", owner="")
    verdict = judge(view={"name_clashes": {m.OBJECT.lower(): foreign}})
    assert isinstance(verdict, Blocked)
    assert verdict.reason == Reason.NAME_TAKEN


def test_an_address_that_another_object_has_blocks_and_names_it() -> None:
    foreign = m.host_object("by-hand", m.IP, owner="")
    verdict = judge(view={"address_clashes": {m.IP: (foreign,)}})
    assert isinstance(verdict, Blocked)
    assert (verdict.reason, "by-hand" in verdict.message) == (Reason.ADDRESS_TAKEN, True)


@pytest.mark.parametrize(("locked", "waits"), [("SO", True), ("Web", True), ("Other", False)])
def test_a_lock_holds_only_hosts_that_touch_the_group_and_names_its_holder(locked: str, *, waits: bool) -> None:
    groups = {name: Group(name, name) for name in ("SO", "Web", "Other")}
    groups[locked] = replace(groups[locked], locked_by="anna")
    verdict = judge(m.host_object(m.OBJECT, m.IP, "Web"), recorded=("Web",), estate=m.estate(groups=groups))
    assert isinstance(verdict, Wait) is waits
    if isinstance(verdict, Wait):
        assert (verdict.reason, "anna" in verdict.message) == (Reason.GROUP_LOCKED, True)


def test_a_locked_group_does_not_matter_where_nothing_is_to_be_changed() -> None:
    groups = {"SO": Group("SO", "g1", "anna")}
    assert isinstance(judge(m.host_object(m.OBJECT, m.IP, "SO"), estate=m.estate(groups=groups)), Done)


def test_a_drop_from_a_locked_group_waits_too() -> None:
    groups = {"SO": Group("SO", "g1", "anna")}
    verdict = judge(m.host_object(m.OBJECT, m.IP, "SO"), desired=m.desired(groups=()), estate=m.estate(groups=groups))
    assert isinstance(verdict, Wait)
    assert verdict.reason == Reason.GROUP_LOCKED


@pytest.mark.parametrize("name", ["host24-6f1c2d9a", "a" * 54 + "-6f1c2d9a", "-" * 54 + "-6f1c2d9a"])
@pytest.mark.parametrize("address", ["", SECOND])
def test_object_names_are_bounded_keep_the_digest_and_tell_addresses_apart(name: str, address: str) -> None:
    made = object_name("prefix-of-16-ch-", name, address)
    assert len(made) <= 64
    assert "6f1c2d9a" in made
    assert made != object_name("prefix-of-16-ch-", name, address + "1")
