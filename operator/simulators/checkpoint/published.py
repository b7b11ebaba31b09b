"""The published database: objects at the newest revision, with indexes that keep 50,000 hosts fast.

Read by every session's `View`; changed only by `apply`, which publishing and the control port's human edits call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from simulators.checkpoint.history import Changes, History
from simulators.checkpoint.objects import Kind, ManagementObject, by_key


@dataclass(frozen=True, slots=True)
class Revision:
    """One publish. `uid` is what install-policy and the gateways name; `at` is epoch seconds."""

    number: int
    uid: str
    at: float
    user: str
    application: str
    session_name: str
    description: str
    changes: int


class Published:
    """Objects by uid, by name, by address and by membership, and the revisions so far (oldest first)."""

    def __init__(self) -> None:
        self.objects: dict[str, ManagementObject] = {}
        self.revisions: list[Revision] = []
        self.history = History()
        self._names: dict[str, str] = {}
        self._addresses: dict[str, set[str]] = defaultdict(set)
        self._groups: dict[str, set[str]] = defaultdict(set)
        self._listings: dict[Kind | None, list[ManagementObject]] = {}

    def named(self, key: str) -> ManagementObject | None:
        """The object of that (case-folded) name."""
        uid = self._names.get(key)
        return self.objects[uid] if uid else None

    def with_address(self, address: str) -> frozenset[str]:
        """Uids of the objects with that address."""
        return frozenset(self._addresses.get(address, ()))

    def groups_of(self, uid: str) -> frozenset[str]:
        """Uids of the groups that hold that object."""
        return frozenset(self._groups.get(uid, ()))

    def listing(self, kind: Kind | None) -> list[ManagementObject]:
        """All objects of a kind (None: of every kind) by name. Shared: never change it.

        Sorted once per revision, however many pages are read.
        """
        found = self._listings.get(kind)
        if found is None:
            chosen = (cp_object for cp_object in self.objects.values() if kind is None or cp_object.kind == kind)
            found = self._listings[kind] = sorted(chosen, key=by_key)
        return found

    def apply(self, changed: Mapping[str, ManagementObject], deleted: Iterable[str], revision: Revision) -> None:
        """Make the changes the newest revision."""
        removed = [self.objects[uid] for uid in deleted if uid in self.objects]
        before = [self.objects[uid] for uid in changed if uid in self.objects]
        known = {cp_object.uid for cp_object in before}
        added = tuple(cp_object for cp_object in changed.values() if cp_object.uid not in known)
        pairs = tuple((cp_object, changed[cp_object.uid]) for cp_object in before)
        self.history.note(Changes(revision.uid, added, pairs, tuple(removed)))
        self._replace([*removed, *before], changed.values())
        self.revisions.append(revision)

    def revert(self) -> Revision:
        """Undo and return the newest revision; raises LookupError if its changes were dropped."""
        changes = self.history.take_back(self.revisions[-1].uid)
        self._replace(
            [*changes.added, *(after for _, after in changes.modified)],
            [*changes.deleted, *(before for before, _ in changes.modified)],
        )
        return self.revisions.pop()

    def _replace(self, old: Iterable[ManagementObject], new: Iterable[ManagementObject]) -> None:
        """Replace objects."""
        old, new = list(old), list(new)
        for cp_object in old:
            self._forget(cp_object)
            del self.objects[cp_object.uid]
        for cp_object in new:
            self.objects[cp_object.uid] = cp_object
            self._learn(cp_object)
        for kind in (*{cp_object.kind for cp_object in (*old, *new)}, None):
            self._listings.pop(kind, None)

    def _learn(self, cp_object: ManagementObject) -> None:
        self._names[cp_object.key] = cp_object.uid
        for address in cp_object.addresses:
            self._addresses[address].add(cp_object.uid)
        for member in cp_object.members:
            self._groups[member].add(cp_object.uid)

    def _forget(self, cp_object: ManagementObject) -> None:
        if self._names.get(cp_object.key) == cp_object.uid:
            del self._names[cp_object.key]
        for address in cp_object.addresses:
            self._addresses[address].discard(cp_object.uid)
        for member in cp_object.members:
            self._groups[member].discard(cp_object.uid)
