"""A command's answer as a table, for people: in colours at a terminal, plain in a pipe. `cli/output.py` calls it.

Apart from `output`, so that a program that asks for JSON does not wait for rich.
"""

from __future__ import annotations

import sys
from typing import assert_never

from rich import box
from rich.console import Console, JustifyMethod
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from microseg.cli.output import PIPE_WIDTH, Lines, Report, Table, clean, content

_WHOLE = 22
"""A column whose cells all have so few characters, such as a time, is never broken: the longer ones give way."""


def show(report: Report) -> None:
    """Colours and width as the terminal has them; in a pipe, no colours and sentences that are not broken."""
    console = Console(highlight=False, emoji=False, markup=False, soft_wrap=True)
    if not sys.stdout.isatty():
        console.width = PIPE_WIDTH
    first = True
    for section in filter(content, report.sections):
        if not first:
            console.print()
        first = False
        match section:
            case Table():
                if section.title:
                    console.print(Text(clean(section.title), style="bold"))
                _print_table(console, section)
            case Lines():
                if section.title:
                    console.print(Text(clean(section.title), style="bold"))
                for line in section.lines:
                    _print_line(console, section, line)
            case unexpected:
                assert_never(unexpected)


def _print_line(console: Console, section: Lines, line: str) -> None:
    """One sentence: at a terminal it is broken between words, under its own beginning."""
    text = Text(clean(line), style="bold red" if section.loud else "")
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
        rich.add_row(*(Text(clean(cell)) for cell in row))
    return rich


def _numbers(table: Table, column: int) -> bool:
    return all(row[column].isdigit() for row in table.rows)


def clear() -> None:
    """Begin at the top of an empty screen."""
    Console().clear()
