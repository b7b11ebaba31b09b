"""The install window: local to its zone, past midnight, and when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lab.memory import samples as m
from microseg.model.estate_spec import InstallWindow
from microseg.planning.install_window import opens

NIGHT = InstallWindow(time_zone="UTC", days=("Mon",), start="22:00", end="04:00")
"""From Monday evening to Tuesday morning."""


def at(text: str) -> datetime:
    """A time in the first week of June 2026, whose Monday is the first."""
    return datetime.fromisoformat(f"2026-06-{text}+00:00").astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "opening"),
    [
        ("01T21:59", "01T22:00"),
        ("01T22:00", None),
        ("01T23:59", None),
        ("02T03:59", None),
        ("02T04:00", "08T22:00"),
        ("02T22:30", "08T22:00"),
        ("01T03:00", "01T22:00"),
    ],
)
def test_a_window_past_midnight_belongs_to_the_day_it_began(now: str, opening: str | None) -> None:
    assert opens(NIGHT, at(now)) == (at(opening) if opening else None)


def test_a_window_is_local_to_its_time_zone() -> None:
    sydney = InstallWindow(time_zone="Australia/Sydney", start="01:00", end="02:00")
    assert opens(sydney, at("01T14:59")) == at("01T15:00")
    assert opens(sydney, at("01T15:30")) is None


@pytest.mark.parametrize(
    ("now", "opening"),
    [
        ("2026-03-28T12:00:00+01:00", "2026-03-29T04:00:00+02:00"),  # the clocks go forward at 02:00
        ("2026-10-24T12:00:00+02:00", "2026-10-25T04:00:00+01:00"),  # and back at 03:00
    ],
)
def test_a_window_of_the_night_in_which_the_clocks_change_opens_at_its_time(now: str, opening: str) -> None:
    early = InstallWindow(time_zone="Europe/Zurich", start="04:00", end="04:30")
    assert opens(early, datetime.fromisoformat(now)) == datetime.fromisoformat(opening)


def test_no_window_is_always_open_and_an_unknown_zone_never() -> None:
    assert opens(None, m.NOW) is None
    odd = opens(InstallWindow(time_zone="Mars/Olympus"), m.NOW)
    assert odd is not None
    assert odd > m.NOW


def test_a_whole_day_is_open_all_day_and_only_on_its_day() -> None:
    day = InstallWindow(days=("Tue",))
    assert opens(day, at("02T00:00")) is None
    assert opens(day, at("02T23:59")) is None
    assert opens(day, at("03T00:00")) == at("02T00:00") + timedelta(days=7)
