"""How a child process begins, and what can be done with it. Used by `lab.processes`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol


class Child(Protocol):
    """The part of `subprocess.Popen` that a `Process` uses."""

    pid: int
    """Process id, and id of the process group."""

    @property
    def returncode(self) -> int | None:
        """The exit code, as soon as the end was seen; negative: the signal that ended it."""

    def poll(self) -> int | None:
        """Look whether it has ended; return the exit code."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired after `timeout` seconds."""

    def terminate(self) -> None:
        """Send SIGTERM, if it runs."""

    def kill(self) -> None:
        """Send SIGKILL, if it runs."""


Begin = Callable[[list[str], Path, Mapping[str, str] | None, Path | None], Child]
"""Begins a program in a session of its own, without input: argv, the log that gets both outputs at its end, the
environment (None: ours), the working directory (None: ours). `execute`, or `lab.forked.fork`."""


def execute(argv: list[str], log: Path, env: Mapping[str, str] | None, cwd: Path | None) -> Child:
    """Begin any program; see `Begin`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
