"""The part of Resource Graph's query language that the simulator knows. Every other query is refused as a wrong one.

    Resources | where type =~ 'microsoft.compute/virtualmachines' | project id, size = properties.a.b | order by id asc

`graph.py` asks it. Language: learn.microsoft.com/azure/governance/resource-graph/concepts/query-language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_TABLE = re.compile(r"Resources", re.IGNORECASE)
_WHERE = re.compile(r"where\s+type\s*=~\s*'([^']+)'")
_PROJECT = re.compile(r"project\s+(.+)", re.DOTALL)
_COLUMN = re.compile(rf"(?:({_NAME})\s*=\s*)?({_NAME}(?:\.{_NAME})*)")
_ORDER = re.compile(r"order\s+by\s+id\s+asc")


class UnknownQueryError(Exception):
    """The query is wrong, or of a kind that the simulator does not know."""


@dataclass(frozen=True, slots=True)
class Query:
    """Rows of one type, ordered by id. `columns`: name -> path in the row."""

    type: str
    columns: Mapping[str, tuple[str, ...]]

    def project(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns of a row; what it lacks is null."""
        return {name: _at(row, path) for name, path in self.columns.items()}


def parse(text: str) -> Query:
    """Return the query; raises UnknownQueryError."""
    parts = [part.strip() for part in text.split("|")]
    if len(parts) != 4 or not _TABLE.fullmatch(parts[0]) or not _ORDER.fullmatch(parts[3]):
        raise UnknownQueryError
    where, project = _WHERE.fullmatch(parts[1]), _PROJECT.fullmatch(parts[2])
    if where is None or project is None:
        raise UnknownQueryError
    columns: dict[str, tuple[str, ...]] = {}
    for column in project[1].split(","):
        found = _COLUMN.fullmatch(column.strip())
        if found is None or (found[1] is None and "." in found[2]):
            raise UnknownQueryError
        columns[found[1] or found[2]] = tuple(found[2].split("."))
    return Query(where[1].lower(), columns)


def _at(row: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        row = row.get(key) if isinstance(row, Mapping) else None
    return row
