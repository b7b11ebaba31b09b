"""Begins `python -m MODULE` as a fork of one process that has imported the product's libraries already.

Importing them takes more than a second of CPU time, as much as a point of the sweep needs for all else; hundreds of
points and stories begin several processes each. What begins is the same: a process and process group of its own, with
its own environment, output and `__main__`; only the C library does not read that environment again. The demo, the
benches and the node begin real ones.

`multiprocessing`'s fork server does the forking, because a fork of a process with threads, like a test run, is unsafe
(https://docs.python.org/3.11/library/multiprocessing.html#contexts-and-start-methods). It ends with its parent.
"""

from __future__ import annotations

import functools
import io
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from lab.child import Child

_PRELOADED = ["lab.preloaded"]
_SOURCES = Path(__file__).parents[1]


def preload(module: str) -> None:
    """Have another module imported before the first fork of this process."""
    _PRELOADED.append(module)


def fork(argv: list[str], log: Path, env: Mapping[str, str] | None, cwd: Path | None) -> Child:
    """Begin `[sys.executable, "-m", MODULE, ...]`; see `lab.child.Begin`. Raises ValueError for another program."""
    if argv[:2] != [sys.executable, "-m"]:
        raise ValueError(f"only `python -m` can be forked, not {argv[:2]}")
    environment = dict(os.environ if env is None else env)
    process = _context().Process(target=_become, args=(argv[2], argv[2:], log, environment, cwd), daemon=True)
    process.start()
    return _Forked(argv, process)


@functools.cache
def _context() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    # The fork server looks for what it preloads in its own environment's path, which may lead to another checkout.
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_SOURCES), before)))
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


def _become(module: str, argv: list[str], log: Path, env: Mapping[str, str], cwd: Path | None) -> None:
    """In the child: take the place of `python -m module`."""
    os.setsid()
    with log.open("ab") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(stream, "wb", closefd=False), write_through=True) for stream in (1, 2)
    )
    os.environ.clear()
    os.environ.update(env)
    if cwd is not None:
        os.chdir(cwd)
    sys.argv = argv
    runpy.run_module(module, run_name="__main__", alter_sys=True)


class _Forked:
    """The part of `subprocess.Popen` that a `Child` has, of a forked process."""

    def __init__(self, argv: list[str], process: ForkServerProcess) -> None:
        assert process.pid is not None  # noqa: S101 - it was started
        self.pid = process.pid
        self._argv, self._process = argv, process
        self._looking = threading.Lock()  # of two that look at once, one would read the end of the other's answer

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        with self._looking:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        with self._looking:
            self._process.join(timeout)
            code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self._argv, timeout or 0.0)
        return code

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
