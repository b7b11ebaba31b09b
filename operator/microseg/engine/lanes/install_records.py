"""The Estate's records of installs: the intent is written before the call, the task's id after it.

`PolicyInstalls` writes them, and reads what an earlier term left behind. Pure.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from microseg.model.estate_status import EstateStatus, InstallRecord
from microseg.model.fields import clip
from microseg.model.history_line import HistoryLine
from microseg.planning import audit

_MOST = 32


def latest(status: EstateStatus, package: str) -> InstallRecord | None:
    """The package's latest install."""
    return next((item for item in status.installs if item.package == package), None)


def intended(status: EstateStatus, record: InstallRecord) -> EstateStatus:
    """The status with the package's latest install."""
    others = tuple(item for item in status.installs if item.package != record.package)
    return msgspec.structs.replace(status, installs=(*others, record)[-_MOST:])


def begun(status: EstateStatus, record: InstallRecord, now: datetime) -> EstateStatus:
    """The status with an install whose task is known, and its audit line.

    The gateways' own revisions say how far it came.
    """
    what = f"Policy {record.package} installed on {', '.join(record.targets)}"
    cause = f"revision {record.revision}"
    line = HistoryLine(at=record.at or now, what=clip(what), system="checkpoint", cause=clip(cause))
    return audit.on_estate(intended(status, record), line)
