"""A log line is one line, whatever a value or an exception has in it; and a warning is not written again and again."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from microseg import telemetry

FORGED = "web-01\n12:00:00.000 info    plan approved\r\x1b[2K\u2028"
log = logging.getLogger("microseg.test")


@pytest.fixture(params=["text", "json"])
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Logs are set up in one of the formats; the function returns what was written since its last call."""
    root, stream = logging.getLogger(), io.StringIO()

    def taken() -> str:
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return text

    before, level = list(root.handlers), root.level
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    telemetry.set_up(request.param, verbose=False)
    yield taken
    root.handlers[:] = before
    root.setLevel(level)


def one_line(text: str) -> str:
    assert len(text.splitlines()) == 1, text
    assert text.endswith("\n")
    assert "\x1b" not in text
    assert "web-01" in text
    return text


def nested() -> None:
    """Fails with outside text in an error, its cause, its note and its group."""
    cause = ValueError(FORGED)
    cause.add_note(FORGED)
    raise ExceptionGroup(FORGED, [cause, OSError(FORGED)]) from cause


def test_no_value_begins_a_line_or_moves_the_cursor(written: Callable[[], str]) -> None:
    log.info("seen %s", FORGED, extra={"host": FORGED})
    one_line(written())


def test_a_traceback_is_part_of_its_records_line(written: Callable[[], str]) -> None:
    try:
        nested()
    except ExceptionGroup as error:
        log.exception("failed", extra={"host": FORGED})
        one_line(written())
        log.error("failed", exc_info=error)
    line = one_line(written())
    assert "in nested" in line, "the traceback is there"
    if line.startswith("{"):
        assert json.loads(line)["exception"].count("\n") > 3


def test_an_error_that_nobody_caught_is_one_line_too(written: Callable[[], str]) -> None:
    try:
        nested()
    except ExceptionGroup:
        sys.excepthook(*sys.exc_info())  # as Python calls it at the end of a process
    assert "uncaught error" in one_line(written())
    thread = threading.Thread(target=nested, name="reflector")
    thread.start()
    thread.join()
    assert "reflector" in one_line(written())


class Lines:
    """What a handler writes at given times: each as (message, left_out)."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = telemetry.SparingHandler(self.stream)
        self.handler.setFormatter(telemetry.JsonLines())

    def log(self, at: float, text: str, level: int = logging.ERROR, **more: object) -> None:
        record = logging.makeLogRecord({"name": "kopf.clients", "msg": text, "levelno": level, "created": at} | more)
        self.handler.handle(record)

    @property
    def written(self) -> list[tuple[str, int]]:
        lines = map(json.loads, self.stream.getvalue().splitlines())
        return [(line["message"], line.get("left_out", 0)) for line in lines]


def test_a_warning_that_comes_each_second_is_written_every_five_minutes_with_how_many_were_left_out() -> None:
    lines = Lines()
    for second in range(1000):
        lines.log(second, "Request attempt #1/6 failed")
    assert lines.written == [("Request attempt #1/6 failed", left_out) for left_out in (0, 299, 299, 299)]
    lines.handler.close()
    assert sum(1 + left_out for _, left_out in lines.written) == 1000


def test_what_was_left_out_last_is_told_although_it_never_comes_again() -> None:
    lines = Lines()
    for second in (0, 1, 2, 3):
        lines.log(second, "Request attempt #1/6 failed")
    lines.log(299, "the Estates are listed and watched", logging.INFO)
    assert lines.written[1:] == [("the Estates are listed and watched", 0)]
    lines.log(301, "published", logging.INFO)
    assert lines.written[2:] == [("Request attempt #1/6 failed", 2), ("published", 0)]
    lines.log(302, "Request attempt #1/6 failed")
    assert lines.written[4:] == [("Request attempt #1/6 failed", 0)], "it was forgotten, and is new"


def test_warnings_that_differ_in_a_word_a_value_or_an_error_are_all_written() -> None:
    lines = Lines()
    lines.log(0, "host not decided", host="web-1")
    lines.log(1, "host not decided", host="web-2")
    lines.log(2, "host not decided", logging.WARNING, host="web-2")
    for number, error in enumerate((ValueError("1"), ValueError("2"), KeyError("2"))):
        lines.log(3 + number, "host not decided", host="web-2", exc_info=(type(error), error, None))
    assert len(lines.written) == 6


def test_the_line_of_a_change_outside_is_written_each_time() -> None:
    lines = Lines()
    for second in range(3):
        lines.log(second, "policy installed", logging.INFO, package="standard")
    assert lines.written == [("policy installed", 0)] * 3


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    lines = Lines()
    lines.log(5000, "lease not renewed")
    lines.log(1000, "lease not renewed")
    assert lines.written == [("lease not renewed", 0)] * 2


def test_of_very_many_different_warnings_the_oldest_is_forgotten_and_told() -> None:
    lines = Lines()
    for second in range(2):
        lines.log(second, "the first")
    for number in range(300):
        lines.log(2, f"number {number}")
    assert len(lines.written) == 302
    assert lines.written.count(("the first", 0)) == 2
