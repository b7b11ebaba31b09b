"""Follows the mapping's live documents: accepts or refuses them, tells it, and lets their changes through the guard.

    ConfigMaps ─▶ Mappings.accept ─▶ ledger.rules ─▶ guard ─▶ held, or let through
                       └▶ ControllerRevision             └▶ approved: written down, then let through

The keeper runs it and asks it before each round of decisions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from microseg.estate.book import EstateBook
from microseg.estate.ledger import Ledger
from microseg.estate.mappings import InForce, Mappings
from microseg.estate.news import News
from microseg.estate.ports import Clock
from microseg.estate.rules import RulesInForce
from microseg.estate.workers import Workers
from microseg.kube.errors import KubeError
from microseg.kube.secrets import ConfigMapData
from microseg.model.condition import ConditionStatus, Reason
from microseg.model.estate import Approval, EstateStatus
from microseg.planning import guard
from microseg.planning.summary import SystemState

log = logging.getLogger(__name__)
_LOOK_AGAIN_AT_MOST = 60.0
_APPROVALS = 16


@dataclass(frozen=True, slots=True)
class Documents:
    """The mapping's documents, live and accepted."""

    mappings: Mappings
    live: Callable[[], Sequence[ConfigMapData]]
    """The mapping ConfigMaps of the estate's namespace, as last seen."""


class Acceptance:
    """Runs on the event loop; what blocks runs in `workers`."""

    def __init__(
        self,
        documents: Documents,
        ledger: Ledger,
        book: EstateBook,
        news: News,
        clock: Clock,
        workers: Workers,
        changed: Callable[[], None],
    ) -> None:
        """`changed`: called when the Estate's status may have to say something else."""
        self._documents, self._ledger, self._book, self._news = documents, ledger, book, news
        self._clock, self._workers, self._changed = clock, workers, changed
        self._look = asyncio.Event()
        self._told: object = None
        self._held = {plan.digest for plan in book.status.held}
        self.rules = RulesInForce(ledger, clock)
        self.in_force = InForce(
            None, None, SystemState(ConditionStatus.UNKNOWN, Reason.NEVER_DECIDED, "Not looked at yet.")
        )

    def look(self) -> None:
        """A mapping ConfigMap came, went or changed."""
        self._look.set()

    async def run(self) -> None:
        """Look at the live documents when they change, and every minute."""
        while True:
            try:
                self._take(await self._accept())
            except KubeError as error:
                log.warning("mapping not read", extra={"error": str(error)})
            self._changed()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_AT_MOST):
                    await self._look.wait()
            self._look.clear()

    async def govern(self) -> None:
        """Before decisions: what the rules would change, whether that is too much, and whether a person approved it."""
        rules = self.rules
        rules.refresh(self._book.estate)
        if rules.admitted is not None and rules.hold is not None:
            await self._admit(rules.admitted, rules.hold)
        hold = rules.hold
        if hold is not None and hold.digest not in self._held:
            told = f"{len(hold.hosts)} commissioned hosts stay as they are until microseg.dev/approve={hold.approval}: "
            self._news.tell(self._book.estate, "PlanHeld", told + hold.told(10), warning=True)
        if rules.judged:
            self._held = {hold.digest} if hold is not None else set()

    async def _admit(self, approval: Approval, hold: guard.Hold) -> None:
        """Write the approval down as used; only then let the plan through, so that it admits once."""
        state = self.in_force.state

        def used(status: EstateStatus) -> EstateStatus:
            annotation = self._book.estate.annotations.get(guard.APPROVE_ANNOTATION, "")
            approvals = (*guard.remembered(status.approvals, annotation), approval)[-_APPROVALS:]
            return msgspec.structs.replace(status, approvals=approvals, held=(), mapping=state or status.mapping)

        try:
            await self._book.update(used)
        except KubeError as error:
            log.warning("approval not written", extra={"digest": approval.digest, "error": str(error)})
            self._changed()
            return
        log.info("plan approved", extra={"digest": approval.digest, "hosts": len(hold.hosts)})
        told = f"Approved: {len(hold.hosts)} commissioned hosts are changed now: {hold.told(10)}"
        self._news.tell(self._book.estate, "PlanApproved", told)
        self.rules.release()

    async def _accept(self) -> InForce:
        """The live documents are taken on the loop, judged in a thread."""
        live = self._documents.live()
        named = None
        if self._ledger.synced:
            hosts = [entry.host.status.mapping for entry in self._ledger.entries.values()]
            named = {record.revision for record in hosts if record is not None}
        instead = next((plan.instead for plan in self._book.status.held if plan.kind == "mapping"), "")
        return await self._workers.call(self._documents.mappings.accept, live, self._clock(), named, instead)

    def _take(self, found: InForce) -> None:
        """Put it in force, and tell what is new about it."""
        before, self.in_force = self.in_force, found
        rules = found.rules
        if found.instead is not None:
            self.rules.resume(found.instead)
        if rules is not None and (self._ledger.rules is None or self._ledger.rules.digest != rules.digest):
            log.info("mapping accepted", extra={"mapping": rules.name, "revision": rules.digest})
            self.rules.reconsider()
            self._ledger.saw_rules(rules)
        news = (found.valid, tuple((source.uid, source.resource_version) for source in found.sources))
        if news != self._told:
            self._told = news
            self._tell(found, first=before.state is None)

    def _tell(self, found: InForce, *, first: bool) -> None:
        """Events: a refusal on its ConfigMap, a pin on the Estate, a new revision on both."""
        estate, valid = self._book.estate, found.valid
        if valid.status != ConditionStatus.TRUE:
            for source in found.sources:
                self._news.tell(source, valid.reason, valid.message, warning=True)
            if not found.sources and not first:
                self._news.tell(estate, valid.reason, valid.message, warning=True)
        elif valid.reason == Reason.MAPPING_PINNED:
            self._news.tell(estate, valid.reason, valid.message, warning=True)
        elif (
            estate.status.mapping is None
            or found.state is None
            or (estate.status.mapping.revision != found.state.revision)
        ):
            for source in found.sources:
                self._news.tell(source, "MappingAccepted", valid.message)
            self._news.tell(estate, "MappingAccepted", valid.message)
