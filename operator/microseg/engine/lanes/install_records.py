"""The Estate's records of installs: the intent is written before the call, the task's id after it.

`PolicyInstalls` has them written, and reads what an earlier term left behind. An install that began is followed, also
where its task could not be written: without it the next one would begin beside it.
"""

from __future__ import annotations

import msgspec

from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.ground.ports import Clock
from microseg.model.estate_status import EstateStatus, InstallRecord
from microseg.model.fields import clip
from microseg.model.history_line import HistoryLine
from microseg.planning import audit

_MOST = 32


class InstallRecords:
    """The latest install of each package."""

    def __init__(self, estate_status: EstateStatusWriter, clock: Clock) -> None:
        """`clock`: for an install of which nobody noted when it began."""
        self._estate_status, self._clock = estate_status, clock

    def latest(self, package: str) -> InstallRecord | None:
        """The package's latest install."""
        return next((item for item in self._estate_status.status.installs if item.package == package), None)

    async def intend(self, record: InstallRecord) -> None:
        """Write an intent. Raises KubeError: it must not be called then."""
        await self._estate_status.update(lambda status: _with(status, record))

    async def begun(self, record: InstallRecord) -> None:
        """Record the task of an install, and its audit line."""
        what = f"Policy {record.package} installed on {', '.join(record.targets)}"
        at, cause = record.at or self._clock(), clip(f"revision {record.revision}")
        line = HistoryLine(at=at, what=clip(what), system="checkpoint", cause=cause)
        await self._estate_status.record(lambda status: audit.on_estate(_with(status, record), line))


def _with(status: EstateStatus, record: InstallRecord) -> EstateStatus:
    others = tuple(item for item in status.installs if item.package != record.package)
    return msgspec.structs.replace(status, installs=(*others, record)[-_MOST:])
