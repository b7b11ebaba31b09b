"""What the mapping wants for each host now, with the guard in between: held hosts go on as recorded (S6)."""

from __future__ import annotations

from microseg.estate.ledger import Ledger
from microseg.estate.ports import Clock
from microseg.model.estate import Estate
from microseg.model.wanted import Wanted
from microseg.planning import guard

APPROVE_ANNOTATION = "microseg.dev/approve"


class RulesInForce:
    """Holds the present hold. Reconsidered when the rules or the approvals changed, and while something is held."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        """Begin without a hold."""
        self._ledger, self._clock = ledger, clock
        self._stale = True
        self.hold: guard.Hold | None = None

    def reconsider(self) -> None:
        """The rules or the approvals changed."""
        self._stale = True
        self._ledger.touch_all()

    def refresh(self, estate: Estate) -> None:
        """Judge anew what the rules would change on commissioned hosts, where that may have changed."""
        ready = self._ledger.azure is not None and self._ledger.pce is not None and self._ledger.rules is not None
        if not ready or not (self._stale or self.hold):
            return
        self._stale = False
        now = self._clock()
        settled = guard.commissioned(entry.host for entry in self._ledger.entries.values())
        changes = {
            host.spec.vm_id: guard.difference(host, wanted)
            for host in settled
            if (wanted := self._ledger.wanted(host.spec.vm_id, now)) is not None
        }
        self.hold = guard.judge(
            changes,
            commissioned=len(settled),
            percent=estate.spec.guard.max_changed_percent,
            approvals=guard.parse_approvals(estate.annotations.get(APPROVE_ANNOTATION, "")),
        )

    def wanted(self, vm_id: str) -> Wanted | None:
        """What is wanted for the host; as recorded while it is held."""
        now = self._clock()
        wanted = self._ledger.wanted(vm_id, now)
        if wanted is not None and self.hold is not None and vm_id in self.hold.hosts:
            return guard.as_recorded(self._ledger.entries[vm_id].host, wanted)
        return wanted
