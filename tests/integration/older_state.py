"""State as an older version wrote it, with the identities of the systems that run now.

`stored/` has statuses as they were read from the API server, by the commit that their file names. `as_written` gives a
status of today that older form: what the older version did not know is absent, what it wrote otherwise is as it wrote
it, and only identities (vmIds, uids, addresses, moments) are today's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

STORED = Path(__file__).parent / "stored"
_WORDS = {"conditions", "history"}
"""Parts that are sentences: taken as they were written."""


def stored(commit: str) -> dict[str, Any]:
    """The state that a commit wrote: `hosts`, VM name -> status; `estate`, its status."""
    found: dict[str, Any] = json.loads((STORED / f"{commit}.json").read_text(encoding="utf-8"))
    return found


def as_written(old: Any, now: Any) -> Any:
    """Return `old` with the leaves of `now` wherever both have one at the same place."""
    if isinstance(old, dict) and isinstance(now, dict):
        return {
            key: value if key in _WORDS else as_written(value, now[key]) if key in now else value
            for key, value in old.items()
        }
    if isinstance(old, list) and isinstance(now, list):
        if old and now and isinstance(old[0], dict):
            return [as_written(old[min(place, len(old) - 1)], each) for place, each in enumerate(now)]
        return now
    return now
