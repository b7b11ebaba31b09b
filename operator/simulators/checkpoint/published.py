"""The published database: objects at the newest revision, with the indexes that keep 50,000 hosts quick.

Read by every session's `View`; changed by `apply` alone, which publishing and the control port's human edits call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from simulators.checkpoint.history import Changes, History
from simulators.checkpoint.things import Kind, Thing, by_key


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
        self.things: dict[str, Thing] = {}
        self.revisions: list[Revision] = []
        self.history = History()
        self._names: dict[str, str] = {}
        self._addresses: dict[str, set[str]] = defaultdict(set)
        self._groups: dict[str, set[str]] = defaultdict(set)
        self._listings: dict[Kind | None, list[Thing]] = {}

    def named(self, key: str) -> Thing | None:
        """The object of that (case-folded) name."""
        uid = self._names.get(key)
        return self.things[uid] if uid else None

    def with_address(self, address: str) -> frozenset[str]:
        """Uids of the objects with that address."""
        return frozenset(self._addresses.get(address, ()))

    def groups_of(self, uid: str) -> frozenset[str]:
        """Uids of the groups that hold that object."""
        return frozenset(self._groups.get(uid, ()))

    def listing(self, kind: Kind | None) -> list[Thing]:
        """All objects of a kind (None: of every kind) by name. Shared: never alter it.

        Sorted once a revision, however many pages are read.
        """
        found = self._listings.get(kind)
        if found is None:
            chosen = (thing for thing in self.things.values() if kind is None or thing.kind == kind)
            found = self._listings[kind] = sorted(chosen, key=by_key)
        return found

    def apply(self, changed: Mapping[str, Thing], deleted: Iterable[str], revision: Revision) -> None:
        """Make the changes the newest revision."""
        gone = [self.things[uid] for uid in deleted if uid in self.things]
        before = [self.things[uid] for uid in changed if uid in self.things]
        known = {thing.uid for thing in before}
        added = tuple(thing for thing in changed.values() if thing.uid not in known)
        pairs = tuple((thing, changed[thing.uid]) for thing in before)
        self.history.note(Changes(revision.uid, added, pairs, tuple(gone)))
        self._replace([*gone, *before], changed.values())
        self.revisions.append(revision)

    def revert(self) -> Revision:
        """Undo and return the newest revision, as if it had never been; LookupError if its changes are forgotten."""
        changes = self.history.take_back(self.revisions[-1].uid)
        self._replace(
            [*changes.added, *(after for _, after in changes.modified)],
            [*changes.deleted, *(before for before, _ in changes.modified)],
        )
        return self.revisions.pop()

    def _replace(self, old: Iterable[Thing], new: Iterable[Thing]) -> None:
        """Objects in the place of others."""
        old, new = list(old), list(new)
        for thing in old:
            self._forget(thing)
            del self.things[thing.uid]
        for thing in new:
            self.things[thing.uid] = thing
            self._learn(thing)
        for kind in (*{thing.kind for thing in (*old, *new)}, None):
            self._listings.pop(kind, None)

    def _learn(self, thing: Thing) -> None:
        self._names[thing.key] = thing.uid
        for address in thing.addresses:
            self._addresses[address].add(thing.uid)
        for member in thing.members:
            self._groups[member].add(thing.uid)

    def _forget(self, thing: Thing) -> None:
        if self._names.get(thing.key) == thing.uid:
            del self._names[thing.key]
        for address in thing.addresses:
            self._addresses[address].discard(thing.uid)
        for member in thing.members:
            self._groups[member].discard(thing.uid)
