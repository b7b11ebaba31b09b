"""Steps of the machine's clock: nothing is over too early, and nothing waits for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lab.memory import samples as m
from microseg.engine.ground.clock import SteadyClock
from microseg.model.facts import ABSENT
from microseg.model.host import HostStatus
from microseg.model.plan import BeginRetirement, StartScript
from microseg.planning.decide import decide
from microseg.stages.attempt import bounds
from microseg.stages.context import Timing


class Machine:
    """A machine whose two clocks are moved by hand."""

    def __init__(self) -> None:
        self.wall, self.monotonic = m.NOW.timestamp(), 5000.0
        self.clock = SteadyClock(lambda: self.wall, lambda: self.monotonic)

    def goes_on(self, **parts: float) -> None:
        seconds = timedelta(**parts).total_seconds()
        self.wall += seconds
        self.monotonic += seconds

    def is_set(self, **parts: float) -> None:
        self.wall += timedelta(**parts).total_seconds()


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_it_goes_as_the_wall_clock_goes(machine: Machine) -> None:
    machine.goes_on(hours=5)
    assert machine.clock() == m.ahead(hours=5)


def test_slewing_is_followed(machine: Machine) -> None:
    for _ in range(100):
        machine.goes_on(minutes=1)
        machine.is_set(seconds=1)
        machine.clock()
    assert machine.clock() == m.ahead(minutes=100, seconds=100)


@pytest.mark.parametrize("hours", [-6, 6])
def test_a_step_is_not_believed_before_everything_that_ran_is_over(machine: Machine, hours: float) -> None:
    machine.is_set(hours=hours)
    assert machine.clock() == m.NOW
    machine.goes_on(minutes=119)
    assert machine.clock() == m.ahead(minutes=119)
    machine.goes_on(minutes=2)
    assert machine.clock() == m.ahead(minutes=121, hours=hours)


def test_a_step_that_was_taken_back_never_was(machine: Machine) -> None:
    machine.is_set(hours=3)
    machine.clock()
    machine.goes_on(minutes=90)
    machine.is_set(hours=-3)
    machine.clock()
    machine.goes_on(minutes=90)
    assert machine.clock() == m.ahead(hours=3)


def test_a_step_outlives_every_attempt() -> None:
    longest = bounds(m.attempt(seals_at=m.ahead(seconds=3600 + Timing().sealing)), Timing()).over_at - m.NOW
    assert longest < timedelta(hours=2)


def test_a_step_forward_starts_no_second_installer(machine: Machine) -> None:
    host = m.host(HostStatus(agent=m.attempt()))
    machine.is_set(hours=8)
    decision = decide(host, m.facts(), m.estate(), m.desired(), machine.clock())
    assert not [action for action in decision.actions if isinstance(action, StartScript)]
    assert decision.status.agent is not None
    assert decision.status.agent.outcome is None


@pytest.mark.parametrize("hours", [-6, 6])
def test_a_step_retires_nobody(machine: Machine, hours: float) -> None:
    host = m.host(HostStatus(azure=m.vm().record, missing_since=m.ago(minutes=1)))
    machine.is_set(hours=hours)
    missing = m.facts(azure=ABSENT, missed_polls=1)
    estate = m.estate(subscriptions=frozenset({"s1"}))
    decision = decide(host, missing, estate, m.desired(), machine.clock())
    assert not [action for action in decision.actions if isinstance(action, BeginRetirement)]
