"""The run-command handler inside the VMs: whether a run-command runs, how, and what is reported of it.

`commands.RunCommandService` calls it, as the VM's agent does. The behaviour is that of Azure/run-command-handler-linux
1.3.28 (commit f95dc24), which was built and run.

- Sequence numbers (pkg/seqnumutil, `enablePre` in internal/cmds/cmds.go): the VM's disk keeps the highest one per name,
  written before the run. The same or a lower one never runs, not even after the deletion of its run-command; what a
  script of the deleted one still reports is then shown for the new one.
- A time-out and the OOM killer kill the script's own process only; what it started lives on. The deletion of a
  run-command, and a higher number, kill nothing.
- An upgrade keeps the numbers, and reports of each name without a report that it was executed
  (`createDummyStatusFilesIfNeeded`).
- Ends without a result of the script: `ENDS` (internal/constants/exitcodes.go, internal/exec/exec.go).
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, replace
from typing import Protocol

from simulators.azure.command import Command, Report
from simulators.azure.execution import Execution, ScriptResult
from simulators.azure.machine import Vm
from simulators.azure.timing import Timing
from simulators.environment import Environment

OUTPUT_LIMIT = 4096
"""Bytes of each stream that are reported: the last ones."""
SIGNALLED = -1
"""The exit code of a script that a signal ended."""
_SHORTEST_TIMEOUT = 10.0
_PLACE = "/var/lib/waagent/run-command-handler/download/{0.name}/{0.sequence}"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class End:
    """How a run ends of which the script itself did not begin. `{0}`: the run-command."""

    exit_code: int
    failure: str = ""
    stderr: str = ""


ENDS: dict[str, End] = {
    "no-inodes": End(
        -100,
        "File downloads failed. Use either a public script URI that points to .sh file, Azure storage blob SAS URI or "
        "storage blob accessible by a managed identity and retry. If managed identity is used, make sure it has been "
        "given access to container of storage blob '' with 'Storage Blob Data Reader' role assignment. In case of "
        "user-assigned identity, make sure you add it under VM's identity. For more info, refer "
        "https://aka.ms/RunCommandManagedLinux: failed to prepare output directory: mkdir /var/lib/waagent/"
        "run-command-handler/download: no space left on device",
    ),
    "disk-full": End(
        -203,
        "failed to save script to file: failed to write to the file: "
        f"{_PLACE}/script.sh: write {_PLACE}/script.sh: no space left on device",
    ),
    "no-certificate": End(
        -202,
        "failed to get configuration: error reading extension configuration: failed to parse protected settings: "
        "decrypting protected settings with smime command failed: error=exit status 2 stderr=Could not open file or "
        "uri for loading recipient certificate file: No such file or directory",
    ),
    "no-exec": End(126, stderr=f"/bin/bash: line 1: {_PLACE}/script.sh: Permission denied\n"),
    "no-interpreter": End(
        127, stderr=f"/bin/bash: line 1: {_PLACE}/script.sh: cannot execute: required file not found\n"
    ),
    "arguments-too-long": End(
        0, "failed to execute command: failed to execute command: fork/exec /bin/bash: argument list too long"
    ),
}
"""Name of an obstacle in a VM -> how every run ends while it is there."""
NO_NUMBER = "no-number"
"""The obstacle that a sequence number cannot be written: nothing runs or is reported, and the name is used up."""
EXECUTED = Report(
    "Unknown",
    "The script has been executed. However, the instanceView's execution state, output, error are unknown.",
    0,
    "Unknown",
    "Unknown",
)
"""What a newer version of the handler reports of a name that ran and has no report."""


class ScriptRunner(Protocol):
    """Runs scripts inside VMs, called in one task per run-command.

    `guests.Guests` runs scripts, `fast_guests.FastGuests` emulates their effect, and tests pass their own.
    """

    async def run(self, vm: Vm, execution: Execution) -> ScriptResult:
        """Run a script in a VM until its own process ends; what it started may live on.

        On cancellation (the machine goes off, the simulator stops) everything that runs in the VM must be dead before
        CancelledError is re-raised.
        """
        ...

    def power_off(self, vm: Vm) -> None:
        """Kill what runs in a VM: its machine goes off, or starts again."""
        ...

    def close(self) -> None:
        """Kill what runs in all VMs."""
        ...


def tail(data: bytes) -> str:
    """Return the last 4,096 bytes as text; each byte that is not UTF-8 becomes U+FFFD, as Go's encoding/json does."""
    text = data[-OUTPUT_LIMIT:].decode(errors="surrogateescape")
    return "".join("\ufffd" if "\udc80" <= each <= "\udcff" else each for each in text)


