"""`python -m lab.demo` (`make demo`). Environment: KEEP=1 leaves it running, KUBECONFIG uses somebody's own cluster.

Exit code: 0 if every check passed, 1 if one did not, 130 if it was stopped. Everything is in .demo/ and on loopback.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from lab.cluster import ROOT, AlreadyThere, Cluster, borrowed
from lab.controlplane import KubectlFailed
from lab.demo import evidence, fleet, mapping_chapter, screen, story, verdict
from lab.processes import NotInTime, ProcessFailed
from lab.rig import Rig

_FOLDER = ROOT / ".demo"
_PID = _FOLDER / "pid"


def main() -> int:
    """Play the story; returns the exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    try:
        with ExitStack() as stack:
            stack.enter_context(_folder_of_our_own())
            own = os.environ.get("KUBECONFIG")
            cluster = stack.enter_context(borrowed(Path(own))) if own else None
            rig = stack.enter_context(_built(cluster))
            passed = _perform(rig, began)
            if os.environ.get("KEEP", "0") not in {"", "0"}:
                _keep(rig)
            return 0 if passed else 1
    except KeyboardInterrupt:
        print("\nstopped: every process of the demo has ended")
        return 130
    except (NotInTime, ProcessFailed, KubectlFailed, AlreadyThere) as failure:
        print(f"\nFAILED: {failure}", file=sys.stderr)
        return 1


@contextmanager
def _built(cluster: Cluster | None) -> Iterator[Rig]:
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s -- {text}", flush=True)

    with Rig.build(_FOLDER, cluster=cluster, say=say) as rig:
        yield rig


def _perform(rig: Rig, began: float) -> bool:
    """The story on the screen, then what came of it. Whether all is as it must be."""
    with screen.choose() as shown:
        told = story.prepare(rig, shown)
        story.play(rig, shown, told)
    _section("a security engineer edits the mapping", "")
    edits = mapping_chapter.play(rig, lambda text: print(text, flush=True))
    found = evidence.gather(rig, told)
    blocked = found.host(fleet.REFUSED)
    _section("kubectl get mh -o wide", rig.kubectl("get", "mh", "-o", "wide"))
    _section("kubectl get est", rig.kubectl("get", "est"))
    _section(f"kubectl describe mh {blocked.name}", rig.kubectl("describe", "mh", blocked.name))
    _section("what the outside worlds recorded", evidence.summary(found))
    checks = [*verdict.judge(found), *edits]
    marks = (f"{'PASS' if check.passed else 'FAIL'}  {check.sentence}" for check in checks)
    _section(f"verdict after {time.monotonic() - began:.0f} s", "\n".join(marks))
    passed = all(check.passed for check in checks)
    print("\nGREEN: the whole job was done, once." if passed else "\nRED: see above.", flush=True)
    return passed


def _section(title: str, text: str) -> None:
    print(f"\n=== {title}\n{text.rstrip()}", flush=True)


def _keep(rig: Rig) -> None:
    """Say how to look around, and wait for Ctrl-C or SIGTERM."""
    vms = f"{rig.worlds.control_url}/azure/vms"
    _section(
        "it goes on running",
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
            stop: Ctrl-C here, or: kill $(cat {_PID})"""),
    )
    while True:
        signal.pause()


@contextmanager
def _folder_of_our_own() -> Iterator[None]:
    """An empty folder that holds our pid; another demo that runs in it is left alone."""
    if _PID.exists() and _alive(int(_PID.read_text(encoding="ascii"))):
        raise ProcessFailed(f"a demo runs already; stop it with: kill $(cat {_PID})")
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


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
