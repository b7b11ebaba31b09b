"""An Estate that cannot be reconciled as it is: a Secret, its spec, a CRD. The estate runner reports it."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Protocol

from microseg.engine.ground.ports import Clock, EstateStore, EventSink
from microseg.engine.ground.workers import Workers
from microseg.kube.errors import Conflict, NotFound
from microseg.model.condition import ConditionStatus, ConditionType, Reason
from microseg.model.estate import Estate
from microseg.model.estate_status import PollRecord
from microseg.planning.estate_conditions import EstateOverview, SystemState
from microseg.planning.estate_events import turns
from microseg.planning.estate_status import status as estate_status

log = logging.getLogger(__name__)


class EstateUnusable(Exception):
    """The estate cannot be kept as it is; `reason` and the sentence go into its conditions."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Take both."""
        super().__init__(message)
        self.reason = reason


class Desk(Protocol):
    """What it is reported with; the runner's ports."""

    @property
    def estates(self) -> EstateStore:
        """The Estates."""

    @property
    def events(self) -> EventSink:
        """Where Events go."""

    @property
    def workers(self) -> Workers:
        """Threads for calls of the API server."""

    @property
    def clock(self) -> Clock:
        """The wall clock."""


async def report(unusable: EstateUnusable, estate: Estate, desk: Desk) -> None:
    """Say in the Estate's status why it cannot be reconciled, and in an Event where that is new. Raises KubeError."""
    log.warning("estate unusable", extra={"estate": estate.name, "reason": unusable.reason.value, "why": str(unusable)})
    with suppress(Conflict, NotFound):
        current = await desk.workers.call(desk.estates.read, estate.namespace, estate.name)
        status = estate_status(current, _overview(unusable, current), desk.clock())
        await desk.workers.call(desk.estates.patch_status, current, status)
        for reason, message, warning in turns(current.status, status):
            await desk.workers.call(desk.events.post, current, reason, message, warning=warning)


def _overview(unusable: EstateUnusable, estate: Estate) -> EstateOverview:
    """Nothing is known but that it is stalled."""
    doubt = SystemState(ConditionStatus.UNKNOWN, Reason.NEVER_DECIDED, "Not looked at while the estate is stalled.")
    kinds = (
        ConditionType.AZURE_REACHABLE, ConditionType.ILLUMIO_REACHABLE,
        ConditionType.CHECK_POINT_REACHABLE, ConditionType.MAPPING_VALID,
    )  # fmt: skip
    poll = estate.status.poll
    since = f" The counts are of {poll.at:%Y-%m-%d %H:%M} UTC." if poll is not None and poll.at is not None else ""
    stalled = SystemState(ConditionStatus.TRUE, unusable.reason, f"{unusable} It is looked at again by itself.{since}")
    return EstateOverview(
        systems=dict.fromkeys(kinds, doubt), standings={}, poll=PollRecord(), mapping=None, hold=None,
        judged=False, retirement_hold=None, policies=(), gateways={}, stalled=stalled,
    )  # fmt: skip
