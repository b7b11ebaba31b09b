"""The operator as a process, as in a Pod: with its own kubeconfig, environment and probes.

`lab.rig` makes it; the demo and the tests kill and restart it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.child import Begin, execute
from lab.image.environment import IMAGE_ENVIRONMENT
from lab.processes import Process, answers, fetch, free_port, wait_until
from simulators.server import in_url

_SOURCES = Path(__file__).parents[1]
_READY_SECONDS = 60.0
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Tempo:
    """The speed of the simulators, and the operator's waits to match, in seconds."""

    scale: float = 10.0
    """Vendors' latencies are divided by it."""
    poll: str = "2s"
    installer_expected: float = 10.0
    look_pause: float = 1.5
    retry_pause: float = 2.0
    task_pause: float = 0.3
    install_patience: float = 5.0
    lease_seconds: float = 6.0

    def environment(self) -> dict[str, str]:
        """Return the operator's environment variables. The poll interval is in the Estate."""
        return {
            "MICROSEG_INSTALLER_EXPECTED": f"{self.installer_expected:g}",
            "MICROSEG_LOOK_PAUSE": f"{self.look_pause:g}",
            "MICROSEG_RETRY_PAUSE": f"{self.retry_pause:g}",
            "MICROSEG_TASK_PAUSE": f"{self.task_pause:g}",
            "MICROSEG_INSTALL_PATIENCE": f"{self.install_patience:g}",
            "MICROSEG_LEASE_SECONDS": f"{self.lease_seconds:g}",
            "MICROSEG_SHORTEST_POLL": "0",
        }


class Operator:
    """`microseg run`, started, killed and restarted; all runs append to one log."""

    def __init__(
        self,
        folder: Path,
        kubeconfig: Path,
        namespace: str,
        settings: Mapping[str, str],
        *,
        name: str = "operator",
        also: Sequence[str] = (),
        module: str = "microseg",
        begin: Begin = execute,
    ) -> None:
        """Prepare; nothing runs yet. `settings`: environment variables in addition to the lab's.

        `also`: further namespaces with Estates. `module`: what `python -m` runs; a replacement takes the product's
        arguments.
        """
        self.log = folder / f"{name}.log"
        self.port = free_port()
        self._name, self._begin = name, begin
        places = [word for place in (namespace, *also) for word in ("--namespace", place)]
        self._argv = [sys.executable, "-m", module, "run", *places]
        # Not the caller's environment: a Pod has little more than this.
        self._environment = {
            **IMAGE_ENVIRONMENT,
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder),
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),  # noqa: S108 - the platform's own default
            "PYTHONPATH": str(_SOURCES),
            "PYTHONUNBUFFERED": "1",
            "KUBECONFIG": str(kubeconfig),
            "POD_NAMESPACE": namespace,
            "POD_NAME": name,
            "MICROSEG_PROBE_HOST": "127.0.0.1",
            "MICROSEG_PROBE_PORT": str(self.port),
            "MICROSEG_LOG": "text",
            **settings,
        }
        self._probes = f"http://{in_url(self._environment['MICROSEG_PROBE_HOST'])}:{self.port}"
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The latest process; raises RuntimeError before the first start."""
        if self._process is None:
            raise RuntimeError("the operator was never started")
        return self._process

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.running

    @property
    def ready(self) -> bool:
        """Whether /readyz answers 200."""
        return answers(f"{self._probes}/readyz")

    @property
    def healthy(self) -> bool:
        """Whether /healthz answers 200."""
        return answers(f"{self._probes}/healthz")

    def metrics(self) -> str:
        """Return /metrics, or a comment with the error."""
        try:
            return fetch(f"{self._probes}/metrics").decode()
        except OSError as error:
            return f"# no metrics: {error}\n"

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait` return when it is ready. Raises ProcessFailed, with its log's end, if it ends first."""
        if self.running:
            raise RuntimeError("the operator is already running")
        self._process = Process(self._name, self._argv, log=self.log, env=self._environment, begin=self._begin)
        if wait:
            self._process.wait_for(lambda: self.ready, seconds=_READY_SECONDS, what="the operator is ready")

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        self.process.kill()

    def stop(self) -> None:
        """Stop it (SIGTERM) and wait. Its last metrics are saved beside its log."""
        if self._process is not None:
            if self.running:
                self.log.with_suffix(".metrics").write_text(self.metrics(), encoding="utf-8")
            self._process.terminate(grace=15)

    def restart(self) -> None:
        """Kill and restart it."""
        self.kill()
        self.start()

    def output(self) -> str:
        """Return the output of all runs."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def usage(self) -> Usage:
        """Return CPU seconds and resident memory of the running process; zeros without /proc."""
        return usage(self.process.pid)

    def wait_for_log(self, text: str, *, seconds: float) -> None:
        """Wait until the log of any run has `text`."""
        wait_until(lambda: text in self.output(), seconds=seconds, what=f"{text!r} in {self.log}")


@dataclass(frozen=True, slots=True)
class Usage:
    """A process's CPU seconds so far, and its resident bytes now."""

    cpu: float
    memory: int


def usage(pid: int) -> Usage:
    """Return CPU seconds and resident memory of a process; zeros without /proc."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return Usage(0.0, 0)
    fields = stat.read_text(encoding="ascii").rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return Usage((int(fields[11]) + int(fields[12])) / _CLOCK_TICKS, pages * os.sysconf("SC_PAGE_SIZE"))
