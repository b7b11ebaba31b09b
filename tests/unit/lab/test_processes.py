"""Child processes: what is waited for, what a failure says, and how they end."""

import itertools
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.forked import fork
from lab.lifeline import follow
from lab.processes import NotInTime, Process, ProcessFailed, free_port, wait_until


def python(code: str, folder: Path) -> Process:
    return Process("child", [sys.executable, "-u", "-c", code], log=folder / "child.log")


def forked(*arguments: str, folder: Path, **env: str) -> Process:
    """The command line of microseg, forked."""
    argv = [sys.executable, "-m", "microseg", *arguments]
    return Process("child", argv, log=folder / "child.log", env=env, cwd=folder, begin=fork)


def test_a_line_of_output_tells_that_a_child_is_ready(tmp_path: Path) -> None:
    with python("print('port 8443'); import time; time.sleep(60)", tmp_path) as child:
        assert child.wait_for_line(r"port (\d+)", seconds=10)[1] == "8443"


def test_a_child_that_ends_too_early_fails_at_once_and_shows_its_log(tmp_path: Path) -> None:
    with python("raise SystemExit('no such flag')", tmp_path) as child, pytest.raises(ProcessFailed) as failure:
        child.wait_for_line("ready", seconds=30)
    assert "ended with 1" in str(failure.value)
    assert "no such flag" in str(failure.value)


def test_an_older_childs_output_in_the_same_log_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    with python("print('ready')", tmp_path) as first:
        first.wait(seconds=10)
    with python("pass", tmp_path) as second, pytest.raises(ProcessFailed):
        second.wait_for_line("ready", seconds=10)


def test_a_child_that_will_not_end_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"
    child = python(code, tmp_path)
    child.wait_for_line("deaf", seconds=10)
    assert child.terminate(grace=0.2) == -signal.SIGKILL
    assert not child.running


def test_a_grandchild_ends_with_its_group(tmp_path: Path) -> None:
    port = free_port()
    bind = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); print('bound', flush=True)"
    serve = bind + "; time.sleep(60)"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {serve!r}]).wait()"
    child = python(code, tmp_path)
    child.wait_for_line("bound", seconds=10)
    child.kill()
    with python(bind, tmp_path) as successor:
        assert successor.wait(seconds=10) == 0


def test_a_forked_child_runs_a_module_as_python_does_and_its_exit_code_is_seen(tmp_path: Path) -> None:
    assert forked("--version", folder=tmp_path).wait(seconds=30) == 0
    assert (tmp_path / "child.log").read_text().startswith("microseg ")
    assert forked("no-such-command", folder=tmp_path).wait(seconds=30) == 1


def test_a_forked_child_has_its_own_environment_and_group_and_ends_by_signals(tmp_path: Path) -> None:
    places = {"POD_NAMESPACE": "here", "KUBECONFIG": str(tmp_path / "none")}
    with forked("run", folder=tmp_path, **places) as refused:
        assert refused.wait(seconds=30) == 1
        assert "The kubeconfig or the files of the ServiceAccount cannot be read" in refused.output()
    argv = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(free_port())]
    server = Process("server", argv, log=tmp_path / "server.log", env={}, begin=fork)
    server.wait_for_line("Serving", seconds=30)
    assert os.getpgid(server.pid) == server.pid
    assert server.terminate(grace=10) == -signal.SIGTERM
    assert not server.running


def test_only_python_modules_can_be_forked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only `python -m` can be forked"):
        Process("child", ["true"], log=tmp_path / "child.log", begin=fork)


def test_waiting_says_what_was_not_seen() -> None:
    with pytest.raises(NotInTime, match=r"not seen within 0.1 s: snow\nonly rain"):
        wait_until(lambda: False, seconds=0.1, what="snow", otherwise=lambda: "only rain")


def test_a_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_port()
    drawn = itertools.chain([first, first], range(15_000, 32_000))
    monkeypatch.setattr("lab.processes.random.SystemRandom", lambda: SimpleNamespace(choice=lambda _: next(drawn)))

    assert free_port() != first


def test_a_free_port_is_below_those_of_outgoing_connections() -> None:
    assert all(free_port() < 32_000 for _ in range(50))


def test_the_lifeline_kills_only_what_was_begun_and_did_not_end() -> None:
    assert follow(["+10\n", "+11\n", "-10\n", "+12\n"]) == {11, 12}
