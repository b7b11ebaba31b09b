"""Logs: one line per record, as JSON for machines or text for people. Called once, by `microseg run`.

A warning that comes again and again, word for word, is written every five minutes, with how many were left out: while
the API server is away, kopf alone would write two lines a second.

A message, a value or an exception can have text of the outside in it. In both formats, whatever would begin a new line
is spelled out, in tracebacks and in errors that nobody caught too: no text of others looks like a record of ours.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

log = logging.getLogger(__name__)

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_QUIET = ("azure", "urllib3", "kopf", "aiohttp.access", "msal")
"""Libraries whose own lines can hold URLs and headers: only their warnings pass."""
_AGAIN = 300.0
"""Seconds after which a warning that is the same is written again."""
_GONE = 60.0
"""Seconds after which a warning that did not come again is over: what was left out of it is told with other lines."""
_MOST = 200
"""Different warnings that are remembered."""


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


@dataclass(slots=True)
class _Written:
    """A warning that was written, and what came again since."""

    at: float
    left_out: int = 0
    latest: logging.LogRecord | None = None
    """Without its traceback, which would keep every frame of it alive."""

    def is_over(self, now: float) -> bool:
        """Whether its like may be written again, and does not come."""
        latest = self.latest.created if self.latest is not None else self.at
        return not _is_recent(self.at, now) and abs(now - latest) > _GONE


class SparingHandler(logging.StreamHandler[TextIO]):
    """Leaves a warning out that is word for word one of the last five minutes, and tells later how many: `left_out`.

    What is no warning is always written: each change outside has its line.
    """

    def __init__(self, stream: TextIO) -> None:
        """Nothing was written yet."""
        super().__init__(stream)
        self._written: dict[tuple[object, ...], _Written] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, unless it is to be left out; before it, what was left out and did not come again."""
        over = [key for key, written in self._written.items() if written.is_over(record.created)]
        for key in over:
            self._forget(key)
        if record.levelno < logging.WARNING or self._is_news(record):
            super().emit(record)

    def close(self) -> None:
        """Write what was left out and not told yet."""
        for key in list(self._written):
            self._forget(key)
        super().close()

    def _is_news(self, record: logging.LogRecord) -> bool:
        """Whether it is to be written; with how many were left out since its like was."""
        key = _words(record)
        written = self._written.pop(key, None)
        if written is not None and _is_recent(written.at, record.created):
            written.left_out += 1
            written.latest = logging.makeLogRecord(vars(record) | {"exc_info": None})
            self._written[key] = written
            return False
        if written is not None and written.left_out:
            record.left_out = written.left_out
        self._written[key] = _Written(record.created)
        if len(self._written) > _MOST:
            self._forget(next(iter(self._written)))
        return True

    def _forget(self, key: tuple[object, ...]) -> None:
        """Write the latest of those that were left out."""
        written = self._written.pop(key)
        if written.latest is not None:
            written.latest.left_out = written.left_out - 1
            super().emit(written.latest)


def _is_recent(then: float, now: float) -> bool:
    """Within five minutes before; a clock that was set back does not count."""
    return 0 <= now - then < _AGAIN


def _words(record: logging.LogRecord) -> tuple[object, ...]:
    """What makes two records the same."""
    error = record.exc_info[1] if record.exc_info else None
    return record.name, record.levelno, record.getMessage(), repr(_extra(record)), repr(error)


def set_up(log_format: str, *, verbose: bool) -> None:
    """Send all logs to standard error in one format."""
    handler = SparingHandler(sys.stderr)
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
