"""`python -m lab.node` (`make e2e`): the whole life of an installation, from the charts, on a real node.

Exit code: 0 if every check passed or this machine cannot run a node, 1 if a check failed. With `--inside` it is the
process within the namespaces. All files are in .e2e/.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from lab.cluster import ROOT
from lab.controlplane import KubectlFailed
from lab.helm import HelmFailed
from lab.node import machine
from lab.node.hosting import on_a_node
from lab.node.story import tell
from lab.processes import NotInTime, ProcessFailed

FOLDER = ROOT / ".e2e"


def main() -> int:
    """Check the machine, build what is needed, enter the namespaces, and tell the story there."""
    parser = argparse.ArgumentParser(prog="python -m lab.node", description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000, help="VMs for the measurement of memory (default 1000)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        return _inside(arguments.hosts)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    return on_a_node([sys.executable, "-m", "lab.node", "--inside", "--hosts", str(arguments.hosts)])


def _inside(hosts: int) -> int:
    began = time.monotonic()
    try:
        machine.prepare()
        tell(Path(FOLDER), hosts)
    except (NotInTime, ProcessFailed, KubectlFailed, HelmFailed, AssertionError) as failure:
        print(f"\nFAILED after {time.monotonic() - began:.0f} s: {failure}", file=sys.stderr)
        return 1
    print(f"\nGREEN: every check passed, after {time.monotonic() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
