"""So many may be retired in an hour: the oldest first, and a flood in one resource group holds nobody else's (S6)."""

from __future__ import annotations

import pytest

from lab.memory import samples as m
from microseg.planning.retirement_guard import Gone, RetirementHold, group_of, judge


def gone(*numbers: int, group: str = "a") -> list[Gone]:
    """The higher the number, the longer it is missing."""
    return [Gone(f"vm-{number}", m.ago(hours=number), group) for number in numbers]


def held(*gone_vms: Gone, most: int = 5, recent: tuple[str, ...] = (), groups: int = 1) -> set[str]:
    hold = judge(gone_vms, recent=recent, groups=groups, most=most)
    return set(hold.hosts) if hold is not None else set()


@pytest.mark.parametrize(("count", "recent", "waiting"), [(5, 0, 0), (6, 0, 1), (1, 5, 1), (3, 4, 2), (0, 99, 0)])
def test_what_is_more_than_the_hour_has_left_waits(count: int, recent: int, waiting: int) -> None:
    assert len(held(*gone(*range(count)), recent=("a",) * recent)) == waiting


def test_the_oldest_go_first() -> None:
    assert held(*gone(1, 2, 3, 4, 5, 6, 7)) == {"vm-1", "vm-2"}


def test_one_resource_group_takes_at_most_half_of_the_hour_where_there_are_others() -> None:
    flood, one = gone(*range(10, 60), group="flood"), gone(1, group="other")
    waiting = held(*flood, *one, groups=2)
    assert "vm-1" not in waiting, "fifty older ones of another group do not hold it up"
    assert len(flood) - len(waiting) == 3
    assert held(*one, groups=2, recent=("flood",) * 3) == set()
    assert held(*gone(9, group="flood"), groups=2, recent=("flood",) * 3) == {"vm-9"}


def test_the_digest_is_of_the_exact_list_and_whole() -> None:
    seven, eight = (
        judge(gone(*range(7)), recent=(), groups=1, most=1),
        judge(gone(*range(8)), recent=(), groups=1, most=1),
    )
    assert isinstance(seven, RetirementHold)
    assert isinstance(eight, RetirementHold)
    assert (len(seven.digest), seven.digest != eight.digest) == (64, True)
    assert seven.admitted({seven.digest: 6})
    assert not seven.admitted({seven.digest: 5, seven.digest[:12]: 99})
    assert not eight.admitted({seven.digest: 99})


def test_a_group_is_a_subscriptions_own() -> None:
    assert group_of(m.RESOURCE_ID) == group_of(m.RESOURCE_ID.upper()) == "subscriptions/s1/resourcegroups/rg"
    assert group_of("") == ""
