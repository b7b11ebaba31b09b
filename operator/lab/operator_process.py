"""The operator as the process that it is in a Pod: its own kubeconfig, its own environment, its probes.

`lab.rig` makes it; the demo and the tests kill it and start it again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.processes import Process, answers, fetch, free_port, wait_until

_SOURCES = Path(__file__).parents[1]
_READY_SECONDS = 60.0
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Tempo:
    """How fast the worlds are, and how patient the operator is with them; seconds."""

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
        """The settings as the operator reads them. The poll's interval is the Estate's."""
        return {
            "MICROSEG_INSTALLER_EXPECTED": f"{self.installer_expected:g}",
            "MICROSEG_LOOK_PAUSE": f"{self.look_pause:g}",
            "MICROSEG_RETRY_PAUSE": f"{self.retry_pause:g}",
            "MICROSEG_TASK_PAUSE": f"{self.task_pause:g}",
            "MICROSEG_INSTALL_PATIENCE": f"{self.install_patience:g}",
            "MICROSEG_LEASE_SECONDS": f"{self.lease_seconds:g}",
        }


class Operator:
    """`microseg run`, started, killed and started again; every life appends to one log."""

    def __init__(
        self,
        folder: Path,
        kubeconfig: Path,
        namespace: str,
        settings: Mapping[str, str],
        *,
        name: str = "operator",
        module: str = "microseg",
    ) -> None:
        """Prepare; nothing runs yet. `settings`: environment variables beside those that the lab sets.

        `module`: what `python -m` runs; another than the product's takes the same arguments.
        """
        self.log = folder / f"{name}.log"
        self.port = free_port()
        self._name = name
        self._argv = [sys.executable, "-m", module, "run", "--namespace", namespace]
        # Not the caller's environment: in a Pod there is little more than this.
        self._environment = {
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
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The latest process; RuntimeError before the first start."""
        if self._process is None:
            raise RuntimeError("the operator was never started")
        return self._process

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.running

    @property
    def ready(self) -> bool:
        """Whether /readyz says yes."""
        return answers(f"http://127.0.0.1:{self.port}/readyz")

    @property
    def healthy(self) -> bool:
        """Whether /healthz says yes."""
        return answers(f"http://127.0.0.1:{self.port}/healthz")

    def metrics(self) -> str:
        """What /metrics says; what is wrong with it where it does not answer."""
        try:
            return fetch(f"http://127.0.0.1:{self.port}/metrics").decode()
        except OSError as error:
            return f"# no metrics: {error}\n"

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait` return when it is ready. ProcessFailed with the end of its log where it ends first."""
        if self.running:
            raise RuntimeError("the operator runs already")
        self._process = Process(self._name, self._argv, log=self.log, env=self._environment)
        if wait:
            self._process.wait_for(lambda: self.ready, seconds=_READY_SECONDS, what="the operator is ready")

    def kill(self) -> None:
        """End it at once (SIGKILL), as the kernel would."""
        self.process.kill()

    def stop(self) -> None:
        """Ask it to end (SIGTERM), and wait for that. What its metrics said last is kept beside its log."""
        if self._process is not None:
            if self.running:
                self.log.with_suffix(".metrics").write_text(self.metrics(), encoding="utf-8")
            self._process.terminate(grace=15)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def output(self) -> str:
        """What all its lives wrote."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def usage(self) -> Usage:
        """CPU seconds and resident memory of the running process; where there is no /proc, zeros."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        if not stat.exists():
            return Usage(0.0, 0)
        fields = stat.read_text(encoding="ascii").rpartition(")")[2].split()
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return Usage((int(fields[11]) + int(fields[12])) / _CLOCK_TICKS, pages * os.sysconf("SC_PAGE_SIZE"))

    def wait_for_log(self, text: str, *, seconds: float) -> None:
        """Wait until the log of any of its lives has `text`."""
        wait_until(lambda: text in self.output(), seconds=seconds, what=f"{text!r} in {self.log}")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process took: CPU seconds in all, and resident bytes now."""

    cpu: float
    memory: int
