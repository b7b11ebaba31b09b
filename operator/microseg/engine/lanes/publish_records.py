"""The Estate's records of a publish: the intent before the call, its task after it, its end with an audit line.

`CheckPointFlush` has them written. A publish that began is followed, also where that could not be written: to discard
its session meanwhile would leave it to itself.
"""

from __future__ import annotations

import msgspec

from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.model.checkpoint_facts import Session
from microseg.model.estate_status import CheckPointState, EstateStatus, PublishRecord, SessionRecord
from microseg.model.history_line import HistoryLine
from microseg.planning import audit


class PublishRecords:
    """The latest publish, and the lines of those before it."""

    def __init__(self, estate_status: EstateStatusWriter) -> None:
        """Nothing is written yet."""
        self._estate_status = estate_status

    async def intend(self, session: Session, publish: PublishRecord) -> None:
        """Write an intent. Raises KubeError: it must not be called then."""
        await self._estate_status.update(lambda status: _with_publish(status, session, publish))

    async def begun(self, session: Session, publish: PublishRecord) -> None:
        """Record the task of a publish."""
        await self._estate_status.record(lambda status: _with_publish(status, session, publish))

    async def ended(self, session: Session, publish: PublishRecord, revision: str, line: HistoryLine) -> None:
        """Record the end of a publish. `revision`: what it came to; empty: nothing."""
        await self._estate_status.record(
            lambda status: audit.on_estate(_with_publish(status, session, publish, revision=revision), line)
        )


def _with_publish(
    status: EstateStatus, session: Session, publish: PublishRecord, *, revision: str = ""
) -> EstateStatus:
    """The status with the session and the publish's intent, task or end; `revision`: what it came to, if anything."""
    state = status.check_point or CheckPointState()
    current = state.session if state.session is not None and state.session.uid == session.uid else None
    record = current or SessionRecord(uid=session.uid, name=session.name, since=publish.at)
    updated = msgspec.structs.replace(state, session=record, publish=publish, revision=revision or state.revision)
    return msgspec.structs.replace(status, check_point=updated)
