"""What Approvals let through and for how long, and what they become as evidence."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from lab.memory import samples as m
from microseg.model.approval import Approval, ApprovalAction, ApprovalSpec, ApprovalStatus, SeenChange
from microseg.model.estate_status import UsedApproval
from microseg.planning import approvals, guard, retirement_guard
from microseg.planning.retirement_guard import Gone

KEPT = timedelta(days=90)
GONE = f"{m.VM_ID}@2026-06-01T11:00:00Z"


def approval(action: ApprovalAction, what: str, at: datetime = m.NOW, **changes: Any) -> Approval:
    spec = ApprovalSpec(estate="respiro", action=action, what=what, by="alice", reason="CHG-1")
    known: dict[str, Any] = {
        "name": f"a{at:%H%M}",
        "namespace": "plant",
        "spec": spec,
        "created_at": at,
        "uid": f"uid-{what}-{at}",
    }
    return Approval(**(known | changes))


def opened(*made: Approval, used: tuple[UsedApproval, ...] = (), at: datetime = m.NOW) -> set[str]:
    return set(approvals.open_for(ApprovalAction.PLAN, made, used, at))


def test_one_for_a_plan_is_open_for_a_day_and_until_it_was_used() -> None:
    made = approval(ApprovalAction.PLAN, "d1:3")
    assert opened(made) == {"d1"}
    assert opened(made, at=m.NOW + timedelta(days=1)) == set()
    assert opened(made, used=(approvals.use(made, m.NOW),)) == set()
    assert opened(approval(ApprovalAction.PLAN, "d1:3", status=ApprovalStatus(outcome="Used"))) == set()
    assert opened(approval(ApprovalAction.RETIREMENT, "d1:3")) == set()


def test_what_was_used_says_who_approved_it_why_and_where_that_is_recorded() -> None:
    used = approvals.use(approval(ApprovalAction.PLAN, "d1:3"), m.NOW)
    assert (used.digest, used.max_hosts, used.by) == ("d1", 3, "alice, Approval a1200: CHG-1")


def test_a_word_for_a_host_stands_until_its_day_is_over_and_for_good_once_it_was_acted_on() -> None:
    made, late = approval(ApprovalAction.CONFIRM_GONE, GONE), m.NOW + timedelta(days=2)
    assert approvals.standing((made,), m.NOW) == {(ApprovalAction.CONFIRM_GONE, GONE)}
    assert approvals.standing((made,), late) == frozenset()
    acted_on = approval(ApprovalAction.CONFIRM_GONE, GONE, status=ApprovalStatus(outcome="Used", at=m.NOW))
    assert approvals.standing((acted_on,), late) == {(ApprovalAction.CONFIRM_GONE, GONE)}
    assert approvals.standing((approval(ApprovalAction.PLAN, "d1:3"),), m.NOW) == frozenset()


def test_the_newest_pin_counts_and_none_ends_it() -> None:
    first = approval(ApprovalAction.PIN, "a" * 64, m.ago(minutes=3))
    second = approval(ApprovalAction.PIN, "b" * 64, m.ago(minutes=2))
    ended = approval(ApprovalAction.PIN, "none", m.ago(minutes=1))
    assert approvals.pin((), m.NOW) is None
    assert approvals.pin((second, first), m.NOW) == second
    assert approvals.pin((first, second, ended), m.NOW) is None


@pytest.mark.parametrize(
    ("used", "happened", "hours", "outcome"),
    [(True, False, 30, "Used"), (False, True, 2, "Used"), (False, False, 2, ""), (False, False, 25, "Expired")],
)
def test_it_says_when_and_what_came_of_it(used: bool, happened: bool, hours: int, outcome: str) -> None:
    made, now = approval(ApprovalAction.PLAN, "d1:3"), m.NOW + timedelta(hours=hours)
    spent = (approvals.use(made, m.NOW),) if used else ()
    status = approvals.settled(made, spent, now, happened=happened)
    assert status.outcome == outcome
    assert status.at == (None if not outcome else m.NOW if used else now)
    again = approvals.settled(approval(ApprovalAction.PLAN, "d1:3", status=status), (), now + KEPT, happened=False)
    assert again == status or not outcome


def test_evidence_is_deleted_when_it_is_old_and_nothing_rests_on_it() -> None:
    over = ApprovalStatus(outcome="Used", at=m.ago(days=91))
    plan = approval(ApprovalAction.PLAN, "d1:3", status=over)
    adopted = approval(ApprovalAction.ADOPT, f"{m.VM_ID}@{m.UUID}", status=over)
    old_pin = approval(ApprovalAction.PIN, "a" * 64, m.ago(days=95), status=over)
    pin = approval(ApprovalAction.PIN, "b" * 64, m.ago(days=94), status=over)
    young = approval(ApprovalAction.PLAN, "d2:3", status=ApprovalStatus(outcome="Used", at=m.ago(days=89)))
    kept = (plan, adopted, old_pin, pin, young)
    assert approvals.outlived(kept, {m.VM_ID}, KEPT, m.NOW) == [plan, old_pin]
    assert approvals.outlived(kept, set(), KEPT, m.NOW) == [plan, adopted, old_pin]


def test_a_list_that_came_along_counts_only_if_the_digest_is_its_own() -> None:
    changes = {m.VM_ID: frozenset({"group SO: leave"})}
    hold = guard.judge(changes, revision="r", commissioned=1, percent=10)
    assert hold is not None
    seen = (SeenChange(kinds=("group SO: leave",), hosts=(m.VM_ID,)),)
    spec = ApprovalSpec(
        estate="respiro", action=ApprovalAction.PLAN, what=hold.approval, by="alice", reason="CHG-1", seen=seen
    )
    listed = approvals.listed(approval(ApprovalAction.PLAN, hold.approval, spec=spec))
    assert guard.shown(hold.digest, listed, "r") == hold
    assert guard.shown(hold.digest, listed, "another revision") is None
    assert guard.shown(hold.digest, {**listed, "another": frozenset({"group SO: leave"})}, "r") is None
    gone = retirement_guard.judge([Gone(m.VM_ID, m.NOW)], recent=(), groups=1, most=0)
    assert gone is not None
    assert retirement_guard.shown(gone.digest, [m.VM_ID]) == gone.hosts
    assert retirement_guard.shown(gone.digest, [m.VM_ID, "another"]) == frozenset()
