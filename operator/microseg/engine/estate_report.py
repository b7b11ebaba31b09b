"""Reports how the estate stands in its own status: once something changed, and at most once per second."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import msgspec

from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.cluster.event_recorder import EventRecorder
from microseg.engine.estate_context import mistakes, policies
from microseg.engine.ground.runtime import Runtime
from microseg.engine.lanes import Lanes
from microseg.engine.lanes.azure_poll import Poll
from microseg.engine.lanes.schedule import SystemHealth
from microseg.engine.mapping.controller import MappingController
from microseg.engine.retirement import RetirementController
from microseg.engine.state.host_table import HostTable
from microseg.kube.errors import KubeError
from microseg.model.condition import ConditionStatus, ConditionType, Reason
from microseg.model.estate_status import EstateStatus, KnownNames, PollRecord
from microseg.planning import known_names
from microseg.planning.estate_conditions import EstateOverview, SystemState
from microseg.planning.estate_events import turns
from microseg.planning.estate_status import status as next_status

log = logging.getLogger(__name__)


class EstateReporter:
    """Gathers what the Estate's status is made of. The reconciler calls it after each round of decisions."""

    def __init__(
        self,
        estate_status: EstateStatusWriter,
        table: HostTable,
        lanes: Lanes,
        mapping: MappingController,
        retirement: RetirementController,
        runtime: Runtime,
        events: EventRecorder,
    ) -> None:
        """Nothing is reported before `report`."""
        self._events = events
        self._estate_status, self._table, self._lanes = estate_status, table, lanes
        self._mapping, self._retirement, self._runtime = mapping, retirement, runtime
        self._not_before = 0.0

    def pause(self) -> float | None:
        """Seconds until the next report is due; None: nothing has changed."""
        return max(self._not_before - time.monotonic(), 0.0) if self._estate_status.report_due else None

    async def report(self) -> None:
        """Write the Estate's status where it is due and differs."""
        if self.pause() != 0.0:
            return
        self._estate_status.report_due = False
        self._not_before = time.monotonic() + self._runtime.pauses.estate_status
        overview, before = self._overview(), self._estate_status.status

        def reported(status: EstateStatus) -> EstateStatus:
            estate = msgspec.structs.replace(self._estate_status.estate, status=status)
            return next_status(estate, overview, self._runtime.clock())

        try:
            await self._estate_status.update(reported)
        except KubeError as error:
            log.warning("estate status not written", extra={"error": str(error)})
            self._estate_status.report_due = True
        else:
            for reason, message, warning in turns(before, self._estate_status.status):
                self._events.post_on_estate(reason, message, warning=warning)

    def _overview(self) -> EstateOverview:
        poll, check_point, rollout = (
            self._lanes.azure.polls.latest,
            self._table.latest.check_point,
            self._mapping.rollout,
        )
        wrong = mistakes(self._estate_status.estate, self._table)
        azure, illumio, firewall = (_state(schedule.health) for schedule in self._lanes.schedules)
        return EstateOverview(
            systems={
                ConditionType.AZURE_REACHABLE: azure,
                ConditionType.ILLUMIO_REACHABLE: illumio,
                ConditionType.CHECK_POINT_REACHABLE: firewall,
                ConditionType.MAPPING_VALID: self._mapping.in_force.valid,
            },
            standings=self._table.fleet.standings,
            poll=_record(poll),
            unsupported=poll.unsupported,
            unselected=poll.unselected,
            mapping=self._mapping.in_force.state,
            hold=rollout.hold,
            judged=rollout.judged,
            holds_known=rollout.holds_known,
            retirement_hold=self._retirement.hold,
            policies=policies(self._estate_status.estate, self._table),
            gateways=check_point.gateways if check_point else {},
            known=self._known(wrong),
            counted=self._counted(),
            mistakes=wrong,
        )

    def _known(self, wrong: Sequence[str]) -> KnownNames | None:
        """The names that the PCE and Check Point have; None: not both have been read."""
        latest, estate = self._table.latest, self._estate_status.estate
        check_point, illumio = latest.check_point, latest.illumio
        if check_point is None or illumio is None:
            return None
        return known_names.record(
            estate, latest.mapping, check_point.groups, illumio.labels, check_point.packages, wrong
        )

    def _counted(self) -> bool:
        """Whether every record was read, every VM of the list has one, and every host was decided at least once."""
        table, azure = self._table, self._table.latest.azure
        decided = sum(table.fleet.standings.values()) >= len(table.hosts)
        vms = azure.vms if azure is not None else {}
        recorded = all(vm_id in table.hosts or not vm.selected or vm.unsupported for vm_id, vm in vms.items())
        return table.synced and self._mapping.looked and decided and recorded


def _record(poll: Poll) -> PollRecord:
    """The latest poll as the Estate's status shows it."""
    return PollRecord(
        complete=poll.complete,
        vms=poll.vms,
        unreadable_rows=poll.unreadable_rows,
        unread=poll.unread[:16],
        pages=poll.pages,
    )


def _state(health: SystemHealth) -> SystemState:
    """A system's health as a condition."""
    if health.readable is None:
        return SystemState(ConditionStatus.UNKNOWN, Reason.NEVER_DECIDED, health.message)
    return SystemState(
        ConditionStatus.TRUE if health.readable else ConditionStatus.FALSE, health.reason, health.message
    )
