"""Child processes with a log file, a deadline for readiness, and a guaranteed end.

Used by `lab.controlplane`, the demo, the benchmarks and the integration tests, which start servers and the operator as
separate processes, as in a cluster, and sometimes kill them at a chosen moment.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from lab.child import Begin, execute

T = TypeVar("T")

_PAUSE = 0.05
"""Seconds between two checks of a condition."""

_PORTS = range(15_000, 32_000)
"""Below the ports that Linux and macOS use for outgoing connections; see `free_port`."""
_GIVEN: deque[int] = deque(maxlen=len(_PORTS) // 2)
_GIVING = threading.Lock()


class NotInTime(TimeoutError):
    """A condition did not become true before its deadline."""


class ProcessFailed(RuntimeError):
    """A process ended early or did not become ready; the text has the end of its log."""


def run_program(argv: Sequence[str | Path], *, input: str | None = None) -> str:  # noqa: A002 - as in subprocess.run
    """Run a program to its end and return its standard output. Raises ProcessFailed with its standard error."""
    done = subprocess.run(argv, input=input, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProcessFailed(f"{' '.join(map(str, argv))}: {done.stderr.strip()}")
    return done.stdout


def wait_until(
    condition: Callable[[], T],
    *,
    seconds: float,
    what: str,
    otherwise: Callable[[], str] = lambda: "",
    pause: float = _PAUSE,
) -> T:
    """Poll `condition()` until it is truthy and return its value; raise NotInTime after `seconds`.

    `what` completes the sentence "not seen within 5 s: ..."; `otherwise()` may add the state instead.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() >= deadline:
            message = f"not seen within {seconds:g} s: {what}"
            raise NotInTime("\n".join(filter(None, (message, otherwise()))))
        time.sleep(pause)
    return value


def free_port() -> int:
    """Return a loopback TCP port that nothing listens on, and that stays free while its server restarts.

    It is returned only once per process, because seconds pass until its server listens.

    A port from the kernel's own range would not stay free: while the server is down, the kernel may use it for an
    outgoing connection, even for a client that tries to reach the server and then talks to itself.
    """
    while True:
        port = random.SystemRandom().choice(_PORTS)  # not the shared generator: a test may have seeded it
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            with _GIVING:
                if port not in _GIVEN:
                    _GIVEN.append(port)
                    return port


class Process:
    """One child process: its log, its readiness, its end. It cannot outlive the process that started it.

    A context manager: its end ends the child. It has its own process group, so that Ctrl-C in a terminal reaches only
    the parent, which then ends its children in its own order.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        begin: Begin = execute,
    ) -> None:
        """Start `argv`. Both output streams are appended to `log`; `env` replaces the environment if it is given."""
        self.name, self.log = name, log
        self._swept = False
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:  # it exists, before the child writes into it
            self._log_start = output.tell()
        self._child = begin([str(word) for word in argv], log, env, cwd)
        _LIFELINE.begun(self._child.pid)

    @property
    def pid(self) -> int:
        """Process id, and id of the process group."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._child.poll() is None

    def output(self) -> str:
        """Return the output of this process so far, without that of earlier ones in the same log."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def tail(self, lines: int = 30) -> str:
        """Return the last lines of the output, for a message about a failure."""
        return "\n".join(self.output().splitlines()[-lines:])

    def wait_for(self, condition: Callable[[], object], *, seconds: float, what: str) -> None:
        """Wait until `condition()` is truthy. Raise ProcessFailed if the process ends first or time runs out."""

        def met() -> bool:
            if condition():
                return True
            if not self.running:
                raise self._failed(f"ended with {self._child.returncode} before: {what}")
            return False

        try:
            wait_until(met, seconds=seconds, what=what)
        except NotInTime as late:
            raise self._failed(str(late)) from None

    def wait_for_line(self, pattern: str, *, seconds: float) -> re.Match[str]:
        """Wait for a line of output that matches the regular expression `pattern`."""
        matcher = re.compile(pattern)
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(filter(None, map(matcher.search, self.output().splitlines())))
            return bool(found)

        self.wait_for(look, seconds=seconds, what=f"a line like {pattern!r}")
        return found[0]

    def wait_for_url(self, url: str, *, seconds: float, ca_file: Path | None = None) -> None:
        """Wait until a GET of `url` answers 200; https is verified against `ca_file`."""
        self.wait_for(lambda: answers(url, ca_file=ca_file), seconds=seconds, what=f"200 from {url}")

    def wait(self, *, seconds: float) -> int:
        """Wait for the process to end by itself and return its exit code (negative: the signal that ended it)."""
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise self._failed(f"had not ended after {seconds:g} s") from None
        self._sweep()
        return self._child.wait()

    def terminate(self, *, grace: float = 10.0) -> int:
        """Stop it (SIGTERM), kill its process group after `grace` seconds, and return its exit code."""
        if self.running:
            self._child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(grace)
        return self.kill()

    def kill(self) -> int:
        """Kill its process group at once (SIGKILL), as a crash does; return its exit code."""
        self._sweep()
        return self._child.wait()

    def __enter__(self) -> Self:
        """Return itself: it runs already."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the process."""
        self.terminate()

    def _sweep(self) -> None:
        if self._swept:  # the pid may belong to another process by now
            return
        self._swept = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.kill()  # of a fork that had not begun its group yet
        _LIFELINE.ended(self._child.pid)

    def _failed(self, what: str) -> ProcessFailed:
        return ProcessFailed(f"{self.name} {what}\n--- end of {self.log}:\n{self.tail()}")


def answers(url: str, *, ca_file: Path | None = None, seconds: float = 2.0) -> bool:
    """Return whether a GET of `url` answers 200 within `seconds`."""
    try:
        fetch(url, ca_file=ca_file, seconds=seconds)
    except OSError:
        return False
    return True


def fetch(url: str, *, ca_file: Path | None = None, seconds: float = 2.0) -> bytes:
    """Return the body of a GET of `url`; raises OSError for another status than 200, or no answer within `seconds`.

    Proxies from the environment are not used.
    """
    context = ssl.create_default_context(cafile=ca_file) if ca_file else None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(url, timeout=seconds) as response:
        if response.status != 200:
            raise OSError(f"{url} answered {response.status}")
        body: bytes = response.read()
        return body


class _Lifeline:
    """The pipe to `lifeline.py`, which kills this process's children after its end. Started with the first child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keeper: subprocess.Popen[bytes] | None = None

    def begun(self, group: int) -> None:
        self._tell(f"+{group}\n")

    def ended(self, group: int) -> None:
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._keeper is None:
                self._keeper = self._start()
            assert self._keeper.stdin is not None  # noqa: S101 - a pipe was asked for
            self._keeper.stdin.write(line.encode())

    def _start(self) -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("lifeline.py")
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        atexit.register(keeper.communicate)  # closes the pipe, and waits until the rest is killed
        return keeper


_LIFELINE = _Lifeline()
