"""Logs: one line per record, as JSON for machines or text for people. Called once, by `microseg run`.

A message, a value or an exception can have text of the outside in it. In both formats, whatever would begin a new line
is spelled out, in tracebacks and in errors that nobody caught too: no text of others looks like a record of ours.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType

log = logging.getLogger(__name__)

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_QUIET = ("azure", "urllib3", "kopf", "aiohttp.access", "msal")
"""Libraries whose own lines can hold URLs and headers: only their warnings pass."""


class JsonLines(logging.Formatter):
    """One JSON object per line; the keys of `extra` become its keys."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; JSON escapes what would end it."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """For people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        extra = " ".join(f"{key}={value}" for key, value in _extra(record).items())
        text = f"{at} {record.levelname.lower():<7} {record.getMessage()} {extra}".rstrip()
        return _on_one_line(f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text)


def set_up(log_format: str, *, verbose: bool) -> None:
    """Send all logs to standard error in one format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("microseg").setLevel(logging.DEBUG if verbose else logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Python would write its traceback as it is."""
    log.critical("uncaught error", exc_info=(kind, error, trace))


def _uncaught_in_thread(ended: threading.ExceptHookArgs) -> None:
    ended_thread = ended.thread.name if ended.thread is not None else ""
    log.critical("uncaught error in a thread", exc_info=ended.exc_value, extra={"ended": ended_thread})


def _on_one_line(text: str) -> str:
    """The text with what would begin a new line, or move the cursor, spelled out: no value can forge a line."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}
