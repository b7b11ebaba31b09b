"""The guard's own rules: what counts as a change, how much is too much, and what an approval covers (S6)."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from lab.memory import samples as m
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.desired import Desired
from microseg.model.estate_status import UsedApproval
from microseg.model.host import HostStatus, ManagedHost, MappingRecord, Timeline
from microseg.model.illumio_record import IllumioRecord, LabelRecord
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


def desired(**changes: object) -> Desired:
    return m.desired(**changes)


def hold(hosts: int, commissioned: int, percent: int, revision: str = "r2") -> guard.PlanHold | None:
    changes = {f"vm-{number}": KINDS for number in range(hosts)}
    return guard.judge(changes, revision=revision, commissioned=commissioned, percent=percent)


# what counts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        (desired(), set()),
        (desired(labels=(("env", "Prod"),)), {"label env: Dev -> Prod"}),
        (desired(labels=(("loc", "X"),)), {"label loc: (none) -> X"}),
        (desired(groups=("Web",)), {"group Web: join", "group SO: leave"}),
        (desired(groups=()), {"group SO: leave"}),
        (desired(groups=(), pending_groups=("SO",)), set()),
        (desired(labels=(("env", "Prod"),), groups=(), pending_groups=("SO",), miss="No rule."), {guard.NO_ANSWER}),
        (desired(groups=(), pending_groups=("Web",), miss="No rule."), {guard.NO_ANSWER}),
        (desired(groups=(), miss="No rule."), {guard.NO_ANSWER, "group SO: leave"}),
        (desired(groups=("Web",), pending_groups=("SO",), miss="No rule."), {guard.NO_ANSWER, "group Web: join"}),
        (desired(removed=("app", "env", "loc")), {"label app: Orchestrate -> (none)"}),
    ],
    ids=[
        "nothing",
        "value",
        "new key",
        "group",
        "no group",
        "not known yet",
        "a miss waits",
        "a miss, and only groups that wait",
        "a miss, and no group waits",
        "a miss, and a join",
        "only own are removed",
    ],
)
def test_a_change_is_what_the_rules_want_against_what_the_record_confirms(asked: Desired, kinds: set[str]) -> None:
    assert guard.difference(host(owned=("app",)), asked) == kinds


def test_what_the_rules_before_asked_for_as_well_is_no_change_of_rules() -> None:
    moved = desired(groups=("Web",))
    assert guard.caused(host(), moved, moved) == frozenset()
    assert guard.caused(host(), moved, desired()) == {"group Web: join", "group SO: leave"}
    assert guard.caused(host(), moved, None) != frozenset(), "with unknown rules before, every difference counts"


def test_a_held_host_goes_on_wanting_what_is_ours_as_it_was_confirmed() -> None:
    record = host(owned=("env",))
    kept = guard.as_recorded(record, desired(revision="new", labels=(("env", "Prod"),), groups=("Web",)))
    assert (kept.labels, kept.groups) == ((("env", "Dev"),), ("SO",))
    assert (kept.revision, kept.cases) == ("old", ("case-1",)), "the record goes on naming the rules that decided"
    assert guard.difference(record, kept) == frozenset()


def test_only_hosts_that_were_commissioned_once_count() -> None:
    new = msgspec.structs.replace(host(), status=HostStatus(timeline=Timeline(discovered_at=m.NOW)))
    changes, held = guard.evaluate(
        [new, m.host(), host()], lambda _: desired(groups=("Web",)), lambda _: desired(), percent=99, revision="r2"
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


def test_the_digest_is_whole_and_covers_revision_hosts_and_changes() -> None:
    found = hold(5, 10, 10)
    assert found is not None
    assert (len(found.digest), found.approval) == (64, f"{found.digest}:5")
    one_more = {f"vm-{number}": KINDS for number in range(5)} | {"vm-1": KINDS | {"group Web: join"}}
    others = (
        hold(6, 10, 10),
        hold(5, 10, 10, revision="r3"),
        guard.judge(one_more, revision="r2", commissioned=10, percent=10),
    )
    assert len({found.digest, *(other.digest for other in others if other is not None)}) == 4


def test_what_a_person_did_not_see_is_beyond_the_approval() -> None:
    seen, grown = hold(5, 10, 10), hold(7, 10, 10)
    assert seen is not None
    assert grown is not None
    assert set(guard.beyond(grown, seen)) == {"vm-5", "vm-6"}
    assert guard.beyond(seen, grown) == {}


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
    assert admitted == UsedApproval(digest=found.digest, max_hosts=7, at=m.NOW)
    later = m.NOW + timedelta(days=1)
    assert guard.admitting(found, annotation, (admitted,), later) is None
    assert guard.spent(found.digest, 7, (admitted,)) == m.NOW
    assert guard.remembered((admitted,), annotation) == (admitted,)
    forgotten = guard.remembered((admitted,), "")
    assert guard.admitting(found, annotation, forgotten, later) is not None
    assert guard.admitting(found, f"{found.digest}:4", (), m.NOW) is None
