"""Runs a program inside a VM's own mount and UTS namespaces: it really runs, but cannot change this machine.

`Guest` calls it. The VM's folder covers /opt, /run (with /var/lock in it), /root, /tmp, /sys/class and
/var/lib/waagent; /etc is a read-only overlay of the VM's few files upon the machine's. Nothing is copied: a run costs
one `unshare`, one `mount` and one bash. The network is the machine's own, because the simulators are on its loopback.

A program starts as root with umask 022 and without input. When it ends or is killed, what it started lives on, until
`kill_all`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

AGENT = "/var/lib/waagent"
"""Folder of the VM's agent."""
COVERED = {
    "opt": "/opt",
    "run": "/run",
    "root": "/root",
    "sys": "/sys/class",
    "waagent": AGENT,
    "tmp": "/tmp",  # noqa: S108
}
"""Folder of the VM -> the path that it covers, in mount order: /tmp is last, because the folders may be in it."""

_PATIENCE = 5.0
"""Seconds until a killed process must be dead."""
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/+@%-]*")
_BROKEN = 125
_BROKEN_MARK = "guest sandbox: "
_ENTER = """
"$1" -a -T "$2" || { echo "guest sandbox: cannot mount $2" >&2; exit 125; }
{ echo "$3" >/proc/sys/kernel/hostname; } 2>/dev/null || hostname "$3" ||
  { echo "guest sandbox: cannot set the host name" >&2; exit 125; }
cd "$4" || { echo "guest sandbox: there is no $4" >&2; exit 125; }
umask 022
[ -z "$5" ] || trap '' $5
unset OLDPWD SHLVL
shift 5
exec "$@"
"""

log = logging.getLogger(__name__)


class SandboxUnavailableError(RuntimeError):
    """This machine does not allow the namespaces or mounts; the message says what was tried."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program to run in a VM: its command, exactly its environment, its folder, and the files for its output.

    `ignored`: the signals that it ignores, and what it starts as well.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    stdout: IO[bytes]
    stderr: IO[bytes]
    ignored: str = ""


def lay_out(folder: Path) -> None:
    """Make a VM's folders and its mount table. Raises ValueError for a path that a mount table cannot hold."""
    folder = folder.resolve()
    if not _PLAIN_PATH.fullmatch(str(folder)):
        message = f"a guest's folder may only have letters, digits and ._/+@%-: {folder}"
        raise ValueError(message)
    for name in (*COVERED, "etc", "lib/waagent"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "tmp").chmod(0o1777)
    (folder / "run" / "lock").mkdir(exist_ok=True)
    lines = [
        f"overlay /etc overlay ro,lowerdir={folder}/etc:/etc 0 0",
        f"overlay /var/lib overlay ro,lowerdir={folder}/lib:/var/lib 0 0",
    ]
    if not Path("/var/lock").resolve().is_relative_to("/run"):
        lines.append(f"{folder}/run/lock /var/lock none bind 0 0")
    lines += [f"{folder / name} {place} none bind 0 0" for name, place in COVERED.items()]
    (folder / "fstab").write_text("\n".join(lines) + "\n")


def cover(folder: Path, file: Path, program: str) -> None:
    """Mount a file of the VM over a program of this machine, in addition to the mounts of `lay_out`."""
    found = shutil.which(program)
    if found is None:
        message = f"this machine has no {program}"
        raise SandboxUnavailableError(message)
    line = f"{file.resolve()} {Path(found).resolve()} none bind 0 0\n"
    table = folder / "fstab"
    if line not in (text := table.read_text()):
        table.write_text(line + text)  # first: /tmp is covered last, and the file may be in it