class Handler:
    """Runs run-commands in VMs and shows what becomes of them."""

    def __init__(self, environment: Environment, timing: Timing, runner: ScriptRunner) -> None:
        self._environment = environment
        self._timing = timing
        self._runner = runner

    def is_new(self, vm: Vm, command: Command) -> bool:
        """Return whether a command's sequence number is higher than the one that the VM's disk has of its name."""
        if vm.obstacle == NO_NUMBER:
            vm.processed.setdefault(command.name, sys.maxsize)
        return vm.processed.get(command.name, -1) < command.sequence

    async def run(self, vm: Vm, command: Command) -> Report:
        """Run the script of a command; return what is to be reported of its end."""
        vm.processed[command.name] = command.sequence
        again = "again" if command.runs else ""
        command.runs, command.lost, command.reported, command.ended = command.runs + 1, False, False, None
        command.report = Report("Running", "Execution in progress")
        command.started = self._environment.clock.now()
        note = "killed"
        self._record("world.script-started", vm, command, again)
        try:
            report, note = await self._run(vm, command)
        finally:
            self._record("world.script-ended", vm, command, f"{again}, {note}" if again else note)
        return report

    def power_off(self, vm: Vm) -> None:
        """Kill what runs in a VM."""
        self._runner.power_off(vm)

    def close(self) -> None:
        """Kill what runs in all VMs."""
        self._runner.close()

    def kill(self, vm: Vm) -> None:
        """Kill the own process of every script that runs in a VM, as the OOM killer does."""
        for command in vm.commands.values():
            if command.execution is not None:
                command.execution.killed.set()

    def restart(self, vm: Vm) -> None:
        """Restart or upgrade the agent or its handler: scripts go on, and their ends are lost."""
        for command in vm.commands.values():
            command.lost = command.lost or command.execution is not None

    def upgrade(self, vm: Vm) -> None:
        """Replace the handler by a newer version, which reports something of every name that ran."""
        self.restart(vm)
        known = {command.name for command in vm.commands.values()}
        vm.executed |= {(name, number) for name, number in vm.processed.items() if name not in known}

    async def _run(self, vm: Vm, command: Command) -> tuple[Report, str]:
        end = ENDS.get(vm.obstacle)
        if end is not None:
            message = _message(end.exit_code, end.failure.format(command))
            report = Report("Failed", message, end.exit_code, "", end.stderr.format(command))
            return report, f"did not begin: {vm.obstacle}"
        execution = command.execution = self._execution(command)
        try:
            result = await self._runner.run(vm, execution)
        except Exception as error:  # a failure of the runner must not look like success
            log.exception("the script runner failed in %s", vm.name)
            failed = f"runner failed: {type(error).__name__}"
            return Report("Failed", f"Execution failed: {failed}", SIGNALLED), failed
        finally:
            command.execution = None
        note = "timed out" if result.timed_out else f"exit {result.exit_code}"
        return _report(result), note

    def _execution(self, command: Command) -> Execution:
        order, clock = command.order, self._environment.clock

        def show(stdout: str, stderr: str) -> None:
            if not command.lost:
                command.report = replace(command.report, output=stdout, error=stderr)

        return Execution(
            name=command.name,
            sequence=command.sequence,
            script=order.script,
            environment=order.environment(),
            arguments=order.arguments(),
            timeout=max(clock.latency(order.timeout), min(order.timeout, _SHORTEST_TIMEOUT)),
            partial=clock.latency(self._timing.partial),
            show=show,
        )

    def _record(self, operation: str, vm: Vm, command: Command, note: str) -> None:
        mode = command.order.environment().get("MICROSEG_MODE", "")
        self._environment.ledger.append("azure", operation, changed=(vm.vm_id, command.name, mode), note=note)


def _report(result: ScriptResult) -> Report:
    succeeded = result.exit_code == 0 and not result.failure
    message = _message(result.exit_code, result.failure)
    return Report("Succeeded" if succeeded else "Failed", message, result.exit_code, result.stdout, result.stderr)


def _message(exit_code: int, failure: str) -> str:
    if failure:
        return f"Execution failed: {failure}"
    if exit_code == 0:
        return "Execution completed"
    return f"Execution failed: failed to execute command: command terminated with exit status={exit_code}"
