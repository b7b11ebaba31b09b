"""Kills the children of a process that has ended in any way: SIGKILL to a test run leaves no API server behind.

Run as a script by `lab.processes`, once per process that starts children. Its standard input is a pipe that only
that process writes to: a line `+PID` per started process group, `-PID` per ended one. When the pipe ends, the
writer is gone, and the groups still on the list are killed. (The kernel's own parent-death signal would fire when the
*thread* that started a child ends, and exists on Linux only.)
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterable


def follow(lines: Iterable[str]) -> set[int]:
    """Return the process groups that were started and not ended when `lines` stopped."""
    groups: set[int] = set()
    for line in lines:
        change, group = line[0], int(line[1:])
        if change == "+":
            groups.add(group)
        else:
            groups.discard(group)
    return groups


def main() -> None:
    """Wait for the writer's end, then kill what it left behind."""
    for word in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(word, signal.SIG_IGN)
    for group in follow(sys.stdin):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