def hide(folder: Path, program: str) -> None:
    """Take a program of this machine away from the VM: a whiteout in a layer above its folder, which needs root."""
    found = shutil.which(program)
    if found is None:
        return
    place = Path(found).resolve().parent
    layer = folder / "hidden" / place.relative_to("/")
    layer.mkdir(parents=True, exist_ok=True)
    try:
        os.mknod(layer / program, stat.S_IFCHR, os.makedev(0, 0))
    except FileExistsError:
        pass
    except PermissionError as error:
        message = f"taking {program} away from a VM needs root: {error}"
        raise SandboxUnavailableError(message) from error
    line = f"overlay {place} overlay ro,lowerdir={layer}:{place} 0 0\n"
    table = folder / "fstab"
    if line not in (text := table.read_text()):
        table.write_text(line + text)


@functools.cache
def _unshare() -> tuple[str, ...]:
    """Return the command that makes the namespaces on this machine: as root, else in a user namespace."""
    program = shutil.which("unshare")
    if program is None:
        message = "guests run in Linux namespaces, and `unshare` (util-linux) is not on the PATH"
        raise SandboxUnavailableError(message)
    failures = []
    for rights in ((), ("--map-root-user",)):
        command = (program, *rights, "--mount", "--uts")
        tried = subprocess.run([*command, "true"], capture_output=True, text=True, timeout=20, check=False)
        if tried.returncode == 0:
            return command
        failures.append(f"`{' '.join(command)}`: {tried.stderr.strip()}")
    message = "guests need a mount namespace, by root (CAP_SYS_ADMIN) or an unprivileged user namespace. " + "; ".join(
        failures
    )
    raise SandboxUnavailableError(message)


@contextlib.asynccontextmanager
async def started(folder: Path, hostname: str, program: Program) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a program in the namespace of the VM in `folder` (resolved).

    If the caller is cancelled or fails, everything that runs in this VM is killed. Raises OSError if the system cannot
    start it (E2BIG: arguments and environment are too long), SandboxUnavailableError if this machine does not allow it.
    """
    unshare = await asyncio.to_thread(_unshare)
    place = (_mount(), str(folder / "fstab"), hostname, program.folder, program.ignored)
    # A VM knows nothing of the signals that whoever started this process ignores, as a shell does in the background.
    deaf_to_none = ("/usr/bin/env", "--default-signal")
    enter = (*unshare, *deaf_to_none, "/bin/bash", "-c", _ENTER, "enter", *place, *program.command)
    process = await asyncio.create_subprocess_exec(
        *enter,
        env=dict(program.environment),
        stdin=subprocess.DEVNULL,
        stdout=program.stdout,
        stderr=program.stderr,
        start_new_session=True,
    )
    try:
        yield process
    except BaseException:
        kill(process)
        kill_all(folder)
        await process.wait()
        raise
    if process.returncode == _BROKEN:
        program.stderr.seek(0)
        text = program.stderr.read().decode(errors="replace")
        if _BROKEN_MARK in text:
            raise SandboxUnavailableError(text.strip())


def kill(process: asyncio.subprocess.Process) -> None:
    """Kill a program's own process, if it still runs, and nothing that it started."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def kill_all(folder: Path) -> None:
    """Kill everything that runs in the VM of a folder, or in the VMs whose folders are in it."""
    mark = f" {folder.resolve()}/"
    own = Path("/proc/self/ns/mnt").readlink()
    deadline = time.monotonic() + _PATIENCE
    while found := [pid for pid in _processes() if _is_inside(pid, own, mark)]:
        if time.monotonic() > deadline:
            log.warning("processes %s of the VM in %s do not die", found, folder)
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _processes() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def _is_inside(pid: int, own: Path, mark: str) -> bool:
    """Whether a process runs in another mount namespace than ours, with a mount of the VM. A dead one has no mounts."""
    try:
        process = Path(f"/proc/{pid}")
        return (process / "ns/mnt").readlink() != own and mark in (process / "mountinfo").read_text()
    except OSError:  # it ended, or is another user's
        return False


@functools.cache
def _mount() -> str:
    """Return the path of `mount`: the program's own environment may have another PATH."""
    return shutil.which("mount") or "mount"
