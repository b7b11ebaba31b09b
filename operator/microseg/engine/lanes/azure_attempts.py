"""The effect protocol for scripts on VMs: intent, PUT at most once, then only looks (docs/architecture.md).

Starting a script is an effect that happens once: it is neither repeatable nor named. A crash between any two lines
here leaves a state in which a look decides.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import ParamSpec, TypeVar

from microseg.engine.cluster.host_status import HostStatusWriter, Intent
from microseg.engine.ground.ports import Clock
from microseg.engine.lanes.azure_scripts import ScriptBuilder
from microseg.engine.lanes.budgets import ResourceManagerCalls
from microseg.engine.lanes.lost_attempts import LostAttempts
from microseg.engine.lanes.put_off_starts import LONGEST_PAUSE, PutOffStarts
from microseg.engine.lanes.unspent_keys import PairingKey
from microseg.engine.lanes.used_run_commands import UsedRunCommands
from microseg.engine.state.host_state import HostState
from microseg.engine.state.host_table import HostTable
from microseg.gateways.ports import (
    AzureGateway,
    Busy,
    GatewayError,
    OutcomeUnknown,
    Refused,
    Rejected,
    Throttled,
    Unreachable,
)
from microseg.model.agent_record import INSTALL, PROBE, AgentOutcome, AgentRecord
from microseg.model.azure_facts import RunCommand, Vm
from microseg.model.condition import Reason
from microseg.model.facts import ABSENT, UNREADABLE, Absent, Seen
from microseg.model.host import GoneProof
from microseg.model.illumio_facts import PairingProfile
from microseg.model.plan import ProveGone, ReadRunCommand, StartScript
from microseg.stages.agent import cause_changed, cause_digest, retry_wanted
from microseg.stages.attempt import command_name, installer_may_run_until, nonce, under_way
from microseg.stages.context import Timing

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger(__name__)
_FRESH = 10.0
"""Seconds for which a look at the VM is good enough to start a script on it."""


def _part() -> str:
    """The part of a run-command's name that never comes again."""
    return secrets.token_hex(4)


