"""The rules by which a session edits objects: names, addresses, locks, both ends of a membership.

Called by the single commands, the batch commands and the control port's human edits. Every function checks everything
first and changes objects afterwards, so that an error leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from simulators.checkpoint import errors, validation
from simulators.checkpoint.fields import Delta, ObjectSpec
from simulators.checkpoint.objects import Kind, ManagementObject, new_uid
from simulators.checkpoint.session import Locks, Session

Tolerance = Literal["nothing", "warnings", "errors"]
"""Which issues do not stop an edit: ignore-warnings is "warnings"; ignore-errors and batches are "errors"."""


@dataclass(frozen=True, slots=True)
class Editor:
    """Edits objects in one session at one time. `rules`: object uid -> names of the access rules that use it."""

    session: Session
    locks: Locks
    now: float
    rules: dict[str, list[str]]
    makes_tags: bool = False

    def add(self, spec: ObjectSpec, *, tolerance: Tolerance = "nothing") -> ManagementObject:
        """Add an object; raises ApiError if its name or address is taken, or a group is unknown or locked."""
        who = self.session.admin.name
        cp_object = ManagementObject(new_uid(), spec.kind, spec.name or "", creator=who, created=self.now)
        return self._write(cp_object, spec, tolerance)

    def alter(
        self, cp_object: ManagementObject, spec: ObjectSpec, *, tolerance: Tolerance = "nothing"
    ) -> ManagementObject:
        """Change an object.

        It is locked and counts as changed even if nothing differs, as issue 38 of
        CheckPointSW/CheckPointAnsibleMgmtCollection reports.
        """
        return self._write(cp_object, spec, tolerance)

    def delete(self, cp_object: ManagementObject, *, tolerance: Tolerance = "nothing") -> None:
        """Delete an object, with its memberships if warnings are ignored; never if an access rule uses it."""
        groups = self.session.view.groups_of(cp_object.uid)
        if self.rules.get(cp_object.uid) or (groups and tolerance == "nothing"):
            raise errors.referenced(cp_object.name)
        self.locks.claim(self.session, [cp_object, *groups])
        for group in groups:
            self._change_members(group, removed={cp_object.uid})
        self.session.overlay.delete(cp_object.uid, published=cp_object.uid in self.session.view.published.objects)

    def find(self, identifier: str, kind: Kind | None = None) -> ManagementObject:
        """Return the object with that uid or name; raises ApiError (not found)."""
        found = self.session.view.find(identifier, kind)
        if found is None:
            raise errors.not_found(identifier)
        return found

    def _write(self, cp_object: ManagementObject, spec: ObjectSpec, tolerance: Tolerance) -> ManagementObject:
        view = self.session.view
        is_new = view.get(cp_object.uid) is None
        altered = self._applied(cp_object, spec)
        self._refuse_issues(altered, spec, tolerance)
        groups = {group.uid for group in view.groups_of(cp_object.uid)}
        wanted = self._resolved(groups, spec.groups, "group")
        touched = [self.find(uid) for uid in sorted(groups ^ wanted)]
        self.locks.claim(self.session, [altered if is_new else cp_object, *touched])
        self._make_tags(spec.tags)
        altered.tags = self._tags(altered.tags, spec.tags)
        self.session.overlay.put(altered)
        for group in touched:
            joins = group.uid in wanted
            self._change_members(group, added={altered.uid} if joins else (), removed=() if joins else {altered.uid})
        return altered

    def _applied(self, cp_object: ManagementObject, spec: ObjectSpec) -> ManagementObject:
        """Return a copy with the requested fields and members; raises ApiError for unknown names."""
        if not self.makes_tags:
            self._tags(cp_object.tags, spec.tags)
        return replace(
            cp_object,
            members=self._resolved(cp_object.members, spec.members, None) if spec.members else set(cp_object.members),
            name=cp_object.name if spec.name is None else spec.name,
            ipv4=cp_object.ipv4 if spec.ipv4 is None else spec.ipv4,
            ipv6=cp_object.ipv6 if spec.ipv6 is None else spec.ipv6,
            comments=cp_object.comments if spec.comments is None else spec.comments,
            color=cp_object.color if spec.color is None else spec.color,
            modifier=self.session.admin.name,
            modified=self.now,
        )

    def _refuse_issues(self, altered: ManagementObject, spec: ObjectSpec, tolerance: Tolerance) -> None:
        """Validate what the spec changes: an unchanged name or address was validated before."""
        view = self.session.view
        twins = spec.name is not None and any(twin.uid != altered.uid for twin in view.named(spec.name))
        shared = [text for text in (spec.ipv4, spec.ipv6) if text and view.with_address(text) - {altered.uid}]
        names = [validation.duplicate_name(altered.name)] if twins else []
        warnings = [validation.duplicate_address(address) for address in shared]
        if (names and tolerance != "errors") or (warnings and tolerance == "nothing"):
            raise errors.validation_failed(warnings, names)

    def _resolved(self, current: set[str], delta: Delta | None, kind: Kind | None) -> set[str]:
        """Return the uids of a collection after a change."""
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
        """Create unknown tags, unless the trait says no."""
        if not self.makes_tags or delta is None or delta.mode == "remove":
            return
        for name in delta.values:
            if self.session.view.find(name, "tag") is None:
                self.add(ObjectSpec("tag", name))

    def _change_members(
        self, group: ManagementObject, *, added: Iterable[str] = (), removed: Iterable[str] = ()
    ) -> None:
        """Change a group that this session has locked."""
        own = self.session.overlay.changed.get(group.uid) or group.copy()
        own.members.update(added)
        own.members.difference_update(removed)
        own.modifier, own.modified = self.session.admin.name, self.now
        self.session.overlay.put(own)
