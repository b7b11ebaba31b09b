"""The guard's own rules: what counts as a change, how much is too much, and what an approval covers (S6)."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from tests.unit.stages import makers as m

from microseg.model.estate import Approval
from microseg.model.host import (
    CheckPointRecord,
    HostStatus,
    IllumioRecord,
    LabelRecord,
    ManagedHost,
    MappingRecord,
    Timeline,
)
from microseg.model.wanted import Wanted
from microseg.planning import guard

KINDS = frozenset({"label env: Dev -> Prod", "group SO: leave"})


def host(
    *, labels: dict[str, str] | None = None, owned: tuple[str, ...] = (), groups: tuple[str, ...] = ()
) -> ManagedHost:
    """A commissioned host with this record."""
    carried = {"app": "Orchestrate", "env": "Dev"} if labels is None else labels
    status = HostStatus(
        illumio=IllumioRecord(
            labels=tuple(LabelRecord(key=key, value=value) for key, value in carried.items()), owned_keys=owned
        ),
        check_point=CheckPointRecord(groups=groups or ("SO",)),
        mapping=MappingRecord(revision="old", cases=("case-1",)),
        timeline=Timeline(commissioned_at=m.ago(days=1)),
    )
    return m.host(status)


def wanted(**changes: object) -> Wanted:
    return m.wanted(**changes)


def hold(hosts: int, commissioned: int, percent: int, **approvals: int) -> guard.Hold | None:
    changes = {f"vm-{number}": KINDS for number in range(hosts)}
    return guard.judge(changes, commissioned=commissioned, percent=percent, approvals=approvals)


# what counts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        (wanted(), set()),
        (wanted(labels=(("env", "Prod"),)), {"label env: Dev -> Prod"}),
        (wanted(labels=(("loc", "X"),)), {"label loc: (none) -> X"}),
        (wanted(groups=("Web",)), {"group Web: join", "group SO: leave"}),
        (wanted(groups=()), {"group SO: leave"}),
        (wanted(groups=(), pending_groups=("SO",)), set()),
        (wanted(labels=(("env", "Prod"),), groups=(), miss="No rule."), set()),
        (wanted(removed=("app", "env", "loc")), {"label app: Orchestrate -> (none)"}),
    ],
    ids=["nothing", "value", "new key", "group", "no group", "not known yet", "a miss waits", "only own are removed"],
)
def test_a_change_is_what_the_rules_want_against_what_the_record_confirms(asked: Wanted, kinds: set[str]) -> None:
    assert guard.difference(host(owned=("app",)), asked) == kinds


def test_what_the_rules_before_asked_for_as_well_is_no_change_of_rules() -> None:
    moved = wanted(groups=("Web",))
    assert guard.caused(host(), moved, moved) == frozenset()
    assert guard.caused(host(), moved, wanted()) == {"group Web: join", "group SO: leave"}
    assert guard.caused(host(), moved, None) != frozenset(), "with unknown rules before, every difference counts"


def test_a_held_host_goes_on_wanting_what_is_ours_as_it_was_confirmed() -> None:
    record = host(owned=("env",))
    kept = guard.as_recorded(record, wanted(revision="new", labels=(("env", "Prod"),), groups=("Web",)))
    assert (kept.labels, kept.groups) == ((("env", "Dev"),), ("SO",))
    assert (kept.revision, kept.cases) == ("old", ("case-1",)), "the record goes on naming the rules that decided"
    assert guard.difference(record, kept) == frozenset()


def test_only_hosts_that_were_commissioned_once_count() -> None:
    new = msgspec.structs.replace(host(), status=HostStatus(timeline=Timeline(discovered_at=m.NOW)))
    changes, held = guard.weigh(
        [new, m.host(), host()], lambda _: wanted(groups=("Web",)), lambda _: wanted(), percent=99
    )
    assert (len(changes), held is not None) == (1, True)


# how much is too much ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "commissioned", "percent", "is_held"),
    [
        (10, 100, 10, False),
        (11, 100, 10, True),
        (1, 9, 10, True),
        (1, 1, 100, False),
        (1, 1000, 0, True),
        (0, 5, 0, False),
    ],
)
def test_more_than_the_percentage_is_held_and_no_less(
    hosts: int, commissioned: int, percent: int, is_held: bool
) -> None:
    assert (hold(hosts, commissioned, percent) is not None) == is_held


def test_the_digest_is_of_the_kinds_alone_so_it_outlives_hosts_that_come_and_go() -> None:
    few, more = hold(5, 10, 10), hold(9, 100, 1)
    other = guard.judge({"vm-1": KINDS | {"group Web: join"}}, commissioned=1, percent=0, approvals={})
    assert few is not None
    assert more is not None
    assert other is not None
    assert few.digest == more.digest != other.digest
    assert (few.approval, more.approval) == (f"{few.digest}:5", f"{few.digest}:9")


def test_an_approval_covers_so_many_hosts_and_not_one_more() -> None:
    found = hold(5, 10, 10)
    assert found is not None
    assert hold(5, 10, 10, **{found.digest: 5}) is None
    assert hold(5, 10, 10, **{found.digest: 4}) is not None
    assert hold(5, 10, 10, other=99) is not None


# approvals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "abc", "abc:", ":5", "abc:-5", "abc:5.0", "abc:1e3", "abc:\u0665", "abc: 5 x", "abc:9999999999"]
)
def test_what_is_malformed_approves_nothing(text: str) -> None:
    assert guard.parse_approvals(text) == {}


def test_several_approvals_stand_side_by_side() -> None:
    assert guard.parse_approvals("abc:5, def:12 ,bad") == {"abc": 5, "def": 12}


def test_an_approval_admits_once_and_anew_only_after_it_was_taken_off() -> None:
    found = hold(5, 10, 10)
    assert found is not None
    annotation = f"{found.digest}:7"
    admitted = guard.admitting(found, annotation, (), m.NOW)
    assert admitted == Approval(digest=found.digest, max_hosts=7, at=m.NOW)
    later = m.NOW + timedelta(days=1)
    assert guard.admitting(found, annotation, (admitted,), later) is None
    assert guard.spent(found.digest, 7, (admitted,)) == m.NOW
    assert guard.remembered((admitted,), annotation) == (admitted,)
    forgotten = guard.remembered((admitted,), "")
    assert guard.admitting(found, annotation, forgotten, later) is not None
    assert guard.admitting(found, f"{found.digest}:4", (), m.NOW) is None


# retirements ------------------------------------------------------------------------------------------------------


def retire(hosts: int, *, recent: int = 0, commissioned: int = 40, **approvals: int) -> guard.RetirementHold | None:
    vm_ids = [f"vm-{number}" for number in range(hosts)]
    return guard.judge_retirements(
        vm_ids, recent=recent, commissioned=commissioned, count=5, percent=5, approvals=approvals
    )


@pytest.mark.parametrize(
    ("hosts", "recent", "commissioned", "is_held"),
    [
        (5, 0, 40, False),
        (6, 0, 40, True),
        (1, 5, 40, True),
        (10, 0, 200, False),
        (11, 0, 200, True),
        (0, 99, 40, False),
    ],
)
def test_the_larger_of_count_and_percent_may_go_in_an_hour(
    hosts: int, recent: int, commissioned: int, is_held: bool
) -> None:
    assert (retire(hosts, recent=recent, commissioned=commissioned) is not None) == is_held


def test_an_approval_of_retirements_is_of_the_list_that_a_person_saw() -> None:
    seen, more = retire(6), retire(7)
    assert seen is not None
    assert more is not None
    assert retire(6, **{seen.digest: 6}) is None
    assert retire(7, **{seen.digest: 99}) is not None, "another VM on it makes it another list"
    assert seen.digest != more.digest