class ScriptAttempts:
    """Starts scripts and looks at their run-commands."""

    def __init__(
        self,
        scripts: ScriptBuilder,
        table: HostTable,
        host_status: HostStatusWriter,
        clock: Clock,
        timing: Timing,
        calls: ResourceManagerCalls,
        part: Callable[[], str] = _part,
    ) -> None:
        """`calls`: the way to Resource Manager, within its budgets. `part`: makes what no other name has."""
        self._scripts, self._table, self._host_status = scripts, table, host_status
        self._clock, self._timing, self._calls, self._part = clock, timing, calls, part
        self._lost = LostAttempts(scripts, calls, timing)
        self.used = UsedRunCommands(scripts, calls, table, clock)
        """Deletes what nobody needs any more."""
        self.put_off = PutOffStarts(table, clock)
        self._gone_asked, self._shown_at = dict[str, float](), dict[str, float]()
        """VmId -> monotonic time at which Azure was last asked for the VM: whether it is gone; before a start."""

    async def start(self, gateway: AzureGateway, vm: Vm, action: StartScript) -> None:
        """One attempt, from the last checks to the PUT. Returns early wherever something stands in the way."""
        state = self._table.hosts.get(vm.vm_id)
        if state is None:
            return
        try:
            if not await self._fit(gateway, vm) or not self._may_follow(state.agent, action.mode):
                return
            record = await self._next(gateway, vm, state, action.mode)
        except GatewayError as error:
            self.put_off.refused(vm.vm_id, error)
            return
        if record is None:
            return
        starting = record.started_at is None
        self._table.attempt_observed(vm.vm_id, starting=starting)
        try:
            if await self._host_status.intend(vm.vm_id, record) is Intent.COMMITTED and starting:
                await self._send(gateway, vm, record)
        finally:
            self._table.attempt_observed(vm.vm_id, starting=False)

    async def look(self, gateway: AzureGateway, vm: Vm, action: ReadRunCommand) -> None:
        """Read one run-command; what it shows becomes a fact of the host."""
        state = self._table.hosts.get(vm.vm_id)
        if state is None:
            return
        observe = self._table.attempt_observed
        try:
            answer = await self._calls.read(gateway.run_command, vm.record.resource_id, action.name)
        except GatewayError as error:
            log.info("run-command not read", extra={"host": state.record.name, "error": str(error)})
            observe(vm.vm_id, looked_at=self._clock(), look_failed=str(error))
            return
        command = ABSENT if isinstance(answer, Absent) else Seen(answer)
        looks = state.observed.looks + 1
        observe(vm.vm_id, run_command=command, looked_at=self._clock(), looks=looks, look_failed="")

    def keep_only(self, hosts: Collection[str]) -> None:
        """Forget what was remembered of hosts that are no more."""
        self._scripts.unspent.keep_only(hosts)
        self.used.keep_only(hosts)
        self.put_off.keep_only(hosts)
        for memory in (self._gone_asked, self._shown_at):
            for vm_id in [vm_id for vm_id in memory if vm_id not in hosts]:
                memory.pop(vm_id)

    def gone_asked_at(self, action: ProveGone) -> float:
        """Monotonic time at which Azure was last asked for this VM by its id; 0: never."""
        return self._gone_asked.get(action.vm_id, 0.0)

    async def prove_gone(self, gateway: AzureGateway | None, action: ProveGone) -> None:
        """Ask for one VM by its id. 404 or another vmId is Azure's word that it is gone; nothing else is (S5)."""
        vm_id, state = action.vm_id, self._table.hosts.get(action.vm_id)
        if state is None or gateway is None:
            self._gone_asked.pop(vm_id, None)
            return
        self._gone_asked[vm_id] = time.monotonic()
        try:
            answer = await self._calls.read(gateway.vm, action.resource_id)
        except (Throttled, Unreachable) as error:
            log.info("vm not asked for", extra={"host": state.record.name, "error": str(error)})
            await asyncio.sleep(self._timing.look_pause)
            return
        except GatewayError as error:
            log.warning("vm neither shown nor gone", extra={"host": state.record.name, "error": str(error)})
            self._table.attempt_observed(vm_id, gone=UNREADABLE)
            return
        if isinstance(answer, Absent):
            self._table.attempt_observed(vm_id, gone=GoneProof.NOT_FOUND)
        elif answer.vm_id != vm_id:
            self._table.attempt_observed(vm_id, gone=GoneProof.RECREATED)
        else:  # the list was wrong: the VM is there
            self._table.attempt_observed(vm_id, missed_polls=0, gone=None)

    async def _fit(self, gateway: AzureGateway, vm: Vm) -> bool:
        """Read the VM itself: still the same vmId, running, its agent ready."""
        detail = await self._calls.read(gateway.vm, vm.record.resource_id)
        if isinstance(detail, Absent) or detail.vm_id != vm.vm_id:
            sentence = "Azure shows no VM with this vmId under its id any more."
            self.put_off.put_off(vm.vm_id, Reason.START_PUT_OFF, sentence, 60.0)
            return False
        self._shown_at[vm.vm_id] = time.monotonic()
        self._table.saw_detail(vm.vm_id, detail)
        if detail.power_state != "running":
            return False
        if not detail.agent_ready:
            sentence = "Azure's agent on the VM does not report ready yet."
            self.put_off.put_off(vm.vm_id, Reason.AGENT_NOT_READY, sentence, self._timing.look_pause)
            return False
        return True

    def _may_follow(self, previous: AgentRecord, mode: str) -> bool:
        """Whether an attempt of this mode may begin after that one: a probe also while an installer may run (S1)."""
        if mode == PROBE:
            return not under_way(previous) or previous.mode == INSTALL
        until = installer_may_run_until(previous, self._timing)
        return not under_way(previous) and (until is None or until <= self._clock())

    async def _next(self, gateway: AzureGateway, vm: Vm, state: HostState, mode: str) -> AgentRecord | None:
        """The record of the next attempt; one that this record does not know, and that may run, is followed instead.

        The record may be new, or older than what happened since: its ManagedHost was deleted, etcd was restored. None:
        none may begin.
        """
        previous = state.agent
        now = self._clock().replace(microsecond=0)
        profile = self._scripts.profile(vm.record.os_type)
        found = await self._lost.find(gateway, vm, previous, now)
        if found.foreign_running:
            self.put_off.put_off(vm.vm_id, Reason.START_PUT_OFF, _not_ours(found.foreign_running), LONGEST_PAUSE)
            return None
        if found.follow is not None:
            return found.follow
        number = max(found.newest, previous.attempt) + 1
        name = command_name(vm.vm_id, number, self._part())
        until = installer_may_run_until(previous, self._timing)
        cause = cause_digest(vm, profile, self._scripts.tags)
        again = retry_wanted(state.record) or cause_changed(previous, cause)
        return AgentRecord(
            attempt=number,
            mode=mode,
            run_command=name,
            nonce=nonce(vm.vm_id, name),
            intended_at=now,
            seals_at=self._key_dies_at(vm, mode, now) + timedelta(seconds=self._timing.sealing),
            settles_at=until if until is not None and until > now else None,
            failures=0 if again else previous.failures,
            cause=cause,
        )

    def _key_dies_at(self, vm: Vm, mode: str, now: datetime) -> datetime:
        """When the key of an attempt that is intended now can be used no longer; a probe has as long."""
        profile = self._scripts.profile(vm.record.os_type)
        left = self._scripts.unspent.of(vm.vm_id, profile) if mode == INSTALL else None
        if left is not None:
            return left.dies_at.replace(microsecond=0)
        known = isinstance(profile, PairingProfile) and profile.key_life
        return now + timedelta(seconds=known or self._timing.key_life)

    async def _still_there(self, gateway: AzureGateway, vm: Vm) -> bool:
        """Whether its id shows this vmId still. A look of moments ago counts: the script checks the vmId too (S2)."""
        if time.monotonic() - self._shown_at.pop(vm.vm_id, 0.0) < _FRESH:
            return True
        detail = await self._calls.read(gateway.vm, vm.record.resource_id)
        return not isinstance(detail, Absent) and detail.vm_id == vm.vm_id

    async def _send(self, gateway: AzureGateway, vm: Vm, record: AgentRecord) -> None:
        """Make a key, PUT once. What is certain not to have begun is recorded at once."""
        about = {"vm": vm.vm_id, "run_command": record.run_command}
        try:
            if not await self._still_there(gateway, vm):
                self._table.attempt_observed(vm.vm_id, concluded=AgentOutcome.NEVER_BEGAN)
                return
            await self._calls.turn_to_write(vm.record.resource_id)
            key = await self._key(vm, record)
        except GatewayError as error:
            log.info("nothing was sent", extra=about | {"error": str(error)})
            self._never_began(vm.vm_id, error)
            return
        try:
            script = self._scripts.build(vm, record, key)
            await self._calls.write_in_turn(gateway.start_run_command, vm.record.resource_id, script)
        except OutcomeUnknown as error:
            log.warning("start in doubt", extra=about | {"error": str(error)})
            return
        except (Busy, Throttled, Unreachable, Refused) as error:
            log.info("start postponed by Azure", extra=about | {"error": str(error)})
            self._not_taken(vm.vm_id, key)
            self._never_began(vm.vm_id, error)
            return
        except Rejected as error:
            log.warning("start refused by Azure", extra=about | {"code": error.code, "why": error.detail})
            refusal = ": ".join(part for part in (error.code, error.detail) if part) or str(error)
            self._not_taken(vm.vm_id, key)
            self._table.attempt_observed(vm.vm_id, concluded=AgentOutcome.REFUSED, refusal=refusal)
            return
        self.put_off.taken(vm.vm_id)
        started = RunCommand(record.run_command, "Pending", started_at=self._clock().replace(microsecond=0))
        self._table.attempt_observed(vm.vm_id, run_command=Seen(started), not_taken=False, key_until=None)
        log.info("script started", extra=about | {"mode": record.mode})
        await self.used.before(gateway, vm, record)

    async def _key(self, vm: Vm, record: AgentRecord) -> PairingKey | None:
        """The attempt's key; who gets none because the PCE is away is remembered until it returns."""
        try:
            return await self._scripts.key(vm, record)
        except (Unreachable, OutcomeUnknown):
            self.put_off.got_no_key(vm.vm_id)
            raise

    def _not_taken(self, vm_id: str, key: PairingKey | None) -> None:
        """Azure certainly did not take the start: its key is kept, and no new one is made before Azure takes one."""
        if key is not None:
            self._scripts.unspent.keep(vm_id, key)
        self._table.attempt_observed(vm_id, not_taken=True, key_until=key.usable_until if key is not None else None)

    def _never_began(self, vm_id: str, error: GatewayError) -> None:
        """The intended attempt is over before it began: say why, and begin the next after a pause."""
        self._table.attempt_observed(vm_id, concluded=AgentOutcome.NEVER_BEGAN)
        self.put_off.refused(vm_id, error)


def _not_ours(name: str) -> str:
    return (
        f"Run-command {name} on the VM has a name of the operator's, but not its tags, and runs: nothing is started "
        "beside it."
    )
