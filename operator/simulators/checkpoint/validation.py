"""Validation of a session's changes: by show-validations, and before every publish.

Warnings never stop a publish; errors do (chkp-antonr/checkpoint-api-ref `jmd/show-validations.j.md`, `publish.j.md`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulators.checkpoint.objects import RESERVED, ManagementObject
from simulators.checkpoint.overlay import View


@dataclass(frozen=True, slots=True)
class ValidationIssues:
    """Sentences, each once, in the order of the session's changes."""

    warnings: tuple[str, ...]
    errors: tuple[str, ...]


def duplicate_name(name: str) -> str:
    """Return the vendor's sentence for a duplicate name."""
    return f"More than one object named '{name}' exists."


def duplicate_address(address: str) -> str:
    """Return the vendor's sentence for a duplicate address."""
    return f"Multiple objects have the same IP address {address}"


def judge(view: View) -> ValidationIssues:
    """Return all issues of the session's changes."""
    changed = list(view.overlay.changed.values())
    warnings = dict.fromkeys(text for cp_object in changed for text in _address_warnings(view, cp_object))
    errors = dict.fromkeys(text for cp_object in changed for text in _errors(view, cp_object))
    errors.update(dict.fromkeys(_dangling(view)))
    return ValidationIssues(tuple(warnings), tuple(errors))


def _address_warnings(view: View, cp_object: ManagementObject) -> Iterator[str]:
    for address in cp_object.addresses:
        if len(view.with_address(address)) > 1:
            yield duplicate_address(address)


def _errors(view: View, cp_object: ManagementObject) -> Iterator[str]:
    if len(view.named(cp_object.name)) > 1:
        yield duplicate_name(cp_object.name)
    if cp_object.key in RESERVED:
        yield f"The name '{cp_object.name}' is a reserved word."
    for uid in cp_object.members:
        if view.get(uid) is None:
            yield f"Group '{cp_object.name}' holds an object that does not exist any more ({uid})."


def _dangling(view: View) -> Iterator[str]:
    """Yield groups that others filled with an object after this session deleted it."""
    for uid in view.overlay.deleted:
        removed = view.published.objects.get(uid)
        for group in view.groups_of(uid):
            yield f"Object '{removed.name if removed else uid}' is deleted and still a member of group '{group.name}'."
