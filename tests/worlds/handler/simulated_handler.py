"""The simulated VM: `simulators.azure` without its HTTP front, with guests that run scripts."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.worlds.guest.conftest import Pce

from simulators.azure import create, incidents, render_commands
from simulators.azure.bodies import RunCommandSpec
from simulators.azure.guests import Guests
from simulators.azure.handler import NO_NUMBER
from simulators.azure.timing import Timing
from simulators.clock import Clock
from simulators.environment import Environment

from .machine import NOTHING, Parameters, View

_SCALE = 400.0


class SimulatedMachine:
    """See `machine.Machine`. Must be made inside the event loop."""

    def __init__(self, folder: Path, authority: Path, pce: Pce) -> None:
        self.pce = pce
        self._guests = Guests(folder, authority)
        self._world, _ = create(
            Environment(clock=Clock(_SCALE)),
            tenant="t",
            client_id="c",
            client_secret="s",
            subscriptions=["sub"],
            runner=self._guests,
            timing=Timing(agent=0.0),
        )
        self._vm = self._world.add({"name": "web"})
        self.vm_id = self._vm.vm_id
        self.folder = folder / self.vm_id
        self._guests.guest_of(self._vm)

    async def close(self) -> None:
        """Kill everything."""
        await self._world.close()

    async def put(
        self, name: str, script: str, *, parameters: Parameters = (), protected: Parameters = (), seconds: int = 60
    ) -> None:
        """As `Machine.put`. Asynchronous: the next PUT is accepted before the script's end."""
        order = RunCommandSpec("l", script, {}, tuple(parameters), tuple(protected), True, seconds, False)
        self._world.run_commands.put(self._vm, name, order)

    async def repeat(self, name: str) -> None:  # noqa: ARG002
        self._world.run_commands.deliver(self._vm)

    async def delete(self, name: str) -> None:
        self._world.run_commands.delete(self._vm, name)
        command = self._vm.commands[name]
        while self._vm.commands.get(name) is command:
            await self._world.environment.clock.sleep(1.0)

    async def reboot(self) -> None:
        incidents.reboot(self._world, self._vm)

    async def replace_handler(self) -> None:
        incidents.restart_handler(self._world, self._vm)

    async def upgrade_handler(self) -> None:
        incidents.upgrade_handler(self._world, self._vm)

    async def kill_scripts(self) -> None:
        incidents.kill_scripts(self._world, self._vm)

    async def replace_disk(self) -> None:
        incidents.replace_disk(self._world, self._vm)
        self._guests.guest_of(self._vm).wipe()

    async def obstruct(self, why: str) -> None:
        if why == NO_NUMBER:
            self._vm.processed["one"] = sys.maxsize
        else:
            incidents.obstruct(self._world, self._vm, {"why": why})

    def view(self, name: str) -> View:
        command = self._vm.commands.get(name)
        if command is None or command.started is None:
            return NOTHING
        shown = render_commands.command(self._vm, command, expand=True)["properties"]["instanceView"]
        return View(
            shown["executionState"],
            shown["executionMessage"],
            shown["exitCode"],
            shown["output"],
            shown["error"],
            "endTime" in shown,
        )
