"""One line of the audit trail, of a host or of an estate. `crds/` is generated from it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from microseg.model.fields import Frozen, Text


class HistoryLine(Frozen, frozen=True, kw_only=True):
    """One change outside, for an auditor; what happens again and again is one line with a count."""

    at: Annotated[datetime, Meta(description="When it was done.")]
    what: Annotated[Text, Meta(description="What was done.")]
    revision: Annotated[str, Meta(max_length=64, description="Digest of the mapping that asked for it.")] = ""
    system: Annotated[
        str, Meta(max_length=16, description="The system that it was done in: azure, illumio, checkpoint; absent: all.")
    ] = ""
    cause: Annotated[Text, Meta(description="Why: a mapping revision, drift and by whom, a retirement.")] = ""
    times: Annotated[int, Meta(description="How often the same was done, where more than once.")] = 0
    since: Annotated[datetime | None, Meta(description="When it was done first, where more than once.")] = None
