"""Runs a program inside a VM's own mount and UTS namespace, so that it is executed and cannot touch the machine.

`Guest` calls it. The VM's folder covers /opt, /run (with /var/lock in it), /root, /tmp and /sys/class; /etc is a
read-only overlay of the VM's few files upon the machine's. Nothing is copied: a run costs one `unshare`, one `mount`
and one bash. The network is the machine's own: the worlds are on its loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

COVERED = {"opt": "/opt", "run": "/run", "root": "/root", "sys": "/sys/class", "tmp": "/tmp"}  # noqa: S108
"""Folder of the VM -> the place that it covers, in the order of mounting: /tmp is last, the folders may be in it."""

KEPT_OUTPUT = 64 * 1024
"""Bytes of each stream that are kept: the last ones."""

_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/+@%-]*")
_BROKEN = 125
_BROKEN_MARK = "guest sandbox: "
_ENTER = """
mount -a -T "$1" || { echo "guest sandbox: cannot mount $1" >&2; exit 125; }
{ echo "$2" >/proc/sys/kernel/hostname; } 2>/dev/null || hostname "$2" ||
  { echo "guest sandbox: cannot set the host name" >&2; exit 125; }
shift 2
cd / && exec "$@"
"""


class SandboxUnavailableError(RuntimeError):
    """This machine cannot make the namespaces or mounts; the message says what was tried."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended; `exit_code` is minus the signal's number where a signal ended it."""

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool


def lay_out(folder: Path) -> None:
    """Make a VM's folders and the table of its mounts. Raises ValueError for a path that a mount table cannot hold."""
    folder = folder.resolve()
    if not _PLAIN_PATH.fullmatch(str(folder)):
        message = f"a guest's folder may have plain characters only: {folder}"
        raise ValueError(message)
    for name in (*COVERED, "etc"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "tmp").chmod(0o1777)
    (folder / "run" / "lock").mkdir(exist_ok=True)
    lines = [f"overlay /etc overlay ro,lowerdir={folder}/etc:/etc 0 0"]
    if not Path("/var/lock").resolve().is_relative_to("/run"):
        lines.append(f"{folder}/run/lock /var/lock none bind 0 0")
    lines += [f"{folder / name} {place} none bind 0 0" for name, place in COVERED.items()]
    (folder / "fstab").write_text("\n".join(lines) + "\n")


def cover(folder: Path, file: Path, program: str) -> None:
    """Let a file of the VM stand in for a program of the machine, in addition to what `lay_out` mounts."""
    found = shutil.which(program)
    if found is None:
        message = f"this machine has no {program}"
        raise SandboxUnavailableError(message)
    line = f"{file.resolve()} {Path(found).resolve()} none bind 0 0\n"
    table = folder / "fstab"
    if line not in (text := table.read_text()):
        table.write_text(line + text)  # first: /tmp is covered last, and the file may be in it


@functools.cache
def _unshare() -> tuple[str, ...]:
    """The command that makes the namespaces here, with root's rights or, failing that, a user namespace."""
    program = shutil.which("unshare")
    if program is None:
        message = "guests run in Linux namespaces, and `unshare` (util-linux) is not on the PATH"
        raise SandboxUnavailableError(message)
    said = []
    for rights in ((), ("--map-root-user",)):
        command = (program, *rights, "--mount", "--uts")
        tried = subprocess.run([*command, "true"], capture_output=True, text=True, timeout=20, check=False)
        if tried.returncode == 0:
            return command
        said.append(f"`{' '.join(command)}`: {tried.stderr.strip()}")
    message = "guests need a mount namespace, by root (CAP_SYS_ADMIN) or an unprivileged user namespace. " + "; ".join(
        said
    )
    raise SandboxUnavailableError(message)


async def execute(
    folder: Path, hostname: str, command: Sequence[str], environment: Mapping[str, str], seconds: float
) -> Ended:
    """Run `command` in the namespace of the VM in `folder` (resolved); after `seconds` its process group is killed.

    The environment is exactly the one given. Whatever it left running is killed too.
    Raises SandboxUnavailableError where this machine cannot do it.
    """
    unshare = await asyncio.to_thread(_unshare)
    enter = (*unshare, "/bin/bash", "-c", _ENTER, "enter", str(folder / "fstab"), hostname, *command)
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = await asyncio.create_subprocess_exec(
            *enter,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        timed_out = False
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            timed_out = True
        finally:
            with contextlib.suppress(ProcessLookupError):  # nothing was left
                os.killpg(process.pid, signal.SIGKILL)
            exit_code = await process.wait()
        ended = Ended(exit_code, _tail(stdout), _tail(stderr), timed_out)
    if ended.exit_code == _BROKEN and _BROKEN_MARK in ended.stderr:
        raise SandboxUnavailableError(ended.stderr.strip())
    return ended


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - KEPT_OUTPUT, 0))
    return file.read(KEPT_OUTPUT).decode(errors="replace")
