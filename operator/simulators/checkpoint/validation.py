"""What the server finds wrong with a session's changes: asked by show-validations and before every publish.

Warnings never stop a publish; errors do (chkp-antonr/checkpoint-api-ref `jmd/show-validations.j.md`, `publish.j.md`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulators.checkpoint.overlay import View
from simulators.checkpoint.things import RESERVED, Thing


@dataclass(frozen=True, slots=True)
class Incidents:
    """Sentences, each once, in the order of the session's changes."""

    warnings: tuple[str, ...]
    errors: tuple[str, ...]


def duplicate_name(name: str) -> str:
    """The vendor's sentence for a name that two objects have."""
    return f"More than one object named '{name}' exists."


def duplicate_address(address: str) -> str:
    """The vendor's sentence for an address that two objects have."""
    return f"Multiple objects have the same IP address {address}"


def judge(view: View) -> Incidents:
    """All incidents of the session's changes."""
    changed = list(view.overlay.changed.values())
    warnings = dict.fromkeys(text for thing in changed for text in _address_warnings(view, thing))
    errors = dict.fromkeys(text for thing in changed for text in _errors(view, thing))
    errors.update(dict.fromkeys(_dangling(view)))
    return Incidents(tuple(warnings), tuple(errors))


def _address_warnings(view: View, thing: Thing) -> Iterator[str]:
    for address in thing.addresses:
        if len(view.with_address(address)) > 1:
            yield duplicate_address(address)


def _errors(view: View, thing: Thing) -> Iterator[str]:
    if len(view.named(thing.name)) > 1:
        yield duplicate_name(thing.name)
    if thing.key in RESERVED:
        yield f"The name '{thing.name}' is a reserved word."
    for uid in thing.members:
        if view.get(uid) is None:
            yield f"Group '{thing.name}' holds an object that does not exist any more ({uid})."


def _dangling(view: View) -> Iterator[str]:
    """Groups of others that still hold what this session deletes: they were filled after the delete."""
    for uid in view.overlay.deleted:
        gone = view.published.things.get(uid)
        for group in view.groups_of(uid):
            yield f"Object '{gone.name if gone else uid}' is deleted and still a member of group '{group.name}'."
