"""Our one session of a Check Point server: opened clean of our dead ones, and closed in time for the next holder."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import suppress

from microseg.engine.ground.ports import LeaseLost, Term
from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.readings import read_uncounted
from microseg.engine.lanes.schedule import PollSchedule
from microseg.gateways.ports import CheckPointGateway, GatewayError
from microseg.model.checkpoint_facts import Session

log = logging.getLogger(__name__)
_CLOSE_WITHIN = 0.4
"""Seconds that the end of a lane waits for its session where the term is over, so that the Lease is free within half a
second: the next holder cleans up. Where the term goes on (the Estate was deleted, or changed), nobody may come after
it, and a publish under way is waited for."""


class OwnSession:
    """The session of one estate in one term, known by its name.

    One whose sid is lost lives on at the server, and its locks would hold groups until its time-out.
    """

    def __init__(
        self, gateway: CheckPointGateway, workers: Workers, schedule: PollSchedule, term: Term, prefix: str
    ) -> None:
        """Open nothing yet. `prefix`: `microseg/<namespace>/<estate>/`; the term is put behind it."""
        self._gateway, self._workers, self._schedule, self._term = gateway, workers, schedule, term
        self._prefix = prefix
        self._cleaned = ""
        """Uid of the session in which the dead ones were last looked for."""

    async def open(self) -> Session:
        """Return the session. A new one first discards our dead ones, of earlier terms and of this one (S9)."""
        self._term.check()
        session = await self._workers.call(self._gateway.open, f"{self._prefix}{self._term.number}")
        if self._cleaned != session.uid:
            for old in await read_uncounted(self._gateway.sessions(), self._workers, self._schedule):
                if self._is_earlier(old, session):
                    self._term.check()
                    await self._workers.call(self._gateway.discard_session, old.uid)
                    log.info("earlier session discarded", extra={"session": old.name, "changes": old.changes})
            self._cleaned = session.uid
        return session

    async def close(self) -> None:
        """Discard and log out; what fails is found by the next holder."""
        try:
            await self._workers.call(self._gateway.close)
        except GatewayError as error:
            log.info("session not closed", extra={"error": str(error)})

    async def close_in_time(self) -> None:
        """Close it at the end of a lane, which may be in a hurry."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.close()), self._patience())

    def _patience(self) -> float | None:
        try:
            self._term.check()
        except LeaseLost:
            return _CLOSE_WITHIN
        return None

    def _is_earlier(self, other: Session, ours: Session) -> bool:
        """Whether a session is one of this estate's own, of an earlier term or an earlier start in this one."""
        term = other.name.removeprefix(self._prefix)
        mine = other.name.startswith(self._prefix) and re.fullmatch(r"[0-9]{1,9}", term) is not None
        return mine and int(term) <= self._term.number and other.uid != ours.uid
