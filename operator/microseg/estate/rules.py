"""What the mapping wants for each host now, with the guard in between: held hosts go on as recorded (S6).

Commissioned hosts stay as recorded, too, from the moment that rules change until the guard has judged the change:
that needs a complete reading of Azure and of the PCE.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from microseg.estate.ledger import Ledger
from microseg.estate.ports import Clock
from microseg.mapping import Mapping as Rules
from microseg.mapping import override_ends
from microseg.model.estate import Approval, Estate
from microseg.model.wanted import Wanted
from microseg.planning import guard

_JUDGED_EVERY = timedelta(seconds=5)
"""While something is held the whole fleet is judged again, because it lives; not at every decision."""


class RulesInForce:
    """Holds the present hold. Judged when rules or approvals changed, and again and again while something is held."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        """Begin without a hold."""
        self._ledger, self._clock = ledger, clock
        self._released: Rules | None = None
        """The rules whose changes were let through; None: unknown, so every difference counts as a change of rules."""
        self._judged_at: datetime | None = None
        self.hold: guard.Hold | None = None
        self.admitted: Approval | None = None
        """An approval that covers the hold; `release` lets it through once it is written down."""

    @property
    def judged(self) -> bool:
        """Whether it is known what the rules in force would change."""
        return self._judged_at is not None

    def resume(self, released: Rules) -> None:
        """After a start: the rules whose changes had been let through when the present ones were held."""
        if self._released is None:
            self._released = released

    def reconsider(self) -> None:
        """The rules or the approvals changed."""
        self._judged_at = None
        self._ledger.touch_all()

    def refresh(self, estate: Estate) -> None:
        """Judge anew what the rules would change on commissioned hosts, where that may have changed."""
        now, rules = self._clock(), self._ledger.rules
        if rules is None or not self._due(now):
            return
        if self._released is None and _was_let_through(estate, rules):
            self._released = rules
        if self._released is not None and self._released.digest == rules.digest:
            self.release(rules)
        elif self._ledger.azure is not None and self._ledger.pce is not None:
            self._judge(estate, rules, now)

    def release(self, rules: Rules | None = None) -> None:
        """Let the rules in force through: nothing is held any more."""
        self._released = rules or self._ledger.rules
        self._judged_at = self._clock()
        self.admitted = None
        self._hold(None)

    def wanted(self, vm_id: str) -> Wanted | None:
        """What is wanted for the host; as recorded while it is held or not judged yet."""
        wanted = self._ledger.wanted(vm_id, self._clock())
        if wanted is None:
            return None
        host = self._ledger.entries[vm_id].host
        held = vm_id in self.hold.hosts if self.hold is not None else not self.judged and guard.commissioned((host,))
        return guard.as_recorded(host, wanted) if held else wanted

    def changes_at(self, vm_id: str, now: datetime) -> datetime | None:
        """When the rules' answer for this host changes by time alone: the end of an override."""
        return None if self._ledger.rules is None else override_ends(self._ledger.rules, vm_id, now)

    def _due(self, now: datetime) -> bool:
        if self._judged_at is None:
            return True
        return self.hold is not None and now - self._judged_at >= _JUDGED_EVERY

    def _judge(self, estate: Estate, rules: Rules, now: datetime) -> None:
        """Ask the guard about the whole fleet."""
        ledger, released = self._ledger, self._released
        _, hold = guard.weigh(
            (entry.host for entry in ledger.entries.values()),
            lambda host: ledger.wanted(host.spec.vm_id, now),
            lambda host: ledger.wanted(host.spec.vm_id, now, released) if released else None,
            estate.spec.guard.max_changed_percent,
        )
        if hold is None:
            self.release(rules)
            return
        annotation = estate.annotations.get(guard.APPROVE_ANNOTATION, "")
        used = guard.remembered(estate.status.approvals, annotation)
        self.admitted = guard.admitting(hold, annotation, used, now)
        asked = guard.parse_approvals(annotation).get(hold.digest, 0)
        self._judged_at = now
        self._hold(
            replace(
                hold,
                used_at=guard.spent(hold.digest, asked, used),
                instead=released.digest if released is not None else "",
            )
        )

    def _hold(self, hold: guard.Hold | None) -> None:
        """Hosts that came under the hold or left it are decided again."""
        before = self.hold.hosts if self.hold is not None else frozenset()
        self.hold = hold
        self._ledger.touch(before ^ (hold.hosts if hold is not None else frozenset()))


def _was_let_through(estate: Estate, rules: Rules) -> bool:
    """Whether these rules were in force before this process began, with nothing held."""
    told = estate.status.mapping
    return told is not None and told.revision == rules.digest and not estate.status.held
