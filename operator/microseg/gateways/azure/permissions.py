"""What the caller's roles allow in a resource group, and in which of them an action is missing.

`microseg doctor` asks, so that a right to write is proven without a write. `azure/gateway.py` reads the list.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Permission:
    """What one role allows: `actions` without `not_actions`, both with `*` for any text, in any letter case.

    Source: learn.microsoft.com/azure/role-based-access-control/role-definitions. Locks, policies and deny assignments
    are not part of it.
    """

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        """Whether this role allows it."""
        return _named(self.actions, action) and not _named(self.not_actions, action)


def permission(item: object) -> Permission:
    """One item of the list; what is not a text allows nothing."""
    fields = item if isinstance(item, dict) else {}
    return Permission(_texts(fields.get("actions")), _texts(fields.get("notActions")))


def lacking(permissions: Iterable[Permission], actions: Iterable[str]) -> tuple[str, ...]:
    """The actions that no role allows."""
    roles = tuple(permissions)
    return tuple(action for action in actions if not any(role.allows(action) for role in roles))


def _named(patterns: tuple[str, ...], action: str) -> bool:
    """Only `*` has a meaning in Azure's patterns."""
    return any(fnmatchcase(action.lower(), each.lower().replace("[", "[[]").replace("?", "[?]")) for each in patterns)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
