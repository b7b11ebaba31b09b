"""Managed run-commands as Resource Manager keeps them: what is accepted, when it reaches the VM, its operation.

`world.World` owns the service; the routes call it, and the world reports VMs that stop or disappear. Inside the VM,
`handler.py` runs the scripts. Semantics: Microsoft's "Managed Run Command" pages
(learn.microsoft.com/azure/virtual-machines/linux/run-command-managed) and, in Azure/azure-cli,
src/azure-cli/azure/cli/command_modules/vm/tests/latest/recordings/test_run_command_v2.yaml.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Coroutine

from simulators.azure import errors
from simulators.azure.bodies import RunCommandSpec
from simulators.azure.command import Command, Operation, OperationStatus, Report
from simulators.azure.handler import EXECUTED, Handler, ScriptRunner
from simulators.azure.machine import NEVER, Vm
from simulators.azure.timing import Timing
from simulators.environment import Environment
from simulators.faults import Outcome

MOST_COMMANDS = 25
_OPERATION_LIFE = 24 * 3600.0


class RunCommandService:
    """Accepts run-commands, runs them, and keeps the status of operations."""

    def __init__(self, environment: Environment, timing: Timing, runner: ScriptRunner) -> None:
        self._environment = environment
        self._timing = timing
        self.handler = Handler(environment, timing, runner)
        self._operations: dict[str, Operation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ordered: deque[Outcome] = deque()

    def order(self, outcome: Outcome) -> None:
        """Decide how the next operation ends."""
        self._ordered.append(outcome)

    def put(self, vm: Vm, name: str, order: RunCommandSpec) -> tuple[Command, bool]:
        """Create or update; return the run-command and whether it is new. An identical request runs nothing."""
        _check_extensible(vm)
        found = vm.commands.get(name.lower())
        if found and found.order == order:
            return found, False
        if found and found.busy and found.operation.ended is None:
            raise errors.command_busy()
        if not found and len(vm.commands) >= MOST_COMMANDS:
            raise errors.too_many_commands(MOST_COMMANDS)
        for _, value in order.protected:
            self._environment.ledger.add_secret(value)
        command = Command(found.name if found else name, order, self._open(vm))
        if found:
            command.sequence, command.provisioning = found.sequence + 1, "Updating"
        vm.commands[name.lower()] = command
        command.task = self._spawn(self._execute(vm, command))
        return command, found is None

    def delete(self, vm: Vm, name: str) -> Operation | None:
        """Delete a run-command, and kill nothing: its script goes on. Return None if there is none."""
        command = vm.commands.get(name.lower())
        if command is None:
            return None
        _check_extensible(vm)
        operation = self._open(vm)
        command.provisioning = "Deleting"
        _ = self._spawn(self._remove(vm, command, operation))
        return operation

    def preempt(self, vm: Vm) -> None:
        """Kill all scripts in a VM that is stopped, deleted or re-created; operations end, reports stay as they are."""
        for command in self._interrupt(vm):
            command.provisioning = "Failed"
            self._close(command.operation, "Failed", "OperationPreempted", "A newer operation preempted this one.")

    def reboot(self, vm: Vm) -> None:
        """Kill all scripts in a VM whose machine starts again: what had begun shows `Running` for good."""
        for command in self._interrupt(vm):
            if not self.handler.is_new(vm, command):
                command.task = self._spawn(self._time_out(command))
        self.deliver(vm)

    def deliver(self, vm: Vm) -> None:
        """Give all its run-commands to a VM whose agent starts: the VM's disk decides which of them run."""
        for command in vm.commands.values():
            if not command.busy and self.handler.is_new(vm, command):
                command.task = self._spawn(self._execute(vm, command))

    def _interrupt(self, vm: Vm) -> list[Command]:
        """Stop what waits for its run, or runs, in a VM, and return it."""
        found = [command for command in vm.commands.values() if command.busy and not command.reported]
        for command in found:
            if command.task:
                command.task.cancel()
                command.task = None
            command.lost = command.lost or command.execution is not None
        for command in vm.deleted:
            command.lost = command.lost or command.ended is None
        self.handler.power_off(vm)
        return found

    def operation(self, subscription: str, location: str, identifier: str) -> Operation | None:
        """Return an operation, for a day after its end."""
        found = self._operations.get(identifier.lower())
        if (
            found is None
            or found.outcome == "lost"
            or (found.subscription.lower(), found.location.lower())
            != (
                subscription.lower(),
                location.lower(),
            )
        ):
            return None
        if found.ended is not None and self._environment.clock.now() - found.ended > _OPERATION_LIFE:
            del self._operations[identifier.lower()]
            return None
        return found

    async def close(self) -> None:
        """Kill every script, wait until all have ended, and kill what they left."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.handler.close()

    def _open(self, vm: Vm) -> Operation:
        operation = Operation(str(uuid.uuid4()), vm.subscription, vm.location, vm.vm_id, self._environment.clock.now())
        operation.outcome = self._ordered.popleft() if self._ordered else None
        self._operations[operation.id] = operation
        return operation

    def _close(self, operation: Operation, status: OperationStatus, code: str = "", message: str = "") -> None:
        if operation.outcome == "endless":
            return
        if operation.outcome == "failed" and status == "Succeeded":
            status, code, message = "Failed", "InternalExecutionError", "An internal execution error occurred."
        if operation.ended is None:
            operation.ended = self._environment.clock.now()
            operation.status, operation.code, operation.message = status, code, message

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _remove(self, vm: Vm, command: Command, operation: Operation) -> None:
        if command.task and command.execution is None:  # the VM hears no more of it
            command.task.cancel()
        self._close(command.operation, "Canceled", "OperationPreempted", "The run command was deleted.")
        await self._environment.clock.sleep(self._timing.remove)
        if operation.outcome in (None, "lost") and vm.commands.get(command.name.lower()) is command:
            del vm.commands[command.name.lower()]
            if command.execution is not None:
                vm.deleted.append(command)
            self._record("world.command-removed", vm, command)
        self._close(operation, "Succeeded")

    async def _execute(self, vm: Vm, command: Command) -> None:
        clock = self._environment.clock
        await clock.sleep(self._timing.pickup)
        if not await self._await_agent(vm):
            command.provisioning = "Failed"
            text = f"The VM '{vm.name}' has not reported status for VM agent or extensions."
            self._close(command.operation, "Failed", "VMAgentStatusCommunicationError", text)
            return
        if not self.handler.is_new(vm, command):
            await self._inherit(vm, command)
            return
        if command.order.asynchronous:
            command.provisioning = "Succeeded"
            self._close(command.operation, "Succeeded")
        report = await self.handler.run(vm, command)
        command.reported = not command.lost
        await clock.sleep(self._timing.report)
        if command.lost:
            await self._time_out(command)
        else:
            self._show(command, report)

    async def _inherit(self, vm: Vm, command: Command) -> None:
        """Show what the handler still reports of a deleted run-command of the same name and number, if anything."""
        number, now = (command.name, command.sequence), self._environment.clock.now()
        if number in vm.executed:
            command.report, command.started, command.ended, command.provisioning = EXECUTED, now, now, "Succeeded"
            self._close(command.operation, "Succeeded")
            return
        left = next((each for each in vm.deleted if (each.name, each.sequence) == number), None)
        while left is not None and not left.lost:
            command.report, command.started, command.ended = left.report, left.started, left.ended
            if left.ended is not None:
                command.provisioning = "Succeeded"
                self._close(command.operation, "Succeeded")
                return
            await self._environment.clock.sleep(self._timing.partial)
        await self._time_out(command)

    def _show(self, command: Command, report: Report) -> None:
        """Show the script's result, as far as the operation's planned end allows."""
        outcome = command.operation.outcome
        if outcome not in ("half", "endless"):
            command.report, command.ended = report, self._environment.clock.now()
        elif outcome == "endless":
            return
        failed = command.order.failure_fails_deployment and report.state != "Succeeded"
        command.provisioning = "Failed" if failed or outcome == "failed" else "Succeeded"
        if failed:
            self._close(command.operation, "Failed", "VMExtensionProvisioningError", "The script failed.")
        else:
            self._close(command.operation, "Succeeded")

    async def _time_out(self, command: Command) -> None:
        """Azure waits for a report that never comes."""
        if command.operation.ended is None:
            await self._environment.clock.sleep(self._timing.provisioning)
            command.provisioning = "Failed"
            text = "Provisioning of VM extension has timed out."
            self._close(command.operation, "Failed", "VMExtensionProvisioningTimeout", text)

    async def _await_agent(self, vm: Vm) -> bool:
        """Wait until the agent is ready; return False after Azure's 25 minutes."""
        clock = self._environment.clock
        wait = max(vm.agent_ready_at - clock.now(), 0.0)
        if vm.agent_ready_at == NEVER or wait > clock.latency(self._timing.agent_patience):
            await clock.sleep(self._timing.agent_patience)
            return False
        await asyncio.sleep(wait)
        return True

    def _record(self, operation: str, vm: Vm, command: Command) -> None:
        mode = command.order.environment().get("MICROSEG_MODE", "")
        self._environment.ledger.append("azure", operation, changed=(vm.vm_id, command.name, mode))


def _check_extensible(vm: Vm) -> None:
    if not (vm.provision_agent and vm.allow_extensions) and not vm.specialised:
        raise errors.extensions_disallowed()
    if not vm.on:
        raise errors.not_running()
