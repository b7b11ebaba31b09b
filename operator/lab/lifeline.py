"""Ends the children of a process that is gone, however it went: kill -9 of a test run leaves no API server behind.

Run as a script by `lab.processes`, once for each process that starts children. Its standard input is a pipe that only
that process writes to: a line `+PID` for each process group begun, `-PID` for each one ended. When the pipe ends, the
writer is gone, and what is still on the list is killed. (The kernel's own parent-death signal would fire when the
*thread* that started a child ends, and exists on Linux only.)
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterable


def follow(lines: Iterable[str]) -> set[int]:
    """Return the process groups that were begun and not ended when `lines` stopped."""
    groups: set[int] = set()
    for line in lines:
        change, group = line[0], int(line[1:])
        if change == "+":
            groups.add(group)
        else:
            groups.discard(group)
    return groups


def main() -> None:
    """Wait for the writer's end, then kill what it left."""
    for word in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(word, signal.SIG_IGN)
    for group in follow(sys.stdin):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
