"""What commands answer, as data and as sections, and the four ways to show it: table, json, yaml, md.

Text from outside (tags, names, messages) is shown with what does not print escaped, and never as markup.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import yaml
from rich import box
from rich.console import Console, JustifyMethod
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from microseg.mapping import plain

_LONGEST = 4096
_PIPE_WIDTH = 120
_WHOLE = 22
"""A column whose cells all have so few characters, such as a time, is never broken: the longer ones give way."""
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
            print(yaml.safe_dump(dict(report.data), sort_keys=False, allow_unicode=True, width=_PIPE_WIDTH), end="")
        case "md":
            print("\n\n".join(_markdown(section) for section in report.sections if _content(section)))
        case _:
            _on_a_terminal(report)


def _content(section: Section) -> bool:
    return bool(section.rows if isinstance(section, Table) else section.lines)


def _on_a_terminal(report: Report) -> None:
    """Colours and width as the terminal has them; in a pipe, no colours and sentences that are not broken."""
    console = Console(highlight=False, emoji=False, markup=False, soft_wrap=True)
    if not sys.stdout.isatty():
        console.width = _PIPE_WIDTH
    first = True
    for section in filter(_content, report.sections):
        if not first:
            console.print()
        first = False
        match section:
            case Table():
                if section.title:
                    console.print(Text(_clean(section.title), style="bold"))
                _print_table(console, section)
            case Lines():
                if section.title:
                    console.print(Text(_clean(section.title), style="bold"))
                for line in section.lines:
                    _print_line(console, section, line)
            case unexpected:
                assert_never(unexpected)


def _print_line(console: Console, section: Lines, line: str) -> None:
    """One sentence: at a terminal it is broken between words, under its own beginning."""
    text = Text(_clean(line), style="bold red" if section.loud else "")
    indent = 2 if section.title else 0
    if sys.stdout.isatty():
        console.print(Padding(text, (0, 0, 0, indent), expand=False), soft_wrap=False)
    else:
        console.print(Text(" " * indent) + text)


def _print_table(console: Console, section: Table) -> None:
    """Without the blanks that rich puts around it and behind each line."""
    with console.capture() as captured:
        console.print(_rich_table(section), soft_wrap=False)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    sys.stdout.write("\n".join(line for line in lines if line) + "\n")


def _rich_table(table: Table) -> RichTable:
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for number, column in enumerate(table.columns):
        whole = all(len(row[number]) <= _WHOLE for row in table.rows)
        side: JustifyMethod = "right" if _numbers(table, number) else "left"
        rich.add_column(Text(column), overflow="fold", no_wrap=whole, justify=side)
    for row in table.rows:
        rich.add_row(*(Text(_clean(cell)) for cell in row))
    return rich


def _numbers(table: Table, column: int) -> bool:
    return all(row[column].isdigit() for row in table.rows)


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


def _clean(text: str) -> str:
    return plain(text, _LONGEST)


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", _clean(text))
