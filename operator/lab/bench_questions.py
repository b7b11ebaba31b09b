"""`python -m lab.bench_questions`: seconds that each command takes on a fleet of `--hosts` hosts (1000).

A real operator commissions three VMs and is killed, so that its Lease and its report stay. Their records, with as long
a history as they keep, are copied under other names until the fleet is there. Each command is a process of its own
that reads the API server, as a person would run it; shown is the median of three, after one that is not counted. Python
may keep its bytecode, as where the operator is installed: to compile the source each time takes longer than the answer.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from statistics import median

import msgspec

from lab.estate import NAME
from lab.operator_process import Tempo
from lab.processes import ProcessFailed
from lab.rig import Rig
from microseg.kube.client import connect
from microseg.kube.hosts import Hosts
from microseg.model.history_line import HistoryLine
from microseg.model.host import HostStatus
from microseg.planning.history import KEPT

_VMS = ("bench-one", "bench-two", "bench-three")
_TAGS = {"app": "shop", "env": "Prod", "rol": "web"}
_QUESTIONS: tuple[tuple[str, ...], ...] = (
    ("status",), ("status", "--retiring"), ("status", "--calls"), ("explain", _VMS[0]), ("history", _VMS[0]),
    ("history", "--system", "checkpoint", "--since", "24h"), ("plan",), ("report",),
)  # fmt: skip
_TIMES = 3
_WRITERS = 8


def main() -> int:
    """Make the fleet, ask, print."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench_questions", description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    hosts = parser.parse_args().hosts
    with (
        tempfile.TemporaryDirectory(prefix="microseg-questions-") as folder,
        Rig.build(Path(folder), tempo=Tempo(), say=lambda text: print(text, flush=True)) as rig,
    ):
        _commission(rig)
        rig.operator.kill()
        _copy(rig, hosts)
        print(f"{hosts} hosts, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, median of {_TIMES}:")
        print("seconds and CPU seconds")
        for question in _QUESTIONS:
            elapsed, cpu = _seconds(rig, question, Path(folder) / "bytecode")
            print(f"{elapsed:6.2f} {cpu:6.2f}  microseg {' '.join(question)}", flush=True)
    return 0


def _commission(rig: Rig) -> None:
    for name in _VMS:
        rig.worlds.post("/azure/vms", {"name": name, "tags": _TAGS})
    rig.apply_estate()
    rig.operator.start()
    done = lambda: sum(host.commissioned for host in rig.hosts()) == len(_VMS)  # noqa: E731
    rig.wait_until(done, seconds=300, what="the first hosts commissioned")


def _copy(rig: Rig, hosts: int) -> None:
    """Copies of the commissioned records, until there are so many."""
    api = connect(str(rig.cluster.admin_kubeconfig))
    store = Hosts(api, rig.namespace)
    patterns = [_aged(host.status) for host in store.list(NAME)]

    def write(number: int) -> None:
        made = store.create(f"bench-copy-{number:05}", str(uuid.uuid5(uuid.NAMESPACE_DNS, str(number))), NAME)
        status = patterns[number % len(patterns)]
        if status.azure is not None:
            azure = msgspec.structs.replace(status.azure, name=made.name, computer_name=made.name)
            status = msgspec.structs.replace(status, azure=azure)
        store.patch_status(made, status)

    with ThreadPoolExecutor(_WRITERS) as threads:
        list(threads.map(write, range(hosts - len(patterns))))
    api.close()


def _aged(status: HostStatus) -> HostStatus:
    """With as many lines of history as a record keeps."""
    latest = status.history[-1]
    lines = [
        HistoryLine(at=latest.at + timedelta(seconds=number), what=f"Labels: env V{number} -> V{number + 1}",
                    system="illumio", cause=latest.cause)
        for number in range(KEPT - len(status.history))
    ]  # fmt: skip
    return msgspec.structs.replace(status, history=(*status.history, *lines))


def _seconds(rig: Rig, question: Sequence[str], bytecode: Path) -> tuple[float, float]:
    """Elapsed, and of the processors: on a machine that has other work the second says more."""
    keeping = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode), "PYTHONDONTWRITEBYTECODE": ""}
    where = ("-n", rig.namespace, "--kubeconfig", str(rig.cluster.admin_kubeconfig), "-o", "json")
    words = [sys.executable, "-m", "microseg", *question, *where]
    _once(words, keeping)
    taken = [_once(words, keeping) for _ in range(_TIMES)]
    return median(elapsed for elapsed, _ in taken), median(cpu for _, cpu in taken)


def _once(words: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    began, used = time.monotonic(), _used()
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    if done.returncode not in {0, 2}:  # 2: `plan` has changes to show
        raise ProcessFailed(f"{' '.join(words)}: {done.stderr}")
    return time.monotonic() - began, _used() - used


def _used() -> float:
    """Seconds of the processors that ended children used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
