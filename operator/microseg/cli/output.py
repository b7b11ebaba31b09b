"""What commands answer, as data and as sections, and the four ways to show it: table, json, yaml, md.

Text from outside (tags, names, messages) is shown with what does not print escaped, and never as markup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from microseg.model.shown import plain

PIPE_WIDTH = 120
"""Characters in a line where no terminal says otherwise."""
_LONGEST = 4096
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; not shown without rows."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Lines:
    """Sentences, one per line; not shown without any. `loud`: a person must not overlook them."""

    title: str
    lines: Sequence[str]
    loud: bool = False


Section = Table | Lines


@dataclass(frozen=True, slots=True)
class Report:
    """A command's answer: `data` for programs, `sections` for people."""

    data: Mapping[str, Any]
    sections: tuple[Section, ...]


def show(report: Report, output: str) -> None:
    """Print it. `output`: table, json, yaml or md."""
    match output:
        case "json":
            print(json.dumps(report.data, indent=2, ensure_ascii=False, default=str))
        case "yaml":
            print(yaml.safe_dump(dict(report.data), sort_keys=False, allow_unicode=True, width=PIPE_WIDTH), end="")
        case "md":
            print("\n\n".join(_markdown(section) for section in report.sections if content(section)))
        case _:
            from microseg.cli import terminal  # noqa: PLC0415 - rich is slow to load for a program's question

            terminal.show(report)


def content(section: Section) -> bool:
    """Whether there is anything to show."""
    return bool(section.rows if isinstance(section, Table) else section.lines)


def _markdown(section: Section) -> str:
    return "\n".join(_markdown_lines(section))


def _markdown_lines(section: Section) -> Iterator[str]:
    if section.title:
        yield f"### {_escaped(section.title)}\n"
    match section:
        case Table(columns=columns, rows=rows):
            yield f"| {' | '.join(map(_escaped, columns))} |"
            yield f"|{'|'.join(' --- ' for _ in columns)}|"
            for row in rows:
                yield f"| {' | '.join(map(_escaped, row))} |"
        case Lines(lines=lines, loud=loud):
            for line in lines:
                yield f"- **{_escaped(line)}**" if loud else f"- {_escaped(line)}"


def clean(text: str) -> str:
    """Text from outside as it may be shown."""
    return plain(text, _LONGEST)


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", clean(text))
