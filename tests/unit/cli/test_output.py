"""What other people wrote is shown, and steers nothing: no terminal, no markup, no table."""

from __future__ import annotations

import json

import pytest
import yaml

from microseg.cli.output import Lines, Report, Table, show

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


def test_lines_are_broken_between_words_at_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    show(Report({}, (Lines("Next", ["word " * 30]),)), "table")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 4
    assert max(map(len, lines)) <= 40
    assert all(line.startswith("  word") for line in lines[1:])


def test_a_time_is_not_broken_at_a_terminal_where_a_sentence_can_give_way(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    rows = [("2026-11-29 00:18:42Z", "checkpoint", "web-" * 10, "Published in az-web. " * 3, "drift by " + "x " * 60)]
    show(Report({}, (Table("", ("at", "system", "host", "what", "cause"), rows),)), "table")
    out = capsys.readouterr().out
    assert "2026-11-29 00:18:42Z" in out
    assert max(map(len, out.splitlines()[1:])) <= 80, "the head alone is styled"
