"""A log line is one line, whatever a value or an exception has in it."""

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
