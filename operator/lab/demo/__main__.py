"""`python -m lab.demo` (`make demo`). Environment: KEEP=1 leaves it running, KUBECONFIG uses your own cluster.

CHART=1 installs the operator by the charts into a real node on this machine (see `lab.node`), as Pods.

Exit code: 0 if every check passed, 1 if one did not, 130 after an interrupt. All files are in .demo/, all servers on
loopback.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.cluster import OWN_NAMESPACE, ROOT, AlreadyThere, borrowed
from lab.controlplane import KubectlFailed
from lab.demo import evidence, fleet, mapping_chapter, screen, steps, verdict
from lab.helm import HelmFailed
from lab.interrupts import interrupt_at_sigterm
from lab.node import machine
from lab.node.hosting import hosted, on_a_node
from lab.operator_process import Tempo
from lab.processes import NotInTime, ProcessFailed
from lab.rig import Rig

_FOLDER = ROOT / ".demo"
_PID = _FOLDER / "pid"


def main() -> int:
    """Run the demo; return the exit code."""
    interrupt_at_sigterm()
    began = time.monotonic()
    chart = os.environ.get("CHART", "0")
    if chart == "1":
        return on_a_node([sys.executable, "-m", "lab.demo"], os.environ | {"CHART": "inside"})
    try:
        with ExitStack() as stack:
            stack.enter_context(_folder_of_our_own())
            rig = stack.enter_context(_from_the_charts() if chart == "inside" else _beside_the_cluster())
            passed = _perform(rig, began)
            if os.environ.get("KEEP", "0") not in {"", "0"}:
                _keep(rig)
            return 0 if passed else 1
    except KeyboardInterrupt:
        print("\nstopped: all processes of the demo have ended")
        return 130
    except (NotInTime, ProcessFailed, KubectlFailed, HelmFailed, AlreadyThere) as failure:
        print(f"\nFAILED: {failure}", file=sys.stderr)
        return 1


@contextmanager
def _beside_the_cluster() -> Iterator[Rig]:
    """The operator as a process, on the lab's control plane or on a person's cluster."""
    own = os.environ.get("KUBECONFIG")
    with ExitStack() as stack:
        cluster = stack.enter_context(borrowed(Path(own))) if own else None
        yield stack.enter_context(Rig.build(_FOLDER, cluster=cluster, say=_sayer()))


@contextmanager
def _from_the_charts() -> Iterator[Rig]:
    """The operator as a Pod, installed by the charts; inside the namespaces of a node."""
    machine.prepare()
    with hosted(_FOLDER, Tempo(), replicas=1, namespace=OWN_NAMESPACE, say=_sayer()) as on:
        yield on.rig


def _sayer() -> Callable[[str], None]:
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s -- {text}", flush=True)

    return say


def _perform(rig: Rig, began: float) -> bool:
    """Run the steps, print the evidence and the verdict; return whether every check passed."""
    with screen.choose() as shown:
        observed = steps.prepare(rig, shown)
        steps.play(rig, shown, observed)
    _section("a security engineer edits the mapping", "")
    edits = mapping_chapter.play(rig, lambda text: print(text, flush=True))
    found = evidence.gather(rig, observed)
    blocked = found.host(fleet.REFUSED)
    _section("kubectl get mh -o wide", rig.kubectl("get", "mh", "-o", "wide"))
    _section("kubectl get est", rig.kubectl("get", "est"))
    _section(f"kubectl describe mh {blocked.name}", rig.kubectl("describe", "mh", blocked.name))
    _section("what Azure, Illumio and Check Point recorded", evidence.summary(found))
    checks = [*verdict.judge(found), *edits]
    marks = (f"{'PASS' if check.passed else 'FAIL'}  {check.sentence}" for check in checks)
    _section(f"verdict after {time.monotonic() - began:.0f} s", "\n".join(marks))
    passed = all(check.passed for check in checks)
    print("\nGREEN: every check passed." if passed else "\nRED: a check failed, see above.", flush=True)
    return passed


def _section(title: str, text: str) -> None:
    print(f"\n=== {title}\n{text.rstrip()}", flush=True)


def _keep(rig: Rig) -> None:
    """Print commands to look around with, and wait for Ctrl-C or SIGTERM."""
    vms = f"{rig.worlds.control_url}/azure/vms"
    _section(
        "the demo keeps running",
        textwrap.dedent(f"""\
            export KUBECONFIG={rig.cluster.admin_kubeconfig}
            kubectl -n {rig.namespace} get mh -o wide -w
            kubectl -n {rig.namespace} get events.events.k8s.io
            kubectl -n {rig.namespace} describe est
            {Path(sys.executable).with_name("microseg")} explain -n {rig.namespace} Host24
            tail -f {rig.operator.log}
            curl -s {rig.worlds.control_url}/ledger/counts
            curl -s {vms} -d '{{"name": "my-vm", "os": "linux", "tags": {{"app": "shop", "rol": "web"}}}}'
            curl -s {rig.worlds.control_url}/checkpoint/summary
            to stop: Ctrl-C here, or kill $(cat {_PID})"""),
    )
    while True:
        signal.pause()


@contextmanager
def _folder_of_our_own() -> Iterator[None]:
    """Make an empty folder with a pid file. Raises ProcessFailed if another demo runs in it."""
    if _PID.exists() and _alive(int(_PID.read_text(encoding="ascii"))):
        raise ProcessFailed(f"a demo is already running; stop it with: kill $(cat {_PID})")
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir()
    _PID.write_text(f"{os.getpid()}\n", encoding="ascii")
    try:
        yield
    finally:
        _PID.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
