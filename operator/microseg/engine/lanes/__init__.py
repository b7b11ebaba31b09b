"""The lanes: each talks to one outside system, observes it in bulk and carries out the plan's actions in batches.

They do not wait for one another: a system that is down for a day holds up only its own stage.
"""

from __future__ import annotations

from dataclasses import dataclass

from microseg.engine.lanes.azure import AzureLane
from microseg.engine.lanes.checkpoint import CheckPointLane
from microseg.engine.lanes.illumio import IllumioLane
from microseg.engine.lanes.schedule import PollSchedule


@dataclass(frozen=True, slots=True)
class Lanes:
    """The three lanes of one estate."""

    azure: AzureLane
    illumio: IllumioLane
    check_point: CheckPointLane

    @property
    def all(self) -> tuple[AzureLane, IllumioLane, CheckPointLane]:
        """To run them."""
        return (self.azure, self.illumio, self.check_point)

    @property
    def schedules(self) -> tuple[PollSchedule, PollSchedule, PollSchedule]:
        """Their schedules, in the order of `all`."""
        return (self.azure.schedule, self.illumio.schedule, self.check_point.schedule)
