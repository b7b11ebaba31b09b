"""A log line is one line, whatever a value has in it."""

from __future__ import annotations

import logging

import pytest

from microseg.telemetry import JsonLines, TextLines

FORGED = "web-01\n12:00:00.000 info    plan approved\r\x1b[2K\u2028"


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()])
def test_no_value_begins_a_line_or_moves_the_cursor(formatter: logging.Formatter) -> None:
    record = logging.makeLogRecord({"msg": "seen %s", "args": (FORGED,), "host": FORGED, "levelname": "INFO"})
    line = formatter.format(record)
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    assert "web-01" in line
