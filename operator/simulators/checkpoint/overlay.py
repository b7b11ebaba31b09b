"""What one session sees: the published database under its own unpublished changes.

`Overlay` holds a session's changes; `View` puts them over the published database. Built by `sessions`, read by the
commands, written by `edits` only.
"""

from __future__ import annotations

from collections import defaultdict

from simulators.checkpoint.objects import Kind, ManagementObject, by_key
from simulators.checkpoint.published import Published


class Overlay:
    """A session's unpublished changes: added or changed objects (own copies; groups also indexed) and deleted uids."""

    def __init__(self) -> None:
        self.changed: dict[str, ManagementObject] = {}
        self.groups: dict[str, ManagementObject] = {}
        self.deleted: set[str] = set()
        self.version = 0
        self._names: dict[str, set[str]] = defaultdict(set)
        self._addresses: dict[str, set[str]] = defaultdict(set)
        self._indexed: dict[str, tuple[str, tuple[str, ...]]] = {}

    @property
    def changes(self) -> int:
        """How many objects are changed or deleted."""
        return len(self.changed) + len(self.deleted)

    def put(self, cp_object: ManagementObject) -> None:
        """Store an added object or a changed copy."""
        self._unindex(cp_object.uid)
        self.changed[cp_object.uid] = cp_object
        if cp_object.kind == "group":
            self.groups[cp_object.uid] = cp_object
        self._names[cp_object.key].add(cp_object.uid)
        for address in cp_object.addresses:
            self._addresses[address].add(cp_object.uid)
        self._indexed[cp_object.uid] = (cp_object.key, cp_object.addresses)
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
        """Return whether the session has its own version of a published object, or has deleted it."""
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
        self._listings: dict[tuple[Kind | None, str], list[ManagementObject]] = {}

    def get(self, uid: str) -> ManagementObject | None:
        """The object of that uid."""
        own = self.overlay.changed.get(uid)
        if own is not None:
            return own
        return None if uid in self.overlay.deleted else self.published.objects.get(uid)

    def named(self, name: str) -> list[ManagementObject]:
        """The objects of that name: one, or several after a batch added a name twice."""
        key = name.casefold()
        found = [self.overlay.changed[uid] for uid in self.overlay.named(key)]
        base = self.published.named(key)
        if base is not None and not self.overlay.hides(base.uid):
            found.insert(0, base)
        return found

    def find(self, identifier: str, kind: Kind | None = None) -> ManagementObject | None:
        """The object of that uid or name, of that kind where one is given."""
        by_uid = self.get(identifier)
        candidates = [by_uid] if by_uid else self.named(identifier)
        return next((cp_object for cp_object in candidates if kind is None or cp_object.kind == kind), None)

    def with_address(self, address: str) -> set[str]:
        """Uids of the objects with that address."""
        base = {uid for uid in self.published.with_address(address) if not self.overlay.hides(uid)}
        return base | self.overlay.with_address(address)

    def groups_of(self, uid: str) -> list[ManagementObject]:
        """The groups that hold that object, by name."""
        base = {group for group in self.published.groups_of(uid) if not self.overlay.hides(group)}
        own = {group.uid for group in self.overlay.groups.values() if uid in group.members}
        found = [cp_object for cp_object in map(self.get, base | own) if cp_object is not None]
        return sorted(found, key=by_key)

    def listing(self, kind: Kind | None, text: str = "") -> list[ManagementObject]:
        """The objects of a kind whose name, comment, address or tag contains `text`, by name. Shared: never change it.

        Cached until something changes, so that all pages of one listing cost one pass over the database.
        """
        stamp = (len(self.published.revisions), self.overlay.version)
        if stamp != self._stamp:
            self._stamp, self._listings = stamp, {}
        found = self._listings.get((kind, text))
        if found is None:
            found = self._merged(kind)
            if text:
                found = [cp_object for cp_object in found if self._contains(cp_object, text.casefold())]
            self._listings[kind, text] = found
        return found

    def _merged(self, kind: Kind | None) -> list[ManagementObject]:
        base = self.published.listing(kind)
        if not self.overlay.changes:
            return base
        own = [cp_object for cp_object in self.overlay.changed.values() if kind is None or cp_object.kind == kind]
        return sorted([cp_object for cp_object in base if not self.overlay.hides(cp_object.uid)] + own, key=by_key)

    def _contains(self, cp_object: ManagementObject, text: str) -> bool:
        if (
            text in cp_object.key
            or text in cp_object.comments.casefold()
            or text in cp_object.ipv4
            or text in cp_object.ipv6
        ):
            return True
        tags = (self.get(uid) for uid in cp_object.tags)
        return any(tag is not None and text in tag.key for tag in tags)
