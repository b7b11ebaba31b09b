"""The Estate's records of installs: the intent is written before the call, the task's id after it.

`PolicyInstalls` has them written, and reads what an earlier term left behind.
"""

from __future__ import annotations

import logging

import msgspec

from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.ground.ports import Clock
from microseg.kube.errors import KubeError
from microseg.model.estate_status import EstateStatus, InstallRecord
from microseg.model.fields import clip
from microseg.model.history_line import HistoryLine
from microseg.planning import audit

log = logging.getLogger(__name__)
_MOST = 32


class InstallRecords:
    """The latest install of each package.

    An install that began is followed, also where its task could not be written: without it the next one would begin
    beside it. Until it is written, this process knows it, and the next one looks for it in the server's list.
    """

    def __init__(self, estate_status: EstateStatusWriter, clock: Clock) -> None:
        """`clock`: for an install of which nobody noted when it began."""
        self._estate_status, self._clock = estate_status, clock
        self._unwritten: dict[str, InstallRecord] = {}
        """Package -> its latest install, whose task the Estate does not show yet."""

    def latest(self, package: str) -> InstallRecord | None:
        """The package's latest install."""
        written = (item for item in self._estate_status.status.installs if item.package == package)
        return self._unwritten.get(package) or next(written, None)

    async def intend(self, record: InstallRecord) -> None:
        """Write an intent. Raises KubeError: it must not be called then."""
        await self._estate_status.update(lambda status: _with(status, record))
        self._unwritten.pop(record.package, None)

    async def begun(self, record: InstallRecord) -> None:
        """Write the task of an install, and its audit line; where that fails `catch_up` does."""
        self._unwritten[record.package] = record
        await self.catch_up(record.package)

    async def catch_up(self, package: str) -> None:
        """Write what could not be written yet of this package."""
        record = self._unwritten.get(package)
        if record is None:
            return
        what = f"Policy {record.package} installed on {', '.join(record.targets)}"
        at, cause = record.at or self._clock(), clip(f"revision {record.revision}")
        line = HistoryLine(at=at, what=clip(what), system="checkpoint", cause=cause)
        try:
            await self._estate_status.update(lambda status: audit.on_estate(_with(status, record), line))
        except KubeError as error:
            log.warning("install not recorded", extra={"package": package, "error": str(error)})
        else:
            del self._unwritten[package]


def _with(status: EstateStatus, record: InstallRecord) -> EstateStatus:
    others = tuple(item for item in status.installs if item.package != record.package)
    return msgspec.structs.replace(status, installs=(*others, record)[-_MOST:])
