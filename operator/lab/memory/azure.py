"""Azure in memory: VMs and their run-commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lab.memory.scripted import Journal, Scripted
from microseg.gateways.ports import Reading, Unreachable, Wait
from microseg.model.azure_facts import RunCommand, Vm, VmDetail, VmListing
from microseg.model.azure_glimpse import Glimpse, Sighting
from microseg.model.facts import ABSENT, Absent
from microseg.model.script import Script


def sighting(vm: Vm, *, garbled: bool = False) -> Sighting:
    """A VM in a graph that shows of it what the lists would show. `garbled`: its row is no text: who reads it sees."""
    glimpse = Glimpse.of(vm)

    def read() -> Glimpse:
        if garbled:
            message = "A list has a row that is no JSON"
            raise Unreachable(message)
        return glimpse

    return Sighting(vm.vm_id, glimpse.resource_id, repr((vm, garbled)).encode(), read)


class FakeAzure(Scripted):
    """VMs and their run-commands."""

    system = "azure"

    def __init__(self, *vms: Vm, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.vms = list(vms)
        self.unreadable = 0
        """Rows that the list has beside `vms` and that name no VM."""
        self.graph: list[Vm] | None = None
        """What Resource Graph shows; None: the same as the lists."""
        self.garbled: set[str] = set()
        """VmIds whose rows in Resource Graph are no text."""
        self.requests = 0
        """Pages that the lists count."""
        self.cost = 0
        """Those among them that Azure's limits count, so that the next reading waits; 0: it waits for nothing."""
        self.details: dict[str, VmDetail | Absent] = {
            vm.record.resource_id: VmDetail(vm.vm_id, vm.record.power_state, agent_ready=True) for vm in vms
        }
        self.commands: dict[str, RunCommand] = {}
        self.scripts: list[Script] = []
        self.started: Callable[[Script], object] = lambda _: None
        """What the VM does with a script that begins."""

    @property
    def puts(self) -> list[str]:
        """Names of the run-commands that were PUT and taken, in order."""
        return [script.name for script in self.scripts]

    def show(self, name: str, state: str, output: str = "", **changes: Any) -> None:
        """What the instance view is to show from now on. The tags stay as the run-command was made."""
        before = self.commands.get(name)
        tags = changes.pop("tags", before.tags if before is not None else {})
        self.commands[name] = RunCommand(name, state, output=output, tags=tags, **changes)

    def list_vms(self, subscription: str) -> Reading[VmListing]:
        yield Wait()
        self.asked("list_vms")
        return VmListing(
            vms=tuple(vm for vm in self.vms if vm.record.subscription == subscription),
            unreadable_rows=self.unreadable,
            unreadable=self.left_out[: self.unreadable],
            problems=self.left_out[self.unreadable :],
            requests=self.requests,
            cost=self.cost,
        )

    def sightings(self) -> Reading[tuple[Sighting, ...]]:
        yield Wait()
        self.asked("sightings")
        shown = self.vms if self.graph is None else self.graph
        return tuple(sighting(vm, garbled=vm.vm_id in self.garbled) for vm in shown)

    def read_vm(self, resource_id: str) -> Reading[Vm | Absent]:
        yield Wait()
        self.asked("read_vm", resource_id)
        wanted = resource_id.lower()
        return next((vm for vm in self.vms if vm.record.resource_id.lower() == wanted), ABSENT)

    def vm(self, resource_id: str) -> VmDetail | Absent:
        self.asked("vm", resource_id)
        return self.details[resource_id]

    def run_commands(self, resource_id: str) -> tuple[RunCommand, ...]:
        self.asked("run_commands", resource_id)
        return tuple(replace(shown, execution_state="", output="") for shown in list(self.commands.values()))

    def run_command(self, resource_id: str, name: str) -> RunCommand | Absent:
        self.asked("run_command", resource_id, name)
        return self.commands.get(name, ABSENT)

    def start_run_command(self, resource_id: str, script: Script) -> None:
        self.asked("start_run_command", resource_id, script.name)
        self.scripts.append(script)
        self.show(script.name, "Running", tags=script.tags)
        self.started(script)
        self.answered("start_run_command")

    def delete_run_command(self, resource_id: str, name: str) -> None:
        self.asked("delete_run_command", resource_id, name)
        if self.takes("delete_run_command"):
            self.commands.pop(name, None)
