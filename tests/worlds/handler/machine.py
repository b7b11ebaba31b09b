"""A VM as the stories see it, with the simulated run-command handler or the real one inside.

`simulated_handler.py` and `real_handler.py` are the two; `stories.py` tells the same stories of both.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.worlds.guest.conftest import Pce

Parameters = Sequence[tuple[str, str]]
_PATIENCE = 45.0


@dataclass(frozen=True, slots=True)
class View:
    """What Azure shows of a run-command's execution."""

    state: str
    message: str
    code: int
    output: str
    error: str
    ended: bool


NOTHING = View("", "", 0, "", "", ended=False)
"""No report of the handler at all."""


class Machine(Protocol):
    """One Linux VM."""

    folder: Path
    """Its disk, as `simulators.azure.guest_sandbox` lays it out."""
    vm_id: str
    pce: Pce
    """What the operator's script pairs it with."""

    async def put(
        self, name: str, script: str, *, parameters: Parameters = (), protected: Parameters = (), seconds: int = 60
    ) -> None:
        """PUT a run-command with another body than before; its script may take so many seconds."""
        ...

    async def repeat(self, name: str) -> None:
        """Let the agent start its handler for the same run-command once more."""
        ...

    async def delete(self, name: str) -> None:
        """Delete a run-command."""
        ...

    async def reboot(self) -> None:
        """Start the machine again."""
        ...

    async def replace_handler(self) -> None:
        """Kill the handler; the agent starts it again."""
        ...

    async def upgrade_handler(self) -> None:
        """Replace the handler by a newer version."""
        ...

    async def kill_scripts(self) -> None:
        """Kill the own process of each script that runs."""
        ...

    async def replace_disk(self) -> None:
        """Give it a fresh disk."""
        ...

    async def obstruct(self, why: str) -> None:
        """Put something in the way of every script (`simulators.azure.handler` has the names), or of the name `one`."""
        ...

    def view(self, name: str) -> View:
        """Return what is reported now."""
        ...

    async def close(self) -> None:
        """Kill everything."""
        ...


async def until(met: Callable[[], bool], what: str, seconds: float = _PATIENCE) -> None:
    """Wait until a condition is met. Raises TimeoutError that says what was waited for."""
    deadline = time.monotonic() + seconds
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.02)


async def ended(vm: Machine, name: str) -> View:
    """Wait for an execution's end and return what is reported."""
    await until(lambda: vm.view(name).ended, f"the end of {name}")
    return vm.view(name)


async def began(vm: Machine, mark: str) -> None:
    """Wait until a script made a file of this name in its /tmp."""
    file = vm.folder / "tmp" / mark
    await until(file.exists, f"the script's mark {mark}")


def is_alive(pid: int) -> bool:
    """Whether a process runs: neither gone nor waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
