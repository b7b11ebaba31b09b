"""What each revision changed, for show-changes: objects added, changed (before and after) and deleted.

Kept by `published.Published`. Only the newest revisions are kept, as many as `_MOST_MEMBERS` allows: a group of 50,000
is two sets of as many members each time it changes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from simulators.checkpoint.objects import ManagementObject

_MOST_REVISIONS = 500
_MOST_MEMBERS = 500_000


@dataclass(frozen=True, slots=True)
class Changes:
    """What one revision changed; pairs are (before, after)."""

    revision: str
    added: tuple[ManagementObject, ...]
    modified: tuple[tuple[ManagementObject, ManagementObject], ...]
    deleted: tuple[ManagementObject, ...]

    @property
    def weight(self) -> int:
        """Return how many objects and members this keeps in memory."""
        pairs = sum(len(before.members) + len(after.members) for before, after in self.modified)
        return len(self.added) + len(self.modified) + len(self.deleted) + pairs


class History:
    """The changes of the newest revisions, oldest first."""

    def __init__(self) -> None:
        self._kept: deque[Changes] = deque()
        self._weight = 0

    def note(self, changes: Changes) -> None:
        """Keep the changes of the newest revision, and drop the oldest ones above the limits."""
        self._kept.append(changes)
        self._weight += changes.weight
        while len(self._kept) > 1 and (len(self._kept) > _MOST_REVISIONS or self._weight > _MOST_MEMBERS):
            self._weight -= self._kept.popleft().weight

    def of(self, revision: str) -> Changes | None:
        """Return the changes of a revision, or None if they were dropped."""
        return next((changes for changes in reversed(self._kept) if changes.revision == revision), None)

    def take_back(self, revision: str) -> Changes:
        """Remove and return the changes of the newest revision; raises LookupError if they were dropped."""
        if not self._kept or self._kept[-1].revision != revision:
            raise LookupError(f"the changes of revision {revision}")
        changes = self._kept.pop()
        self._weight -= changes.weight
        return changes
