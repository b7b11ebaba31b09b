"""The rules by which a session alters objects: names, addresses, locks, both ends of a membership.

Called by the single commands, the batch commands and the control port's human edits. Every function checks everything
first and alters afterwards, so that a refusal leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from simulators.checkpoint import errors, validation
from simulators.checkpoint.fields import Delta, Wish
from simulators.checkpoint.session import Locks, Session
from simulators.checkpoint.things import Kind, Thing, new_uid

Tolerance = Literal["nothing", "warnings", "errors"]
"""What is kept in spite of incidents: ignore-warnings is "warnings"; ignore-errors and the batches are "errors"."""


@dataclass(frozen=True, slots=True)
class Editor:
    """Alters objects in one session at one moment. `rules`: object uid -> names of the access rules that use it."""

    session: Session
    locks: Locks
    now: float
    rules: dict[str, list[str]]
    makes_tags: bool = False

    def add(self, wish: Wish, *, tolerance: Tolerance = "nothing") -> Thing:
        """Add an object; ApiError if its name is taken, an address is taken, a group is unknown or locked."""
        who = self.session.admin.name
        thing = Thing(new_uid(), wish.kind, wish.name or "", creator=who, created=self.now)
        return self._write(thing, wish, tolerance)

    def alter(self, thing: Thing, wish: Wish, *, tolerance: Tolerance = "nothing") -> Thing:
        """Alter an object.

        It is locked and counts as changed even where nothing differs, as issue 38 of
        CheckPointSW/CheckPointAnsibleMgmtCollection reports.
        """
        return self._write(thing, wish, tolerance)

    def delete(self, thing: Thing, *, tolerance: Tolerance = "nothing") -> None:
        """Delete an object. Its memberships go with it if warnings are ignored; a rule that uses it always stops it."""
        groups = self.session.view.groups_of(thing.uid)
        if self.rules.get(thing.uid) or (groups and tolerance == "nothing"):
            raise errors.referenced(thing.name)
        self.locks.claim(self.session, [thing, *groups])
        for group in groups:
            self._alter_members(group, gone={thing.uid})
        self.session.overlay.delete(thing.uid, published=thing.uid in self.session.view.published.things)

    def find(self, identifier: str, kind: Kind | None = None) -> Thing:
        """The object of that uid or name; ApiError (not found)."""
        found = self.session.view.find(identifier, kind)
        if found is None:
            raise errors.not_found(identifier)
        return found

    def _write(self, thing: Thing, wish: Wish, tolerance: Tolerance) -> Thing:
        view = self.session.view
        is_new = view.get(thing.uid) is None
        altered = self._applied(thing, wish)
        self._refuse_incidents(altered, wish, tolerance)
        groups = {group.uid for group in view.groups_of(thing.uid)}
        wanted = self._resolved(groups, wish.groups, "group")
        touched = [self.find(uid) for uid in sorted(groups ^ wanted)]
        self.locks.claim(self.session, [altered if is_new else thing, *touched])
        self._make_tags(wish.tags)
        altered.tags = self._tags(altered.tags, wish.tags)
        self.session.overlay.put(altered)
        for group in touched:
            joins = group.uid in wanted
            self._alter_members(group, come={altered.uid} if joins else (), gone=() if joins else {altered.uid})
        return altered

    def _applied(self, thing: Thing, wish: Wish) -> Thing:
        """A copy with the wished fields and members; everything that can be unknown is looked up here."""
        if not self.makes_tags:
            self._tags(thing.tags, wish.tags)
        return replace(
            thing,
            members=self._resolved(thing.members, wish.members, None) if wish.members else set(thing.members),
            name=thing.name if wish.name is None else wish.name,
            ipv4=thing.ipv4 if wish.ipv4 is None else wish.ipv4,
            ipv6=thing.ipv6 if wish.ipv6 is None else wish.ipv6,
            comments=thing.comments if wish.comments is None else wish.comments,
            color=thing.color if wish.color is None else wish.color,
            modifier=self.session.admin.name,
            modified=self.now,
        )

    def _refuse_incidents(self, altered: Thing, wish: Wish, tolerance: Tolerance) -> None:
        """Judge what the wish changes: a name or an address that it leaves alone was judged before."""
        view = self.session.view
        twins = wish.name is not None and any(twin.uid != altered.uid for twin in view.named(wish.name))
        shared = [text for text in (wish.ipv4, wish.ipv6) if text and view.with_address(text) - {altered.uid}]
        names = [validation.duplicate_name(altered.name)] if twins else []
        warnings = [validation.duplicate_address(address) for address in shared]
        if (names and tolerance != "errors") or (warnings and tolerance == "nothing"):
            raise errors.validation_failed(warnings, names)

    def _resolved(self, current: set[str], delta: Delta | None, kind: Kind | None) -> set[str]:
        """The uids of a collection after a change."""
        if delta is None:
            return current
        found = {self.find(identifier, kind).uid for identifier in delta.values}
        match delta.mode:
            case "replace":
                return found
            case "add":
                return current | found
            case "remove":
                return current - found

    def _tags(self, current: tuple[str, ...], delta: Delta | None) -> tuple[str, ...]:
        return tuple(sorted(self._resolved(set(current), delta, "tag"))) if delta else current

    def _make_tags(self, delta: Delta | None) -> None:
        """Where the server makes tags that it does not know: the reference does not say whether it does."""
        if not self.makes_tags or delta is None or delta.mode == "remove":
            return
        for name in delta.values:
            if self.session.view.find(name, "tag") is None:
                self.add(Wish("tag", name))

    def _alter_members(self, group: Thing, *, come: Iterable[str] = (), gone: Iterable[str] = ()) -> None:
        """Alter a group that is locked by this session already."""
        own = self.session.overlay.changed.get(group.uid) or group.copy()
        own.members.update(come)
        own.members.difference_update(gone)
        own.modifier, own.modified = self.session.admin.name, self.now
        self.session.overlay.put(own)
