"""Samples the operator's process with py-spy while a fleet is commissioned, and draws the samples as a flame graph.

Whoever may not trace another process (kernel.yama.ptrace_scope) gets no picture and a sentence.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RATE = 50
"""Samples per second of what holds the interpreter's lock: what a processor's time goes to, without what waits."""
_PATIENCE = 60.0


@contextmanager
def sampled(pid: int, picture: Path | None) -> Iterator[None]:
    """Sample the process inside the block and write `picture` (SVG) at its end; None: do not."""
    if picture is None:
        yield
        return
    program = Path(sys.executable).with_name("py-spy")
    options = ("--gil", "--rate", str(_RATE), "--format", "flamegraph", "--output", str(picture))
    command = (str(program), "record", *options, "--pid", str(pid))
    sampler = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield
    finally:
        sampler.send_signal(signal.SIGINT)
        _, said = sampler.communicate(timeout=_PATIENCE)
        if not picture.exists():
            print(f"no flame graph: {said.strip()[-200:]}", file=sys.stderr)
