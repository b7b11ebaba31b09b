"""What one session sees: the published database under its own unpublished changes.

`Overlay` holds a session's changes; `View` lays them over the published database. Built by `sessions`, read by the
commands, written by `editing` alone.
"""

from __future__ import annotations

from collections import defaultdict

from simulators.checkpoint.published import Published
from simulators.checkpoint.things import Kind, Thing, by_key


class Overlay:
    """A session's unpublished changes: objects added or altered (own copies; groups also apart) and uids deleted."""

    def __init__(self) -> None:
        self.changed: dict[str, Thing] = {}
        self.groups: dict[str, Thing] = {}
        self.deleted: set[str] = set()
        self.version = 0
        self._names: dict[str, set[str]] = defaultdict(set)
        self._addresses: dict[str, set[str]] = defaultdict(set)
        self._indexed: dict[str, tuple[str, tuple[str, ...]]] = {}

    @property
    def changes(self) -> int:
        """How many objects are touched."""
        return len(self.changed) + len(self.deleted)

    def put(self, thing: Thing) -> None:
        """Take an added object, or an altered copy, after it was altered."""
        self._unindex(thing.uid)
        self.changed[thing.uid] = thing
        if thing.kind == "group":
            self.groups[thing.uid] = thing
        self._names[thing.key].add(thing.uid)
        for address in thing.addresses:
            self._addresses[address].add(thing.uid)
        self._indexed[thing.uid] = (thing.key, thing.addresses)
        self.version += 1

    def delete(self, uid: str, *, published: bool) -> None:
        """Delete an object; one that was never published leaves no trace."""
        self._unindex(uid)
        self.changed.pop(uid, None)
        self.groups.pop(uid, None)
        if published:
            self.deleted.add(uid)
        self.version += 1

    def named(self, key: str) -> set[str]:
        """Uids of own objects with that (case-folded) name."""
        return self._names.get(key, set())

    def with_address(self, address: str) -> set[str]:
        """Uids of own objects with that address."""
        return self._addresses.get(address, set())

    def hides(self, uid: str) -> bool:
        """Whether the published form of an object is not what the session sees."""
        return uid in self.changed or uid in self.deleted

    def _unindex(self, uid: str) -> None:
        key, addresses = self._indexed.pop(uid, ("", ()))
        self._names[key].discard(uid)
        for address in addresses:
            self._addresses[address].discard(uid)


class View:
    """The database as one session sees it."""

    def __init__(self, published: Published, overlay: Overlay) -> None:
        self.published = published
        self.overlay = overlay
        self._stamp = (-1, -1)
        self._listings: dict[tuple[Kind | None, str], list[Thing]] = {}

    def get(self, uid: str) -> Thing | None:
        """The object of that uid."""
        own = self.overlay.changed.get(uid)
        if own is not None:
            return own
        return None if uid in self.overlay.deleted else self.published.things.get(uid)

    def named(self, name: str) -> list[Thing]:
        """The objects of that name: one, or several after a batch added a name twice."""
        key = name.casefold()
        found = [self.overlay.changed[uid] for uid in self.overlay.named(key)]
        base = self.published.named(key)
        if base is not None and not self.overlay.hides(base.uid):
            found.insert(0, base)
        return found

    def find(self, identifier: str, kind: Kind | None = None) -> Thing | None:
        """The object of that uid or name, of that kind where one is given."""
        by_uid = self.get(identifier)
        candidates = [by_uid] if by_uid else self.named(identifier)
        return next((thing for thing in candidates if kind is None or thing.kind == kind), None)

    def with_address(self, address: str) -> set[str]:
        """Uids of the objects with that address."""
        base = {uid for uid in self.published.with_address(address) if not self.overlay.hides(uid)}
        return base | self.overlay.with_address(address)

    def groups_of(self, uid: str) -> list[Thing]:
        """The groups that hold that object, by name."""
        base = {group for group in self.published.groups_of(uid) if not self.overlay.hides(group)}
        own = {group.uid for group in self.overlay.groups.values() if uid in group.members}
        found = [thing for thing in map(self.get, base | own) if thing is not None]
        return sorted(found, key=by_key)

    def listing(self, kind: Kind | None, text: str = "") -> list[Thing]:
        """The objects of a kind whose name, comment, address or tag contains `text`, by name. Shared: never alter it.

        Kept until something changes, so that the pages of one reading cost one pass over the database.
        """
        stamp = (len(self.published.revisions), self.overlay.version)
        if stamp != self._stamp:
            self._stamp, self._listings = stamp, {}
        found = self._listings.get((kind, text))
        if found is None:
            found = self._merged(kind)
            if text:
                found = [thing for thing in found if self._contains(thing, text.casefold())]
            self._listings[kind, text] = found
        return found

    def _merged(self, kind: Kind | None) -> list[Thing]:
        base = self.published.listing(kind)
        if not self.overlay.changes:
            return base
        own = [thing for thing in self.overlay.changed.values() if kind is None or thing.kind == kind]
        return sorted([thing for thing in base if not self.overlay.hides(thing.uid)] + own, key=by_key)

    def _contains(self, thing: Thing, text: str) -> bool:
        if text in thing.key or text in thing.comments.casefold() or text in thing.ipv4 or text in thing.ipv6:
            return True
        tags = (self.get(uid) for uid in thing.tags)
        return any(tag is not None and text in tag.key for tag in tags)
