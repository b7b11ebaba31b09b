"""The Estate's records of a publish: the intent before the call, its task after it, its end with an audit line.

`CheckPointFlush` has them written. A publish that began is followed, also where that could not be written: to discard
its session meanwhile would leave it to itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.kube.errors import KubeError
from microseg.model.checkpoint_facts import Session
from microseg.model.estate_status import CheckPointState, EstateStatus, PublishRecord, SessionRecord
from microseg.model.history_line import HistoryLine
from microseg.planning import audit

log = logging.getLogger(__name__)
Change = Callable[[EstateStatus], EstateStatus]


class PublishRecords:
    """The latest publish, and the lines of those before it."""

    def __init__(self, estate_status: EstateStatusWriter) -> None:
        """Nothing waits to be written."""
        self._estate_status = estate_status
        self._unwritten: list[Change] = []
        """What could not be written yet, the oldest first; the next write takes it along."""

    async def intend(self, session: Session, publish: PublishRecord) -> None:
        """Write an intent. Raises KubeError: it must not be called then."""
        await self._write(lambda status: _with_publish(status, session, publish))

    async def begun(self, session: Session, publish: PublishRecord) -> None:
        """Write the task of a publish."""
        await self._note(lambda status: _with_publish(status, session, publish))

    async def ended(self, session: Session, publish: PublishRecord, revision: str, line: HistoryLine) -> None:
        """Write the end of a publish. `revision`: what it came to; empty: nothing."""
        await self._note(
            lambda status: audit.on_estate(_with_publish(status, session, publish, revision=revision), line)
        )

    async def _note(self, change: Change) -> None:
        try:
            await self._write(change)
        except KubeError as error:
            self._unwritten.append(change)
            log.warning("publish not recorded", extra={"error": str(error)})

    async def _write(self, change: Change) -> None:
        def all_of_it(status: EstateStatus) -> EstateStatus:
            for each in (*self._unwritten, change):
                status = each(status)
            return status

        await self._estate_status.update(all_of_it)
        self._unwritten.clear()


def _with_publish(
    status: EstateStatus, session: Session, publish: PublishRecord, *, revision: str = ""
) -> EstateStatus:
    """The status with the session and the publish's intent, task or end; `revision`: what it came to, if anything."""
    state = status.check_point or CheckPointState()
    current = state.session if state.session is not None and state.session.uid == session.uid else None
    record = current or SessionRecord(uid=session.uid, name=session.name, since=publish.at)
    updated = msgspec.structs.replace(state, session=record, publish=publish, revision=revision or state.revision)
    return msgspec.structs.replace(status, check_point=updated)
