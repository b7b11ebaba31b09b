"""Starts that are put off: why, until when, and what ends that sooner. `azure_attempts` asks."""

from __future__ import annotations

from collections.abc import Container
from datetime import timedelta

from microseg.engine.ground.ports import Clock
from microseg.engine.state.host_table import HostTable
from microseg.gateways.ports import GatewayError, Throttled
from microseg.model.condition import Reason
from microseg.model.facts import Postponed

_PAUSE = 30.0
"""Seconds before a start is tried again that Azure or the PCE refused; twice as long after each further refusal."""
LONGEST_PAUSE = 900.0


class PutOffStarts:
    """Memory only: after a restart everybody may start again."""

    def __init__(self, table: HostTable, clock: Clock) -> None:
        """Begin with nobody put off."""
        self._table, self._clock = table, clock
        self.refusals: dict[str, int] = {}
        """VmId -> starts in a row that Azure or the PCE did not let begin."""
        self._keyless: set[str] = set()
        """VmIds whose start was put off because the PCE, which makes their keys, could not be reached."""

    def put_off(self, vm_id: str, reason: Reason, message: str, pause: float) -> None:
        """Nothing was started: say why, and try again after the pause."""
        until = self._clock() + timedelta(seconds=pause)
        self._table.attempt_observed(vm_id, postponed=Postponed(reason, message, until))

    def refused(self, vm_id: str, error: GatewayError) -> None:
        """A system did not let it begin: try when it says, or else later and later, and never give up (L3)."""
        if isinstance(error, Throttled):
            pause = error.retry_after
        else:
            refused = self.refusals.get(vm_id, 0)
            pause = min(_PAUSE * 2 ** min(refused, 8), LONGEST_PAUSE)
            self.refusals[vm_id] = refused + 1
        self.put_off(vm_id, Reason.START_PUT_OFF, f"{error}.", pause)

    def got_no_key(self, vm_id: str) -> None:
        """It waits for the PCE, which could not be reached."""
        self._keyless.add(vm_id)

    def taken(self, vm_id: str) -> None:
        """Azure took its start."""
        self.refusals.pop(vm_id, None)

    def pce_returned(self) -> None:
        """The PCE is read again: whom it kept from starting waits no longer, however long its pause has become."""
        for vm_id in self._keyless:
            self.refusals.pop(vm_id, None)
            self._table.attempt_observed(vm_id, postponed=None)
        self._table.touch(self._keyless)
        self._keyless.clear()

    def keep_only(self, hosts: Container[str]) -> None:
        """Forget hosts that are no more."""
        for vm_id in [vm_id for vm_id in self.refusals if vm_id not in hosts]:
            del self.refusals[vm_id]
        self._keyless = {vm_id for vm_id in self._keyless if vm_id in hosts}
