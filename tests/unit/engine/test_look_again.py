"""Who is decided again by time alone: the soonest first, each once, and only at the time that was set last."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from lab.memory import samples as m
from microseg.engine.state.look_again import LookAgain

HOSTS = ("a", "b", "c")


def test_nobody_waits_at_first() -> None:
    assert LookAgain().soonest() is None
    assert LookAgain().due(m.NOW) == []


def test_the_time_that_was_set_last_counts() -> None:
    again = LookAgain()
    again.set("a", m.NOW)
    again.set("a", m.ahead(seconds=5))
    assert (again.due(m.ahead(seconds=1)), again.soonest()) == ([], m.ahead(seconds=5))
    again.set("a", None)
    assert again.soonest() is None


@given(st.lists(st.tuples(st.sampled_from(HOSTS), st.one_of(st.none(), st.integers(0, 20)), st.integers(0, 20))))
def test_it_is_what_a_plain_table_would_say(steps: list[tuple[str, int | None, int]]) -> None:
    again = LookAgain()
    table: dict[str, int] = {}
    for host, at, now in steps:
        again.set(host, None if at is None else m.NOW + timedelta(seconds=at))
        table.pop(host, None)
        if at is not None:
            table[host] = at
        assert again.soonest() == min((m.NOW + timedelta(seconds=each) for each in table.values()), default=None)
        due = {each for each, its in table.items() if its <= now}
        assert set(again.due(m.NOW + timedelta(seconds=now))) == due
        table = {each: its for each, its in table.items() if each not in due}


def test_times_that_are_replaced_again_and_again_take_no_room() -> None:
    again = LookAgain()
    again.set("early", m.NOW)
    for number in range(5_000):
        again.set("late", m.NOW + timedelta(seconds=number + 1))
    assert len(again._heap) < 100
    assert again.due(m.NOW + timedelta(days=1)) == ["early", "late"]
