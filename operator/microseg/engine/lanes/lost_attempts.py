"""Run-commands of ours on a VM that its record does not know (S1, S12).

`azure_attempts.py` asks before every intent: a record may be new, or older than what happened since (its ManagedHost
was deleted, etcd was restored). Only a run-command with our owner's tag was ours to start, and only the time in its tag
is believed: the instance view has the words of whoever is root on the VM.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from microseg.engine.lanes.azure_scripts import ScriptBuilder, intended_at
from microseg.engine.lanes.budgets import ResourceManagerCalls
from microseg.gateways.ports import AzureGateway
from microseg.model.agent_record import INSTALL, AgentRecord
from microseg.model.azure_facts import RunCommand, Vm
from microseg.model.facts import Absent
from microseg.scripts import parse_result
from microseg.scripts.azure_handler import known_words, never_began
from microseg.stages.attempt import attempt_number, nonce
from microseg.stages.context import Timing


@dataclass(frozen=True, slots=True)
class Found:
    """What the VM shows."""

    newest: int = 0
    """Number of our newest attempt that the record does not know; 0: none."""
    follow: AgentRecord | None = None
    """The record of an attempt of ours that may still run, or has paired."""
    foreign_running: str = ""
    """Name of a run-command that has a name of ours, was not started by us and runs; empty: none."""


class LostAttempts:
    """Looks for them, and says what follows."""

    def __init__(self, scripts: ScriptBuilder, calls: ResourceManagerCalls, timing: Timing) -> None:
        """`scripts` knows our tags. `calls`: the way to Resource Manager, within its budgets."""
        self._scripts, self._calls, self._timing = scripts, calls, timing

    async def find(self, gateway: AzureGateway, vm: Vm, previous: AgentRecord, now: datetime) -> Found:
        """What the record `previous` does not know: run-commands with its own number or a higher one.

        The number of one that vanishes while it is read is used up. Raises GatewayError.
        """
        listed = await self._calls.read(gateway.run_commands, vm.record.resource_id)
        numbered = ((attempt_number(vm.vm_id, item.name), item.name) for item in listed)
        known = previous.run_command.lower()
        unknown = [
            (number, name)
            for number, name in numbered
            if number is not None and number >= previous.attempt and name.lower() != known
        ]
        newest, follow, running = 0, None, ""
        for number, name in sorted(unknown, reverse=True):
            command = await self._calls.read(gateway.run_command, vm.record.resource_id, name)
            if isinstance(command, Absent) or self._scripts.owns(vm, command):
                newest = max(newest, number)
                if follow is None and isinstance(command, RunCommand) and not self._over_in_vain(vm, command, now):
                    follow = self._followed(vm, number, command, now)
            else:
                running = running or ("" if command.terminal else name)
        return Found(newest, follow, running)

    def _over_in_vain(self, vm: Vm, command: RunCommand, now: datetime) -> bool:
        """Whether a found attempt is over and has paired nothing: only then may the next one begin (S1).

        Without our result line a terminal state proves little: the pairing script can outlive the shell that Azure
        killed at its time-out, so the attempt's whole time must have passed, unless the script never began. Where no
        tag tells when it began, it is followed, with bounds from now on.
        """
        if not command.terminal:
            return False
        result = parse_result(command.output, nonce(vm.vm_id, command.name))
        if result is not None:
            return result.workload is None
        words, windows = known_words(command.message, command.error), vm.record.os_type != "Linux"
        if never_began(command.execution_state, command.exit_code, words, windows=windows):
            return True
        timing, intent = self._timing, intended_at(command)
        whole = timing.key_life + timing.sealing + timing.script_timeout + timing.grace
        return intent is not None and now >= intent + timedelta(seconds=whole)

    def _followed(self, vm: Vm, number: int, command: RunCommand, now: datetime) -> AgentRecord:
        """The record of an attempt that may still run, with bounds that are late rather than early.

        What it claims to have paired must be younger than its intent by our tag, else than the VM.
        """
        return AgentRecord(
            attempt=number,
            mode=INSTALL,
            run_command=command.name,
            nonce=nonce(vm.vm_id, command.name),
            intended_at=min(intended_at(command) or vm.record.created_at or now, now),
            seals_at=now + timedelta(seconds=self._timing.key_life + self._timing.sealing),
            started_at=now,
        )
