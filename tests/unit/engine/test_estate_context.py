"""What all hosts share: which pairing profile may be used, and when policy may be installed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.unit.estate.fakes import estate
from tests.unit.stages import makers as m

from microseg.estate.ledger import Ledger
from microseg.estate.readings import FirewallReading, PceReading
from microseg.estate.view import EstateViews, opens, profile
from microseg.model.estate import InstallWindow, PolicyTargets
from microseg.model.facts import Gateway, PairingProfile
from microseg.stages.situation import Timing


def found(made: PairingProfile | None, os: str = "Linux") -> PairingProfile | str:
    return profile(estate(), PceReading.of(m.MARK, (), (), (made,) if made else ()), os)


def profiled(**changes: Any) -> PairingProfile:
    known: dict[str, Any] = {"name": "linux", "href": "/p/7", "enabled": True, "uses_per_key": 1, "key_life": 1800}
    return PairingProfile(**(known | changes))


@pytest.mark.parametrize("life", [600, 1800, 3600])
def test_a_profile_with_short_keys_of_one_use_is_used(life: int) -> None:
    assert found(profiled(key_life=life)) == profiled(key_life=life)


@pytest.mark.parametrize(
    ("made", "os", "words"),
    [
        (None, "Linux", "no pairing profile named linux"),
        (profiled(), "Windows", "names no pairing profile for Windows"),
        (profiled(enabled=False), "Linux", "disabled"),
        (profiled(uses_per_key=None), "Linux", "more than once"),
        (profiled(uses_per_key=2), "Linux", "more than once"),
        (profiled(key_life=None), "Linux", "10 to 60 minutes"),
        (profiled(key_life=599), "Linux", "10 to 60 minutes"),
        (profiled(key_life=3601), "Linux", "10 to 60 minutes"),
    ],
)
def test_a_profile_whose_keys_are_worth_stealing_is_refused_in_one_sentence(
    made: PairingProfile | None, os: str, words: str
) -> None:
    said = found(made, os)
    assert isinstance(said, str)
    assert words in said


def test_a_package_without_named_targets_is_installed_where_it_is_now() -> None:
    ledger = Ledger()
    shown = (("gw2", "Standard"), ("gw1", "Standard"), ("gw3", "Other"))
    gateways = tuple(Gateway(name, policy, None, None) for name, policy in shown)
    ledger.saw_firewall(FirewallReading.of(m.OWNER, (), (), gateways, m.PUBLISHED))
    spec = estate().spec
    check_point = msgspec.structs.replace(spec.check_point, policies=(PolicyTargets(package="Standard"),))
    made = estate(spec=msgspec.structs.replace(spec, check_point=check_point))
    view = EstateViews(Timing()).view(made, ledger, m.NOW, install_failures={}, install_doubts={})
    assert [policy.targets for policy in view.policies] == [("gw1", "gw2")]


# windows ----------------------------------------------------------------------------------------------------------

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
