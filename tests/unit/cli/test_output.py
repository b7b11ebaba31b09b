"""What other people wrote is shown, and steers nothing: no terminal, no markup, no table."""

from __future__ import annotations

import json

import pytest
import yaml

from microseg.cli.rendering import Lines, Report, Table, show

HOSTILE = "\x1b[31mred\x1b[0m [bold]b[/bold] | `code` <img src=x> \u202e\n# head"
REPORT = Report({"text": HOSTILE}, (Lines("", [HOSTILE]), Table("t", ("a", "b"), [(HOSTILE, "2")]), Lines("empty", [])))


@pytest.mark.parametrize("output", ["table", "md"])
def test_hostile_text_steers_neither_a_terminal_nor_markdown(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(REPORT, output)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\n# head" not in out
    assert "bold" in out
    if output == "md":
        assert "<img" not in out.replace("\\<img", "")
        assert " | `code`" not in out


def test_programs_get_the_text_itself(capsys: pytest.CaptureFixture[str]) -> None:
    show(REPORT, "json")
    assert json.loads(capsys.readouterr().out) == {"text": HOSTILE}
    show(REPORT, "yaml")
    assert yaml.safe_load(capsys.readouterr().out) == {"text": HOSTILE}


def test_a_section_without_content_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show(REPORT, "table")
    assert "empty" not in capsys.readouterr().out


def test_lines_are_not_broken_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    show(Report({}, (Lines("", ["x" * 500]),)), "table")
    assert capsys.readouterr().out == "x" * 500 + "\n"
