"""Deletes run-commands of ours that nobody needs any more: their settings on the VM have the used key.

A deleted one leaves its sequence number on the VM, so its name never runs again (docs/decisions/0021).
`azure_attempts` and the Azure lane call it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import timedelta

from microseg.engine.ground.ports import Clock
from microseg.engine.lanes.azure_scripts import ScriptBuilder
from microseg.engine.lanes.budgets import ResourceManagerCalls
from microseg.engine.state.host_table import HostTable
from microseg.gateways.ports import AzureGateway, GatewayError
from microseg.model.agent_record import AgentRecord
from microseg.model.azure_facts import Vm
from microseg.model.facts import UNREADABLE
from microseg.stages.attempt import attempt_number

log = logging.getLogger(__name__)
_KEPT = 900.0
"""Seconds before run-commands that could not be deleted are tried again; twice as long after each further time."""


class UsedRunCommands:
    """Only what has this owner's mark is deleted."""

    def __init__(self, scripts: ScriptBuilder, calls: ResourceManagerCalls, table: HostTable, clock: Clock) -> None:
        """`scripts` knows the mark. `calls`: the way to Resource Manager, within its budgets."""
        self._scripts, self._calls, self._table, self._clock = scripts, calls, table, clock
        self._failed: dict[str, int] = {}
        """VmId -> tries in a row that failed."""

    async def before(self, gateway: AzureGateway, vm: Vm, record: AgentRecord) -> None:
        """Those before this attempt, where all are over: Azure allows 25 per VM, the newest stays."""
        if record.attempt < 2 or record.settles_at is not None:
            return
        try:
            await self._delete(gateway, vm, keep=record.run_command)
        except GatewayError as error:
            log.info("old run-commands stay", extra={"vm": vm.vm_id, "error": str(error)})

    async def delete(self, gateway: AzureGateway, vm: Vm) -> None:
        """All of a VM that is paired; what came of it becomes a fact of the host.

        Before a first attempt the VM's list had none of ours, so none is read now.
        """
        state = self._table.hosts.get(vm.vm_id)
        name = state.agent.run_command if state is not None else ""
        try:
            if attempt_number(vm.vm_id, name) == 1:
                await self._calls.write(gateway.delete_run_command, vm.record.resource_id, name)
            else:
                await self._delete(gateway, vm)
        except GatewayError as error:
            failed = self._failed[vm.vm_id] = self._failed.get(vm.vm_id, 0) + 1
            log.info("run-commands stay", extra={"vm": vm.vm_id, "error": str(error)})
            pause = timedelta(seconds=_KEPT * 2 ** min(failed - 1, 6))
            self._table.attempt_observed(vm.vm_id, delete_after=self._clock() + pause)
            return
        self._failed.pop(vm.vm_id, None)
        self._table.attempt_observed(vm.vm_id, commands_deleted=True, run_command=UNREADABLE)  # its output is 4 KiB

    def keep_only(self, hosts: Collection[str]) -> None:
        """Forget what was remembered of hosts that are no more."""
        self._failed = {vm_id: failed for vm_id, failed in self._failed.items() if vm_id in hosts}

    async def _delete(self, gateway: AzureGateway, vm: Vm, *, keep: str = "") -> None:
        """Delete them (repeatable). Raises GatewayError."""
        for item in await self._calls.read(gateway.run_commands, vm.record.resource_id):
            ours = attempt_number(vm.vm_id, item.name) is not None and self._scripts.owns(vm, item)
            if ours and not item.deleting and item.name.lower() != keep.lower():
                await self._calls.write(gateway.delete_run_command, vm.record.resource_id, item.name)
