"""Managed run-commands: what is accepted, what runs, how it is reported.

The world owns one desk; the routes bring it requests, the world tells it when a VM goes away. Semantics: Microsoft's
"Managed Run Command" pages (learn.microsoft.com/azure/virtual-machines/linux/run-command-managed) and the recording
Azure/azure-cli src/azure-cli/azure/cli/command_modules/vm/tests/latest/recordings/test_run_command_v2.yaml.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import deque
from collections.abc import Coroutine
from typing import Protocol

from simulators.azure import errors
from simulators.azure.bodies import CommandOrder
from simulators.azure.command import Command, ExecutionState, Operation, OperationStatus
from simulators.azure.machine import NEVER, Vm
from simulators.azure.timing import Timing
from simulators.faults import Outcome
from simulators.server import Stage

MOST_COMMANDS = 25
OUTPUT_LIMIT = 4096
_OPERATION_LIFE = 24 * 3600.0
_SHORTEST_TIMEOUT = 10.0

log = logging.getLogger(__name__)


class ScriptResult(Protocol):
    """What a script left behind."""

    @property
    def exit_code(self) -> int: ...  # noqa: D102
    @property
    def stdout(self) -> str: ...  # noqa: D102
    @property
    def stderr(self) -> str: ...  # noqa: D102
    @property
    def timed_out(self) -> bool: ...  # noqa: D102


class Runner(Protocol):
    """Runs scripts inside VMs. Called off no lock, in as many tasks as there are run-commands."""

    async def run(self, vm: Vm, script: str, parameters: dict[str, str], timeout: float) -> ScriptResult:  # noqa: ASYNC109
        """Run a script in a VM.

        After `timeout` real seconds of running the script is killed and the result says so. When cancelled (the VM
        stopped, the run-command was deleted) the script must be dead before CancelledError is raised on.
        """
        ...


class CommandDesk:
    """Accepts run-commands, runs them, and keeps the operations' status."""

    def __init__(self, stage: Stage, timing: Timing, runner: Runner) -> None:
        self._stage = stage
        self._timing = timing
        self._runner = runner
        self._operations: dict[str, Operation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ordered: deque[Outcome] = deque()

    def order(self, outcome: Outcome) -> None:
        """Decide how the next operation ends."""
        self._ordered.append(outcome)

    def put(self, vm: Vm, name: str, order: CommandOrder) -> tuple[Command, bool]:
        """Create or update; returns the run-command and whether it is new. An identical order runs nothing."""
        _check_extensible(vm)
        found = vm.commands.get(name.lower())
        if found and found.order == order:
            return found, False
        if found and found.busy:
            raise errors.command_busy()
        if not found and len(vm.commands) >= MOST_COMMANDS:
            raise errors.too_many_commands(MOST_COMMANDS)
        for value in order.protected.values():
            self._stage.ledger.add_secret(value)
        command = Command(name, order, self._open(vm), provisioning="Updating" if found else "Creating")
        vm.commands[name.lower()] = command
        command.task = self._spawn(self._execute(vm, command))
        return command, found is None

    def delete(self, vm: Vm, name: str) -> Operation | None:
        """Delete a run-command, killing what runs; None where there is none."""
        command = vm.commands.get(name.lower())
        if command is None:
            return None
        _check_extensible(vm)
        operation = self._open(vm)
        command.provisioning = "Deleting"
        _ = self._spawn(self._remove(vm, command, operation))
        return operation

    def preempt(self, vm: Vm) -> None:
        """Kill everything that runs in a VM that goes away (off, deleted, re-created)."""
        for command in vm.commands.values():
            if command.busy and command.task:
                command.task.cancel()
                command.provisioning, command.state = "Failed", "Unknown"
                self._close(command.operation, "Failed", "OperationPreempted", "A newer operation preempted this one.")

    def operation(self, subscription: str, location: str, identifier: str) -> Operation | None:
        """The status of an operation, for a day after its end."""
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
        if found.ended is not None and self._stage.clock.now() - found.ended > _OPERATION_LIFE:
            del self._operations[identifier.lower()]
            return None
        return found

    async def close(self) -> None:
        """Kill every script and wait until they are gone."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _open(self, vm: Vm) -> Operation:
        operation = Operation(str(uuid.uuid4()), vm.subscription, vm.location, vm.vm_id, self._stage.clock.now())
        operation.outcome = self._ordered.popleft() if self._ordered else None
        self._operations[operation.id] = operation
        return operation

    def _close(self, operation: Operation, status: OperationStatus, code: str = "", message: str = "") -> None:
        if operation.outcome == "endless":
            return
        if operation.outcome == "failed" and status == "Succeeded":
            status, code, message = "Failed", "InternalExecutionError", "An internal execution error occurred."
        if operation.ended is None:
            operation.ended = self._stage.clock.now()
            operation.status, operation.code, operation.message = status, code, message

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _remove(self, vm: Vm, command: Command, operation: Operation) -> None:
        if command.task and command.busy:
            command.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await command.task
            self._close(command.operation, "Canceled", "OperationPreempted", "The run command was deleted.")
        await self._stage.clock.sleep(self._timing.remove)
        if operation.outcome in (None, "lost") and vm.commands.get(command.name.lower()) is command:
            del vm.commands[command.name.lower()]
            self._record("world.command-removed", vm, command)
        self._close(operation, "Succeeded")

    async def _execute(self, vm: Vm, command: Command) -> None:
        clock = self._stage.clock
        await clock.sleep(self._timing.pickup)
        if not await self._await_agent(vm):
            command.provisioning = "Failed"
            text = f"The VM '{vm.name}' has not reported status for VM agent or extensions."
            self._close(command.operation, "Failed", "VMAgentStatusCommunicationError", text)
            return
        command.state, command.started = "Running", clock.now()
        if command.order.asynchronous:
            command.provisioning = "Succeeded"
            self._close(command.operation, "Succeeded")
        note = "killed"
        self._record("world.script-started", vm, command)
        try:
            state, note = await self._run(vm, command)
        finally:
            self._record("world.script-ended", vm, command, note)
        await clock.sleep(self._timing.report)
        self._report(command, state)

    def _report(self, command: Command, state: ExecutionState) -> None:
        """Let what the script did be seen, as far as its operation's ordered end allows."""
        outcome = command.operation.outcome
        if outcome not in ("half", "endless"):
            command.state, command.ended = state, self._stage.clock.now()
        elif outcome == "endless":
            return
        failed = command.order.failure_fails_deployment and state != "Succeeded"
        command.provisioning = "Failed" if failed or outcome == "failed" else "Succeeded"
        if failed:
            self._close(command.operation, "Failed", "VMExtensionProvisioningError", "The script failed.")
        else:
            self._close(command.operation, "Succeeded")

    async def _run(self, vm: Vm, command: Command) -> tuple[ExecutionState, str]:
        """Run the script; what it printed becomes visible only when the execution's state does."""
        order = command.order
        limit = max(self._stage.clock.latency(order.timeout), min(order.timeout, _SHORTEST_TIMEOUT))
        try:
            result = await self._runner.run(vm, order.script, order.all_parameters(), limit)
        except Exception as error:  # whatever goes wrong inside a VM must not look like success
            log.exception("the script runner failed in %s", vm.name)
            command.message = f"Execution failed: {type(error).__name__}"
            return "Failed", f"runner failed: {type(error).__name__}"
        command.output, command.error = _tail(result.stdout), _tail(result.stderr)
        if result.timed_out:
            command.message = "Script execution timed out."
            return "TimedOut", "timed out"
        command.exit_code = result.exit_code
        command.message = "Execution completed" if result.exit_code == 0 else f"Execution failed: {result.exit_code}"
        return "Succeeded" if result.exit_code == 0 else "Failed", f"exit {result.exit_code}"

    async def _await_agent(self, vm: Vm) -> bool:
        """Wait until Azure hears the agent; False after the 25 minutes that it waits."""
        clock = self._stage.clock
        wait = max(vm.agent_ready_at - clock.now(), 0.0)
        if vm.agent_ready_at == NEVER or wait > clock.latency(self._timing.agent_patience):
            await clock.sleep(self._timing.agent_patience)
            return False
        await asyncio.sleep(wait)
        return True

    def _record(self, operation: str, vm: Vm, command: Command, note: str = "") -> None:
        mode = command.order.all_parameters().get("MICROSEG_MODE", "")
        self._stage.ledger.append("azure", operation, changed=(vm.vm_id, command.name, mode), note=note)


def _check_extensible(vm: Vm) -> None:
    if not (vm.provision_agent and vm.allow_extensions) and not vm.specialised:
        raise errors.extensions_disallowed()
    if not vm.on:
        raise errors.not_running()


def _tail(text: str) -> str:
    """The last 4,096 bytes: a character that the cut goes through is lost, as in Azure."""
    return text.encode()[-OUTPUT_LIMIT:].decode(errors="replace")
