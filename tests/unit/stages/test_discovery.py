"""Stage 1: what Azure's list says, and that its silence says nothing."""

from __future__ import annotations

from lab.memory import samples as m
from microseg.model.condition import Reason
from microseg.model.facts import ABSENT, UNREADABLE, Seen
from microseg.model.verdict import Done, Wait
from microseg.stages import discovery


def test_a_vm_in_the_list_is_discovered() -> None:
    verdict = discovery.judge(m.context())
    assert isinstance(verdict, Done)
    assert verdict.reason == Reason.SEEN
    assert "Host24" in verdict.message


def test_a_deselected_vm_waits_and_is_told_so_for_certain() -> None:
    verdict = discovery.judge(m.context(facts=m.facts(azure=Seen(m.vm(selected=False)))))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt, verdict.moving) == (Reason.DESELECTED, False, False)


def test_absence_is_doubt_and_nothing_moves() -> None:
    verdict = discovery.judge(m.context(facts=m.facts(azure=ABSENT)))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt, verdict.moving) == (Reason.NOT_SEEN, True, False)


def test_a_vm_that_an_unreadable_row_may_be_is_doubt_that_the_host_shows() -> None:
    context = m.context(facts=m.facts(azure=UNREADABLE), estate=m.estate(unreadable_rows=1))
    verdict = discovery.judge(context)
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt, verdict.moving) == (Reason.ROWS_UNREADABLE, True, False)


def test_an_unread_list_is_doubt_that_will_pass() -> None:
    verdict = discovery.judge(m.context(facts=m.facts(azure=UNREADABLE)))
    assert isinstance(verdict, Wait)
    assert (verdict.reason, verdict.doubt, verdict.moving) == (Reason.AZURE_UNREADABLE, True, True)
